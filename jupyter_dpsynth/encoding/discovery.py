"""Private domain discovery: which values a column has, paid for by noisy histograms.

Every function here reads private rows only through `Histograms.measure`, whose noise is accounted for by
the caller: one row adds one to exactly one cell of every histogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import OTHER, CategoryCodec
from jupyter_dpsynth.encoding.grids import BRANCHES, FLAT_SPAN, LEVELS, branches, coarsest_cells
from jupyter_dpsynth.encoding.numeric import NumericCodec, units_of
from jupyter_dpsynth.encoding.series import RESOLUTIONS, factorize, number_values, time_values
from jupyter_dpsynth.metadata import CategoricalMeta, ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.privacy.mechanisms import noisy_counts

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["Discovered", "Histograms", "discover_column", "needs_unit", "observe_units"]

DECIMALS = range(7)  # 0..6 digits after the point, then 'continuous'
RARE_SHARE = 0.002


@dataclass(frozen=True)
class Histograms:
    """The only door to private counts: adds Gaussian noise of a standard deviation to each cell."""

    noise: NoiseSource

    def measure(self, counts: NDArray[np.int64], sigma: float) -> NDArray[np.float64]:
        """Noisy counts of one histogram, in which one row counts in at most one cell.

        Privacy:
            Gaussian mechanism of L2 sensitivity 1 and standard deviation `sigma`; none if 0.
        """
        if sigma == 0:
            return counts.astype(np.float64)
        return noisy_counts(counts, sigma, self.noise)


@dataclass(frozen=True)
class Discovered:
    """A column's codec with the noisy counts of its cells that discovery gave on the way.

    Attributes:
        codec: The column's codec.
        counts: Noisy count of each cell, float64 `[cells]`.
        variances: Variance of each count's noise, infinite where nothing was measured.
    """

    codec: NumericCodec | CategoryCodec
    counts: NDArray[np.float64]
    variances: NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What discovery may use of the run: all public or already noisy.

    Attributes:
        rows: Noisy number of rows.
        sigma: Noise of one histogram if a column were measured once.
        threshold: Noisy count above which an unlisted category is published.
        bins: About how many bins a number gets.
        cells: Most cells of a column of names; the most frequent are kept, the rest pooled.
    """

    rows: float
    sigma: float
    threshold: float
    bins: int
    cells: int


def needs_unit(meta: object) -> bool:
    """Whether the step between a column's values (decimals, time resolution) is to be learned."""
    return isinstance(meta, DatetimeMeta) or (isinstance(meta, ContinuousMeta) and meta.decimals is None)


def observe_units(
    series: pd.Series, meta: ContinuousMeta | DatetimeMeta, histograms: Histograms, settings: Settings
) -> float:
    """The unit of a column's values, from a noisy histogram of how finely each is recorded.

    Returns:
        Microseconds for times; 10^-decimals for numbers, or 0 for continuous ones.

    Privacy:
        One histogram with noise `settings.sigma`.
    """
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, meta)
        level = np.zeros(len(moments), dtype=np.int64)
        for index, step in enumerate(RESOLUTIONS):
            level[moments % step == 0] = index
        units: list[float] = [float(step) for step in RESOLUTIONS]
        level = len(units) - 1 - level[~missing]  # coarsest first, as for decimals
        units.reverse()
    else:
        values = number_values(series)
        values = values[~np.isnan(values)]
        level = np.full(len(values), len(DECIMALS))
        for places in reversed(DECIMALS):
            with np.errstate(over="ignore"):  # rounding 1e308 overflows, and is then not close
                rounded = np.round(values, places)
            close = np.abs(rounded - values) <= 1e-9 + 1e-12 * np.abs(values)
            level[close] = places
        units = [*(10.0**-places for places in DECIMALS), 0.0]
    counts = histograms.measure(np.bincount(level, minlength=len(units)), settings.sigma)
    finer = np.cumsum(counts[::-1])[::-1] - counts  # how many values each unit is too coarse for
    slack = np.maximum(3 * settings.sigma * np.sqrt(len(units)), 0.01 * settings.rows)
    return units[int(np.argmax(finer <= slack))]


def discover_column(
    series: pd.Series,
    meta: CategoricalMeta | ContinuousMeta | DatetimeMeta,
    unit: float,
    histograms: Histograms,
    settings: Settings,
) -> Discovered:
    """Learn one column's cells and their noisy counts.

    Privacy:
        For numbers and times `LEVELS` histograms with noise `settings.sigma * sqrt(LEVELS)`; for names
        one with noise `settings.sigma` and, where categories are not declared, partition selection
        with the delta that `settings.threshold` was computed for.
    """
    if isinstance(meta, CategoricalMeta):
        if meta.categories is None:
            return _learned_categories(series, meta, histograms, settings)
        return _listed_categories(series, meta, histograms, settings)
    tree = _Tree(units_of(series, meta, unit), meta, unit, histograms, settings)
    return tree.grow()


def _count_values(series: pd.Series, meta: CategoricalMeta) -> tuple[list[Any], NDArray[np.int64], int]:
    """Distinct values, their exact counts (never to leave this module) and the missing rows."""
    codes, values = factorize(series)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return values, counts, int((codes < 0).sum()) if meta.nullable else 0


def _learned_categories(
    series: pd.Series, meta: CategoricalMeta, histograms: Histograms, settings: Settings
) -> Discovered:
    """Partition selection: publish a category if its noisy count passes the threshold.

    Source:
        Desfontaines, Voss, Gipson, Mandayam, 'Differentially private partition selection', PoPETs 2022.
    """
    values, counts, missing = _count_values(series, meta)
    noisy = histograms.measure(np.append(counts, missing), settings.sigma)
    passing = sorted(np.flatnonzero(noisy[:-1] > settings.threshold), key=lambda i: _name_of(values[i]))
    # whole numbers tie: the order of rows, which no noise covers, must not decide between them
    chosen = sorted(passing, key=lambda i: -noisy[i])[: settings.cells - 2]
    chosen.sort(key=lambda i: _name_of(values[i]))
    kept = tuple(values[i] for i in chosen)
    text = all(isinstance(value, str) for value in kept) or not kept
    pool: tuple[Any, ...] = (OTHER,) if text else kept
    weights = np.ones(1) if text else np.maximum(noisy[chosen], 1.0)
    order = _category_order(series, meta)
    codec = CategoryCodec(meta, kept, pool, weights, tuple(v for v in order if v in set(kept)))
    variance = np.full(codec.size, settings.sigma**2)
    variance[len(kept)] = np.inf  # the pool was not measured: it depends on what was kept
    cells = np.append(noisy[chosen], np.zeros(1))
    return Discovered(codec, np.append(cells, noisy[-1:] if meta.nullable else []), variance)


def _name_of(value: object) -> tuple[str, str]:
    """What values are sorted by, whichever row they came from."""
    return str(value), type(value).__name__


def _category_order(series: pd.Series, meta: CategoricalMeta) -> list[Any]:
    """The order of an ordered categorical's values: schema, and used for kept values only."""
    return list(series.cat.categories) if meta.ordered else []


def _listed_categories(
    series: pd.Series, meta: CategoricalMeta, histograms: Histograms, settings: Settings
) -> Discovered:
    """Measure every declared category and what is not listed; pool the rare ones."""
    values, counts, missing = _count_values(series, meta)
    listed = list(meta.categories or ())
    place = {value: i for i, value in enumerate(listed)}
    total = np.zeros(len(listed) + 2, dtype=np.int64)
    np.add.at(total, [place.get(value, len(listed)) for value in values], counts)
    total[-1] = missing
    noisy = histograms.measure(total, settings.sigma)
    own, unlisted = noisy[: len(listed)], noisy[len(listed)]
    floor = max(3 * settings.sigma, RARE_SHARE * settings.rows)
    keep = own > floor
    keep[np.argsort(-own)[settings.cells - 2 :]] = False
    if (~keep).sum() == 1 or not keep.any():
        keep = np.ones(len(listed), dtype=bool)
        keep[settings.cells - 2 :] = False
    pool = tuple(v for v, k in zip(listed, keep, strict=True) if not k)
    weights = _shrink_to_mean(own[~keep], settings.sigma)
    pooled_cells = int((~keep).sum()) + 1
    if not pool:  # nothing listed is rare: an unlisted value decodes to any listed one
        pool, weights = tuple(listed), np.maximum(own, 1.0)
    kept = tuple(v for v, k in zip(listed, keep, strict=True) if k)
    codec = CategoryCodec(meta, kept, pool, weights, tuple(listed) if meta.ordered else ())
    pool_count = own[~keep].sum() + unlisted
    cells = np.concatenate([own[keep], [pool_count], noisy[-1:] if meta.nullable else []])
    variance = np.full(codec.size, settings.sigma**2)
    variance[len(kept)] *= pooled_cells
    return Discovered(codec, cells, variance)


def _shrink_to_mean(counts: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """James-Stein: counts drawn towards their mean as far as the noise explains their spread."""
    if len(counts) == 0:
        return counts
    mean = max(float(counts.mean()), 1e-3)
    spread = max(float(((counts - mean) ** 2).sum()), 1e-9)
    keep = max(0.0, 1 - sigma**2 * len(counts) / spread)
    return np.maximum(mean + keep * (counts - mean), 1e-3)


class _Tree:
    """Grows one column's adaptive histogram level by level, then merges its leaves into bins.

    Cells are kept as parallel arrays. Level 0 is a public grid; a cell whose noisy count stands out is
    split into up to 32 children, which the next level measures. Splitting is post-processing.
    """

    def __init__(
        self,
        units: NDArray[np.float64],
        meta: ContinuousMeta | DatetimeMeta,
        unit: float,
        histograms: Histograms,
        settings: Settings,
    ) -> None:
        self.meta, self.unit, self.settings, self.histograms = meta, unit, settings, histograms
        present = units[~np.isnan(units)]
        self.missing = len(units) - len(present) if meta.nullable else 0
        self.discrete = unit > 0
        edges, self.declared = coarsest_cells(meta, unit)
        self.low, self.high = edges[0], edges[-1]
        self.values = np.sort(np.clip(present, self.low, np.nextafter(self.high, -np.inf)))
        self.edges = edges
        span = self.high - self.low
        self.flat = self.declared and self.discrete and span <= FLAT_SPAN
        self.levels = 1 if self.flat else LEVELS
        self.sigma = settings.sigma * np.sqrt(self.levels)
        self.branches = branches(span) if self.declared and self.discrete else BRANCHES

    def grow(self) -> Discovered:
        starts, ends = self.edges[:-1], self.edges[1:]
        group = np.zeros(len(starts), dtype=np.int64)
        parents = np.array([self.settings.rows])
        leaves: list[NDArray[np.float64]] = []  # blocks of rows: start, end, shrunk count, raw count
        missing, used = 0.0, 0
        for level in range(self.levels):
            used += 1
            raw, absent = self._measure(starts, ends, self.sigma)
            if level == 0:
                missing = absent
            if level == 0 and not self.declared:
                allowed = _present_cells(raw, self.sigma)
                starts, ends, raw = starts[allowed], ends[allowed], raw[allowed]
                shrunk = raw
            else:
                shrunk = raw if self.flat else _shrink(raw, group, parents, self.sigma, ends - starts)
            split = self._splits(starts, ends, shrunk) if level < self.levels - 1 else None
            stays = np.ones(len(starts), dtype=bool) if split is None else ~split
            leaves.append(np.stack([starts, ends, shrunk, raw])[:, stays])
            if split is None or not split.any():
                break
            parents = shrunk[split]
            starts, ends, group = self._children(starts[split], ends[split])
        table = np.concatenate(leaves, axis=1)
        table = table[:, np.argsort(table[0])]
        return self._finish(*table, missing=missing, spare=self.levels - used)

    def _measure(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], sigma: float
    ) -> tuple[NDArray[np.float64], float]:
        """Noisy counts of disjoint cells and of the missing rows: one histogram."""
        first = np.searchsorted(self.values, starts, side="left")
        last = np.searchsorted(self.values, ends, side="left")
        noisy = self.histograms.measure(np.append(last - first, self.missing), sigma)
        return noisy[:-1], float(noisy[-1])

    def _splits(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        heavy: NDArray[np.bool_] = counts > max(4 * self.sigma, self.settings.rows / 200)
        if self.discrete:
            return heavy & (ends - starts > 1)
        scale = np.maximum(np.abs(starts), np.abs(ends))
        return heavy & (ends - starts > 1e-12 * scale) & (ends > np.nextafter(starts, np.inf))

    def _children(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Cut every cell into at most `branches` parts (of whole units, if the line has units)."""
        edges = []
        for start, end in zip(starts, ends, strict=True):
            width = (end - start) / self.branches
            step = max(1.0, np.ceil(width)) if self.discrete else width
            cuts = start + step * np.arange(self.branches + 1)
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
        *,
        missing: float,
        spare: int,
    ) -> Discovered:
        """Merge leaves into bins of about equal mass; spend unused levels on measuring leaves again."""
        variance = self.sigma**2
        if spare:
            again, absent = self._measure(starts, ends, self.sigma / np.sqrt(spare))
            shrunk, raw = ((x + spare * again) / (1 + spare) for x in (shrunk, raw))
            missing = (missing + spare * absent) / (1 + spare)
            variance /= 1 + spare
        mass = np.maximum(shrunk, 0)
        present = max(self.settings.rows - max(missing, 0.0), 1.0)
        mass = mass * present / max(mass.sum(), 1.0)
        first_leaf = _merge(mass, present / self.settings.bins)
        codec = NumericCodec(
            self.meta, self.unit, starts, ends, np.maximum(mass, 1e-3), np.asarray(first_leaf)
        )
        counts = np.add.reduceat(raw, first_leaf)
        leaves = np.diff(np.append(first_leaf, len(starts)))
        variances = variance * leaves
        if self.meta.nullable:
            counts, variances = np.append(counts, missing), np.append(variances, variance)
        return Discovered(codec, counts, variances)


def _present_cells(counts: NDArray[np.float64], sigma: float) -> NDArray[np.bool_]:
    """Cells of an open-ended grid that hold more than noise.

    A cell far from all others must stand out by 4 sigma, one next to such a cell by 2.
    """
    sure = counts > 4 * sigma
    if not sure.any():
        sure = counts >= counts.max()
    likely = counts > 2 * sigma
    while True:
        near = sure.copy()
        for shift in (1, 2):
            near[shift:] |= sure[:-shift]
            near[:-shift] |= sure[shift:]
        grown = sure | (near & likely)
        if (grown == sure).all():
            return grown
        sure = grown


def _shrink(
    counts: NDArray[np.float64],
    group: NDArray[np.int64],
    parents: NDArray[np.float64],
    sigma: float,
    widths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Denoise siblings: spikes stay, the others are drawn to an even spread of their parent's mass.

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
        rest = values <= np.maximum(total, 0) * share + 4 * sigma
        if rest.sum() < 4:
            continue
        even = max(total - values[~rest].sum(), 0) * share[rest] / share[rest].sum()
        spread = max(float(((values[rest] - even) ** 2).sum()), 1e-9)
        keep = max(0.0, 1 - sigma**2 * rest.sum() / spread)
        out[members[rest]] = np.maximum(even + keep * (values[rest] - even), 0)
    return out


def _merge(mass: NDArray[np.float64], target: float) -> list[int]:
    """First leaf of each bin: heavy leaves alone, light neighbours together up to about `target`."""
    first: list[int] = []
    alone = False
    collected = 0.0
    for index, weight in enumerate(mass):
        heavy = weight >= 0.6 * target
        if heavy or alone or not first or collected + weight > 1.25 * target:
            first.append(index)
            collected = 0.0
        collected += weight
        alone = heavy or collected >= target
    if len(first) > 1 and not alone and collected < 0.3 * target and first[-1] - first[-2] > 1:
        first.pop()  # a meagre remainder joins its neighbour, unless that is a single spike
    return first
