"""Converts pandas columns of every dtype that can be learned to plain numpy values, and back.

Nothing here raises because of a value: a value that does not fit its column counts as missing. An error
that depends on one row would be a release that nothing pays for.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "RESOLUTIONS",
    "WALL_EPOCH",
    "as_written",
    "factorize",
    "number_values",
    "plain_days",
    "time_values",
]

# microseconds in the steps in which points in time are usually recorded, finest first
RESOLUTIONS = (1, 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000)
WALL_EPOCH = np.datetime64("1970-01-01", "us")
# between them the clocks of every time zone show one of Python's years
CLOCKS = np.array(["0001-01-03", "9999-12-29"], dtype="datetime64[us]")
PYTHON_TIMES = frozenset((dt.date, dt.datetime, dt.timedelta))
MOMENTS = (dt.date, np.datetime64)
DURATIONS = (dt.timedelta, np.timedelta64)
PYTHON_TYPES = bytes, int, float, bool, dt.date, dt.datetime, dt.timedelta, decimal.Decimal
PLAIN = frozenset((*PYTHON_TYPES, pd.Timestamp, pd.Timedelta))


def number_values(series: pd.Series) -> NDArray[np.float64]:
    """Values as float64 `[n]`; missing, infinite and non-numeric ones are NaN."""
    if series.dtype == object:
        series = series.map(_as_float)
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def time_values(series: pd.Series, *, duration: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds `[n]` (since 1970 in wall time, or of a duration) and a mask of missing ones."""
    if series.dtype == object:
        if duration:
            series = pd.to_timedelta(_one_by_one(series, DURATIONS, pd.Timedelta), errors="coerce")
        else:
            series = pd.to_datetime(_one_by_one(series, MOMENTS, pd.Timestamp), errors="coerce")
    series = plain_days(series)
    if getattr(series.dt, "tz", None) is not None:
        series = _wall_times(series)
    unit = "timedelta64[us]" if duration else "datetime64[us]"
    moments = series.to_numpy(dtype=unit)
    missing = np.isnat(moments)
    return np.where(missing, 0, moments.astype(np.int64)), missing


def plain_days(series: pd.Series) -> pd.Series:
    """A column of pyarrow dates as numpy dates, which can represent years after 9999."""
    for kind, whole, unit in (("date32[", "int32", "D"), ("date64[", "int64", "ms")):
        if str(series.dtype).startswith(kind):
            numbers = series.astype(f"{whole}[pyarrow]").to_numpy(dtype=np.int64, na_value=0)
            moments = numbers.view(f"datetime64[{unit}]").astype("datetime64[us]")
            return pd.Series(np.where(series.isna(), np.datetime64("NaT"), moments))
    return series


def _wall_times(series: pd.Series) -> pd.Series:
    """Local times in the column's time zone.

    Beyond Python's years, and where the offset leads out of what nanoseconds can tell, pandas would raise.
    """
    utc = series.dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    utc = pd.Series(np.clip(utc, *CLOCKS))
    return utc.dt.tz_localize("UTC").dt.tz_convert(series.dt.tz).dt.tz_localize(None)


def factorize(series: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """Codes `[n]` (-1 for missing) and the distinct values of a categorical column.

    A float column counts its infinite values as missing. In an object column values are the same if they
    are written the same: pandas would take 1, 1.0 and True for one value and keep the one that comes first,
    so that a single row decided how a published category is written.
    """
    if series.dtype == object:
        values = [_plain(value) for value in series]
        keys = [as_written(value) for value in values]
        known = dict(zip(keys, values, strict=True))
        codes, found = pd.factorize(pd.Series(keys, dtype=object))
        return np.asarray(codes, dtype=np.int64), [known[key] for key in found]
    if pd.api.types.is_float_dtype(series.dtype):
        series = pd.Series(number_values(series))
    codes, values = pd.factorize(series)
    return np.asarray(codes, dtype=np.int64), list(values)


def as_written(value: Any) -> Any:  # noqa: ANN401 - any plain value
    """A key that distinguishes how values are written, like 1, 1.0 and True; text is its own key."""
    if value is None or isinstance(value, str):
        return value
    exact = isinstance(value, int | bytes)  # the text of a whole number may be too long to be made
    return type(value).__name__, value if exact else repr(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any object
    """A value of a plain Python or pandas type; None for everything else, and for missing values."""
    if isinstance(value, str):
        return str.__str__(value)  # without what a subclass may add
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) not in PLAIN or (isinstance(value, float | decimal.Decimal) and not math.isfinite(value)):
        return None
    return value


def _one_by_one(series: pd.Series, types: tuple[type, ...], convert: type) -> pd.Series:
    """An object column of moments or durations; values of other types, text included, become missing."""
    # not Series.map: it infers text, and fails at text that cannot be written as UTF-8
    values = [_microseconds(value, convert) if isinstance(value, types) else None for value in series]
    return pd.Series(values, dtype=object)


def _microseconds(value: Any, convert: type) -> Any:  # noqa: ANN401 - a moment or a duration
    """A moment (in UTC) or duration in microseconds, which cover all of Python's; None if impossible.

    pandas takes the finest resolution of a column for all of it: one value in nanoseconds would make all
    others missing that nanoseconds cannot reach.
    """
    if type(value) in PYTHON_TIMES and getattr(value, "tzinfo", None) is None:
        return value
    try:
        exact = convert(value)
        if getattr(exact, "tzinfo", None) is not None:
            exact = exact.tz_convert(None)
        return exact.as_unit("us")
    except Exception:  # noqa: BLE001 - a time zone may raise anything
        return None


def _as_float(value: object) -> float:
    """A number as float; NaN for other values, or if it is too large."""
    if not isinstance(value, int | float | decimal.Decimal | np.integer | np.floating):
        return np.nan  # of complex numbers, too: numpy warns of what they lose
    try:
        return float(value)
    except (OverflowError, ValueError, TypeError):
        return np.nan
