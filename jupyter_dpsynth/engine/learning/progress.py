"""What the observer of a run is told, and the event by which it is stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.reports import StepReport

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunProgress"]

TICK_SECONDS = 1.0  # at least, between two reports that only tell that time passes


class RunProgress:
    """Tells the observer of a run how far it is.

    Args:
        observer: Told of every phase and step.
        stop: Set from anywhere to end after the current step.
        target: The budget; infinite without differential privacy.
        spent: What the first reports say was spent: 0, or None for a test-only seed.
    """

    def __init__(
        self,
        observer: Callable[[StepReport], None],
        stop: threading.Event | None,
        target: float,
        spent: float | None,
    ) -> None:
        self._observer, self._stop = observer, stop or threading.Event()
        self._began = self._told = time.monotonic()
        self._report = StepReport(
            "starting",
            "reading the column names and types",
            epsilon=spent,
            epsilon_target=target,
            reserved=spent,
        )

    def report(self, **changes: Any) -> None:  # noqa: ANN401 - the report's own fields
        """Pass the last report with these changes to the observer."""
        self._told = time.monotonic()
        self._report = replace(self._report, seconds=self._told - self._began, **changes)
        self._observer(self._report)

    def note_reserved(self, reserved: tuple[float | None, float] | None) -> None:
        """Let the next reports say what the ledger has recorded.

        Args:
            reserved: Epsilon and delta, None for nothing yet.
        """
        if reserved is not None:
            self._report = replace(self._report, reserved=reserved[0])

    def tick(self) -> None:
        """Pass the last report on again, if that is some time ago: called after every part of a table.

        Privacy:
            How many parts there are follows from the exact number of rows, so they must not be counted out:
            the clock decides how many reports there are. Running time is stated not to be covered.
        """
        if time.monotonic() - self._told >= TICK_SECONDS:
            self.report()

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return self._stop.is_set()
