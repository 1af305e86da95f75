"""Learns one of two points in time as the time between them, where that is known more closely.

What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.difference import DifferenceCodec, difference_meta
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.numbers import grow_bins
from jupyter_dpsynth.engine.measuring.orderings import (
    MeasuredColumn,
    Orderings,
    check_orders,
    is_moment,
    may_be_low,
    planned_differences,
)
from jupyter_dpsynth.engine.measuring.reading import read_differences
from jupyter_dpsynth.engine.measuring.spans import measure_spans, planned_spans
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS
from jupyter_dpsynth.engine.model.plan import DIFFERENCES, SPANS
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.metadata.columns import DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jupyter_dpsynth.encoding.table import ColumnCodec
    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.engine.measuring.domains import DiscoveredTable
    from jupyter_dpsynth.engine.measuring.spans import Span
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.privacy.releases import Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["MomentsTable", "measure_differences"]

LEAST_COUNT = 0.3  # rows of an empty cell, so that no share is zero
NARROWER = 0.5  # of a column's own range: a difference that is wider tells less than the column
AS_WIDE = 2.0  # the same of a difference that is mostly of one sign; its cells are coarse
# A value is apart from the others, without so much of them at both ends (a few rows in between may be noise),
# if it is so many times as far from them as they lie apart, and so many of the rows have it.
APART = ((0.0, 1.0, RARE_BREAKS), (0.05, 4.0, 0.01))
SLACK = 0.1  # of a column's own range, by which it may be longer at both ends
SPANS_PART = Fraction(1, 3)  # of what is measured of pairs of dates; the rest tests orders


@dataclass(frozen=True)
class MomentsTable:
    """The columns, some of them as differences, and what was found on the way.

    Attributes:
        discovered: The columns.
        orderings: Orders of points in time.
        unused: Share of the differences' measurement that is left.
        untested: The same of which dates are close, where no order is tested.
    """

    discovered: DiscoveredTable
    orderings: Orderings
    unused: Fraction
    untested: Fraction = Fraction(0)


def measure_differences(
    source: Source,
    discovered: DiscoveredTable,
    plan: RunPlan,
    weights: RowWeights,
    once: RowWeights,
    releases: Releases,
    report: Callable[[str], None],
) -> MomentsTable:
    """Find points in time that lie close together, learn columns as differences, and find orders.

    A difference does not need an order that always holds: it may be negative. It takes the place of a column
    if next to no row lacks the other column, and if it is much narrower than the column that it replaces, or
    mostly of one sign and not wider. Whether any difference is negative is then told by its own histogram.

    Args:
        source: The private table.
        discovered: The columns on their own.
        plan: Sizes.
        weights: How much each row counts.
        once: The same if all rows of a privacy unit count as one row.
        releases: What is planned.
        report: Called with what is measured next, in words; may raise to stop.

    Privacy:
        One histogram for each of the planned differences, grown like that of any column of durations, beside
        the histograms of `measure_spans` and those of orders.
    """
    df_meta = discovered.codec.df_meta
    columns = [_measured(column, plan.rows) for column in discovered.columns if _is_moment(column)]
    if not planned_spans(df_meta):
        return MomentsTable(discovered, Orderings(), Fraction(0))
    report("measuring which dates are close to each other")
    allowance = releases.allowance(SPANS)
    spans = measure_spans(source, columns, df_meta.orders, once, allowance.part(SPANS_PART))
    planned, used = planned_differences(df_meta), 0
    found = {column.codec.meta.name: column for column in discovered.columns}
    # of two that are about as far away, a birth is to follow from the admission, which nobody lacks
    for span in sorted(
        spans,
        key=lambda span: (round(span.length), max(map(_lacking, (found[span.early], found[span.late])))),
    ):
        if used == planned or not (span.width <= NARROWER or span.one_sided):
            continue
        if _has_a_value_apart(found[span.early]) or _has_a_value_apart(found[span.late]):
            continue
        if not any(_may_rest_on(found, *pair, plan.rows) for pair in _both_ways(span.late, span.early)):
            continue
        report(f"measuring the time between {span.early!r} and {span.late!r}")
        used += 1
        made = _difference(source, found, span, discovered, plan, weights, releases)
        if made is not None:
            found[made.codec.meta.name] = made
    codec = replace(discovered.codec, columns=tuple(column.codec for column in found.values()))
    unused = Fraction(planned - used, planned) if planned else Fraction(0)
    by_name = {column.name: column for column in columns}
    settled = _settled(codec.columns, df_meta.orders)
    ordered = [
        (by_name[span.early], by_name[span.late])
        for span in sorted(spans, key=lambda span: (span.early, span.late) in settled)
        if span.may_be_order
        and not span.declared
        and may_be_low(by_name[span.early], by_name[span.late], plan.rows)
    ]
    orderings = check_orders(source, ordered, once, allowance.part(1 - SPANS_PART), plan.rows)
    untested = Fraction(0) if orderings.tested else 1 - SPANS_PART
    discovered = replace(discovered, codec=codec, columns=list(found.values()))
    return MomentsTable(discovered, orderings, unused, untested)


def _both_ways(one: str, other: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one, other), (other, one)


def _may_rest_on(found: dict[str, Discovered], target: str, base: str, rows: float) -> bool:
    """Whether a column may be learned as the time between it and another one."""
    free = not isinstance(found[target].codec, DifferenceCodec)
    return free and _always_there(found[base], rows) and not _rests_on(found, base, target)


def _settled(columns: Sequence[ColumnCodec], declared: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs (low, high) whose order is declared, or follows from differences of which none is negative."""
    pairs = set(declared)
    for codec in columns:
        if isinstance(codec, DifferenceCodec) and codec.difference.starts[0] >= 0:
            names = codec.base, codec.meta.name
            pairs.add(names if codec.later else names[::-1])
    while further := {(low, end) for low, high in pairs for start, end in pairs if high == start} - pairs:
        pairs |= further
    return pairs


def _is_moment(column: Discovered) -> bool:
    return isinstance(column.codec, NumericCodec) and is_moment(column.codec.meta)


def _measured(column: Discovered, rows: float) -> MeasuredColumn:
    codec = column.codec
    if not isinstance(codec, NumericCodec):
        raise TypeError
    return MeasuredColumn(codec, to_shares(column.counts, LEAST_COUNT), np.sqrt(column.variances) / rows)


def _lacking(column: Discovered) -> float:
    """Noisy number of rows that lack a column."""
    return float(column.counts[list(column.codec.optional_cells)].sum())


def _always_there(column: Discovered, rows: float) -> bool:
    """Whether next to no row lacks a column, according to its noisy counts."""
    return _lacking(column) <= RARE_BREAKS * rows


def _has_a_value_apart(column: Discovered) -> bool:
    """Whether what is first or last is farther from the others than these are from each other.

    Such a moment stands for something else ('for ever' is often 9999-12-31), and no time leads to it.
    """
    codec = column.codec
    if not isinstance(codec, NumericCodec) or len(codec.starts) < 2:
        return False
    shares = codec.weights / codec.weights.sum()
    for end, others in ((0, slice(1, None)), (-1, slice(None, -1))):
        starts, ends, reached = codec.starts[others], codec.ends[others], np.cumsum(shares[others])
        for left_out, times, least in APART:
            first, last = np.searchsorted(reached, np.array([left_out, 1 - left_out]) * reached[-1])
            low, high = starts[first], ends[min(last, len(ends) - 1)]
            apart = low - codec.ends[end] if end == 0 else codec.starts[end] - high
            if shares[end] > least and apart > times * (high - low):
                return True
    return False


def _difference(
    source: Source,
    found: dict[str, Discovered],
    span: Span,
    discovered: DiscoveredTable,
    plan: RunPlan,
    weights: RowWeights,
    releases: Releases,
) -> Discovered | None:
    """The later or the earlier column of a pair as a difference; None if that is no better.

    Args:
        source: The private table.
        found: Columns by name, as they are learned so far.
        span: What is known of the two columns.
        discovered: Every column on its own.
        plan: Sizes.
        weights: How much each row counts.
        releases: What is planned.
    """
    own = {column.codec.meta.name: column.codec for column in discovered.columns}
    late, early = own[span.late], own[span.early]
    if not isinstance(late, NumericCodec) or not isinstance(early, NumericCodec):
        raise TypeError
    metas = late.meta, early.meta
    if not isinstance(metas[0], DatetimeMeta) or not isinstance(metas[1], DatetimeMeta):
        raise TypeError
    values = read_differences(source, metas[0], metas[1], weights, later=True)
    allowance = releases.allowance(DIFFERENCES, Fraction(1, planned_differences(discovered.codec.df_meta)))
    resolution, name = min(late.resolution, early.resolution), difference_meta(late.meta.name)
    selection = discovered.selection
    made = grow_bins(
        values, name, resolution, allowance, selection=selection, bins=plan.bins, patterned=False
    )
    if not isinstance(made.codec, NumericCodec):
        raise TypeError
    least, most = _reach(late, early, resolution)
    made = _cut(made, 0.0 if span.declared else least, most)
    if not isinstance(made.codec, NumericCodec):
        raise TypeError
    widest = AS_WIDE if span.one_sided else NARROWER
    ways = [(late, metas[0], early, True), (early, metas[1], late, False)]
    if _width(early) > _width(late) / NARROWER:  # a birth follows from an admission, not the reverse
        ways.reverse()
    for codec, meta, base, later in ways:
        narrow = _width(made.codec) <= widest * _width(codec)
        if narrow and _may_rest_on(found, meta.name, base.meta.name, plan.rows):
            lengths = replace(made.codec, meta=difference_meta(meta.name))
            # a time may also be where the other one is, whatever of the column's own thin ends was cut off
            ends = [(c.starts[0] * c.resolution, (c.ends[-1] - 1) * c.resolution) for c in (codec, base)]
            reach = int(min(first for first, _ in ends)), int(max(last for _, last in ends))
            rest = codec.resolution, lengths, reach, codec.pattern
            own_way = DifferenceCodec(meta, base.meta.name, later, *rest)
            return replace(made, codec=own_way, told=found[meta.name].told)
    return None


def _reach(late: NumericCodec, early: NumericCodec, resolution: float) -> tuple[float, float]:
    """Between which lengths the time between two columns is, in steps, according to their own ranges.

    The noise may have cut these, so they are taken as a fifth longer. Cells of lengths double: without a
    limit, the last one would reach over decades.

    Args:
        late: The column that mostly comes last.
        early: The other one.
        resolution: Of the lengths, microseconds.
    """
    first, last = [], []
    for codec in (early, late):
        low, high = float(codec.starts[0]), float(codec.ends[-1])
        first.append((low - SLACK * (high - low)) * codec.resolution / resolution)
        last.append((high + SLACK * (high - low)) * codec.resolution / resolution)
    return min(np.floor(first[1] - last[0]), 0.0), max(np.ceil(last[1] - first[0]), 1.0)


def _cut(made: Discovered, low: float, high: float) -> Discovered:
    """A column without the leaves outside a range; what was counted in them is added to the nearest bin."""
    codec = made.codec
    if not isinstance(codec, NumericCodec):
        raise TypeError
    bins = np.repeat(
        np.arange(len(codec.first_leaf)), np.diff(np.append(codec.first_leaf, len(codec.starts)))
    )
    inside = (codec.starts < high) & (codec.ends > low)
    if (inside.all() and codec.starts[0] >= low and codec.ends[-1] <= high) or not inside.any():
        return made
    kept = np.unique(bins[inside])
    place = np.clip(np.searchsorted(kept, np.arange(bins[-1] + 1), side="right") - 1, 0, None)
    place = np.append(place, len(kept))[: len(made.counts)]  # what is missing stays apart
    counts, variances = (
        np.bincount(place, each).astype(np.float64) for each in (made.counts, made.variances)
    )
    cut = replace(
        codec,
        starts=np.maximum(codec.starts[inside], low),
        ends=np.minimum(codec.ends[inside], high),
        weights=codec.weights[inside],
        first_leaf=np.searchsorted(bins[inside], kept),
    )
    return replace(made, codec=cut, counts=counts, variances=variances)


def _width(codec: NumericCodec) -> float:
    low, high = codec.middle
    return high - low


def _rests_on(found: dict[str, Discovered], name: str, other: str) -> bool:
    """Whether a column is a difference from another one, directly or not."""
    codec = found[name].codec
    while isinstance(codec, DifferenceCodec):
        if codec.base == other:
            return True
        codec = found[codec.base].codec
    return False
