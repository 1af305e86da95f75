"""One line of progress for plain Python and terminals."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, TextIO

from jupyter_dpsynth.display.words import epsilon_text

if TYPE_CHECKING:
    from jupyter_dpsynth.reports import StepReport

__all__ = ["ConsoleProgress", "RowsProgress", "progress_text"]

REDRAW_SECONDS = 0.5


def progress_text(report: StepReport) -> str:
    """A report as one line of text.

    >>> from jupyter_dpsynth.engine.reports import StepReport
    >>> progress_text(StepReport("training", "training", 120, 500, 0.61, 1.0, loss=23.4, seconds=4))
    'training: step 120/500, epsilon 0.61 of 1, loss 23.40, 4 s'
    >>> progress_text(StepReport("measuring", "measuring column 'age'", seconds=1))
    "measuring column 'age', 1 s"
    """
    parts = [report.message]
    if report.total_steps:
        parts[0] += f": step {report.step}/{report.total_steps}"
        if report.epsilon is None:
            parts.append("TEST ONLY, no guarantee")
        elif math.isinf(report.epsilon):
            parts.append("epsilon infinite (no guarantee)")
        else:
            parts.append(f"epsilon {epsilon_text(report.epsilon)} of {report.epsilon_target:g}")
    if report.loss is not None:
        parts.append(f"loss {report.loss:.2f}")
    parts.append(f"{report.seconds:.0f} s")
    return ", ".join(parts)


class ConsoleProgress:
    """Writes each report over the last one, at most twice a second.

    Args:
        stream: Where to; stderr by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._last = -math.inf
        self._width = 0
        self._told = False

    def __call__(self, report: StepReport) -> None:
        """Show one report; what the data has cost so far once, in a line of its own."""
        if report.ledger and not self._told:
            self._told = True
            self.stream.write(f"\r{report.ledger.ljust(self._width)}\n")
        finished = report.phase == "finished"
        now = time.monotonic()
        if not finished and now - self._last < REDRAW_SECONDS:
            return
        self._last = now
        text = progress_text(report)
        padding = " " * max(0, self._width - len(text))
        self._width = len(text)
        self.stream.write(f"\r{text}{padding}" + ("\n" if finished else ""))
        self.stream.flush()


class RowsProgress:
    """Writes how many rows are there over the last such line, if it takes longer than a second.

    Args:
        stream: Where to; stderr by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        """Show one state."""
        now = time.monotonic()
        if (done < of and now - self._last < REDRAW_SECONDS) or now - self._began < 1.0:
            return
        self._last = now
        left = (now - self._began) / done * (of - done)
        words = f"about {left:.0f} s left" if done < of else f"{now - self._began:.0f} s"
        self.stream.write(f"\r{done:,} of {of:,} rows written, {words}".ljust(70) + "\n" * (done == of))
        self.stream.flush()
