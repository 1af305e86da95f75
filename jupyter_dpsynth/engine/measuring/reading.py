"""Reads the private values of a column of numbers or times, once for all that is counted of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = ["ColumnValues", "read_values"]


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
    series = meta.present(df[meta.name])
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, duration=meta.is_duration)
        return np.sort(moments[~missing]), int(missing.sum())
    values = number_values(series)
    missing = np.isnan(values)
    return np.sort(values[~missing]), int(missing.sum())
