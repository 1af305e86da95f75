"""Measures the values of every column with noise, and builds the table's codec from them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from pandas.api import types

from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.categories import CategorySearch, GroupSearch, measure_declared
from jupyter_dpsynth.engine.measuring.long import find_whole_numbers
from jupyter_dpsynth.engine.measuring.numbers import MOST_CODES, NEARLY_ALL_CODES, BinSearch
from jupyter_dpsynth.engine.measuring.reading import read_digits, read_values
from jupyter_dpsynth.engine.measuring.repeated import Selection, selected_columns
from jupyter_dpsynth.engine.measuring.resolution import (
    declared_resolution,
    has_digits,
    measure_digits,
    measure_resolution,
    needs_resolution,
)
from jupyter_dpsynth.engine.measuring.rounding import Levels
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.engine.model.plan import RARE_CATEGORIES, RESOLUTION_HISTOGRAMS, VALUE_HISTOGRAMS
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DataFrameMeta, DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.privacy.releases import Allowance, Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["DiscoveredTable", "discover_table"]

HALF = Fraction(1, 2)  # of the share of a resolution, for how Decimals are written
FIRST_DELTA = 0.5  # of the delta for publishing categories; the second measurement has the rest


@dataclass(frozen=True, eq=False)
class DiscoveredTable:
    """A table's codec, and what discovery measured on the way.

    Attributes:
        codec: The codec.
        columns: Cells and noisy counts of every learned column.
        measured_again: Whether the second measurement of rare values was used.
        selection: What a single value of one column needs to be published.
        rounded: Columns of which more than few rows may be recorded more finely than was found.
    """

    codec: TableCodec
    columns: list[Discovered]
    measured_again: bool
    selection: Selection
    rounded: tuple[str, ...] = ()


def discover_table(
    source: Source,
    df_meta: DataFrameMeta,
    releases: Releases,
    plan: RunPlan,
    report: Callable[[str], None],
    weights: RowWeights = EVERY_ROW,
) -> DiscoveredTable:
    """Measure the values of every column that is not an identifier.

    Args:
        source: The private table.
        df_meta: Its metadata.
        releases: What is planned.
        plan: Sizes.
        report: Called with the name of each column before it is measured; may raise to stop.
        weights: How much each row counts.

    Privacy:
        Each column of which values are selected has an equal share of the delta for that (and so has each
        difference of two columns, later). Each column has an equal share of the value histograms, each one
        whose resolution is learned an equal share of those of resolutions (of Decimals, half of it is for how
        they are written), and each one whose rare categories are measured again an equal share of that
        second measurement.
    """
    found: list[Discovered | CategorySearch | BinSearch] = []
    rounded: list[str] = []
    digits: dict[str, int] = {}  # after the point, with which decimal numbers are written
    each = plan.selection_delta / max(selected_columns(df_meta), 1)
    chance, selection = FIRST_DELTA * each, Selection.of(plan, each)
    histogram = releases.allowance(VALUE_HISTOGRAMS, Fraction(1, len(df_meta.learned)))
    learned_resolutions = sum(needs_resolution(meta) for meta in df_meta.learned)
    for meta in df_meta.learned:
        report(meta.name)
        if isinstance(meta, CategoricalMeta):
            found.append(_measure_categories(source, meta, histogram, plan, chance, weights))
            continue
        if not isinstance(meta, ContinuousMeta | DatetimeMeta):
            raise TypeError
        values = read_values(source, meta, weights)
        resolution, levels = declared_resolution(meta), Levels.none()
        if needs_resolution(meta):
            share = releases.allowance(RESOLUTION_HISTOGRAMS, Fraction(1, learned_resolutions))
            share, digits[meta.name] = _digits(source, meta, share, plan.rows, weights)
            measured = measure_resolution(values, meta, share, plan.rows)
            resolution = measured.step
            levels = measured.levels if isinstance(meta, ContinuousMeta) else levels
            rounded += [] if measured.told else [meta.name]
        whole = None
        integers = types.is_integer_dtype(source.described[meta.name].dtype) or meta.value_type == "int"
        if isinstance(meta, ContinuousMeta) and integers:
            whole = functools.partial(find_whole_numbers, source=source, meta=meta, weights=weights)
        search = BinSearch(
            values,
            meta,
            resolution,
            histogram,
            selection=selection,
            bins=plan.bins,
            whole=whole,
            levels=levels,
        )
        search.look()
        found.append(_finished(search, releases) or search)
    names = [
        column for column in found if isinstance(column, CategorySearch) and column.undeclared(plan.rows)
    ]
    codes = _codes_to_measure([each for each in found if isinstance(each, BinSearch)], len(names), releases)
    part = Fraction(1, max(len(names) + len(codes), 1))
    columns: list[Discovered] = []
    for column in found:
        if isinstance(column, CategorySearch):
            if column in names:
                report(column.meta.name)
                delta = (1 - FIRST_DELTA) * each * len(df_meta.undeclared) / len(names)
                column.measure(releases.allowance(RARE_CATEGORIES, part), delta)
            columns.append(column.finish())
        elif isinstance(column, BinSearch):
            report(column.meta.name)
            again = releases.allowance(RARE_CATEGORIES, part) if column in codes else None
            columns.append(column.list_codes(again) if again else column.grow())
        else:
            columns.append(column)
    columns = [_written(column, digits.get(column.codec.meta.name, 0)) for column in columns]
    codec = TableCodec(df_meta, tuple(column.codec for column in columns))
    return DiscoveredTable(codec, columns, bool(names or codes), selection, tuple(rounded))


def _digits(
    source: Source,
    meta: ContinuousMeta | DatetimeMeta,
    allowance: Allowance,
    rows: float,
    weights: RowWeights,
) -> tuple[Allowance, int]:
    """What is left for the resolution; and with how many digits after the point Decimals are written."""
    if not isinstance(meta, ContinuousMeta) or not has_digits(meta):
        return allowance, 0
    half = allowance.part(HALF)
    return half, measure_digits(read_digits(source, meta, weights), half, rows)


def _written(column: Discovered, digits: int) -> Discovered:
    """A column whose decimal numbers are written with so many digits after the point."""
    if not digits or not isinstance(column.codec, NumericCodec):
        return column
    return replace(column, codec=replace(column.codec, digits=digits))


def _finished(search: BinSearch, releases: Releases) -> Discovered | None:
    """The bins of a column of numbers or times; None if a second look may show its single values."""
    again = search.ranks is not None and releases.plans(RARE_CATEGORIES)
    if search.finds_codes(NEARLY_ALL_CODES if again else MOST_CODES):
        return search.list_codes()
    if again and search.finds_codes(MOST_CODES, releases.allowance(RARE_CATEGORIES).noise):
        return None
    return search.grow()


def _codes_to_measure(searches: list[BinSearch], names: int, releases: Releases) -> list[BinSearch]:
    """Columns of which a second measurement shows single values.

    The more there are, the less each can be told: columns whose values would stay hidden are left out.

    Args:
        searches: Columns that may be among them.
        names: How many columns of categories are measured again.
        releases: What is planned.
    """
    while searches:
        noise = releases.allowance(RARE_CATEGORIES, Fraction(1, names + len(searches))).noise
        hidden = [search for search in searches if not search.finds_codes(MOST_CODES, noise)]
        if not hidden:
            break
        searches = [search for search in searches if search is not hidden[-1]]
    return searches


def _measure_categories(
    source: Source,
    meta: CategoricalMeta,
    histogram: Allowance,
    plan: RunPlan,
    delta: float,
    weights: RowWeights,
) -> Discovered | CategorySearch:
    """One column's cells; categories that are not declared may need another measurement.

    Args:
        source: The private table.
        meta: Metadata of the column.
        histogram: For one histogram.
        plan: Sizes.
        delta: Chance that a category which one row brought in is published.
        weights: How much each row counts.
    """
    if meta.categories is not None:
        return measure_declared(source, meta, histogram, weights, rows=plan.rows, cells=plan.cells)
    kind = GroupSearch if meta.levels else CategorySearch
    search = kind(source, meta, plan.cells, weights, plan.counted, plan.unit_rows)
    search.measure(histogram, delta)
    return search
