"""A training in the terminal: a bar with epsilon, loss and the remaining time, or plain lines in a log."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jupyter_dpsynth.cli.status import in_terminal
from jupyter_dpsynth.display.console import progress_text
from jupyter_dpsynth.display.words import epsilon_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from jupyter_dpsynth.reports import StepReport

__all__ = ["LearningProgress", "stopped_by_interrupt"]

STDERR = 2
STOPPING = "Stopping after the current step; the model is kept. Ctrl-C again leaves without it."
BAR_WIDTH, ELAPSED_WIDTH = 80, 100  # of the terminal from which they are shown: with less they cut off steps
LINE_SHARE = 0.1  # of the steps, from one line of a log to the next


class LearningProgress:
    """Shows a training; a callback for `learn`, to be used in a `with` block.

    Args:
        stream: Where to; by default what is stderr now, even if file descriptor 2 is redirected later.

    Attributes:
        console: Where everything is written.
        stop: Set it to end training; the next report says that this was noticed.

    Privacy:
        Reports hold privatised figures only, besides the ledger's line, which is for the owner.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        if stream is None:
            stream = os.fdopen(os.dup(STDERR), "w", encoding="utf-8", errors="replace")
        self.console = Console(file=stream, highlight=False, markup=False)
        width = self.console.width
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),  # a column's name may look like markup
            *([BarColumn(bar_width=None)] if width >= BAR_WIDTH else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            *([TimeElapsedColumn()] if width >= ELAPSED_WIDTH else []),
            TimeRemainingColumn(),
            console=self.console,
            expand=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, figures="")
        self.stop = threading.Event()
        self._told = self._told_stop = False
        self._last = ("", -math.inf)

    def __enter__(self) -> LearningProgress:  # noqa: PYI034 - Self is newer than Python 3.10
        """Begin to draw."""
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if not self._bar.disable:  # rich 13.0 ends a bar that is not drawn with an empty line
            self._bar.stop()

    def __call__(self, report: StepReport) -> None:
        """Show one report; what the data has cost so far once, in a line of its own."""
        if report.ledger and not self._told:
            self._told = True
            self.console.print(in_terminal(report.ledger), soft_wrap=not self.console.is_terminal)
        if self.stop.is_set() and not self._told_stop:
            self._told_stop = True
            self.console.print(STOPPING)
        if self.console.is_terminal:
            self._bar.update(
                self._task,
                description=report.message,
                completed=report.step,
                total=report.total_steps or None,
                figures=_figures(report),
            )
            return
        message, step = self._last
        if report.message != message or report.step - step >= max(LINE_SHARE * report.total_steps, 1):
            self._last = (report.message, report.step)
            self.console.print(progress_text(report), soft_wrap=True)


def _figures(report: StepReport) -> str:
    """Epsilon and loss, as far as they are known."""
    parts = []
    if report.total_steps and report.epsilon is not None:
        infinite = math.isinf(report.epsilon)
        spent = f"{epsilon_text(report.epsilon)} of {report.epsilon_target:g}"
        parts.append("no guarantee" if infinite else f"epsilon {spent}")
    if report.loss is not None:
        parts.append(f"loss {report.loss:.2f}")
    return ", ".join(parts)


@contextlib.contextmanager
def stopped_by_interrupt(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C sets an event, so that the model is kept; the second one leaves."""

    def interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's form
        # nothing is written here: the main thread may be in the middle of a line
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
