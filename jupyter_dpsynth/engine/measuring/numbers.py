"""Measures a column of numbers or times with noise, and chooses its bins.

What is counted in private rows leaves through `Allowance.counts` alone: one row adds one to exactly one
cell of every histogram.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.numeric import SPIKE_WIDTH, NumericCodec, to_points
from jupyter_dpsynth.engine.measuring.discovered import Discovered, count_in
from jupyter_dpsynth.engine.measuring.grids import BRANCHES, FLAT_SPAN, LEVELS, branches, coarsest_cells
from jupyter_dpsynth.engine.measuring.presence import SURE, present_cells
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source

__all__ = ["ColumnValues", "grow_bins", "read_values"]

NEARLY_ALL = 0.7  # of the rows that are not missing
CLEAR = 2.0  # standard deviations of noise that a part's count should be
MOST_BRANCHES = 256
MOST_JOINED = 64  # years in a coarsest cell of dates
FINE_STEP = 1e-3  # numbers in smaller steps may repeat few values, which the other levels do not single out
SPIKE_BRANCHES = 2**14
LEAST_MASS = 1e-3  # rows of a leaf


@dataclass(frozen=True, eq=False)
class ColumnValues:
    """The private values of a column of numbers or times, sorted.

    Attributes:
        parts: The present values of each part of the table, sorted: float64 numbers, or int64 microseconds.
        missing: Exact number of missing values.
    """

    parts: list[NDArray[Any]]
    missing: int


def read_values(source: Source, meta: ContinuousMeta | DatetimeMeta) -> ColumnValues:
    """Read a column once; all later counts are made from what this returns."""
    lengths, missing = [0], 0

    def values() -> Iterator[NDArray[Any]]:
        nonlocal missing
        for part, absent in source.map(functools.partial(_sorted_values, meta=meta), [meta.name]):
            lengths.append(len(part))
            missing += absent
            yield part

    dtype = np.dtype(np.int64 if isinstance(meta, DatetimeMeta) else np.float64)
    together = source.concatenate(values(), dtype)
    return ColumnValues(np.split(together, np.cumsum(lengths)[1:-1]), missing)


def _sorted_values(df: pd.DataFrame, meta: ContinuousMeta | DatetimeMeta) -> tuple[NDArray[Any], int]:
    series = df[meta.name]
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, duration=meta.is_duration)
        return np.sort(moments[~missing]), int(missing.sum())
    values = number_values(series)
    missing = np.isnan(values)
    return np.sort(values[~missing]), int(missing.sum())


def grow_bins(
    values: ColumnValues,
    meta: ContinuousMeta | DatetimeMeta,
    resolution: float,
    allowance: Allowance,
    *,
    rows: float,
    bins: int,
) -> Discovered:
    """Choose the bins of a column of numbers or times, with their noisy counts.

    Args:
        values: The column's values, which are overwritten.
        meta: Its metadata.
        resolution: What `measure_resolution` found, or what is declared.
        allowance: For the whole column.
        rows: Noisy number of rows.
        bins: About how many bins there are to be.

    Privacy:
        As many histograms as the tree has levels, each with an equal share of the allowance; levels that are
        not needed measure the leaves again with theirs.
    """
    return _Tree(values, meta, resolution, allowance, rows=rows, bins=bins).grow()


class _Tree:
    """Grows one column's adaptive histogram level by level, then merges its leaves into bins.

    Cells are kept as parallel arrays. Level 0 is a public grid; a cell whose noisy count stands out is
    split into children, which the next level measures. Splitting is post-processing.
    """

    def __init__(
        self,
        values: ColumnValues,
        meta: ContinuousMeta | DatetimeMeta,
        resolution: float,
        allowance: Allowance,
        *,
        rows: float,
        bins: int,
    ) -> None:
        self.meta, self.resolution, self.rows, self.bins = meta, resolution, rows, bins
        self.missing = values.missing if meta.nullable else 0
        self.discrete = resolution > 0
        edges, self.declared = coarsest_cells(meta, resolution)
        self.low, self.high = edges[0], edges[-1]
        self.parts = [self._on_the_grid(part) for part in values.parts]
        self.edges = edges
        span = self.high - self.low
        self.flat = self.declared and self.discrete and span <= FLAT_SPAN
        fine = isinstance(meta, ContinuousMeta) and resolution < FINE_STEP
        self.levels = 1 if self.flat else LEVELS + fine
        self.allowance = allowance.part(Fraction(1, self.levels))  # of each level
        self.noise = self.allowance.noise
        self.present = rows  # noisy number of rows that are not missing, once it is known
        self.branches = branches(span) if self.declared and self.discrete else BRANCHES

    def _on_the_grid(self, part: NDArray[Any]) -> NDArray[np.float64]:
        """Sorted values of a part in steps of the resolution.

        They take the place of the values, because a part need not fit into memory twice.
        """
        # rounding and clipping keep the order
        steps, last = to_points(part, self.meta, self.resolution), np.nextafter(self.high, -np.inf)
        return np.clip(steps, self.low, last, out=part.view(np.float64))

    def grow(self) -> Discovered:
        starts, ends = self.edges[:-1], self.edges[1:]
        group = np.zeros(len(starts), dtype=np.int64)
        parents: NDArray[np.float64]
        # blocks of rows: start, end, shrunk count, raw count, variance of its noise over that of a cell
        leaves: list[NDArray[np.float64]] = []
        missing, used = 0.0, 0
        for level in range(self.levels):
            used += 1
            raw, absent = self._measure(starts, ends, self.allowance)
            if level == 0:
                missing = absent
                self.present = max(self.rows - max(missing, 0.0), 1.0)
                parents = np.array([self.present])
            joined = 1
            if level == 0 and not self.declared:
                starts, ends, raw, joined = self._found(starts, ends, raw)
                shrunk = raw
            else:
                shrunk = raw if self.flat else _shrink(raw, group, parents, self.noise, ends - starts)
            if level == LEVELS:
                leaves.append(_spikes_alone(starts, ends, shrunk, raw, group, self.noise))
                break
            split = self._splits(starts, ends, shrunk) & (level < self.levels - 1)
            if level == LEVELS - 1:
                split &= _isolated(starts, ends, shrunk, self.noise)
            leaves.append(np.stack([starts, ends, shrunk, raw, np.full(len(raw), joined)])[:, ~split])
            if not split.any():
                break
            parents = shrunk[split]
            starts, ends, group = self._children(starts[split], ends[split], parents, level)
        table = np.concatenate(leaves, axis=1)
        table = table[:, np.argsort(table[0])]
        return self._finish(*table, missing=missing, spare=self.levels - used)

    def _found(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], raw: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
        """The coarsest cells that contain the values, and how many cells of the grid each of them joins.

        Years of which each holds few rows (dates of birth) are joined, two by two, until those that stand
        out hold nearly all rows: a sum of k cells has sqrt(k) times the noise of one, and k times its rows.
        """
        joined, noise = 1, self.noise
        dates = isinstance(self.meta, DatetimeMeta) and not self.meta.is_duration
        while True:
            chosen = present_cells(raw, noise, starts, self.meta, self.resolution)
            held = raw[chosen].sum() - CLEAR * noise * np.sqrt(chosen.sum())  # what stands out is also noise
            if held > NEARLY_ALL * self.present or not dates or joined >= MOST_JOINED:
                return starts[chosen], ends[chosen], raw[chosen], joined
            joined, noise = 2 * joined, noise * np.sqrt(2)
            starts, ends = starts[::2], np.append(starts[2::2], self.high)
            raw = np.add.reduceat(raw, np.arange(0, len(raw), 2))

    def _measure(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], allowance: Allowance
    ) -> tuple[NDArray[np.float64], float]:
        """Noisy counts of disjoint cells and of the missing rows: one histogram."""
        counts = np.zeros(len(starts), dtype=np.int64)
        for values in self.parts:
            counts += count_in(values, starts, ends)
        noisy = allowance.counts(np.append(counts, self.missing))
        return noisy[:-1], float(noisy[-1])

    def _splits(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        heavy: NDArray[np.bool_] = counts > max(SURE * self.noise, self.rows / 200)
        if self.discrete:
            return heavy & (ends - starts > 1)
        scale = np.maximum(np.abs(starts), np.abs(ends))
        return heavy & (ends - starts > 1e-12 * scale) & (ends > np.nextafter(starts, np.inf))

    def _children(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        counts: NDArray[np.float64],
        level: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Cut every cell into equal parts (of whole steps, if there is a resolution).

        Without bounds, a cell that holds nearly all rows has as many parts as still stand out: it is too
        coarse, and all values may lie in a corner of it (latitudes of one city between 48 and 49). What is
        split after the last level but one holds single values that come again and again.
        """
        fine = np.full(len(counts), SPIKE_BRANCHES if level == LEVELS - 1 else self.branches)
        if not self.declared and level < LEVELS - 1:
            nearly_all = counts > NEARLY_ALL * self.present
            parts = np.clip(counts / max(CLEAR * self.noise, 1e-9), self.branches, MOST_BRANCHES)
            fine = np.where(nearly_all, parts, fine).astype(np.int64)
        edges = []
        for start, end, count in zip(starts, ends, fine.tolist(), strict=True):
            width = (end - start) / count
            step = max(1.0, np.ceil(width)) if self.discrete else width
            cuts = start + step * np.arange(count + 1)
            edges.append(np.append(np.unique(cuts[cuts < end]), end))
        group = np.repeat(np.arange(len(edges)), [len(e) - 1 for e in edges])
        first = np.concatenate([e[:-1] for e in edges])
        last = np.concatenate([e[1:] for e in edges])
        return first, last, group

    def _finish(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        shrunk: NDArray[np.float64],
        raw: NDArray[np.float64],
        variances: NDArray[np.float64],
        *,
        missing: float,
        spare: int,
    ) -> Discovered:
        """Merge leaves into bins of about equal mass; spend unused levels on measuring leaves again.

        Values of which there are few stay apart where they stand out: a month, a grade, a number of rooms
        may be what another column is a function of.
        """
        variances = self.noise**2 * variances
        missing_variance = self.noise**2
        if spare:
            before = shrunk
            again, absent = self._measure(starts, ends, self.allowance.part(Fraction(spare)))
            certain = raw > SURE * self.noise
            shrunk, raw = ((x + spare * again) / (1 + spare) for x in (shrunk, raw))
            shrunk = np.where(certain, shrunk, before)
            missing = (missing + spare * absent) / (1 + spare)
            variances, missing_variance = variances / (1 + spare), missing_variance / (1 + spare)
        mass = np.maximum(shrunk, 0)
        present = max(self.rows - max(missing, 0.0), 1.0)
        mass = mass * present / max(mass.sum(), 1.0)
        least = 1.0 if self.discrete else np.maximum(SPIKE_WIDTH * np.abs(ends), np.nextafter(0.0, 1.0))
        narrow = ends - starts <= least
        single = narrow & (np.minimum(mass, raw) > SURE * np.sqrt(variances))
        if single.sum() > self.bins:
            single[:] = False
        first_leaf = np.asarray(_merge(mass, present / self.bins, single))
        bins = np.repeat(np.arange(len(first_leaf)), np.diff(np.append(first_leaf, len(mass))))
        full = (np.add.reduceat(mass, first_leaf) > 0)[bins]
        if full.any():  # rows in a bin that seems empty count in the one before
            table = np.stack([starts, ends, mass, raw, variances])[:, full]
            starts, ends, mass, raw, variances = table
            _, first_leaf = np.unique(bins[full], return_index=True)
        counts = np.add.reduceat(raw, first_leaf)
        variances = np.add.reduceat(variances, first_leaf)
        codec = NumericCodec(self.meta, self.resolution, *_held_leaves(starts, ends, mass, first_leaf))
        if self.meta.nullable:
            counts, variances = np.append(counts, missing), np.append(variances, missing_variance)
        return Discovered(codec, counts, variances)


def _shrink(
    counts: NDArray[np.float64],
    group: NDArray[np.int64],
    parents: NDArray[np.float64],
    sigma: float,
    widths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Denoise the counts of siblings: keep those that stand out, and draw the others towards an even spread.

    Args:
        counts: Noisy counts `[cells]`.
        group: Which parent each cell has, `[cells]`.
        parents: Noisy count of each parent.
        sigma: Noise of each count.
        widths: Width of each cell.

    Source:
        James and Stein 1961 (positive part), applied to the deviations from the parent's spread.
    """
    out = counts.copy()
    if sigma == 0:
        return out
    for index, parent in enumerate(parents):
        members = np.flatnonzero(group == index)
        size = len(members)
        if size < 4:
            continue
        values, share = counts[members], widths[members] / widths[members].sum()
        # the parent's own count has one unit of variance, the children's sum has `size` of them
        total = (parent * size + values.sum()) / (size + 1)
        rest = values <= np.maximum(total, 0) * share + _sure_of(size) * sigma
        if rest.sum() < 4:
            continue
        left, spikes = total - values[~rest].sum(), np.count_nonzero(~rest)
        if spikes and left < CLEAR * sigma * np.sqrt(1 + spikes):
            left = 0.0  # beside spikes so little is noise: values that nobody has would come of it
        if spikes:  # most of what is beside spikes is near them
            share = share / _to_nearest(np.flatnonzero(~rest), size).clip(1) ** 2
        even = max(left, 0) * share[rest] / share[rest].sum()
        spread = max(float(((values[rest] - even) ** 2).sum()), 1e-9)
        keep = max(0.0, 1 - sigma**2 * rest.sum() / spread)
        out[members[rest]] = _onto_sum(even + keep * (values[rest] - even), max(left, 0.0))
    return out


def _to_nearest(chosen: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Distance of each of `size` positions from the nearest chosen one.

    >>> _to_nearest(np.array([1, 4]), 6)
    array([1, 0, 1, 1, 0, 1])
    """
    place = np.arange(size)
    after = np.searchsorted(chosen, place).clip(max=len(chosen) - 1)
    before = (after - 1).clip(min=0)
    nearest: NDArray[np.int64] = np.minimum(abs(chosen[after] - place), abs(chosen[before] - place))
    return nearest


def _sure_of(cells: int) -> float:
    """By how many standard deviations one of so many cells must exceed the noise to stand out."""
    return float(np.sqrt(SURE**2 + 2 * np.log(max(cells / BRANCHES, 1.0))))


def _isolated(
    starts: NDArray[np.float64], ends: NDArray[np.float64], counts: NDArray[np.float64], sigma: float
) -> NDArray[np.bool_]:
    """Cells without a neighbour that stands out from the noise."""
    holds = counts > CLEAR * sigma
    touches = ends[:-1] == starts[1:]
    out = np.ones(len(counts), dtype=bool)
    out[1:] &= ~(touches & holds[:-1])
    out[:-1] &= ~(touches & holds[1:])
    return out


def _spikes_alone(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    shrunk: NDArray[np.float64],
    raw: NDArray[np.float64],
    group: NDArray[np.int64],
    sigma: float,
) -> NDArray[np.float64]:
    """Leaves of the finest level: each cell that stands out is one, and each gap between such cells.

    What lies between is known from the parent's count and the spikes', not from its many cells.
    """
    largest = np.bincount(group).max()
    alone = raw > _sure_of(largest) * sigma
    begins = np.ones(len(raw), dtype=bool)
    begins[1:] = alone[1:] | alone[:-1] | (group[1:] != group[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(raw)) - 1
    spikes = np.bincount(group, alone)[group[first]]
    sums = np.add.reduceat(shrunk, first)
    spike = alone[first]
    return np.stack(
        [starts[first], ends[last], sums, np.where(spike, raw[first], sums), np.where(spike, 1, 1 + spikes)]
    )


def _onto_sum(values: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """The nearest non-negative numbers that add up to `total`.

    Setting negative ones to zero alone would leave the noise of the others: mass where nobody is.

    Source:
        Duchi et al. 2008, Efficient projections onto the l1-ball.
    """
    falling = np.sort(values)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(values) + 1)
    held = max(int(np.count_nonzero(falling > excess)), 1)
    out: NDArray[np.float64] = np.maximum(values - excess[held - 1], 0.0)
    return out


def _held_leaves(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    mass: NDArray[np.float64],
    first: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The leaves with a positive weight, and the first leaf of each bin among them.

    Each leaf has some mass; hundreds of empty ones would put a value far out into a large table.
    """
    bins = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(mass))))
    held = (mass > 0) | (np.add.reduceat(mass, first) <= 0)[bins]
    held[first[1:]] = True
    first = np.searchsorted(bins[held], np.arange(len(first)))
    return starts[held], ends[held], np.maximum(mass[held], LEAST_MASS), first


def _merge(mass: NDArray[np.float64], target: float, single: NDArray[np.bool_]) -> list[int]:
    """First leaf of each bin: heavy and `single` leaves stay alone, light neighbours join up to `target`."""
    first: list[int] = []
    alone = False
    collected = 0.0
    for index, weight in enumerate(mass):
        heavy = single[index] or weight >= 0.6 * target
        if heavy or alone or not first or collected + weight > 1.25 * target:
            first.append(index)
            collected = 0.0
        collected += weight
        alone = heavy or collected >= target
    if len(first) > 1 and not alone and collected < 0.3 * target and first[-1] - first[-2] > 1:
        first.pop()  # a meagre remainder joins its neighbour, unless that is a single spike
    return first
