"""One run's entry in the ledger: the whole budget first, then the exact plan, then how it ended."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.engine.planning.counting import NOMINAL_DELTA, planned_count
from jupyter_dpsynth.errors import ArtifactError, BudgetExhaustedError, ConfigError, NotLearnedError
from jupyter_dpsynth.privacy.accounting import PrivacyPlan, compute_epsilon
from jupyter_dpsynth.privacy.composition import Spending, provisional_spending
from jupyter_dpsynth.privacy.ledger.datasets import label_of
from jupyter_dpsynth.reports import StopReason
from jupyter_dpsynth.sources.identity import identify_table, joint_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.learning.checkpoint import TrainingTask
    from jupyter_dpsynth.engine.learning.progress import RunProgress
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
    from jupyter_dpsynth.privacy.ledger.runs import RunStatus
    from jupyter_dpsynth.sources.base import Source

__all__ = ["NOTHING_SPENT", "LedgerEntry"]

logger = logging.getLogger(__name__)

NOTHING_SPENT = "stopped before there was a model, and before anything was measured: epsilon = 0 was spent."


class LedgerEntry:
    """What a run reserves and spends, as the ledger knows it.

    Args:
        ledger: Where the run is recorded before a value is measured.
        dataset: The dataset's name as the user gave it, or None.
        label: What the ledger calls a new dataset without a name.
        config: The frozen parameters.
        test_only: Whether the noise is from a test-only seed.
        new_dataset: Whether the user says that the table is about other people than all in the ledger.
        infinite_total: Whether the dataset's total may become infinite.

    Attributes:
        run: The run's identifier in the ledger, None before it is there.
        reserved: Epsilon (None for a test-only seed) and delta; None before anything is reserved.
        content: The table's fingerprint, for the owner; None before it is taken, and where another worker
            has entered the run.
    """

    def __init__(
        self,
        ledger: PrivacyLedger,
        dataset: str | None,
        label: str,
        config: ResolvedConfig,
        *,
        test_only: bool,
        new_dataset: bool = False,
        infinite_total: bool = False,
    ) -> None:
        self.ledger, self.config, self.test_only = ledger, config, test_only
        self._new, self._infinite_total = new_dataset, infinite_total
        self._dataset, self._label = dataset, label
        self.run: str | None = None
        self.reserved: tuple[float | None, float] | None = None
        self.content: bytes | None = None

    @property
    def _guaranteed(self) -> bool:
        """Whether the run has a guarantee; without one the ledger counts it as infinite."""
        return self.config.differential_privacy and not self.test_only

    def _identity(self, source: Source, *, new: bool = False) -> TableIdentity:
        return identify_table(source, self._dataset, self._label, new=new)

    def reserve(
        self, source: Source, progress: RunProgress, together: Mapping[str, Source] | None = None
    ) -> None:
        """Enter the whole budget, before a value is measured.

        Args:
            source: The private table.
            progress: Told what the data has cost so far.
            together: Further tables of the same persons, by name: what they cost alone counts, too.

        Raises:
            ArtifactError: The ledger cannot record the run.
            BudgetExhaustedError: The dataset's cap does not allow it.

        Privacy:
            What the data has cost so far is told to the observer, for the owner. That the ledger knows
            the table, or takes it for a version of one, may come from its exact rows.
        """
        config = self.config
        if source.partitioned:
            progress.report(message="reading the table, so that the ledger can recognise it")
        identity = self._identity(source, new=self._new)
        epsilon = config.epsilon if self._guaranteed else math.inf
        further = provisional_spending(epsilon, config.delta or NOMINAL_DELTA, config.unit_text)
        others = [
            identify_table(each, None, label_of(name), new=self._new)
            for name, each in (together or {}).items()
        ]
        account = self.ledger.account(identity, further, others)
        progress.report(ledger=account.sentence(epsilon, config.unit_text))
        self.content = joint_content([identity, *others])
        # an earlier run's delta tells about how many rows there are
        delta = config.delta or max(NOMINAL_DELTA, account.run_delta)
        self.run = self.ledger.reserve(
            identity,
            epsilon,
            delta,
            config.unit_text,
            infinite_total=self._infinite_total,
            together=others,
        )
        if config.differential_privacy:
            self.reserved = (config.epsilon if self._guaranteed else None), config.delta or NOMINAL_DELTA
        else:
            self.reserved = (math.inf, 0.0)

    def take_part_in(self, task: TrainingTask) -> None:
        """Take part in the run that the first worker has entered.

        Args:
            task: What that one sent.

        Raises:
            ConfigError: The kind of noise is another one.
        """
        self._check_noise(task)
        self.run, self.reserved = task.entry, task.reserved

    def _check_noise(self, task: TrainingTask) -> None:
        if self.test_only != (task.reserved[0] is None):
            raise ConfigError(
                "noise: a resumed run must use the kind of noise (test-only or not) that it began with."
            )

    def resume(self, source: Source, task: TrainingTask) -> int:
        """Go on with an interrupted run, as far as the ledger knows it; nothing new is spent.

        Args:
            source: The private table.
            task: The interrupted run.

        Returns:
            How many of its steps may have been made.

        Raises:
            ArtifactError: The ledger does not hold this run of this table with this plan.
            ConfigError: The kind of noise is another one.
        """
        self._check_noise(task)
        released = self.ledger.resume(self._identity(source), task.entry, task.plan.privacy)
        self.run, self.reserved = task.entry, task.reserved
        return released

    def record_plan(self, plan: RunPlan) -> None:
        """Replace the reservation by the plan, before anything but the row count is measured.

        Args:
            plan: The plan.

        Raises:
            BudgetExhaustedError: It does not fit any more; at most the row count stays recorded.
        """
        if plan.privacy is None or self.run is None:
            return
        if not self._guaranteed:
            self.reserved = (None, plan.delta)
            return
        try:
            self.ledger.record(self.run, Spending(plan.privacy, plan.delta, plan.epsilon))
        except BudgetExhaustedError as error:
            raise BudgetExhaustedError(f"{error} {self._record_count(plan.delta)}") from None
        self.reserved = (plan.epsilon, plan.delta)

    def record_count_only(self) -> str:
        """Replace the reservation by the row count, because the run ends after it was measured.

        Returns:
            What was spent, as a sentence.

        Raises:
            ArtifactError: The ledger cannot record it; the reservation stays.
        """
        if not self._guaranteed or self.run is None:
            return ""
        return self._record_count(self.config.delta or NOMINAL_DELTA)

    def _record_count(self, delta: float) -> str:
        count = planned_count(self.config)
        spent = PrivacyPlan(() if count is None else (count.measurement,), unit=self.config.unit_text)
        epsilon = 0.0 if count is None else compute_epsilon(spent, delta)
        if self.run is not None:
            self.ledger.record(self.run, Spending(spent, delta, epsilon))
        self.reserved = (epsilon, delta)
        if count is None:
            return "Nothing was measured, and nothing was spent."
        return f"Only the row count was measured, for epsilon = {epsilon_text(epsilon)}."

    @contextlib.contextmanager
    def recording_end(self) -> Iterator[Callable[[StopReason], None]]:
        """Record how the run ended; what it reserved is recorded in any case.

        Yields:
            What is to be called with the reason once the run has ended well.
        """
        status: RunStatus = "failed"

        def ended(reason: StopReason) -> None:
            nonlocal status
            early = reason in (StopReason.STOPPED, StopReason.WORKER_LOST)
            status = "stopped" if early else "finished"

        try:
            yield ended
        except NotLearnedError:
            status = "stopped"
            raise
        finally:
            self._record_end(status)

    def _record_end(self, status: RunStatus) -> None:
        if self.run is None:
            return
        try:
            self.ledger.record(self.run, status=status)
        except ArtifactError:
            logger.warning("the ledger could not record that this run %s; its cost is recorded.", status)

    def raise_if_stopped(self, progress: RunProgress) -> None:
        """Before there is a model a stop leaves nothing to keep.

        Raises:
            NotLearnedError: Somebody asked the run to stop.
        """
        if not progress.stop_requested:
            return
        if self.reserved is None:
            raise NotLearnedError(NOTHING_SPENT)
        raise NotLearnedError(
            "stopped before there was a model. What was reserved counts as spent: this synthesizer's "
            f"epsilon = {self.config.epsilon:g} is used up."
        )
