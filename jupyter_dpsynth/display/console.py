"""Progress as text: one line that is written over, or lines in a log. Only a terminal needs rich."""

from __future__ import annotations

import contextvars
import math
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

from jupyter_dpsynth.display.words import duration, epsilon_text, seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console
    from rich.text import Text

    from jupyter_dpsynth.reports import StepReport

__all__ = ["ConsoleProgress", "Elapsed", "ProgressLine", "RowsProgress", "progress_text", "working"]

REDRAW_SECONDS = 0.25
LOG_SHARE = 0.1  # of the whole, from one line of a log to the next
LONGEST_BAR, SHORTEST_BAR = 24, 8  # in characters; with less room the words stand alone


def progress_text(report: StepReport) -> str:
    """A report as one line of text.

    >>> from jupyter_dpsynth.reports import StepReport
    >>> progress_text(StepReport("training", "training", 120, 500, loss=23.4, reserved=0.9994, seconds=4))
    'training: step 120/500, epsilon 0.9994 reserved, loss 23.40, 4 s'
    >>> progress_text(StepReport("measuring", "measuring column 'age'", seconds=1))
    "measuring column 'age', 1 s"
    """
    parts = [report.message]
    if report.total_steps:
        parts[0] += f": step {report.step}/{report.total_steps}"
        if report.reserved is None:
            parts.append("TEST ONLY, no guarantee")
        elif math.isinf(report.epsilon_target):
            parts.append("epsilon infinite (no guarantee)")
        else:
            parts.append(f"epsilon {epsilon_text(report.reserved)} reserved")
    if report.loss is not None:
        parts.append(f"loss {report.loss:.2f}")
    parts.append(f"{report.seconds:.0f} s")
    return ", ".join(parts)


class ProgressLine:
    """Shows how far something is, as the stream allows it.

    In a terminal one line is written over, with a bar before the words; in the output of a notebook's cell
    too, without the bar. In a log, where nothing can be written over, a line is written when something else
    begins and after each tenth of it.

    Args:
        stream: Where to; stderr by default.

    Attributes:
        rewrites: Whether the line is written over.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._console = _console(self._stream) if self._stream.isatty() else None
        self.rewrites = self._console is not None or _is_cell_output(self._stream)
        self._drawn_at = -math.inf
        self._width = 0  # of what stands in the line now
        self._last = ("", -math.inf)

    def show(self, line: str, task: str = "", done: int = 0, of: int = 0, *, end: bool = False) -> None:
        """Show a state.

        Args:
            line: The state in words.
            task: What is done, in words that stay the same while it lasts.
            done: How much of it is done.
            of: How much there is to do, 0 if that is not known.
            end: Whether this is the last state; it is always shown, and stays.
        """
        if not self.rewrites:
            if end or task != self._last[0] or done - self._last[1] >= max(LOG_SHARE * of, 1):
                self._last = (task, done)
                self._write(line, end="\n")
            return
        now = time.monotonic()
        if not end and now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        self._write(line, done / of if of else None, end="\n" if end else "")

    def keep(self, line: str) -> None:
        """Write a line that stays, above the one that is written over."""
        self._write(line, end="\n")
        self._drawn_at = -math.inf

    def _write(self, line: str, share: float | None = None, *, end: str) -> None:
        """Write over the line; without an end something will be written over this one."""
        encoding = self._stream.encoding or "utf-8"
        line = line.encode(encoding, "replace").decode(encoding)  # a terminal may lack our signs
        if self._width:
            self._stream.write("\r")
        if self._console is None:
            self._stream.write(line.ljust(self._width) + end)
            width = len(line)
        else:
            text = _plain(line) if end else _fitted(self._console, line, share)
            width = text.cell_len
            text.pad_right(max(0, self._width - width))
            self._console.print(text, end=end, soft_wrap=True)
        self._stream.flush()
        self._width = 0 if end else width


def _console(stream: TextIO) -> Console:
    """A terminal."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, force_jupyter=False, force_terminal=True)


def _plain(line: str) -> Text:
    from rich.text import Text

    return Text(line)


def _fitted(console: Console, line: str, share: float | None) -> Text:
    """A line that a terminal does not wrap, as it could not be written over; with a bar if there is room."""
    text = _plain(line)
    text.truncate(console.width - 1, overflow="ellipsis")
    width = min(console.width - 2 - text.cell_len, LONGEST_BAR)
    if share is None or width < SHORTEST_BAR or not console.encoding.startswith("utf"):
        return text
    filled = min(int(width * share), width)
    bar = _plain("").append("━" * filled, "bar.complete").append("━" * (width - filled), "bar.back")
    return bar.append(" ").append_text(text)


def _is_cell_output(stream: object) -> bool:
    """Whether a stream ends in the output of a notebook's cell, which knows carriage returns."""
    iostream = sys.modules.get("ipykernel.iostream")
    return iostream is not None and isinstance(stream, iostream.OutStream)


def _time_left(began: tuple[float, int], done: int, of: int) -> str:
    """`seconds_left` in words."""
    return f"about {duration(seconds_left(began, done, of))} left"


class ConsoleProgress:
    """Shows a training in plain Python; a callback for `learn`.

    Args:
        stream: Where to; stderr by default.

    Privacy:
        Reports hold privatised figures only, besides the ledger's line, which is for the owner.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.line = ProgressLine(stream)
        self._told = False
        self._began: tuple[float, int] | None = None

    def __call__(self, report: StepReport) -> None:
        """Show one report. What the data have cost so far is shown once, in its own line."""
        if report.ledger and not self._told:
            self._told = True
            self.line.keep(report.ledger)
        text, step, total = progress_text(report), report.step, report.total_steps
        if step and self._began is None:  # not from the start: TensorFlow compiles the first step
            self._began = (time.monotonic(), step)
        if self.line.rewrites and self._began is not None and self._began[1] < step < total:
            text += f", {_time_left(self._began, step, total)}"
        self.line.show(text, report.message, step, total, end=report.phase == "finished")


class RowsProgress:
    """Shows how many rows are written, if it takes longer than a second.

    Args:
        stream: Where to; stderr by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = ProgressLine(stream)
        self._began = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        """Show how many rows have been written."""
        seconds = time.monotonic() - self._began
        if seconds < 1.0:
            return
        words = _time_left((self._began, 0), done, of) if done < of else duration(seconds)
        self._line.show(f"{done:,} of {of:,} rows written, {words}", "writing", done, of, end=done == of)


class Elapsed:
    """Tells that time passes while something is done that reports nothing itself; a context manager.

    Args:
        words: What is done: 'comparing with the original'.
        show: Called with these words and the time, every second after the first, from a thread that has the
            context of the caller's.
        end: Called once at the end if anything was shown, with the words and the time.
    """

    def __init__(self, words: str, show: Callable[[str], None], end: Callable[[str], None]) -> None:
        self._words, self._show, self._finish = words, show, end
        self._over = threading.Event()
        self._shown = False
        self._began = time.monotonic()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._tick,), name="dpsynth-elapsed", daemon=True
        )

    def _text(self) -> str:
        return f"{self._words}, {duration(time.monotonic() - self._began)}"

    def _tick(self) -> None:
        while not self._over.wait(1.0):
            self._shown = True
            self._show(f"{self._text()} so far")

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self._shown:
            self._finish(self._text() if kind is None else f"{self._words}: not finished")


def working(words: str, stream: TextIO | None = None) -> Elapsed:
    """`Elapsed` as one line of text.

    Args:
        words: What is done.
        stream: Where to; stderr by default.
    """
    line = ProgressLine(stream)

    def show(text: str, *, end: bool = False) -> None:
        if line.rewrites:  # in a log nobody waits
            line.show(text, words, end=end)

    return Elapsed(words, show, lambda text: show(text, end=True))
