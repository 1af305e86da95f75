"""What the check-up finds in three columns together: one that follows from two others in all rows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.planning.findings import Finding, Remedy
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.metadata.formulas import UNITS, Formula, in_order, written
from jupyter_dpsynth.sources.values import number_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.planning.columns import ExaminedColumn

__all__ = ["derived_in_all_rows"]

MOST_COLUMNS = 40  # of numbers, and as many of dates
LOOKED_AT = 100  # rows that rule most formulas out
LEAST_ROWS = 20  # with a value in all three columns
DIFFERENT = 0.1  # of these rows in which the sum is neither of both parts
CLOSE = 1e-9  # of a value: the error of sums of decimal fractions is less


def derived_in_all_rows(columns: Sequence[ExaminedColumn]) -> list[Finding]:
    """Columns that are the sum of two others, or the time between two dates, wherever all are there.

    Of formulas that say the same (a = b + c, b = a - c) only the sum is told.

    Args:
        columns: The columns.
    """
    numbers = [each for each in columns if isinstance(each.meta, ContinuousMeta) and len(each.values) > 1]
    values = {each.name: number_values(each.series) for each in numbers[:MOST_COLUMNS]}
    dates = [each for each in columns if isinstance(each.meta, DatetimeMeta) and not each.meta.is_duration][
        :MOST_COLUMNS
    ]
    series = {each.name: each.series for each in (*numbers, *dates)}
    found: dict[str, Formula] = {}
    rows = 0
    for name, formula in itertools.chain(_sums(values), _times(values, dates)):
        if name in found:
            continue
        parts = pd.DataFrame({part: series[part] for part in formula.columns})
        made, own = formula.values(parts), values[name]
        present = ~(np.isnan(made) | np.isnan(own))
        if present.sum() < LEAST_ROWS or not _same(own, made)[present].all():
            continue
        if not formula.unit and any(
            (values[part] != own)[present].mean() < DIFFERENT for part in formula.added
        ):
            continue
        found[name], rows = formula, max(rows, int(present.sum()))
    found = dict(in_order({name: written(formula) for name, formula in found.items()}))
    if not found:
        return []
    lines = {name: written(formula) for name, formula in found.items()}
    return [
        Finding(
            "derived",
            "hint",
            "",
            f"{'; '.join(f'{name!r} is {text}' for name, text in lines.items())}, wherever all are there.",
            "If this always holds, declare it: the column is then computed in every synthetic row, and costs "
            "nothing to learn.",
            Remedy("derived", lines),
            rows,
        )
    ]


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isclose(one, other, rtol=CLOSE, atol=CLOSE)


def _sums(values: dict[str, NDArray[np.float64]]) -> Iterator[tuple[str, Formula]]:
    """Sums of two columns that a few rows do not rule out, with what they may be."""
    if len(values) < 3:
        return
    every = np.stack(list(values.values()))
    step = max(1, every.shape[1] // LOOKED_AT)
    some, names = every[:, ::step], list(values)
    for one, two in itertools.combinations(range(len(names)), 2):
        total = some[one] + some[two]
        fits = (_same(some, total) | np.isnan(some) | np.isnan(total)).all(axis=1)
        for place in np.flatnonzero(fits):
            if place not in (one, two):
                yield names[place], Formula((names[one], names[two]))


def _times(
    values: dict[str, NDArray[np.float64]], dates: Sequence[ExaminedColumn]
) -> Iterator[tuple[str, Formula]]:
    """Times between two dates that a few rows do not rule out, with what they may be."""
    whole = {name: own for name, own in values.items() if (np.isnan(own) | (own == np.rint(own))).all()}
    if not whole:
        return
    for one, two in itertools.permutations(dates, 2):
        step = max(1, len(one.series) // LOOKED_AT)
        some = pd.DataFrame({each.name: each.series.iloc[::step] for each in (one, two)})
        for unit in UNITS:
            formula = Formula((two.name,), (one.name,), unit)
            made = formula.values(some)
            for name, own in whole.items():
                part = own[::step]
                if (_same(part, made) | np.isnan(part) | np.isnan(made)).all():
                    yield name, formula
