"""A training in the terminal that Ctrl-C ends early."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from jupyter_dpsynth.cli.status import in_terminal
from jupyter_dpsynth.display.console import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from jupyter_dpsynth.reports import StepReport

__all__ = ["LearningProgress", "stopped_by_interrupt"]

STDERR = 2
STOPPING = "Stopping after the current step; the model is kept. Press Ctrl-C again to exit without saving it."


class LearningProgress(ConsoleProgress):
    """Shows a training, and that it is about to end; a callback for `learn`.

    Args:
        stream: Where to; by default what is stderr now, even if file descriptor 2 is redirected later.

    Attributes:
        stop: Set it to end training; the next report says that this was noticed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        if stream is None:
            stream = os.fdopen(os.dup(STDERR), "w", encoding="utf-8", errors="replace")
        super().__init__(stream)
        self.stop = threading.Event()
        self._told_stop = False

    def __call__(self, report: StepReport) -> None:
        """Show one report."""
        if self.stop.is_set() and not self._told_stop:
            self._told_stop = True
            self.line.keep(STOPPING)
        super().__call__(replace(report, ledger=in_terminal(report.ledger)))


@contextlib.contextmanager
def stopped_by_interrupt(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C set an event, so that the model is kept, and the second one exit."""

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
