"""Reads the private values of a column of numbers or times, once for all that is counted of them."""

from __future__ import annotations

import decimal
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.difference import differences
from jupyter_dpsynth.engine.measuring.weighing import weighed_counts
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.letters import letters_of, with_numbers
from jupyter_dpsynth.sources.objects import as_plain
from jupyter_dpsynth.sources.values import number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.sources.base import Source

__all__ = ["ColumnValues", "read_differences", "read_digits", "read_values"]


@dataclass(frozen=True, eq=False)
class ColumnValues:
    """The private values of a column of numbers or times, sorted.

    Attributes:
        parts: The present values of each part of the table, sorted: float64 numbers, or int64 microseconds.
        missing: Exact numbers of missing values, int64 `[1 + codes]`: of those without a code, and of those
            with each of the codes that come back. In parts of a row where rows are weighed.
        weights: What each value counts, in parts of a row, int64 of the form of `parts`; None if each one is
            one part.
        row: Of how many parts a row is.
    """

    parts: list[NDArray[Any]]
    missing: NDArray[np.int64]
    weights: list[NDArray[np.int64]] | None = None
    row: float = 1.0

    @property
    def weighed(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64] | None]]:
        """Values and weights of each part of the table."""
        for place, part in enumerate(self.parts):
            yield part, None if self.weights is None else self.weights[place]


def read_values(source: Source, meta: ContinuousMeta | DatetimeMeta, weights: RowWeights) -> ColumnValues:
    """Read a column once; all later counts are made from what this returns."""
    dtype = np.int64 if isinstance(meta, DatetimeMeta) else np.float64
    read = functools.partial(_present_values, meta=meta)
    return _read(source, read, [meta.name], np.dtype(dtype), weights, 1 + len(_codes(meta)))


def read_digits(source: Source, meta: ContinuousMeta, weights: RowWeights) -> ColumnValues:
    """With how many digits after the point a column's Decimals are written, also where these are zeros."""
    return _read(source, functools.partial(_digits, meta=meta), [meta.name], np.dtype(np.float64), weights)


def read_differences(
    source: Source, meta: DatetimeMeta, base: DatetimeMeta, weights: RowWeights, *, later: bool
) -> ColumnValues:
    """Read the time between two columns once, in microseconds; missing where one of both is.

    Args:
        source: The private table.
        meta: A column of points in time.
        base: Another one.
        weights: How much each row counts.
        later: Whether the time is counted from the base to the column, or the other way.
    """
    read = functools.partial(_present_differences, meta=meta, base=base, later=later)
    return _read(source, read, [meta.name, base.name], np.dtype(np.int64), weights)


def _read(
    source: Source,
    function: Callable[[pd.DataFrame], _Present],
    columns: Sequence[str],
    dtype: np.dtype[Any],
    weights: RowWeights,
    kinds: int = 1,
) -> ColumnValues:
    """The values that a function gives of each part, sorted, and how many are missing, of so many kinds."""
    weighs = weights.weights is not None
    lengths, missing, first = [0], np.zeros(kinds, np.int64), 0
    own = source.empty((source.rows,), np.dtype(np.int64)) if weighs else np.zeros(0, np.int64)

    def values() -> Iterator[NDArray[Any]]:
        nonlocal first, missing
        for part in source.map(functools.partial(_in_order, function=function, weighed=weighs), columns):
            parts = weights.own(first, len(part.kinds))
            first += len(part.kinds)
            missing += weighed_counts(part.kinds + 1, parts, 1 + kinds)[1:]
            if parts is not None:
                start = sum(lengths)
                own[start : start + len(part.present)] = parts[part.kinds < 0][part.order]
            lengths.append(len(part.present))
            yield part.present

    together = source.concatenate(values(), dtype)
    cuts = np.cumsum(lengths)[1:-1]
    sizes = np.split(own[: len(together)], cuts) if weighs else None
    return ColumnValues(np.split(together, cuts), missing, sizes, weights.row)


def _codes(meta: ContinuousMeta | DatetimeMeta) -> tuple[Any, ...]:
    """The codes for a missing value that synthetic values have again."""
    return meta.missing if isinstance(meta, ContinuousMeta) and meta.coded else ()


@dataclass(frozen=True, eq=False)
class _Present:
    """The present values of one part of a table.

    Attributes:
        present: These, int64 or float64.
        kinds: Why each row's value is missing, int16 `[rows]`: 0, or by which code; -1 where it is present.
        order: Place of each value among the present ones of the rows, if somebody asked for it.
    """

    present: NDArray[Any]
    kinds: NDArray[np.int16]
    order: NDArray[np.intp] | None = None


def _in_order(df: pd.DataFrame, function: Callable[[pd.DataFrame], _Present], *, weighed: bool) -> _Present:
    """What a function gives of a part, sorted; with its order if rows are weighed."""
    found = function(df)
    if not weighed:
        return replace(found, present=np.sort(found.present))
    order = np.argsort(found.present, kind="stable")
    return replace(found, present=found.present[order], order=order)


def _present_values(df: pd.DataFrame, meta: ContinuousMeta | DatetimeMeta) -> _Present:
    """The present values of a part, and how the others are missing."""
    series, codes = meta.present(df[meta.name]), _codes(meta)
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, duration=meta.is_duration)
        return _Present(moments[~missing], -1 + missing.astype(np.int16))
    values = number_values(series)
    missing = np.isnan(values)
    kinds = -1 + missing.astype(np.int16)
    if codes:
        written = with_numbers(df[meta.name], letters_of(codes))
        kinds[missing] = _kinds_of(number_values(written)[missing], codes)
    return _Present(values[~missing], kinds)


def _digits(df: pd.DataFrame, meta: ContinuousMeta) -> _Present:
    """The digits after the point of a part's decimal numbers; others, and missing values, have none."""
    found = np.full(len(df), -1.0)
    for row, value in enumerate(map(as_plain, meta.present(df[meta.name]))):
        if type(value) is decimal.Decimal:
            found[row] = max(-int(value.as_tuple().exponent), 0)
    return _Present(found[found >= 0], np.where(found >= 0, -1, 0).astype(np.int16))


def _kinds_of(written: NDArray[np.float64], codes: Sequence[Any]) -> NDArray[np.int64]:
    """Which code each number is, from 1; 0 for none. Of codes that are one number here, the first one."""
    numbers, first = np.unique(np.array([float(code) for code in codes]), return_index=True)
    place = np.minimum(np.searchsorted(numbers, written), len(numbers) - 1)
    return np.where(numbers[place] == written, 1 + first[place], 0)


def _present_differences(
    df: pd.DataFrame, meta: DatetimeMeta, base: DatetimeMeta, *, later: bool
) -> _Present:
    lengths, missing = differences(df[meta.name], meta, df[base.name], base, later=later)
    return _Present(lengths[~missing], -1 + missing.astype(np.int16))
