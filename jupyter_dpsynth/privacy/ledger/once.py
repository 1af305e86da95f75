"""A measurement of its own beside learning, a quality report or a question: recorded before a row is read."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.composition import Spending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
    from jupyter_dpsynth.privacy.ledger.runs import RunStatus
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["OwnMeasurement"]

logger = logging.getLogger(__name__)

Table = TypeVar("Table")
Result = TypeVar("Result")


class OwnMeasurement(ABC, Generic[Table, Result]):
    """What is measured beside learning, with an epsilon of its own.

    Attributes:
        what: Names it, for a warning: 'question'.
        asked: The epsilon that may be spent.
        plan: What will be measured.
        delta: Delta of the guarantee.
        epsilon: What the plan costs.
        noise: Source of noise.
    """

    what: ClassVar[str]
    asked: float
    plan: PrivacyPlan
    delta: float
    epsilon: float
    noise: NoiseSource

    @property
    def reserves(self) -> float:
        """What the ledger reserves; infinite with a test-only seed."""
        return math.inf if self.noise.test_only else self.asked

    def execute(
        self,
        source: Table,
        identity: TableIdentity,
        ledger: PrivacyLedger,
        *,
        infinite_total: bool = False,
        together: Sequence[TableIdentity] = (),
    ) -> Result:
        """Record the plan in the ledger, then measure, and record whether that finished or failed.

        Args:
            source: The private table.
            identity: The same for the ledger.
            ledger: Where it is recorded.
            infinite_total: Whether the dataset's total may become infinite.
            together: Further tables of the same persons that are measured, too.

        Raises:
            BudgetExhaustedError: It would exceed the cap.
            ArtifactError: The ledger cannot record it; nothing was spent.
        """
        spending = Spending(self.plan, self.delta, self.epsilon)
        entry = ledger.reserve(
            identity,
            self.reserves,
            spending.delta,
            self.plan.unit,
            infinite_total=infinite_total,
            together=together,
        )
        if not self.noise.test_only:
            ledger.record(entry, spending)
        status: RunStatus = "failed"
        try:
            result = self.measure(source)
            status = "finished"
            return result
        finally:
            try:
                ledger.record(entry, status=status)
            except ArtifactError:  # what was spent is recorded; the result must not be lost for a note
                logger.warning("the ledger could not record that this %s %s.", self.what, status)

    @abstractmethod
    def measure(self, source: Table) -> Result:
        """Read the private rows once."""
