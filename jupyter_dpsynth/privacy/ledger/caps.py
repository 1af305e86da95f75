"""Caps: whether a dataset's budget allows a run, and what is left of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import BudgetExhaustedError, ConfigError, shown
from jupyter_dpsynth.privacy.composition import RenyiFilter, filter_order, provisional_spending
from jupyter_dpsynth.privacy.ledger.datasets import DEFAULT_CAP, cap_of, find_dataset
from jupyter_dpsynth.privacy.ledger.runs import damaged_run, runs_of
from jupyter_dpsynth.privacy.ledger.summary import runs_words

if TYPE_CHECKING:
    import sqlite3

    from jupyter_dpsynth.privacy.composition import Spending

__all__ = ["budget_room", "check_cap", "check_total", "note_first", "set_cap"]

LARGEST_CAP = 1e6


def set_cap(db: sqlite3.Connection, cap: float | None, dataset: str | None) -> None:
    """Limit what may be spent on a dataset, or on all without a cap of their own.

    Args:
        db: An open transaction.
        cap: Largest total epsilon; None for no limit.
        dataset: Its name, or None for all.
    """
    number = isinstance(cap, int | float) and not isinstance(cap, bool)
    if cap is not None and not (number and 0 < cap <= LARGEST_CAP):
        raise ConfigError(f"cap = {shown(cap)} is not allowed: give a number above 0, or None for no limit.")
    # another cap has another filter, fixed by what was reserved first and not by what was seen since
    if dataset is not None:
        budget = find_dataset(db, dataset)[1]
        db.execute("UPDATE budgets SET cap = ?, filter_order = NULL WHERE id = ?", (cap, budget))
    else:
        db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (DEFAULT_CAP, cap))
        db.execute("UPDATE budgets SET filter_order = NULL WHERE cap IS NULL")


def note_first(db: sqlite3.Connection, budget: int, spending: Spending) -> None:
    """Fix what the filter of a budget follows from, at its first reservation with a guarantee.

    Args:
        db: An open transaction.
        budget: The budget.
        spending: What is reserved; it does not depend on data.
    """
    if spending.plan is not None:
        db.execute(
            "UPDATE budgets SET first_epsilon = ?, first_delta = ? WHERE id = ? AND first_delta IS NULL",
            (spending.epsilon, spending.delta, budget),
        )


def _filter(db: sqlite3.Connection, budget: int) -> RenyiFilter | None:
    """The filter of a budget with a cap, fixed now if it was not yet; None without a cap."""
    cap = cap_of(db, budget)
    if cap is None:
        return None
    epsilon, delta, order = db.execute(
        "SELECT first_epsilon, first_delta, filter_order FROM budgets WHERE id = ?", (budget,)
    ).fetchone()
    if delta is None:  # no run with a guarantee yet, so that nothing depends on it
        return RenyiFilter(cap, 2.0, math.nan)
    try:
        possible = 0 < delta < 1 and 0 < epsilon < math.inf and (order is None or 1 < order < math.inf)
    except TypeError:
        possible = False
    if not possible:
        raise damaged_run()
    if order is None:
        order = filter_order(cap, provisional_spending(epsilon, delta))
        db.execute("UPDATE budgets SET filter_order = ? WHERE id = ?", (order, budget))
    return RenyiFilter(cap, order, delta)


def check_cap(db: sqlite3.Connection, dataset: int, spending: Spending, run: str | None = None) -> None:
    """Raise BudgetExhaustedError if a run, new or with a new plan, would exceed its dataset's cap."""
    name, budget = db.execute("SELECT name, budget FROM datasets WHERE id = ?", (dataset,)).fetchone()
    renyi = _filter(db, budget)
    others = [each for other, each in runs_of(db, budget) if other != run]
    if renyi is None or renyi.allows(others, spending):
        return
    cap = renyi.cap
    if spending.plan is not None:
        units = {each.plan.unit for each in others if each.plan is not None} - {spending.plan.unit}
        if units:
            raise BudgetExhaustedError(
                f"the dataset {name!r} has runs that protect {units.pop()}: with one that protects "
                f"{spending.plan.unit} they cannot be added up, and there is a cap of {cap:g}. Learn with "
                "the same privacy_unit and max_rows_per_unit, or remove the cap: %dpsynth ledger --cap None "
                f"--dataset {name!r}."
            )
    if math.isinf(spending.epsilon):
        wanted = "a run without a guarantee (epsilon is infinite)"
    else:
        wanted = f"a run of epsilon = {epsilon_text(spending.epsilon)}"
    room = renyi.room(others, spending.delta) if spending.delta else 0.0
    fits = f"at most epsilon = {room:.3g} is left" if room else "nothing is left"
    raise BudgetExhaustedError(
        f"{wanted} would take the dataset {name!r} over its cap of {cap:g} ({runs_words(len(others))} so "
        f"far): {fits}. Use a smaller epsilon, or raise the cap: %dpsynth ledger --cap VALUE --dataset "
        f"{name!r}."
    )


def check_total(db: sqlite3.Connection, dataset: int, spending: Spending) -> None:
    """Raise BudgetExhaustedError if a new run would make a finite total infinite by what it protects."""
    name, budget = db.execute("SELECT name, budget FROM datasets WHERE id = ?", (dataset,)).fetchone()
    plans = [each.plan for _, each in runs_of(db, budget)]
    units = {each.unit for each in plans if each is not None}
    if spending.plan is None or None in plans or len(units) != 1 or spending.plan.unit in units:
        return
    raise BudgetExhaustedError(
        f"the dataset {name!r} has runs that protect {units.pop()}: with one that protects "
        f"{spending.plan.unit} they cannot be added up, so that its total would be infinite from now on. "
        "Learn with the same privacy_unit and max_rows_per_unit. If the table is about other people, add "
        "--new-dataset (in Python: new_dataset=True); if the total may be infinite, --infinite-total "
        "(infinite_total=True)."
    )


def budget_room(db: sqlite3.Connection, budget: int) -> float | None:
    """Largest epsilon of a further run, None without a cap."""
    renyi = _filter(db, budget)
    spendings = [each for _, each in runs_of(db, budget)]
    if renyi is None or not spendings:
        return None if renyi is None else renyi.cap
    plans = [each.plan for each in spendings]
    if None in plans or len({each.unit for each in plans if each is not None}) > 1:
        return 0.0  # also where runs protect different units: no further one is let through
    return renyi.room(spendings, max(each.accountant_delta for each in spendings))
