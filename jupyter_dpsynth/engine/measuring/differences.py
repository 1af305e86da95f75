"""Learns one of two points in time as the time between them, where that is known more closely.

What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.difference import DifferenceCodec, difference_meta
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.numbers import grow_bins
from jupyter_dpsynth.engine.measuring.orderings import (
    MeasuredColumn,
    is_moment,
    measure_moment_orderings,
    planned_differences,
)
from jupyter_dpsynth.engine.measuring.reading import read_differences
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS
from jupyter_dpsynth.engine.model.plan import DIFFERENCES
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.metadata.columns import DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.engine.measuring.domains import DiscoveredTable
    from jupyter_dpsynth.engine.measuring.orderings import Orderings
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.privacy.releases import Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["measure_differences"]

LEAST_COUNT = 0.3  # rows of an empty cell, so that no share is zero
NARROWER = 0.5  # of a column's own range: a difference that is wider tells less than the column


def measure_differences(
    source: Source,
    discovered: DiscoveredTable,
    plan: RunPlan,
    releases: Releases,
    report: Callable[[str], None],
) -> tuple[DiscoveredTable, Orderings, Fraction]:
    """Find orders of points in time, and learn columns as differences where that is better.

    A difference does not need an order that always holds: it may be negative. It takes the place of a column
    if few rows break the order, next to no row lacks the other column, and it is much narrower than the
    column that it replaces. Whether any difference is negative is then told by its own histogram.

    Args:
        source: The private table.
        discovered: The columns on their own.
        plan: Sizes.
        releases: What is planned.
        report: Called with what is measured next, in words; may raise to stop.

    Returns:
        The columns, some of them as differences; the orders; and the share of the measurement that is left.

    Privacy:
        One histogram for each of the planned differences, grown like that of any column of durations, beside
        the histograms of orders.
    """
    df_meta = discovered.codec.df_meta
    columns = [_measured(column, plan.rows) for column in discovered.columns if _is_moment(column)]
    orderings = measure_moment_orderings(source, df_meta, columns, plan.rows, releases)
    planned, used = planned_differences(df_meta), 0
    found = {column.codec.meta.name: column for column in discovered.columns}
    for target, bases in _wanted(orderings.mostly, columns):
        base = next((name for name in bases if _always_there(found[name], plan.rows)), None)
        if base is None or used == planned:
            continue
        report(f"measuring the time between {base!r} and {target!r}")
        used += 1
        made = _difference(source, found, (target, base), discovered, plan, releases)
        if made is not None:
            found[made.codec.meta.name] = made
    codec = replace(discovered.codec, columns=tuple(column.codec for column in found.values()))
    unused = Fraction(planned - used, planned) if planned else Fraction(0)
    return replace(discovered, codec=codec, columns=list(found.values())), orderings, unused


def _is_moment(column: Discovered) -> bool:
    return isinstance(column.codec, NumericCodec) and is_moment(column.codec.meta)


def _measured(column: Discovered, rows: float) -> MeasuredColumn:
    codec = column.codec
    if not isinstance(codec, NumericCodec):
        raise TypeError
    return MeasuredColumn(codec, to_shares(column.counts, LEAST_COUNT), np.sqrt(column.variances) / rows)


def _wanted(
    mostly: Sequence[tuple[str, str]], columns: Sequence[MeasuredColumn]
) -> list[tuple[str, list[str]]]:
    """Later columns in the order of their values, each with the earlier ones, the nearest first."""
    middle = {column.name: column.codec.median for column in columns}
    wanted = []
    for target in sorted(middle, key=lambda name: middle[name]):
        bases = [low for low, high in mostly if high == target]
        if bases:
            wanted.append((target, sorted(bases, key=lambda name: abs(middle[name] - middle[target]))))
    return wanted


def _always_there(column: Discovered, rows: float) -> bool:
    """Whether next to no row lacks a column, according to its noisy counts."""
    return float(column.counts[list(column.codec.optional_cells)].sum()) <= RARE_BREAKS * rows


def _difference(
    source: Source,
    found: dict[str, Discovered],
    pair: tuple[str, str],
    discovered: DiscoveredTable,
    plan: RunPlan,
    releases: Releases,
) -> Discovered | None:
    """The later or the earlier column of a pair as a difference; None if that is no better.

    Args:
        source: The private table.
        found: Columns by name, as they are learned so far.
        pair: Names of the later and the earlier column.
        discovered: Every column on its own.
        plan: Sizes.
        releases: What is planned.
    """
    own = {column.codec.meta.name: column.codec for column in discovered.columns}
    late, early = own[pair[0]], own[pair[1]]
    if not isinstance(late, NumericCodec) or not isinstance(early, NumericCodec):
        raise TypeError
    metas = late.meta, early.meta
    if not isinstance(metas[0], DatetimeMeta) or not isinstance(metas[1], DatetimeMeta):
        raise TypeError
    values = read_differences(source, metas[0], metas[1], later=True)
    allowance = releases.allowance(DIFFERENCES, Fraction(1, planned_differences(discovered.codec.df_meta)))
    resolution, name = min(late.resolution, early.resolution), difference_meta(late.meta.name)
    made = grow_bins(values, name, resolution, allowance, selection=discovered.selection, bins=plan.bins)
    if not isinstance(made.codec, NumericCodec):
        raise TypeError
    for codec, meta, base, later in ((late, metas[0], early, True), (early, metas[1], late, False)):
        narrow = _width(made.codec) <= NARROWER * _width(codec)
        free = not isinstance(found[meta.name].codec, DifferenceCodec)
        known = _always_there(found[base.meta.name], plan.rows)
        if narrow and free and known and not _rests_on(found, base.meta.name, meta.name):
            lengths = replace(made.codec, meta=difference_meta(meta.name))
            return replace(
                made, codec=DifferenceCodec(meta, base.meta.name, later, codec.resolution, lengths)
            )
    return None


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
