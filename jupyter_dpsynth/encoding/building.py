"""Builds a pandas Series of a column's original dtype."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.dtypes import dtype_of, zone_of
from jupyter_dpsynth.sources.missing import decoded_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta


__all__ = ["build_series", "to_decimals", "with_cells"]

LONG = decimal.Context(prec=400)  # digits: enough for any float

# how values of object columns are made of numbers, and of pandas' times
OBJECTS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "Decimal": decimal.Decimal,
    "date": lambda moment: moment.date(),
    "datetime": lambda moment: moment.to_pydatetime(),
    "datetime[UTC]": lambda moment: moment.to_pydatetime(),
    "Timestamp[UTC]": lambda moment: moment,
    "Timestamp": lambda moment: moment,
    "timedelta": lambda length: length.to_pytimedelta(),
    "Timedelta": lambda length: length,
}


def build_series(values: Any, meta: ColumnMeta, step: float = 0.0) -> pd.Series:  # noqa: ANN401 - array-likes
    """A Series of the column's original dtype, or of one with missing values if codes stand for them.

    Args:
        values: Array-like `[n]` of Python values, numbers, or numpy times in wall time; NaN, NaT and
            None are missing.
        meta: The column's metadata.
        step: The resolution of numbers, 0 if they have none: decimal numbers get as many digits.
    """
    if meta.dtype == "object" and meta.value_type in OBJECTS:
        made = _objects(values, meta, step)
        box = np.empty(len(made), dtype=object)  # pandas would make a time of its own of Python's
        box[:] = made
        return pd.Series(box, dtype=object)
    series = pd.Series(values)
    dtype = decoded_dtype(meta.dtype) if meta.missing else dtype_of(meta.dtype)
    timezone = zone_of(dtype)
    if timezone is not None:
        # wall times that a change of clocks skips or repeats exist once a year: move or pick them
        standard = np.zeros(len(series), dtype=bool)
        series = series.dt.tz_localize(timezone, ambiguous=standard, nonexistent="shift_forward")
    if series.dtype != object:  # categories fit their column: that is looked at when they are declared
        if pd.api.types.is_integer_dtype(dtype):
            return _to_integers(series, dtype)
        if pd.api.types.is_float_dtype(dtype):
            # beyond what a narrow type can hold there is infinity
            held = getattr(
                dtype, "subtype", getattr(dtype, "numpy_dtype", dtype)
            )  # of a sparse one, of others
            largest = float(np.finfo(held).max)
            series = series.clip(-largest, largest)
        elif hasattr(getattr(dtype, "pyarrow_dtype", None), "scale"):
            return to_decimals(series, dtype)
    # before pandas 3 'str' is no dtype of its own, and would turn a missing value into its name
    text = isinstance(dtype, np.dtype) and dtype.kind == "U"
    return series.astype(object if text else dtype)


def _objects(values: Any, meta: ColumnMeta, step: float) -> list[Any]:  # noqa: ANN401 - array-likes
    """Python's own values; None where one is missing."""
    if meta.value_type == "Decimal":
        digits = decimal.Decimal(repr(step)).normalize().as_tuple().exponent if 0 < step < 1 else 0
        places = decimal.Decimal(1).scaleb(int(digits))
        exact = [None if pd.isna(v) else decimal.Decimal(repr(float(v))) for v in values]
        return [v if v is None or not step else v.quantize(places, context=LONG) for v in exact]
    if meta.value_type == "int":
        return [None if pd.isna(v) else int(v) for v in values]
    times = pd.Series(values)
    if meta.value_type.endswith("[UTC]"):
        times = times.dt.tz_localize("UTC")
    boxed = [None if pd.isna(v) else v for v in times.astype(object)]
    convert = OBJECTS[meta.value_type]
    return [None if v is None else convert(v) for v in boxed]


def to_decimals(series: pd.Series, dtype: Any) -> pd.Series:  # noqa: ANN401 - a pandas dtype
    """Numbers as decimal numbers of Arrow, clipped to what these can hold.

    Args:
        series: Numbers.
        dtype: Arrow's, as a dtype of pandas.
    """
    kind = dtype.pyarrow_dtype
    places = decimal.Decimal(1).scaleb(-kind.scale)
    largest = LONG.subtract(LONG.power(10, kind.precision - kind.scale), places)
    exact = [None if pd.isna(v) else decimal.Decimal(repr(float(v))) for v in series]
    made = [
        None if v is None else min(max(v.quantize(places, context=LONG), -largest), largest) for v in exact
    ]
    return pd.Series(made, dtype=dtype)


def _to_integers(series: pd.Series, dtype: Any) -> pd.Series:  # noqa: ANN401 - a dtype
    """Whole float64 numbers as an integer dtype, clipped to its range (`astype` alone would overflow)."""
    info = np.iinfo(str(getattr(dtype, "subtype", dtype)).lower().removesuffix("[pyarrow]"))
    # the largest float64 that still fits: float(2**63 - 1) rounds up to 2**63, which does not
    highest = float(info.max) if float(info.max) <= info.max else np.nextafter(float(info.max), 0)
    clipped = series.clip(float(info.min), highest).round()
    if series.isna().any():
        known = clipped.fillna(0).astype(info.dtype)
        return known.astype(decoded_dtype(str(info.dtype))).mask(series.isna()).astype(dtype)
    return clipped.astype(info.dtype).astype(dtype)


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
