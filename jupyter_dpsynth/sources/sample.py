"""A limited number of rows from all over a private table, for figures that only its owner sees.

No guarantee rests on how these rows are chosen.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jupyter_dpsynth.sources.base import Source

__all__ = ["LOOKED_AT", "MOST_ROWS", "joined", "rows_for_owner"]

MOST_ROWS = 262_144
MOST_PARTS = 16
LOOKED_AT = (
    "Of a table that is not in memory as a pandas DataFrame, only a part is read for this: at most "
    f"{MOST_ROWS:,} rows, from up to {MOST_PARTS} of its parts."
)


def rows_for_owner(source: Source) -> pd.DataFrame:
    """A table in memory as it is; otherwise evenly spaced rows from parts all over the table.

    Args:
        source: The private table.

    Returns:
        Its rows, in their order; all of them if they are not more than `MOST_ROWS`.

    Privacy:
        Exact private rows.
    """
    if not source.partitioned:
        return source.described
    lengths = source.lengths
    parts = np.arange(len(lengths))
    if sum(lengths) > MOST_ROWS and len(parts) > MOST_PARTS:
        parts = np.linspace(0, len(lengths) - 1, MOST_PARTS).astype(int)
    step = max(1, -(-sum(lengths[part] for part in parts) // MOST_ROWS))
    names = [str(name) for name in source.described.columns]
    found = list(source.some(set(parts.tolist()), functools.partial(_every, step=step), names))
    return joined(found, source.described).head(MOST_ROWS) if found else source.described


def joined(parts: list[pd.DataFrame], described: pd.DataFrame) -> pd.DataFrame:
    """The parts concatenated, in the table's dtypes; categories that differ between parts stay categories.

    Args:
        parts: Frames of a table, in which texts may be categories.
        described: An empty frame with the table's dtypes.
    """
    whole = pd.concat(parts, ignore_index=True)
    for name, dtype in parts[0].dtypes.items():
        wanted = described[name].dtype
        if not isinstance(wanted, pd.CategoricalDtype):
            if whole[name].dtype != wanted:  # texts that are stored once for many rows
                whole[name] = whole[name].astype(wanted)
        elif isinstance(dtype, pd.CategoricalDtype) and whole[name].dtype != dtype:
            whole[name] = pd.api.types.union_categoricals([part[name] for part in parts])
    return whole


def _every(df: pd.DataFrame, step: int) -> pd.DataFrame:
    return df.iloc[::step]
