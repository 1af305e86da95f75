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
        missing: Exact numbers of missing values, int64 `[1 + codes]`: of those without a code, and of those
            with each of the codes that come back.
    """

    parts: list[NDArray[Any]]
    missing: NDArray[np.int64]


def read_values(source: Source, meta: ContinuousMeta | DatetimeMeta) -> ColumnValues:
    """Read a column once; all later counts are made from what this returns."""
    dtype = np.int64 if isinstance(meta, DatetimeMeta) else np.float64
    read = functools.partial(_sorted_values, meta=meta)
    return _read(source, read, [meta.name], np.dtype(dtype), 1 + len(_codes(meta)))


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
    function: Callable[[pd.DataFrame], tuple[NDArray[Any], NDArray[np.int64]]],
    columns: Sequence[str],
    dtype: np.dtype[Any],
    kinds: int = 1,
) -> ColumnValues:
    """The values that a function gives of each part, sorted, and how many are missing, of so many kinds."""
    lengths, missing = [0], np.zeros(kinds, np.int64)

    def values() -> Iterator[NDArray[Any]]:
        nonlocal missing
        for part, absent in source.map(function, columns):
            lengths.append(len(part))
            missing += absent
            yield part

    together = source.concatenate(values(), dtype)
    return ColumnValues(np.split(together, np.cumsum(lengths)[1:-1]), missing)


def _codes(meta: ContinuousMeta | DatetimeMeta) -> tuple[Any, ...]:
    """The codes for a missing value that synthetic values have again."""
    return meta.missing if isinstance(meta, ContinuousMeta) and meta.coded else ()


def _sorted_values(
    df: pd.DataFrame, meta: ContinuousMeta | DatetimeMeta
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The present values of a part, sorted, and how many are missing, by code."""
    series, codes = meta.present(df[meta.name]), _codes(meta)
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, duration=meta.is_duration)
        return np.sort(moments[~missing]), np.array([missing.sum()])
    values = number_values(series)
    missing = np.isnan(values)
    coded = _rows_of_codes(number_values(df[meta.name])[missing], codes) if codes else np.zeros(0, np.int64)
    return np.sort(values[~missing]), np.append(missing.sum() - coded.sum(), coded)


def _rows_of_codes(written: NDArray[np.float64], codes: Sequence[Any]) -> NDArray[np.int64]:
    """How many rows have each code, `[codes]`; a row counts once, also if two codes are one number here."""
    numbers, first = np.unique(np.array([float(code) for code in codes]), return_index=True)
    place = np.minimum(np.searchsorted(numbers, written), len(numbers) - 1)
    return np.bincount(first[place[numbers[place] == written]], minlength=len(codes))


def _sorted_differences(
    df: pd.DataFrame, meta: DatetimeMeta, base: DatetimeMeta, *, later: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths, missing = differences(df[meta.name], meta, df[base.name], base, later=later)
    return np.sort(lengths[~missing]), np.array([missing.sum()])
