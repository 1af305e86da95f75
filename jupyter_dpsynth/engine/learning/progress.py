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
        self._began = time.monotonic()
        self._report = StepReport(
            "starting", "reading the column names and types", epsilon=spent, epsilon_target=target
        )

    def report(self, **changes: Any) -> None:  # noqa: ANN401 - the report's own fields
        """Pass the last report with these changes to the observer."""
        seconds = time.monotonic() - self._began
        self._report = replace(self._report, seconds=seconds, **changes)
        self._observer(self._report)

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return self._stop.is_set()
