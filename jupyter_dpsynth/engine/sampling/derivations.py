"""Computes columns that follow from others, as constraints state. Post-processing: free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.constraints import Derivation
from jupyter_dpsynth.encoding.building import build_series
from jupyter_dpsynth.encoding.numeric import NumericCodec, from_steps, in_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jupyter_dpsynth.constraints import Constraint
    from jupyter_dpsynth.encoding.table import TableCodec

__all__ = ["compute", "derivations_of", "with_cells"]


def derivations_of(constraints: Iterable[Constraint]) -> tuple[Derivation, ...]:
    """The constraints by which a column follows from others."""
    return tuple(each for each in constraints if isinstance(each, Derivation))


def compute(
    df: pd.DataFrame,
    derivations: Iterable[Derivation],
    codec: TableCodec,
    only: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """The table with the columns that follow from others computed, where none of these is missing.

    Args:
        df: Rows.
        derivations: What follows from what, in this order.
        codec: The table's codec, which knows types and resolutions.
        only: In which rows and learned columns, `[n, m]`; by default in all.
    """
    for each in derivations:
        place = codec.names.index(each.column)
        column = codec.columns[place]
        if not isinstance(column, NumericCodec):
            raise TypeError
        present = {name: codec.df_meta[name].present(df[name]) for name in each.columns}
        values = each.values(pd.DataFrame(present))
        known = ~np.isnan(values) if only is None else ~np.isnan(values) & only[:, place]
        if column.resolution > 0:
            values = from_steps(np.rint(in_steps(values, column.resolution)), column.resolution)
        made = build_series(values[known], column.meta, column.resolution)
        df = df.assign(**{each.column: with_cells(df[each.column], np.flatnonzero(known), made)})
    return df


def with_cells(series: pd.Series, rows: NDArray[np.intp], values: pd.Series) -> pd.Series:
    """A column with some cells replaced; its dtype stays."""
    series = series.copy()
    if isinstance(series.dtype, pd.CategoricalDtype):
        new = [value for value in values.dropna().unique() if value not in series.cat.categories]
        series = series.cat.add_categories(new)
        series.iloc[rows] = values.astype(object).to_numpy()
    else:
        series.iloc[rows] = values.array
    return series
