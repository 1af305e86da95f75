"""What training releases is reserved before it is made, so that nothing is spent twice after a crash.

A process that trains with a checkpoint reserves the steps that it is going to make, a few at a time, and
makes only those. Steps that a killed process had reserved count as made. A process that resumes the run, from
whichever checkpoint, gets what is left of the plan. All releases together are then at most the planned ones,
each with the planned sampling and noise, which is what the accountant composed (the parameters at which a
step is taken may depend on earlier releases).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ArtifactError

if TYPE_CHECKING:
    import sqlite3

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan
    from jupyter_dpsynth.privacy.composition import Spending

__all__ = ["check_same_run", "claim_once", "reserve_steps", "reserved_steps"]


def reserved_steps(db: sqlite3.Connection, run: str) -> int:
    """How many steps of a run have been reserved so far.

    Args:
        db: An open transaction. Ledgers of earlier versions lack the table.
        run: The run's identifier.
    """
    db.execute("CREATE TABLE IF NOT EXISTS claims (run TEXT PRIMARY KEY, steps INTEGER NOT NULL)")
    found = db.execute("SELECT steps FROM claims WHERE run = ?", (run,)).fetchone()
    return 0 if found is None else int(found[0])


def reserve_steps(db: sqlite3.Connection, run: str, steps: int, most: int, plan: PrivacyPlan | None) -> int:
    """Reserve this many steps, or as many as are left; a negative number gives steps back.

    Args:
        db: An open transaction.
        run: The run's identifier.
        steps: How many are asked for.
        most: How many the caller knows to be planned.
        plan: What the ledger knows of the run.
    """
    if plan is not None and plan.training is not None:
        most = min(most, plan.training.steps)
    taken = reserved_steps(db, run)
    granted = max(min(steps, most - taken), -taken)
    db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (run, taken + granted))
    return granted


def claim_once(db: sqlite3.Connection, run: str, name: str) -> bool:
    """Whether the caller is the first, of all processes that train this run, to release something.

    Args:
        db: An open transaction.
        run: The run's identifier.
        name: The measurement's name.
    """
    key = f"{run} {name}"
    first = reserved_steps(db, key) == 0
    db.execute("INSERT OR REPLACE INTO claims VALUES (?, 1)", (key,))
    return first


def check_same_run(spending: Spending, plan: PrivacyPlan | None, *, same_data: bool) -> None:
    """Raise ArtifactError unless a resumed run is the one that was recorded.

    Args:
        spending: What the ledger holds of the run.
        plan: What the run is going to release.
        same_data: Whether the table belongs to the run's dataset.
    """
    if not same_data:
        raise ArtifactError(
            "the run in the checkpoint was recorded for another table. Pass the table and the dataset name "
            "with which it began, or another checkpoint file to start a new run."
        )
    guaranteed = spending.epsilon < float("inf")
    if guaranteed and (spending.provisional or spending.plan != plan):
        raise ArtifactError(
            "the plan in the checkpoint differs from the one in the ledger. Use another checkpoint file to "
            "start a new run."
        )
