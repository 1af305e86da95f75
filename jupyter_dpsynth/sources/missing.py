"""Values that are declared to stand for a missing one, such as -9 or 'unknown': they are made missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.dtypes import dtype_of, zone_of
from jupyter_dpsynth.sources.objects import same_key, unboxed
from jupyter_dpsynth.sources.values import CLOCKS, number_values, time_values, wall_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["decoded_dtype", "holds_missing", "without_codes", "without_moments"]

DAY = 86_400_000_000  # microseconds


def holds_missing(dtype: Any) -> bool:  # noqa: ANN401 - of numpy or pandas
    """Whether a dtype can hold a missing value: numpy's integers and booleans cannot."""
    dtype = getattr(dtype, "subtype", dtype)  # of a sparse one
    return not (isinstance(dtype, np.dtype) and dtype.kind in "iub")


def decoded_dtype(text: str) -> Any:  # noqa: ANN401 - of numpy or pandas
    """The dtype in which a column with codes for missing values is decoded: one that can hold these.

    >>> decoded_dtype("int16"), decoded_dtype("float64")
    (Int16Dtype(), dtype('float64'))
    """
    dtype = dtype_of(text)
    return dtype if holds_missing(dtype) else _nullable(dtype)


def _nullable(dtype: Any) -> Any:  # noqa: ANN401 - of numpy or pandas
    held = np.dtype(getattr(dtype, "subtype", dtype))
    names = {"i": f"Int{8 * held.itemsize}", "u": f"UInt{8 * held.itemsize}", "b": "boolean"}
    return pd.api.types.pandas_dtype(names[held.kind])


def without_codes(series: pd.Series, codes: Sequence[Any]) -> pd.Series:
    """A column in which some values are missing; its dtype stays, if that can hold missing values.

    Args:
        series: The column.
        codes: Numbers, texts or other categories that stand for a missing value.
    """
    if not len(codes):
        return series
    if isinstance(series.dtype, pd.CategoricalDtype):
        known = set(map(same_key, codes))
        coded = np.array([same_key(level) in known for level in unboxed(series.dtype.categories)] + [False])
        places = series.cat.codes.to_numpy()
        left = pd.Categorical.from_codes(np.where(coded[places], -1, places), dtype=series.dtype)
        return pd.Series(left, index=series.index, name=series.name)
    return _blanked(series, _coded(series, codes))


def without_moments(series: pd.Series, codes: Sequence[int], *, duration: bool) -> pd.Series:
    """A column of times in which some are missing.

    Args:
        series: The column.
        codes: Microseconds, since 1970 in wall time or of a duration. Midnight stands for all of its day.
        duration: Whether these are durations.
    """
    if not len(codes):
        return series
    times, missing = time_values(series, duration=duration)
    coded = np.isin(times, codes)
    if not duration:
        days = [code for code in codes if code % DAY == 0]
        coded |= np.isin(times - times % DAY, days)
        zone = zone_of(series.dtype)
        if zone is not None:  # the clocks of a zone end a little before the year 9999 does
            last = wall_times(CLOCKS[1:].view(np.int64), zone)[0]
            coded |= (times >= last) & (max(codes) >= last)
    return _blanked(series, coded & ~missing)


def _coded(series: pd.Series, codes: Sequence[Any]) -> NDArray[np.bool_]:
    """Which values are codes, `[n]`."""
    types = pd.api.types
    if series.dtype == object:
        known = set(map(same_key, codes))
        return np.fromiter((same_key(value) in known for value in series), bool, len(series))
    if types.is_float_dtype(series.dtype):
        held = getattr(series.dtype, "numpy_dtype", getattr(series.dtype, "subtype", series.dtype))
        with np.errstate(over="ignore"):
            wanted = np.array([float(code) for code in codes]).astype(held).astype(np.float64)
        return np.isin(number_values(series), wanted)
    if types.is_numeric_dtype(series.dtype) and not types.is_integer_dtype(series.dtype):
        return np.isin(number_values(series), [float(code) for code in codes])
    return np.asarray(series.isin(codes), dtype=bool)


def _blanked(series: pd.Series, coded: NDArray[np.bool_]) -> pd.Series:
    if series.dtype == object:
        values = series.to_numpy(object, copy=True)
        values[coded] = None
        return pd.Series(values, index=series.index, name=series.name, dtype=object)
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
    if not holds_missing(series.dtype):
        series = series.astype(_nullable(series.dtype))
    return series.mask(coded)
