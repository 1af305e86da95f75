"""Training steps are claimed before they are made, so that a crash spends nothing twice.

A process that trains with a checkpoint claims the steps it is going to make, a few at a time, and makes only
those. What a killed process had claimed counts as made. Whoever goes on with the run, from whichever
checkpoint, gets what is left of the plan: the releases of all together are at most the planned ones, each
with the planned sampling and noise, which is what the accountant composed (at which parameters a step is
taken may depend on earlier releases).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ArtifactError

if TYPE_CHECKING:
    import sqlite3

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan
    from jupyter_dpsynth.privacy.composition import Spending

__all__ = ["check_same_run", "claimed_steps", "grant_steps"]


def claimed_steps(db: sqlite3.Connection, run: str) -> int:
    """Steps of a run that were granted so far.

    Args:
        db: An open transaction. Ledgers of earlier versions lack the table.
        run: The run's identifier.
    """
    db.execute("CREATE TABLE IF NOT EXISTS claims (run TEXT PRIMARY KEY, steps INTEGER NOT NULL)")
    found = db.execute("SELECT steps FROM claims WHERE run = ?", (run,)).fetchone()
    return 0 if found is None else int(found[0])


def grant_steps(db: sqlite3.Connection, run: str, steps: int, most: int, plan: PrivacyPlan | None) -> int:
    """Grant so many steps, or what is left of them; negative takes back.

    Args:
        db: An open transaction.
        run: The run's identifier.
        steps: How many are asked for.
        most: How many the caller knows to be planned.
        plan: What the ledger knows of the run.
    """
    if plan is not None and plan.training is not None:
        most = min(most, plan.training.steps)
    taken = claimed_steps(db, run)
    granted = max(min(steps, most - taken), -taken)
    db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (run, taken + granted))
    return granted


def check_same_run(spending: Spending, plan: PrivacyPlan | None, *, same_data: bool) -> None:
    """Raise ArtifactError unless a run that goes on is the one that was entered.

    Args:
        spending: What the ledger holds of the run.
        plan: What the run is going to release.
        same_data: Whether the table belongs to the run's dataset.
    """
    if not same_data:
        raise ArtifactError(
            "the run in the checkpoint was entered for other data than this table. Pass the table and the "
            "dataset name with which it began, or another checkpoint to begin a new run."
        )
    guaranteed = spending.epsilon < float("inf")
    if guaranteed and (spending.provisional or spending.plan != plan):
        raise ArtifactError(
            "the plan in the checkpoint is not the one that the ledger holds for its run. Give another "
            "checkpoint to begin a new run."
        )
