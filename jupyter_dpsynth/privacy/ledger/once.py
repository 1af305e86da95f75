"""A measurement of its own beside learning, a quality report or a question: recorded before a row is read."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dpsynth.privacy.composition import Spending
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
    from jupyter_dpsynth.privacy.ledger.runs import RunStatus

__all__ = ["recorded"]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def recorded(
    ledger: PrivacyLedger,
    identity: TableIdentity,
    reserves: float,
    spending: Spending,
    unit: str,
    *,
    exact: bool,
    infinite_total: bool,
    what: str,
) -> Iterator[None]:
    """Record a plan, and at the end of the block whether what was planned finished or failed.

    Args:
        ledger: Where it is recorded.
        identity: The private table.
        reserves: The epsilon that is reserved; infinite with a test-only seed.
        spending: What will be released.
        unit: What is protected.
        exact: Whether the reservation is replaced by it; not with a test-only seed.
        infinite_total: Whether the dataset's total may become infinite.
        what: Names it, for a warning: 'question'.

    Raises:
        BudgetExhaustedError: It would exceed the cap.
        ArtifactError: The ledger cannot record it; nothing was spent.
    """
    entry = ledger.reserve(identity, reserves, spending.delta, unit, infinite_total=infinite_total)
    if exact:
        ledger.record(entry, spending)
    status: RunStatus = "failed"
    try:
        yield
        status = "finished"
    finally:
        try:
            ledger.record(entry, status=status)
        except ArtifactError:  # what was spent is recorded; the result must not be lost for a note
            logger.warning("the ledger could not record that this %s %s.", what, status)
