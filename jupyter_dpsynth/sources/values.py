"""Converts pandas columns of every dtype that can be learned to plain numpy values, and back.

Nothing here raises because of a value: a value that does not fit its column counts as missing. An error
that depends on one row would be a release that nothing pays for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.objects import (
    as_float,
    as_level,
    as_plain,
    durations,
    is_missing,
    key_of,
    moments,
    unboxed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "CLOCKS",
    "DAYS",
    "RESOLUTIONS",
    "WALL_EPOCH",
    "as_held",
    "comparable",
    "factorize",
    "is_above",
    "is_duration",
    "is_time",
    "levels_of",
    "missing_values",
    "number_values",
    "stored_times",
    "time_limits",
    "time_values",
    "wall_times",
    "whole_values",
]

# microseconds in the steps in which points in time are usually recorded, finest first
RESOLUTIONS = (1, 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000)
WALL_EPOCH = np.datetime64("1970-01-01", "us")
# between them the clocks of every time zone show one of Python's years
CLOCKS = np.array(["0001-01-03", "9999-12-29"], dtype="datetime64[us]")
NANOSECONDS = ["1700-01-01", "2261-12-31T23:59:59.999999"]  # whole years
PYTHON_YEARS = ["0001-01-01", "9999-12-31T23:59:59.999999"]
MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "D": 86_400_000_000}
LARGEST = 2**63 - 1  # microseconds that 64 bits hold
DAYS = {"date32[day]": ("int32", "D"), "date64[ms]": ("int64", "ms")}  # of pyarrow: width, unit


def missing_values(series: pd.Series) -> NDArray[np.bool_]:
    """Which values are missing, `[n]`; pandas' own `isna` raises at some objects."""
    if series.dtype == object:
        return np.fromiter(map(is_missing, series), bool, len(series))
    return np.asarray(series.isna(), dtype=bool)


def number_values(series: pd.Series) -> NDArray[np.float64]:
    """Values as float64 `[n]`; missing, infinite and non-numeric ones are NaN."""
    if series.dtype == object:
        values = np.fromiter(map(as_float, series), np.float64, len(series))
    else:
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def whole_values(series: pd.Series) -> NDArray[np.uint64]:
    """Whole numbers modulo 2^64, uint64 `[n]`; what is missing, or no whole number, is any.

    Args:
        series: A column of an integer type, or of Python's integers.
    """
    if series.dtype == object:
        exact = (int(value) % 2**64 if isinstance(value, int) else 0 for value in map(as_plain, series))
        return np.fromiter(exact, np.uint64, len(series))
    unsigned = "uint" in str(series.dtype).lower()
    stored = series.to_numpy(dtype=np.uint64 if unsigned else np.int64, na_value=0)
    return np.ascontiguousarray(stored).view(np.uint64)


def time_values(series: pd.Series, *, duration: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds `[n]` (since 1970 in wall time, or of a duration) and a mask of missing ones."""
    if series.dtype == object:
        return durations(series) if duration else moments(series)
    numbers, missing = stored_times(series)
    # days and durations of pyarrow have no zone, and pandas raises if it is asked for one
    arrow = getattr(series.dtype, "pyarrow_dtype", None)
    zoned = series.dtype if arrow is None else arrow
    zone = None if getattr(zoned, "tz", None) is None else series.dt.tz
    return (numbers if zone is None else wall_times(numbers, zone)), missing


def stored_times(series: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds `[n]` of a column of times or durations, with a zone in UTC, and a mask of missing ones.

    They are computed from the whole numbers that are stored. Through Python's times, days of pyarrow would
    end with the year 9999; and where seconds are too many for microseconds, which is often written for
    'for ever', there are as many as fit.
    """
    kind = getattr(series.dtype, "pyarrow_dtype", None)
    if kind is None:
        stored = (series.dt.tz_convert(None) if hasattr(series.dtype, "tz") else series).to_numpy()
        unit, whole, missing = np.datetime_data(stored.dtype)[0], stored.view(np.int64), np.isnat(stored)
    else:
        width, unit = DAYS.get(str(kind), ("int64", getattr(kind, "unit", "")))
        whole = series.astype(f"{width}[pyarrow]").to_numpy(dtype=np.int64, na_value=0)
        missing = series.isna().to_numpy(bool)
    if unit == "ns":
        return np.where(missing, 0, whole // 1_000), missing
    most = LARGEST // MICROSECONDS[unit]
    return np.where(missing, 0, np.clip(whole, -most, most)) * MICROSECONDS[unit], missing


def comparable(series: pd.Series) -> NDArray[Any]:
    """Numbers, or microseconds of times and durations, of columns of different types, `[n]`; none is missing.

    Args:
        series: Numbers, times or durations, also as objects.
    """
    if series.dtype == object:
        times, missing = moments(series)
        if missing.all():
            times, missing = durations(series)
        return number_values(series) if missing.all() else times
    if is_time(series.dtype):
        return stored_times(series)[0]
    return number_values(series)


def as_held(values: Iterable[Any], dtype: Any) -> list[Any]:  # noqa: ANN401 - a pandas dtype
    """Values as a column of a dtype has them: 0.1 in a column of float32 is another number than in Python.

    Args:
        values: Any values.
        dtype: Of the column.
    """
    held = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
    if not pd.api.types.is_float_dtype(dtype) or held == np.float64:
        return list(values)
    with np.errstate(over="ignore"):
        return [
            float(np.dtype(held).type(value)) if isinstance(value, int | float) else value for value in values
        ]


def is_above(low: pd.Series, high: pd.Series) -> NDArray[np.bool_]:
    """In which rows one column is above another, `[n]`; not where one of both is missing.

    Args:
        low: Numbers, times or durations.
        high: The same.
    """
    present = ~(missing_values(low) | missing_values(high))
    first, second = low[present], high[present]
    found = np.zeros(len(low), dtype=bool)
    # pandas cannot compare these; and of objects, one may be dates and the other moments
    odd = low.dtype == object or "halffloat" in str(low.dtype)
    if low.dtype == high.dtype and not odd:
        found[present] = (first > second).to_numpy(bool)
    else:
        found[present] = comparable(first) > comparable(second)
    return found


def is_time(dtype: Any) -> bool:  # noqa: ANN401 - a pandas dtype
    """Whether values of a dtype are points in time, days or durations."""
    days = str(getattr(dtype, "pyarrow_dtype", "")) in DAYS
    return bool(days or pd.api.types.is_datetime64_any_dtype(dtype) or is_duration(dtype))


def is_duration(dtype: Any) -> bool:  # noqa: ANN401 - a pandas dtype
    """Whether values of a dtype are durations; pandas itself does not count Arrow's."""
    arrow = str(getattr(dtype, "pyarrow_dtype", "")).startswith("duration")
    return arrow or bool(pd.api.types.is_timedelta64_dtype(dtype))


def time_limits(dtype: str) -> tuple[int, int]:
    """The first and the last moment that times of a dtype have, in microseconds.

    Args:
        dtype: Its text. Nanoseconds reach from 1700 to 2261, all others over Python's years, with a zone as
            far as the clocks of every zone do.
    """
    zoned = "," in dtype or "tz=" in dtype
    ends = NANOSECONDS if "[ns" in dtype else CLOCKS if zoned else PYTHON_YEARS
    first, last = np.array(ends, dtype="datetime64[us]").astype(np.int64).tolist()
    return first, last


def wall_times(utc: NDArray[np.int64], zone: Any) -> NDArray[np.int64]:  # noqa: ANN401 - a time zone
    """Local times in a time zone, in microseconds.

    Beyond Python's years, and where the offset leads out of what nanoseconds can tell, pandas would raise.
    """
    clocks = pd.Series(np.clip(utc.view("datetime64[us]"), *CLOCKS))
    local = clocks.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return np.asarray(local.to_numpy(dtype="datetime64[us]").view(np.int64))


def factorize(series: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """Codes `[n]` (-1 for missing) and the distinct values of a categorical column.

    A float column counts its infinite values as missing. In an object column values are the same if they
    are written the same: pandas would take 1, 1.0 and True for one value and keep the one that comes first,
    so that a single row decided how a published category is written. Of a `category` column, where pandas
    has done so already, equal values are spelled by the rule of `levels_of`.
    """
    if series.dtype == object:
        plain = [as_plain(value) for value in series]
        keys = [key_of(value) for value in plain]
        known = dict(zip(keys, plain, strict=True))
        codes, found = pd.factorize(pd.Series(keys, dtype=object))
        return np.asarray(codes, dtype=np.int64), [known[key] for key in found]
    if pd.api.types.is_float_dtype(series.dtype):
        series = pd.Series(number_values(series))
    codes, distinct = pd.factorize(series)
    values = levels_of(distinct)
    readable = np.array([value is not None for value in values], dtype=bool)
    if not readable.all():
        number = np.append(np.where(readable, np.cumsum(readable) - 1, -1), -1)  # -1, missing, is the last
        codes, values = number[codes], [value for value in values if value is not None]
    return np.asarray(codes, dtype=np.int64), values


def levels_of(distinct: Any) -> list[Any]:  # noqa: ANN401 - an index, or an array of pandas or numpy
    """Distinct values as they are published; None for what cannot be read.

    Of pandas' list of categories each part is schema but the spelling of equal values, which the first row
    decided: zero has no sign, and in a list of several types all whole numbers are spelled in one.

    Args:
        distinct: Array-like `[values]`, such as the categories of a `category` column.
    """
    dtype = distinct.dtype
    categories = dtype.categories if isinstance(dtype, pd.CategoricalDtype) else distinct
    number = _spelling(unboxed(categories)) if pd.api.types.is_object_dtype(categories.dtype) else None
    return [as_level(value, number) for value in unboxed(distinct)]


def _spelling(categories: list[Any]) -> type[int | float]:
    """How whole numbers are spelled among categories of several types.

    As pandas spells them where the list begins otherwise: among numbers that are not all whole, as float.
    """
    plain = [as_plain(value) for value in categories]
    numbers = [value for value in plain if isinstance(value, int | float)]
    broken = len(numbers) == len(plain) and any(value != int(value) for value in numbers)
    return float if broken else int
