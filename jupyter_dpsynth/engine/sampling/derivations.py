"""Computes columns that follow from others, as constraints state. Post-processing: free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.constraints import Derivation
from jupyter_dpsynth.encoding.building import build_series, with_cells
from jupyter_dpsynth.encoding.numeric import NumericCodec, from_steps, in_steps
from jupyter_dpsynth.sources.values import missing_values, number_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jupyter_dpsynth.constraints import Constraint
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta

__all__ = ["complete", "compute", "derivations_of"]


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


def complete(df: pd.DataFrame, codec: TableCodec) -> pd.DataFrame:
    """The table with missing values computed where a column is declared to follow from others.

    In a sum, a part that is missing follows from the sum and the other parts.

    Args:
        df: Rows.
        codec: The table's codec.
    """
    for each in codec.derived:
        df = _filled(df, codec, each.meta, each.resolution, each.values(codec.present(df)))
    for each in codec.derived[::-1]:
        for part in each.formula.columns:
            place = codec.names.index(part) if part in codec.names else None
            column = None if place is None else codec.columns[place]
            if isinstance(column, NumericCodec):
                present = codec.present(df)
                values = each.formula.solved(part, number_values(present[each.meta.name]), present)
                df = _filled(df, codec, column.meta, column.resolution, values)
    return df


def _filled(
    df: pd.DataFrame,
    codec: TableCodec,
    meta: ContinuousMeta | DatetimeMeta,
    step: float,
    values: NDArray[np.float64],
) -> pd.DataFrame:
    """The table with missing values of a column filled, where they are known.

    Args:
        df: Rows.
        codec: The table's codec.
        meta: The column's metadata.
        step: The step in which its values are recorded, 0 if there is none.
        values: Its values, float64 `[n]`, NaN where they are not known.
    """
    rows = np.flatnonzero(missing_values(codec.present(df)[meta.name]) & ~np.isnan(values))
    if not len(rows):
        return df
    known = values[rows]
    if step > 0:
        known = from_steps(np.rint(in_steps(known, step)), step)
    made = build_series(known, meta, step)
    return df.assign(**{meta.name: with_cells(df[meta.name], rows, made)})
