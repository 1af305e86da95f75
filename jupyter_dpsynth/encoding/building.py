"""Builds a pandas Series of a column's original dtype."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jupyter_dpsynth.metadata.columns import ColumnMeta


__all__ = ["build_series"]


def build_series(values: Any, meta: ColumnMeta) -> pd.Series:  # noqa: ANN401 - array-likes
    """A Series of the column's original dtype.

    Args:
        values: Array-like `[n]` of Python values, numbers, or numpy times in wall time; NaN, NaT and
            None are missing.
        meta: The column's metadata.
    """
    if meta.value_type in ("date", "datetime"):
        moments = (None if pd.isna(v) else v.to_pydatetime() for v in pd.Series(values).astype(object))
        objects = [v.date() if v is not None and meta.value_type == "date" else v for v in moments]
        return pd.Series(objects, dtype=object)
    if meta.value_type == "Decimal":
        objects = [None if pd.isna(v) else decimal.Decimal(repr(float(v))) for v in values]
        return pd.Series(objects, dtype=object)
    if meta.value_type == "int":
        objects = [None if pd.isna(v) else int(v) for v in values]
        return pd.Series(objects, dtype=object)
    series = pd.Series(values)
    timezone = getattr(pd.api.types.pandas_dtype(meta.dtype), "tz", None)
    if timezone is not None:
        # wall times that a change of clocks skips or repeats exist once a year: move or pick them
        standard = np.zeros(len(series), dtype=bool)
        series = series.dt.tz_localize(timezone, ambiguous=standard, nonexistent="shift_forward")
    dtype = pd.api.types.pandas_dtype(meta.dtype)
    if series.dtype != object:  # categories fit their column: that is looked at when they are declared
        if pd.api.types.is_integer_dtype(dtype):
            return _to_integers(series, meta.dtype)
        if pd.api.types.is_float_dtype(dtype):
            # beyond what a narrow type can hold there is infinity
            held = getattr(
                dtype, "subtype", getattr(dtype, "numpy_dtype", dtype)
            )  # of a sparse one, of others
            largest = float(np.finfo(held).max)
            series = series.clip(-largest, largest)
    # before pandas 3 'str' is no dtype of its own, and would turn a missing value into its name
    text = getattr(pd.api.types.pandas_dtype(meta.dtype), "kind", "") == "U"
    return series.astype(object if text else meta.dtype)


def _to_integers(series: pd.Series, dtype: str) -> pd.Series:
    """Whole float64 numbers as an integer dtype, clipped to its range (`astype` alone would overflow)."""
    info = np.iinfo(str(dtype).lower().removesuffix("[pyarrow]"))
    # the largest float64 that still fits: float(2**63 - 1) rounds up to 2**63, which does not
    highest = float(info.max) if float(info.max) <= info.max else np.nextafter(float(info.max), 0)
    clipped = series.clip(float(info.min), highest).round()
    if series.isna().any():
        return clipped.astype("Float64").astype("Int64").astype(dtype)
    return clipped.astype(info.dtype).astype(dtype)
