"""Private discovery of the domain of every column of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.categories import NameSearch, count_listed
from jupyter_dpsynth.engine.measuring.discovered import Settings
from jupyter_dpsynth.engine.measuring.numbers import grow_bins, read_line
from jupyter_dpsynth.engine.measuring.resolution import needs_unit, observe_units
from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ColumnMeta,
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.privacy.releases import Histograms
    from jupyter_dpsynth.sources.base import Source


__all__ = ["DiscoveredTable", "TableSettings", "discover_table"]

FIRST_LOOK = 0.5  # of the delta for publishing names; the second look has the rest


@dataclass(frozen=True)
class TableSettings:
    """Noise and sizes of a table's discovery, fixed before a value is read.

    Attributes:
        rows: Noisy number of rows.
        unit_sigma: Noise of each histogram of decimals or time resolutions.
        codec_sigma: Noise that one histogram a column would have.
        look_sigma: Noise of the second look at names, if it were at one column.
        selection_delta: Chance that an unlisted category which one row brought in is published.
        bins: About how many bins a number gets.
        cells: Most cells of a column of names.
        unit_rows: Most rows of one unit of privacy.
    """

    rows: float
    unit_sigma: float
    codec_sigma: float
    look_sigma: float
    selection_delta: float
    bins: int
    cells: int
    unit_rows: int = 1


@dataclass(frozen=True, eq=False)
class DiscoveredTable:
    """A table's codec, what discovery measured on the way, and whether it needed its second look.

    Attributes:
        codec: The codec.
        columns: Cells and noisy counts of every learned column.
        looked_again: Whether the second look at names was used.
    """

    codec: TableCodec
    columns: list[Discovered]
    looked_again: bool


def discover_table(
    source: Source,
    df_meta: DataFrameMeta,
    histograms: Histograms,
    settings: TableSettings,
    report: Callable[[str], None],
) -> DiscoveredTable:
    """Learn the domain of every column that is not an identifier.

    Args:
        source: The private table.
        df_meta: Its schema.
        histograms: The door to private counts.
        settings: Noise and sizes.
        report: Called with the name of each column before it is measured; may raise to stop.

    Privacy:
        Columns compose: `unit_sigma` for each column of `unit_columns`, `codec_sigma` for each column;
        all columns that are looked at again together cost what one histogram with `look_sigma` does.
    """
    found: list[Discovered | NameSearch] = []
    chance = FIRST_LOOK * settings.selection_delta / max(len(df_meta.open_names), 1)
    for meta in df_meta.learned:
        report(meta.name)
        found.append(_first_look(source, meta, histograms, settings, chance))
    searches = [column for column in found if isinstance(column, NameSearch)]
    unfinished = [search for search in searches if search.unlisted(settings.rows)]
    for search in unfinished if settings.look_sigma else ():
        report(search.meta.name)
        chance = (1 - FIRST_LOOK) * settings.selection_delta / len(unfinished)
        search.look(settings.look_sigma * np.sqrt(len(unfinished)), chance)
    columns = [column.finish() if isinstance(column, NameSearch) else column for column in found]
    codec = TableCodec(df_meta, tuple(column.codec for column in columns))
    return DiscoveredTable(codec, columns, bool(unfinished))


def _first_look(
    source: Source,
    meta: ColumnMeta,
    histograms: Histograms,
    settings: TableSettings,
    delta: float,
) -> Discovered | NameSearch:
    """One column's cells; names that are not declared may need another look.

    Args:
        source: The private table.
        meta: Schema of the column.
        histograms: The door to private counts.
        settings: Noise and sizes.
        delta: Chance that a name which one row brought in is published.
    """
    codec_settings = _for(settings, settings.codec_sigma)
    if isinstance(meta, CategoricalMeta):
        if meta.categories is not None:
            return count_listed(source, meta, histograms, codec_settings)
        search = NameSearch(source, meta, histograms, settings.cells, settings.unit_rows)
        search.look(settings.codec_sigma, delta)
        return search
    if not isinstance(meta, ContinuousMeta | DatetimeMeta):
        raise TypeError
    line = read_line(source, meta)
    if needs_unit(meta):
        unit = observe_units(line, meta, histograms, _for(settings, settings.unit_sigma))
    else:
        unit = 10.0 ** -(meta.decimals or 0) if isinstance(meta, ContinuousMeta) else 1.0
    return grow_bins(line, meta, unit, histograms, codec_settings)


def _for(settings: TableSettings, sigma: float) -> Settings:
    return Settings(settings.rows, sigma, settings.bins, settings.cells)
