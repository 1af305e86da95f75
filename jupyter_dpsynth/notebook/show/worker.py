"""One training in one worker thread.

The worker computes and leaves its reports here. It never prints, displays or draws; the display reads this
object from another thread.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import seconds_left
from jupyter_dpsynth.engine.learning.spending import NOTHING_SPENT
from jupyter_dpsynth.engine.learning.strategy import current_strategy
from jupyter_dpsynth.errors import NotLearnedError
from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.ledger.datasets import LedgerAnswers
    from jupyter_dpsynth.reports import StepReport
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.several import SeveralTables
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["TrainingRun"]

PACKAGE = "jupyter_dpsynth"


class _Collected(logging.Handler):
    """Collects the training's warnings, because output of a thread may appear under any cell."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning, but none that is shown with the columns' losses anyway."""
        if record.thread == self._thread and not getattr(record, "in_losses", False):
            message = record.getMessage()
            self.warnings.append(message[:1].upper() + message[1:])


class TrainingRun:
    """A training, from its first second to its end.

    Args:
        synthesizer: Not learned yet.
        source: The private table, or several ones; closed and let go of at the end.
        name: The variable under which the user has the synthesizer.
        dataset: Name of the dataset in the ledger, None if the user gave none.
        label: What the ledger calls a table that is new to it and has no name.
        answers: What the user answers to the ledger beforehand; no by default.

    Attributes:
        latest: The last report, None until the first.
        curve: `(step, loss, loss noise)` of the training steps so far; private by construction.
        error: What the training raised, None if nothing.
        warnings: What it warned of; nothing that epsilon does not cover.
        stop_requested: Whether somebody asked it to end early.
        began: The time and number of the first step that was reported, for the remaining time.
    """

    def __init__(
        self,
        synthesizer: HighDimSynthesizer,
        source: Source | SeveralTables,
        name: str,
        dataset: str | None = None,
        label: str = UNNAMED,
        answers: LedgerAnswers | None = None,
    ) -> None:
        self.synthesizer = synthesizer
        self._answers: LedgerAnswers = answers or {"new_dataset": False, "infinite_total": False}
        self.dataset, self.label = dataset, label
        self._strategy = current_strategy()  # of the user's thread
        self.name = name
        self.latest: StepReport | None = None
        self.curve: list[tuple[int, float, float]] = []
        self.error: BaseException | None = None
        self.warnings: list[str] = []
        self.began: tuple[float, int] | None = None
        self._source: Source | SeveralTables | None = source
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._started = False
        self._started_at = self._ended_at = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="dpsynth-training", daemon=True)

    def start(self) -> None:
        """Start in the background; only once."""
        if self._started:
            return
        self._started = True
        self._started_at = time.monotonic()
        if self.synthesizer.state == "new":
            self.synthesizer.state = "starting"  # the next cells are not to hear 'call learn'
        self._thread.start()

    def stop(self) -> None:
        """Request a stop after the current step; returns at once."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most this long; returns whether it has ended."""
        return self._ended.wait(seconds)

    @property
    def stop_requested(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    @property
    def learned(self) -> bool:
        """Whether there is a model, complete or stopped early."""
        return self.synthesizer.state == "learned"

    @property
    def seconds(self) -> float:
        """Time since the start, until the end."""
        return (time.monotonic() if self.running else self._ended_at) - self._started_at

    def _work(self) -> None:
        source, self._source = self._source, None
        collected = _Collected()
        self.warnings = collected.warnings
        logging.getLogger(PACKAGE).addHandler(collected)
        try:
            if self._stop.is_set():  # an interrupt may come before this thread does
                raise NotLearnedError(NOTHING_SPENT)  # noqa: TRY301 - told like every other end
            if source is not None:
                self.synthesizer.learn(
                    source,
                    callback=self._report,
                    stop=self._stop,
                    dataset=self.dataset,
                    label=self.label,
                    **self._answers,
                    strategy=self._strategy,
                )
        except BaseException as error:  # noqa: BLE001 - handed to the thread that shows it
            # a traceback would keep the private table alive
            self.error = error.with_traceback(None)
        finally:
            logging.getLogger(PACKAGE).removeHandler(collected)
            del source
            if self.synthesizer.state == "starting":  # refused before it began
                self.synthesizer.state = "new"
            self._ended_at = time.monotonic()
            self._ended.set()

    def _report(self, report: StepReport) -> None:
        # from the first completed step on: it takes seconds, because TensorFlow compiles it
        if report.step and self.began is None:
            self.began = (time.monotonic(), report.step)
        if report.loss is not None and (not self.curve or report.step > self.curve[-1][0]):
            self.curve.append((report.step, report.loss, report.loss_noise or 0.0))
        self.latest = report

    def remaining(self) -> float | None:
        """Estimated seconds to the planned end, None before it can be estimated."""
        report, began = self.latest, self.began
        if report is None or began is None or report.phase != "training":
            return None
        return seconds_left(began, report.step, report.total_steps) if report.step > began[1] else None
