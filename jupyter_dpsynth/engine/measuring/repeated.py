"""Finds, with noise, the single values of a column that come again and again: codes, prices, answers.

What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.cells import weighed
from jupyter_dpsynth.engine.measuring.grids import is_flat
from jupyter_dpsynth.engine.measuring.orderings import planned_differences
from jupyter_dpsynth.engine.measuring.resolution import declared_resolution, needs_resolution
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.privacy.releases import partition_threshold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = [
    "Repeated",
    "Selection",
    "distinct_values",
    "find_repeated",
    "opened_columns",
    "point_after",
    "rows_of_values",
    "selected_columns",
]

TOGETHER = 2**22  # values of several parts that are counted at once
LEAST_SHARE = 1e-3  # of the rows: a rarer value is as well known from its neighbourhood
SINGLE = 1  # rows of a value that is not looked at: noise for each value of a continuous column is slow


def selected_columns(df_meta: DataFrameMeta) -> int:
    """Of how many columns, and differences of two, single values may be published as many rows have them."""
    return opened_columns(df_meta) + planned_differences(df_meta)


def opened_columns(df_meta: DataFrameMeta) -> int:
    """Of how many columns single values may be published as many rows have them."""
    numbers = [meta for meta in df_meta.learned if isinstance(meta, ContinuousMeta | DatetimeMeta)]
    long = (needs_resolution(meta) or not is_flat(meta, declared_resolution(meta)) for meta in numbers)
    return len(df_meta.undeclared) + sum(long)


@dataclass(frozen=True)
class Selection:
    """What a value needs to be published.

    Attributes:
        delta: Chance that a value which one privacy unit brought in is published.
        unit_rows: Most rows of one privacy unit.
        counted: As how many rows these count at most.
        row: As how many of them one row counts at most.
        rows: Noisy number of rows.
    """

    delta: float
    unit_rows: int
    counted: float
    row: float
    rows: float

    @classmethod
    def of(cls, plan: RunPlan, delta: float) -> Selection:
        """What the plan says, for values that are published with so much of delta."""
        return cls(delta, plan.unit_rows, plan.counted, plan.counted / plan.cap, plan.rows)

    def threshold(self, sigma: float) -> float:
        """Noisy count above which a value is published.

        A privacy unit may bring a value from `SINGLE` rows, where it is not looked at, to so many more.
        """
        least = LEAST_SHARE * self.rows
        if sigma == 0:
            return least
        most = self.counted + SINGLE * self.row
        return max(partition_threshold(sigma, self.delta, most, self.unit_rows), least)


@dataclass(frozen=True, eq=False)
class Repeated:
    """Single values that come again and again.

    Attributes:
        points: The values as points, float64 `[values]`, increasing.
        exact: Rows with each, in parts where rows are weighed, int64 `[values]`: private.
        counts: Noisy count of each, float64 `[values]`.
        variance: Variance of every count's noise.
    """

    points: NDArray[np.float64]
    exact: NDArray[np.int64]
    counts: NDArray[np.float64]
    variance: float

    @classmethod
    def none(cls) -> Repeated:
        """Where there are none, or none were looked for."""
        empty = np.zeros(0)
        return cls(empty, empty.astype(np.int64), empty, 1.0)

    def measured_again(self, counts: NDArray[np.float64], noise: float) -> Repeated:
        """With another noisy count of each, joined by their precisions."""
        if noise == 0:
            return replace(self, counts=counts, variance=0.0)
        before, now = 1 / self.variance, noise**-2
        joined = (self.counts * before + counts * now) / (before + now)
        return replace(self, counts=joined, variance=1 / (before + now))

    def taken_from(
        self, amounts: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The sum of one amount for each value (a count, or one) in each of several disjoint sorted cells.

        Args:
            amounts: `[values]`.
            starts: First point of each cell, increasing.
            ends: Point after each cell.
        """
        if not len(starts):
            return np.zeros(0)
        place = np.searchsorted(starts, self.points, side="right") - 1
        inside = (place >= 0) & (self.points < ends[place])
        return np.bincount(place[inside], amounts[inside], minlength=len(starts)).astype(np.float64)


def point_after(points: NDArray[np.float64], *, discrete: bool) -> NDArray[np.float64]:
    """Where the cell of a single value ends: one step further, or the next number that a float can be.

    >>> point_after(np.array([3.0, 2.0**60]), discrete=True) - np.array([3.0, 2.0**60])
    array([  1., 256.])
    """
    following: NDArray[np.float64] = np.nextafter(points, np.inf)
    return np.maximum(points + 1, following) if discrete else following


def find_repeated(values: ColumnValues, allowances: Sequence[Allowance], selection: Selection) -> Repeated:
    """The values of a column whose noisy counts show that many rows share them.

    Args:
        values: The points of each part of the table, sorted: private.
        allowances: For one histogram each; what these say of a value is joined.
        selection: What a value needs to be published.

    Privacy:
        Histograms over all values that at least two rows have, and partition selection: a value that one
        privacy unit brought above `SINGLE` rows is published with a chance of at most delta.

    Source:
        Desfontaines, Voss, Gipson, Mandayam, 'Differentially private partition selection', PoPETs 2022.
    """
    points, exact = distinct_values(values)
    counts, variance = np.zeros(len(points)), np.inf
    for allowance in allowances:
        noisy = allowance.counts(exact, values.row)
        counts, variance = weighed(counts, variance, noisy, allowance.noise**2)
    chosen = counts > selection.threshold(float(variance) ** 0.5)
    return Repeated(points[chosen], exact[chosen], counts[chosen], float(variance))


def distinct_values(values: ColumnValues) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values that more than `SINGLE` rows have, increasing, and how many rows have each: private.

    Where rows are weighed, these are counted in parts.
    """
    points, counts = [np.zeros(0)], [np.zeros(0, np.int64)]
    for own, rows, parts in _together(values):
        often = rows > SINGLE
        points.append(own[often])
        counts.append(parts[often])
    return np.concatenate(points), np.concatenate(counts)


def rows_of_values(values: ColumnValues) -> Iterator[NDArray[np.int64]]:
    """How many rows have each value, also where one has, some values at once: private.

    Where rows are weighed, these are counted in parts.
    """
    for _, _, parts in _together(values):
        yield parts


def _together(
    values: ColumnValues,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
    """Values, increasing, how many rows have each, and the same in parts; some values at once."""
    for own, weights in _ranges(list(values.weighed)):
        begins = np.flatnonzero(np.append(True, own[1:] != own[:-1])[: len(own)])
        rows = np.diff(np.append(begins, len(own)))
        parts = rows if weights is None or not len(own) else np.add.reduceat(weights, begins)
        yield own[begins], rows, parts


def _ranges(
    parts: Sequence[tuple[NDArray[np.float64], NDArray[np.int64] | None]],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64] | None]]:
    """Values and weights of all parts together in increasing order, at most about `TOGETHER` at once."""
    if len(parts) == 1:
        yield parts[0]
        return
    step = max(TOGETHER // (2 * len(parts)), 1)
    cuts = np.unique(np.concatenate([part[::step] for part, _ in parts]))[:: len(parts)]
    for low, high in zip(np.append(-np.inf, cuts), np.append(cuts, np.inf), strict=True):
        pieces, weights = [], []
        for part, own in parts:
            inside = slice(*np.searchsorted(part, (low, high), side="left"))
            pieces.append(part[inside])
            weights += [] if own is None else [own[inside]]
        together = np.concatenate(pieces)
        if not weights:
            yield np.sort(together), None
            continue
        order = np.argsort(together, kind="stable")
        yield together[order], np.concatenate(weights)[order]
