"""Runs as they stand in the ledger's file."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.accounting import PrivacyPlan
from jupyter_dpsynth.privacy.composition import Spending
from jupyter_dpsynth.privacy.ledger.summary import RunEntry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["RunStatus", "damaged_run", "read_run", "read_spending", "runs_of", "spending_row", "spendings_of"]

RunStatus = Literal["reserved", "finished", "stopped", "failed"]


def spending_row(spending: Spending) -> tuple[str | None, float, float, int]:
    """A run's spending as the database columns plan, delta, epsilon and provisional."""
    plan = None if spending.plan is None else json.dumps(spending.plan.to_dict())
    return plan, spending.delta, spending.epsilon, int(spending.provisional)


def read_spending(row: Sequence[Any]) -> Spending:
    """A run's spending from the database columns plan, delta, epsilon and provisional."""
    plan, delta, epsilon, provisional = row
    try:
        events = None if plan is None else PrivacyPlan.from_dict(json.loads(plan))
        spending = Spending(events, float(delta), float(epsilon), provisional == 1)
        possible = provisional in (0, 1) and (
            spending.epsilon == math.inf
            if events is None
            else 0 < spending.accountant_delta < 1 and 0 <= spending.epsilon < math.inf
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        possible = False
    if not possible:
        raise damaged_run()
    return spending


def read_run(run: Any, dataset: Any, began: Any, status: Any, row: Sequence[Any]) -> RunEntry:  # noqa: ANN401
    """A run from its database columns, which may be damaged."""
    try:
        dt.datetime.fromisoformat(began)
    except (ValueError, TypeError):
        raise damaged_run() from None
    if status not in get_args(RunStatus):
        raise damaged_run()
    return RunEntry(run, dataset, began, status, read_spending(row))


def damaged_run() -> ArtifactError:
    """What is raised where an entry cannot be read."""
    return ArtifactError(
        "the ledger is damaged: a run in it cannot be read. Restore it from a backup. Nothing is learned "
        "unless the ledger can record it."
    )


def runs_of(
    db: sqlite3.Connection, budget: int, status: RunStatus | None = None
) -> list[tuple[str, Spending]]:
    """Runs that count to a budget, oldest first, with their identifiers; all, or those with a status."""
    rows = db.execute(
        "SELECT r.id, r.plan, r.delta, r.epsilon, r.provisional FROM runs r "
        "JOIN datasets d ON d.id = r.dataset WHERE d.budget = ? AND ifnull(r.status = ?, 1) "
        "ORDER BY r.number",
        (budget, status),
    ).fetchall()
    return [(run, read_spending(row)) for run, *row in rows]


def spendings_of(db: sqlite3.Connection, budget: int, status: RunStatus | None = None) -> list[Spending]:
    """What the runs that count to a budget may release, oldest first.

    Args:
        db: An open transaction.
        budget: The budget.
        status: Only those with this status; all by default.
    """
    return [spending for _, spending in runs_of(db, budget, status)]
