"""What is left of each column of persons and of their rows, by what learning has measured: free."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.losses import column_loss, column_losses
from jupyter_dpsynth.engine.model.plan import MARGINALS
from jupyter_dpsynth.persons.events import OF_A_COLUMN, is_windowed, numbers_of, whole_numbers
from jupyter_dpsynth.persons.measuring import counting_cap, expected_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.metadata.tables import Children
    from jupyter_dpsynth.persons.learned import LearnedEvents, LearnedPersons

__all__ = ["losses_of_tables", "noise_of_shares", "numbers_of_rows"]

LESS_NOISE = "a larger epsilon, more persons, or fewer columns (ignore) leave less noise"


def losses_of_tables(learned: LearnedPersons) -> tuple[ColumnLoss, ...]:
    """What each column of persons loses, and each column of their rows, named after its table.

    Args:
        learned: What was learned of them.
    """
    found = list(column_losses(learned.codec, learned.reference))
    for events in learned.events:
        numbers = numbers_of_rows(learned, events.children)
        noise = noise_of_shares(learned, events, counting_cap(numbers), numbers)
        for codec, shares in zip(events.codec.columns, events.shares, strict=True):
            loss = column_loss(codec, shares, np.full(codec.size, noise))
            # what names the column in code has another form for several tables
            helps = tuple(words for words in loss.helps if "{0" not in words)
            name = f"{events.children.table}.{loss.name}"
            found.append(replace(loss, name=name, helps=helps or (LESS_NOISE,)))
    return tuple(found)


def numbers_of_rows(learned: LearnedPersons, children: Children) -> NDArray[np.float64]:
    """Noisy share of persons with 0, 1, ... rows of a table.

    Args:
        learned: What was learned of them.
        children: The table.
    """
    if children.above is None:
        return numbers_of(learned.codec, learned.reference.shares, children)
    above = learned.events[learned.meta.place(children.above)]
    of_rows = numbers_of(above.codec, above.shares, children)
    return whole_numbers(numbers_of_rows(learned, above.children), of_rows)


def noise_of_shares(
    learned: LearnedPersons, events: LearnedEvents, cap: int, numbers: NDArray[np.float64]
) -> float:
    """Standard deviation of the noise in a share of a table's rows.

    Args:
        learned: What was learned.
        events: What of the table.
        cap: As how many rows a person's rows counted at most.
        numbers: Noisy share of persons with 0, 1, ... rows.
    """
    plan = learned.receipt.plan
    if plan is None:
        return 0.0
    name = f"{MARGINALS} of {events.children.table!r}"
    sigma = next((each.sigma for each in plan.measurements if each.name == name), 0.0)
    parts = Fraction(len(events.codec.columns))
    parts += OF_A_COLUMN if is_windowed(learned.meta, events.children) else 0
    counted = learned.reference.rows * expected_numbers(numbers, cap)
    return cap * sigma * math.sqrt(parts) / max(counted, 1.0)
