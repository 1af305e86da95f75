"""Reads the private values of a column of numbers or times, once for all that is counted of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.difference import differences
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = ["ColumnValues", "read_differences", "read_values"]


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
    dtype = np.int64 if isinstance(meta, DatetimeMeta) else np.float64
    return _read(source, functools.partial(_sorted_values, meta=meta), [meta.name], np.dtype(dtype))


def read_differences(source: Source, meta: DatetimeMeta, base: DatetimeMeta, *, later: bool) -> ColumnValues:
    """Read the time between two columns once, in microseconds; missing where one of both is.

    Args:
        source: The private table.
        meta: A column of points in time.
        base: Another one.
        later: Whether the time is counted from the base to the column, or the other way.
    """
    read = functools.partial(_sorted_differences, meta=meta, base=base, later=later)
    return _read(source, read, [meta.name, base.name], np.dtype(np.int64))


def _read(
    source: Source,
    function: Callable[[pd.DataFrame], tuple[NDArray[Any], int]],
    columns: Sequence[str],
    dtype: np.dtype[Any],
) -> ColumnValues:
    lengths, missing = [0], 0

    def values() -> Iterator[NDArray[Any]]:
        nonlocal missing
        for part, absent in source.map(function, columns):
            lengths.append(len(part))
            missing += absent
            yield part

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


def _sorted_differences(
    df: pd.DataFrame, meta: DatetimeMeta, base: DatetimeMeta, *, later: bool
) -> tuple[NDArray[np.int64], int]:
    lengths, missing = differences(df[meta.name], meta, df[base.name], base, later=later)
    return np.sort(lengths[~missing]), int(missing.sum())
