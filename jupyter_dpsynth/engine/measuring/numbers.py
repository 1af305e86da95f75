"""Measures a column of numbers or times with noise, and chooses its bins.

What is counted in private rows leaves through `Allowance.counts` alone: one row adds one to exactly one
cell of every histogram.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.numeric import SPIKE_WIDTH, ExactValues, NumericCodec, extents, to_points
from jupyter_dpsynth.encoding.patterns import FORMS, Pattern, PointParts
from jupyter_dpsynth.encoding.rounding import Rounding
from jupyter_dpsynth.engine.measuring.cells import Cells, weighed
from jupyter_dpsynth.engine.measuring.discovered import Discovered, count_in
from jupyter_dpsynth.engine.measuring.forms import find_form, find_step
from jupyter_dpsynth.engine.measuring.grids import (
    BRANCHES,
    LEVELS,
    branches,
    coarsest_cells,
    is_flat,
    is_found,
)
from jupyter_dpsynth.engine.measuring.leaves import cut, held_leaves, merge
from jupyter_dpsynth.engine.measuring.long import WHOLE_NUMBERS
from jupyter_dpsynth.engine.measuring.patterns import LEAST_MOVED, find_pattern
from jupyter_dpsynth.engine.measuring.presence import SURE, present_cells, sides_of
from jupyter_dpsynth.engine.measuring.ranks import measure_ranks
from jupyter_dpsynth.engine.measuring.repeated import (
    Repeated,
    Selection,
    find_repeated,
    point_after,
)
from jupyter_dpsynth.engine.measuring.rounding import Levels
from jupyter_dpsynth.engine.measuring.shrinkage import CLEAR, onto_sum, shrink_siblings
from jupyter_dpsynth.engine.measuring.smoothing import smooth_bins
from jupyter_dpsynth.engine.measuring.tails import Tails, shortened, tails_of, with_slopes
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.long import WholeNumbers
    from jupyter_dpsynth.engine.measuring.ranks import Ranks
    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = ["BinSearch", "grow_bins"]

NEARLY_ALL = 0.7  # of the rows that are not missing
# What is beside the cells that stand out is looked at only if they certainly hold so much of the present
# rows, and noise is less than this share of them: else it would be taken for rows that are far out.
CLEAR_RANGE, LITTLE_NOISE = 0.5, 0.05
MOST_BRANCHES = 256
MOST_JOINED = 64  # years in a coarsest cell of dates
# Shares of a column's allowance: of the coarsest cells, of how many rows share a value, of the search for
# single values, and of that for a pattern, twice where there is one; the further levels have equal parts of
# what is left.
FIRST_SHARE, RANK_SHARE, SEARCH_SHARE = Fraction(3, 10), Fraction(1, 25), Fraction(4, 25)
PATTERN_SHARE = Fraction(1, 10)
MOST_CODES = 0.8  # of the rows must have values that are found, if others are not to be looked for
NEARLY_ALL_CODES = 0.98  # of the rows: no second histogram is needed
FEW_OTHERS = 0.05  # of the rows
MANY_PLACES = 1e12  # for values without a resolution
RESOLVED = 64  # points of a cell whose single values the tree tells apart
FEWEST_FORMED = 0.25  # of the rows: for fewer beside single values, a search costs more than it gives
LONG_RANGE = 256  # whole numbers: in fewer the tree tells steps and times apart
LEAST_RATE = 1e-9  # of a value that is no multiple of the step of all others
NO_ROWS = np.zeros(0, dtype=np.int64)
BOTH_ENDS = np.array([0, -1])  # of declared bounds: the first and the last cell
LEAST_ROWS, MOST_LOG = 1e-9, 100.0  # of a cell, and of how many times as dense another one is
CLEAR_CODE = 2.0  # standard deviations that a code must exceed to come back: else one that nobody has would
CLEAR_REST = 3.0  # standard deviations of noise that rows beside single values must exceed


def grow_bins(
    values: ColumnValues,
    meta: ContinuousMeta | DatetimeMeta,
    resolution: float,
    allowance: Allowance,
    *,
    selection: Selection,
    bins: int,
    whole: WholeNumbers | None = None,
    patterned: bool = True,
    levels: Levels | None = None,
) -> Discovered:
    """Choose the bins of a column of numbers or times, with their noisy counts.

    Args:
        values: The column's values, which are overwritten.
        meta: Its metadata.
        resolution: What `measure_resolution` found, or what is declared.
        allowance: For the whole column.
        selection: What a single value needs to be published.
        bins: About how many bins there are to be.
        whole: Finds the whole numbers behind values beyond 2^53; None where there are none.
        patterned: Whether to look for where in a period the values lie.
        levels: How round the values are; by default all are taken to be alike.

    Privacy:
        A histogram of coarse cells; one of single values, whose selection may fail with a chance of at most
        `selection.delta`; one of the whole numbers behind those beyond 2^53; those of `find_pattern`; and
        one for each further level of the tree. Each takes its share of the allowance, and the last one all
        that is left of it.
    """
    return BinSearch(
        values,
        meta,
        resolution,
        allowance,
        selection=selection,
        bins=bins,
        whole=whole,
        patterned=patterned,
        levels=levels or Levels.none(),
    ).grow()


class BinSearch:
    """Grows one column's adaptive histogram level by level, then merges its leaves into bins.

    Level 0 is a public grid; a cell whose noisy count stands out is split into children, which the next level
    measures, beside the cells that are not split. Where cells are too long for the tree to tell single values
    apart, those that come again and again are looked for first; the tree then counts the other rows.
    Where the cells that hold values are found among many, because no range or a very wide one is declared,
    the further levels also measure what lies beside the cells that stood out. Splitting is post-processing.
    """

    def __init__(
        self,
        values: ColumnValues,
        meta: ContinuousMeta | DatetimeMeta,
        resolution: float,
        allowance: Allowance,
        *,
        selection: Selection,
        bins: int,
        whole: WholeNumbers | None,
        patterned: bool = True,
        levels: Levels,
    ) -> None:
        self.meta, self.resolution, self.bins = meta, resolution, bins
        self.levels, self.rounding = levels, levels.rounding()
        self.exactly, self.exact = whole, ExactValues()
        self.patterned = patterned and resolution > 0
        self.pattern: Pattern | None = None
        self.form, self.step = "", 1  # of which all values are
        self.looked = Fraction(0)  # share of the allowance that was used up for them
        self.told = True
        self.rows, self.selection, self.allowance = selection.rows, selection, allowance
        self.missing = values.missing * meta.nullable
        self.discrete = resolution > 0
        self.declared = meta.bounds is not None
        self.grain = levels.grain(self.rounding, LEAST_MOVED * self.rows) if self.declared else 1.0
        if is_found(meta, self.grain * resolution):
            self.grain = 1.0
        self.found = is_found(meta, self.grain * resolution)
        self.ranks: Ranks | None = None
        edges = coarsest_cells(meta, resolution)
        if self.grain > 1:
            coarse = self.grain * coarsest_cells(meta, self.grain * resolution)
            zero = [0.0, 1.0] if edges[0] <= 0 < edges[-1] else []
            edges = np.unique(np.append(np.clip(coarse, edges[0], edges[-1]), zero))
        self.low, self.high = edges[0], edges[-1]
        self.outside = np.zeros(2 if self.declared else 0, dtype=np.int64)  # rows below and above the bounds
        self.moved = np.zeros(0)  # the same with noise, once it is known
        points = [self._on_the_grid(part, own) for part, own in values.weighed]
        self.values = replace(values, parts=points)
        self.edges = edges
        flat = is_flat(meta, self.grain * resolution)
        self.left = Fraction(1)  # of the allowance
        self.first = Fraction(1) if flat else FIRST_SHARE
        self.noise = allowance.part(self.first).noise  # of the coarsest cells
        self.present = self.rows  # noisy number of rows that are not missing, once it is known
        self.repeated = Repeated.none()
        self.tails = Tails.none()
        self.coarsest = np.zeros(0)  # first points of the cells that stand out among many
        self.ends: list[tuple[float, float]] = []  # the first and the last cell that stand out
        span = (self.high - self.low) / self.grain
        self.branches = BRANCHES if self.found or not self.discrete else branches(span)

    def _on_the_grid(self, part: NDArray[Any], weights: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Sorted values of a part in steps of the resolution.

        They take the place of the values, because a part need not fit into memory twice.
        """
        # rounding and clipping keep the order
        steps, last = to_points(part, self.meta, self.resolution), np.nextafter(self.high, -np.inf)
        if self.discrete:
            last = min(last, self.high - 1)  # beyond 2^53, points are not 1 apart
        if self.declared:
            ends = np.array([-np.inf, self.high]), np.array([self.low, np.inf])
            self.outside += count_in(steps, *ends, weights)
        return np.clip(steps, self.low, last, out=part.view(np.float64))

    def look(self) -> None:
        """Measure how many rows share a value, where the tree tells few apart that float64 tells apart."""
        cells, _, _ = self.first_cells
        largest = np.abs([cells.starts[0], cells.ends[-1]]).max()
        if self._has_long_cells(cells) and self.allowance.noise and largest < WHOLE_NUMBERS:
            self.left -= RANK_SHARE
            self.ranks = measure_ranks(self.values, self.allowance.part(RANK_SHARE), self.rows)

    @functools.cached_property
    def first_cells(self) -> tuple[Cells, NDArray[np.float64], float]:
        """The coarsest cells that hold rows; the missing rows by code, and each one's variance."""
        return self._coarsest()

    def _has_long_cells(self, cells: Cells) -> bool:
        """Whether the tree does not tell single values apart in some cells that it would split."""
        long = (cells.ends - cells.starts)[self._splits(cells)]
        return bool(self.left and long.max(initial=0.0) > self._resolved())

    def finds_codes(self, share: float, again: float = np.inf) -> bool:
        """Whether the column has few values, and those that are found make up so much of the rows.

        Args:
            share: Of the rows that have a value.
            again: Noise of a second histogram of single values.
        """
        if self.ranks is None:
            return False
        noise = (self.allowance.part(self.left).noise ** -2 + again**-2) ** -0.5
        least, (cells, _, _) = self.selection.threshold(noise), self.first_cells
        grain = self.levels.grain(self.rounding, LEAST_MOVED * self.rows)
        room = cells.ends - cells.starts if self.discrete else np.full(len(cells.raw), MANY_PLACES)
        few = self.ranks.are_few(cells, room / grain, self.present, least)
        return few and self.ranks.rows_above(least) > share * self.present

    def list_codes(self, again: Allowance | None = None) -> Discovered:
        """The column's values one by one, of which `finds_codes` tells that they are few.

        Args:
            again: For another histogram of them.

        Privacy:
            One histogram of single values on all that is left of the allowance, and another one; their
            selection may fail with a chance of at most `selection.delta`.
        """
        cells, missing, missing_variance = self.first_cells
        parts = [self.allowance.part(self.left), *([again] if again else [])]
        self.repeated, self.left = find_repeated(self.values, parts, self.selection), Fraction(0)
        return self._finish(self._only_codes(cells), missing, missing_variance)

    def grow(self) -> Discovered:
        """The column's bins by a tree."""
        cells, missing, missing_variance = self.first_cells
        split = self._splits(cells)
        if self._has_long_cells(cells):
            cells = self._search(cells)
            split = self._splits(cells)
        if split.any() and self._are_long_whole_numbers(cells.at(split)):
            cells = self._look_for_form(cells)
            split = self._splits(cells)
        # where nearly all values are round it is known which cells hold rows, and a pattern tells little more
        fine = self.levels.fine_rows(self.rounding) > LEAST_MOVED * self.rows
        # all rows together may show that minutes end in 0 or 5 where no year stands out alone
        seen = split.any() or isinstance(self.meta, DatetimeMeta)
        if self.left and self.patterned and seen and (fine or self.rounding.is_even) and self.step == 1:
            cells = self._look_for_pattern(cells)
            split = self._splits(cells)
        share = self.left / (LEVELS - 1)
        beside, beside_variance = np.zeros(len(self.tails.starts)), np.inf
        for level in range(1, LEVELS):
            if not self.left:
                break
            share = share if split.any() and level < LEVELS - 1 else self.left
            noise = self.allowance.part(share).noise
            parents, leaves = cells.at(split), cells.at(~split)
            starts, ends, group = self._children(parents, level)
            raw, absent = self._measure(
                np.concatenate([starts, leaves.starts, self.tails.starts]),
                np.concatenate([ends, leaves.ends, self.tails.ends]),
                share,
            )
            missing, missing_variance = weighed(missing, missing_variance, absent, noise**2)
            raw, again, tails = np.split(raw, np.cumsum([len(starts), len(leaves.starts)]))
            leaves = self._measured_again(leaves, again, noise)
            beside, beside_variance = weighed(beside, beside_variance, tails, noise**2)
            around = self._around(cells)[split] if self.found else None
            shrunk = shrink_siblings(raw, group, parents.shrunk, noise, self._widths(starts, ends), around)
            cells = leaves.joined(Cells(starts, ends, shrunk, raw, np.full(len(raw), noise**2)))
            split = self._splits(cells)
        cells = self._with_tails(cells, beside, beside_variance)
        return self._finish(self._with_repeated(cells), missing, missing_variance)

    def _around(self, cells: Cells) -> NDArray[np.float64]:
        """How dense rows are below and above each cell, as many times as in it, `[cells, 2]`."""
        # in logarithms: cells may be as narrow as 1e-300
        widths = np.maximum(self._widths(cells.starts, cells.ends), np.finfo(np.float64).tiny)
        density = np.log(np.maximum(cells.shrunk, LEAST_ROWS)) - np.log(widths)
        touch, steps = cells.starts[1:] == cells.ends[:-1], np.clip(np.diff(density), -MOST_LOG, MOST_LOG)
        below, above = np.where(touch, np.exp(-steps), 0.0), np.where(touch, np.exp(steps), 0.0)
        return np.stack([np.append(0.0, below), np.append(above, 0.0)], axis=1)[: len(density)]

    def _with_tails(self, cells: Cells, counts: NDArray[np.float64], variance: float) -> Cells:
        """Cells, and those beside them that hold rows after all."""
        tails, noise = self.tails, np.sqrt(variance)
        if not len(tails.starts):
            return cells
        reached = (True, True) if self._is_even else self._reached(cells)
        held = tails.held(counts, noise, reached)
        found = counts[held]
        starts, ends = tails.starts[held], tails.ends[held]
        if self._is_even:
            starts, ends = shortened(starts, ends, found, cells.starts[0], cells.ends[-1], self.present)
        own = starts, ends, np.maximum(found, 0), found
        return cells.joined(Cells(*own, np.full(len(found), variance)))

    def _reached(self, cells: Cells) -> tuple[bool, bool]:
        """Whether rows come near to the lower and the upper end: to the last quarter of the cell there.

        One part of it may be a value that all rows have, and does not count. A cell that was not divided
        counts as a whole.
        """
        found = []
        for (start, end), below in zip(self.ends, (True, False), strict=True):
            quarter = (end - start) / 4
            inside = (cells.starts >= start) & (cells.ends <= end)
            near = cells.starts < start + quarter if below else cells.ends > end - quarter
            rows, variances = cells.raw[inside & near], cells.variances[inside & near]
            single = (rows > SURE * np.sqrt(variances)) & (inside.sum() > 1)
            others = rows[~single].sum() > np.sqrt(variances[~single].sum()) / 2
            found.append(bool(single.sum() > 1 or others))
        return found[0], found[1]

    def _coarsest(self) -> tuple[Cells, NDArray[np.float64], float]:
        """The cells of the public grid that hold rows; the missing rows by code, and each one's variance."""
        starts, ends = self.edges[:-1], self.edges[1:]
        raw, missing = self._measure(starts, ends, self.first, self.outside)
        # what is outside declared bounds is moved to these, which have cells of their own
        moved = np.where(self.moved > SURE * self.noise, self.moved, 0.0)
        np.add.at(raw, BOTH_ENDS[: len(moved)], moved)
        self.present = max(self.rows - max(float(missing.sum()), 0.0), 1.0)
        variances = np.full(len(raw), self.noise**2)
        np.add.at(variances, BOTH_ENDS[: len(moved)], (moved > 0) * self.noise**2)
        if self.found:
            starts, ends, raw, variances = self._standing_out(starts, ends, raw, variances)
            self.coarsest, shrunk = starts, raw
        else:
            whole = np.zeros(len(raw), dtype=np.int64), np.array([self.present])
            flat = self.first == 1
            widths = self._widths(starts, ends)
            shrunk = raw if flat else shrink_siblings(raw, *whole, self.noise, widths)
        return Cells(starts, ends, shrunk, raw, variances), missing, self.noise**2

    def _resolved(self) -> float:
        """How long a cell may be for single values to be told apart without looking for them."""
        if not self.discrete:
            return 0.0
        all_told = not self.found and self.branches**LEVELS >= (self.high - self.low) / self.grain
        return np.inf if all_told else RESOLVED * self.grain

    def _search(self, cells: Cells) -> Cells:
        """Look for single values that come again and again; what is left of the cells without them."""
        share = SEARCH_SHARE + RANK_SHARE * (self.ranks is None)
        self.left -= share
        found = find_repeated(self.values, [self.allowance.part(share)], self.selection)
        self.repeated = found
        if not len(found.points):
            return cells
        self.rounding = self.levels.without(found.points, found.counts).rounding()
        long = found.points[np.abs(found.points) >= WHOLE_NUMBERS]
        if self.exactly is not None and self.resolution == 1 and len(long):
            self.left -= SEARCH_SHARE
            self.exact = self.exactly(long, self.allowance.part(SEARCH_SHARE))
        counts, many = (
            found.taken_from(each, cells.starts, cells.ends)
            for each in (found.counts, np.ones(len(found.counts)))
        )
        variances = cells.variances + many * found.variance
        return replace(cells, shrunk=cells.shrunk - counts, raw=cells.raw - counts, variances=variances)

    def _only_codes(self, cells: Cells) -> Cells:
        """The single values as cells; rows of a coarsest cell beside them have one of its values, too.

        A cell in which none was found stays if all such cells together hold more than few rows.
        """
        found = self.repeated
        if not len(found.points):
            return cells
        held, many = (
            found.taken_from(each, cells.starts, cells.ends)
            for each in (found.counts, np.ones(len(found.counts)))
        )
        beside = cells.raw - held
        clear = beside > CLEAR_REST * np.sqrt(cells.variances + many * found.variance)
        factors = np.append(np.where(clear & (many > 0), 1 + beside / np.maximum(held, 1.0), 1.0), 1.0)
        place = np.searchsorted(cells.starts, found.points, side="right") - 1
        counts = found.counts * factors[place]
        after, variances = (
            point_after(found.points, discrete=self.discrete),
            np.full(len(counts), found.variance),
        )
        codes = Cells(found.points, after, counts, counts, variances * factors[place] ** 2)
        others = cells.at(clear & (many == 0))
        return codes if others.raw.sum() < FEW_OTHERS * self.present else codes.joined(others)

    def _are_long_whole_numbers(self, cells: Cells) -> bool:
        """Whether some cells together are long, and hold whole numbers that are no times or durations."""
        length = (cells.ends[-1] - cells.starts[0]) * self.resolution
        whole = self.resolution >= 1 and isinstance(self.meta, ContinuousMeta)
        return bool(whole and self.patterned and self.allowance.noise and length >= LONG_RANGE)

    def _look_for_form(self, cells: Cells) -> Cells:
        """Look for dates or times that are written as numbers, and for a step of which all are multiples."""
        known, mass = self.repeated.points, np.maximum(cells.shrunk, 0.0)
        rows = max(float(mass.sum()), 1.0)
        if rows < FEWEST_FORMED * self.present:
            return cells

        def within(low: float, high: float) -> float:
            inside = (cells.starts * self.resolution >= low) & (cells.ends * self.resolution <= high)
            return float(mass[inside].sum()) / rows

        found = find_form(self.values, known, rows, self.resolution, within, self.allowance)
        self.looked += found.used
        if not found.form:
            found = find_step(self.values, known, rows, self.allowance, self.left - self.looked)
            self.looked += found.used
        self.left -= self.looked
        self.form, self.step, self.told = found.form, found.step, found.told
        if self.form:
            self.rounding = Rounding.even()
            self.pattern = Pattern(PointParts.of(self.meta, self.resolution, self.form), {})
            first, last = FORMS[self.form].first // self.resolution, FORMS[self.form].last // self.resolution
            cells = replace(
                cells, starts=np.maximum(cells.starts, first), ends=np.minimum(cells.ends, last + 1)
            )
            cells = cells.at(cells.starts < cells.ends)
        elif self.step > 1:
            self.rounding = Rounding(np.array([self.step, 1.0]), np.array([1.0, LEAST_RATE]))
            self.grain = float(self.step)
        return self._trimmed(cells)

    def _look_for_pattern(self, cells: Cells) -> Cells:
        """Look for where in a period the values lie; the cells without what is beside that."""
        long = cells.at(cells.ends > point_after(cells.starts, discrete=True))
        parts = PointParts.of(self.meta, self.resolution, self.form)
        found = find_pattern(
            self.values,
            parts,
            long,
            self.repeated.points,
            self.allowance,
            max(PATTERN_SHARE - self.looked, PATTERN_SHARE / 2),
            left=self.left,
            rows=self.present,
            rounding=self.rounding,
        )
        self.left -= found.used
        self.told &= found.told
        self.pattern = found.pattern or (Pattern(parts, {}) if self.form else None)
        if found.pattern is not None:
            self.rounding = Rounding.even()
        return self._trimmed(cells)

    def _trimmed(self, cells: Cells) -> Cells:
        """Cells from their first to their last possible point; without those that have none.

        Single values are not part of a pattern, and stay.
        """
        if self.pattern is None and self.step == 1:
            return cells
        single = cells.ends <= point_after(cells.starts, discrete=True)
        cells = cells.at(single | self._have_values(cells.starts, cells.ends))
        starts, ends = self._possible(cells.starts, cells.ends)
        points = self.repeated.points  # what is beside these in a cell is noise, if it is little
        first, last = np.searchsorted(points, cells.starts), np.searchsorted(points, cells.ends)
        known = np.append(points, np.inf)
        starts = np.minimum(starts, np.where(first < last, known[first], np.inf))
        after = point_after(known[np.maximum(last - 1, 0)], discrete=True)
        ends = np.maximum(ends, np.where(first < last, after, -np.inf))
        single = cells.ends <= point_after(cells.starts, discrete=True)
        starts, ends = np.where(single, cells.starts, starts), np.where(single, cells.ends, ends)
        return replace(cells, starts=starts, ends=ends)

    def _have_values(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which cells have points that values may have, by the pattern or the step."""
        if self.pattern is None:
            return np.asarray(np.ceil(ends / self.step) > np.ceil(starts / self.step))
        return self._widths(starts, ends) > 0

    def _possible(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cells that begin and end with points that values may have."""
        if self.pattern is not None:
            return self.pattern.trimmed(starts, ends)
        return np.ceil(starts / self.step) * self.step, (np.ceil(ends / self.step) - 1) * self.step + 1

    def _widths(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many rows cells would have beside others, by what is known of their values so far."""
        return extents(starts, ends, self.pattern, self.rounding)

    def _measured_again(self, leaves: Cells, raw: NDArray[np.float64], noise: float) -> Cells:
        """Leaves with another count of each, joined by precision; what did not stand out stays shrunk."""
        held = self.repeated.taken_from(self.repeated.counts, leaves.starts, leaves.ends) > 0
        # what was found among many because it was large then is smaller when it is measured again
        held |= self._are_coarsest(leaves)
        certain = held | (leaves.raw > SURE * np.sqrt(leaves.variances))
        both, variances = weighed(leaves.raw, leaves.variances, raw, noise**2)
        shrunk, _ = weighed(leaves.shrunk, leaves.variances, raw, noise**2)
        return replace(leaves, shrunk=np.where(certain, shrunk, leaves.shrunk), raw=both, variances=variances)

    def _are_coarsest(self, cells: Cells) -> NDArray[np.bool_]:
        """Which cells are one of those that stood out among many, not one of its parts."""
        if not len(self.coarsest):
            return np.zeros(len(cells.raw), dtype=bool)
        of = np.searchsorted(self.coarsest, cells.starts, side="right") - 1
        return np.bincount(of)[of] == 1

    def _with_repeated(self, cells: Cells) -> Cells:
        """Cells and, among them, the single values; what is left beside those is cut at them.

        Where next to nothing is left, it is noise: values that nobody has would come of it.
        """
        found = self.repeated
        if not len(found.points):
            return cells
        held = found.taken_from(np.ones(len(found.points)), cells.starts, cells.ends) > 0
        nothing = held & (cells.raw < CLEAR_REST * np.sqrt(cells.variances))
        cells = cells.at(~nothing)
        after = point_after(found.points, discrete=self.discrete)
        pieces = [cut(cells.starts[i], cells.ends[i], found.points, after) for i in range(len(cells.raw))]
        whole = np.repeat(np.arange(len(pieces)), [len(piece) for piece, _ in pieces])
        bounds = np.concatenate([*(piece for piece, _ in pieces), np.zeros((0, 2))])
        widths = self._widths(*bounds.T) * np.concatenate([*(likely for _, likely in pieces), np.zeros(0)])
        share = widths / np.maximum(np.bincount(whole, widths, minlength=len(pieces))[whole], 1e-300)
        rest = cells.at(whole)
        starts, ends = bounds.T
        rest = Cells(starts, ends, rest.shrunk * share, rest.raw * share, rest.variances * share)
        variances = np.full(len(after), found.variance)
        return rest.joined(Cells(found.points, after, found.counts, found.counts, variances))

    def _standing_out(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        raw: NDArray[np.float64],
        variances: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The coarsest cells that contain the values: start, end, noisy count and variance of each.

        Years of which each holds few rows (dates of birth) are joined, two by two, until those that stand
        out hold nearly all rows: a sum of k cells has sqrt(k) times the noise of one, and k times its rows.
        """
        joined, noise = 1, self.noise
        dates = self._is_even
        while True:
            chosen = present_cells(raw, noise, starts, self.meta, self.resolution, self.present)
            held = raw[chosen].sum() - CLEAR * noise * np.sqrt(chosen.sum())  # what stands out is also noise
            if held > NEARLY_ALL * self.present or not dates or joined >= MOST_JOINED:
                if held > CLEAR_RANGE * self.present and self.noise < LITTLE_NOISE * self.present:
                    edges, sides = np.append(starts, self.high), sides_of(starts, self.meta)
                    self.tails = tails_of(edges, chosen, sides, doubling=not dates)
                    places = np.flatnonzero(chosen)[[0, -1]]
                    self.ends = [(edges[place], edges[place + 1]) for place in places]
                return starts[chosen], ends[chosen], raw[chosen], variances[chosen]
            joined, noise = 2 * joined, noise * np.sqrt(2)
            starts, ends = starts[::2], np.append(starts[2::2], self.high)
            raw, variances = (np.add.reduceat(each, np.arange(0, len(raw), 2)) for each in (raw, variances))

    def _measure(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        share: Fraction,
        outside: NDArray[np.int64] = NO_ROWS,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Noisy counts of disjoint cells without the single values, of each of those, and of missing rows.

        Rows outside declared bounds have cells of their own in the first one.

        One histogram, on a share of the allowance. Counts of single values are joined with earlier ones.
        """
        self.left -= share
        allowance, order = self.allowance.part(share), np.argsort(starts)
        starts, ends, known = starts[order], ends[order], self.repeated
        counts = np.zeros(len(starts), dtype=np.int64)
        for points, weights in self.values.weighed:
            counts += count_in(points, starts, ends, weights)
        # float64 holds whole numbers below 2^53 as they are
        counts -= known.taken_from(known.exact.astype(np.float64), starts, ends).astype(np.int64)
        np.subtract.at(counts, BOTH_ENDS[: len(outside)], outside)
        exact = np.concatenate([counts, known.exact, outside, self.missing])
        noisy = allowance.counts(exact, self.values.row)
        single, last = len(counts) + len(known.exact), len(noisy) - len(self.missing)
        self.repeated = known.measured_again(noisy[len(counts) : single], allowance.noise)
        self.moved = noisy[single:last] if len(outside) else self.moved
        back = np.empty(len(counts))
        back[order] = noisy[: len(counts)]
        return back, noisy[last:]

    def _splits(self, cells: Cells) -> NDArray[np.bool_]:
        """Which cells hold so many rows that what is inside them is to be told apart."""
        least = np.maximum(SURE * np.sqrt(cells.variances), self.rows / 200)
        if self.noise < LITTLE_NOISE * self.present:
            # joined years have much noise, but where nearly all rows are follows from their number, too
            least = np.minimum(least, NEARLY_ALL * self.present)
        heavy: NDArray[np.bool_] = cells.shrunk > least
        after = point_after(cells.starts, discrete=self.discrete)
        if self.discrete:
            grains = np.ceil(cells.ends / self.grain) - np.ceil(cells.starts / self.grain)
            return heavy & (cells.ends > after) & (grains > 1)
        scale = np.maximum(np.abs(cells.starts), np.abs(cells.ends))
        return heavy & (cells.ends - cells.starts > 1e-12 * scale) & (cells.ends > after)

    def _children(
        self, cells: Cells, level: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Cut every cell into equal parts (of whole steps, if there is a resolution).

        Without bounds, a cell that holds nearly all rows has as many parts as still stand out: it is too
        coarse, and all values may lie in a corner of it (latitudes of one city between 48 and 49).
        """
        fine = np.full(len(cells.raw), self.branches)
        if self.found and level < LEVELS:
            nearly_all = cells.shrunk > NEARLY_ALL * self.present
            parts = np.clip(cells.shrunk / max(CLEAR * self.noise, 1e-9), self.branches, MOST_BRANCHES)
            fine = np.where(nearly_all, parts, fine).astype(np.int64)
        edges = [np.zeros(1)]
        for start, end, count in zip(cells.starts, cells.ends, fine.tolist(), strict=True):
            width = (end - start) / count
            step = self.grain * max(1.0, np.ceil(width / self.grain)) if self.discrete else width
            cuts = start - (start % self.grain if self.grain > 1 else 0.0) + step * np.arange(count + 1)
            edges.append(np.append(np.unique(np.maximum(cuts[cuts < end], start)), end))
        group = np.repeat(np.arange(len(edges) - 1), [len(e) - 1 for e in edges[1:]])
        first = np.concatenate([e[:-1] for e in edges])
        last = np.concatenate([e[1:] for e in edges])
        if self.pattern is not None:
            held = self._widths(first, last) > 0
            first, last = self.pattern.trimmed(first[held], last[held])
            group = group[held]
        return first, last, group

    def _finish(self, leaves: Cells, absent: NDArray[np.float64], absent_variance: float) -> Discovered:
        """Merge leaves into bins of about equal mass.

        Values of which there are few stay apart where they stand out: a month, a grade, a number of rooms
        may be what another column is a function of.
        """
        leaves = self._trimmed(self._with_slopes(leaves))
        starts, ends, raw, variances = leaves.starts, leaves.ends, leaves.raw, leaves.variances
        missing, missing_variance = float(absent.sum()), absent_variance * len(absent)
        present = max(self.rows - max(missing, 0.0), 1.0)
        alone = np.maximum(point_after(starts, discrete=self.discrete), starts + self.grain * self.discrete)
        least = alone if self.discrete else np.maximum(starts + SPIKE_WIDTH * np.abs(ends), alone)
        mass = self._likely_mass(leaves, ends <= least, present)
        single = (ends <= least) & (np.minimum(mass, raw) > SURE * np.sqrt(variances))
        if single.sum() > self.bins:
            single[:] = False
        first_leaf = np.asarray(merge(mass, present / self.bins, single))
        bins = np.repeat(np.arange(len(first_leaf)), np.diff(np.append(first_leaf, len(mass))))
        full = (np.add.reduceat(mass, first_leaf) > 0)[bins]
        if full.any():  # rows in a bin that seems empty count in the one before
            starts, ends, mass, raw, variances = (each[full] for each in (starts, ends, mass, raw, variances))
            _, first_leaf = np.unique(bins[full], return_index=True)
        counts = np.add.reduceat(raw, first_leaf)
        variances = np.add.reduceat(variances, first_leaf)
        clear = np.where(absent > CLEAR_CODE * np.sqrt(absent_variance), absent, 0.0)
        weights = np.maximum(clear, 0.0) if len(absent) > 1 else np.zeros(0)
        held = held_leaves(starts, ends, mass, first_leaf)
        codec = NumericCodec(
            self.meta,
            self.resolution,
            *held,
            missing_weights=weights,
            exact=self.exact,
            pattern=self.pattern,
            rounding=self.rounding,
        )
        if self.meta.nullable:
            counts, variances = np.append(counts, missing), np.append(variances, missing_variance)
        return Discovered(codec, counts, variances, tuple(self.moved.tolist()), self.noise, self.told)

    def _likely_mass(self, leaves: Cells, single: NDArray[np.bool_], present: float) -> NDArray[np.float64]:
        """Rows of each leaf, which add up to the present ones.

        Cells of a flat grid have no parents that tell how many rows they have together, but neighbours.
        """
        if self.first == 1 and leaves.variances.all():
            widths = self._widths(leaves.starts, leaves.ends)
            smooth = smooth_bins(leaves.raw, leaves.variances, widths, single)
            return onto_sum(smooth, present, leaves.variances)
        mass: NDArray[np.float64] = np.maximum(leaves.shrunk, 0)
        return mass * present / max(mass.sum(), 1.0)

    def _with_slopes(self, leaves: Cells) -> Cells:
        """Leaves of a column whose range was found, the long ones in pieces."""
        if not self.found:
            return leaves
        mass, even = np.maximum(leaves.shrunk, 0), self._is_even
        pieces, whole, share = with_slopes(
            leaves.starts, leaves.ends, mass, self.noise, discrete=self.discrete, even=even
        )
        of, (starts, ends) = leaves.at(whole), pieces.T
        return Cells(starts, ends, of.shrunk * share, of.raw * share, of.variances * share)

    @property
    def _is_even(self) -> bool:
        """Whether the coarsest grid is one of calendar years, not of powers of two."""
        return isinstance(self.meta, DatetimeMeta) and not self.meta.is_duration
