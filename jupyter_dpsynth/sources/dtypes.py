"""Dtypes as text, as metadata and saved models keep them, and back; and which dtypes that loses."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["conversion_of", "dtype_of", "dtype_text", "is_kept", "levels_told", "zone_of"]

DECIMAL = re.compile(r"(decimal\d+)\((\d+), (-?\d+)\)\[pyarrow\]")
TEXT = re.compile(r"(str|string)\[(?:pandas-)?(python|pyarrow)\]")  # 'string[pyarrow]' is Arrow's own
IANA = re.compile(r"zoneinfo/([\w+/-]+)'")  # in the path of a zone's file
TO_TEXT = "{column}.astype(str)"
CONVERSIONS = {  # of what cannot be learned, by what its dtype or its Python type is called
    "period": "{column}.dt.to_timestamp()",
    "interval": TO_TEXT,
    "complex": "{column}.to_numpy().real  # and the same with .imag",
    "time": "pd.to_timedelta({column}.astype(str))",
    "dictionary": "{column}.astype('category')",
    **dict.fromkeys(("string_view", "binary_view"), "pd.Series(list({column}), df.index)"),
    "binary": "{column}.astype(object)",
    "Period": "pd.PeriodIndex({column}).to_timestamp()",
    "Fraction": "{column}.astype(float)",
    "UUID": TO_TEXT,
}


def dtype_text(dtype: Any) -> str:  # noqa: ANN401 - of numpy or pandas
    """The text of a dtype; it also says where pandas stores text, if that is not as usual.

    Args:
        dtype: Of numpy or pandas.
    """
    text = str(dtype)
    if isinstance(dtype, pd.StringDtype) and pd.api.types.pandas_dtype(text) != dtype:
        return f"{text}[{'pandas-' * (dtype.storage == 'pyarrow')}{dtype.storage}]"
    return text


def dtype_of(text: str) -> Any:  # noqa: ANN401 - of numpy or pandas
    """The dtype that `dtype_text` wrote.

    pandas itself takes 'string[pyarrow]' for a dtype of its own, and cannot read Arrow's decimal numbers.

    Args:
        text: What it is called.

    Raises:
        TypeError: There is no such dtype.
    """
    decimals, texts = DECIMAL.fullmatch(text), TEXT.fullmatch(text)
    if text == "string[pyarrow]":
        import pyarrow as pa

        return pd.ArrowDtype(pa.string())
    if decimals:
        import pyarrow as pa

        kind = getattr(pa, decimals[1])
        return pd.ArrowDtype(kind(int(decimals[2]), int(decimals[3])))
    if texts:
        # before pandas 2.3 there is one missing value only
        return pd.StringDtype(texts[2], **({"na_value": np.nan} if texts[1] == "str" else {}))
    return pd.api.types.pandas_dtype(text)


def is_kept(dtype: Any) -> bool:  # noqa: ANN401 - of numpy or pandas
    """Whether the same dtype comes back from its text; of categories this is another question."""
    if isinstance(dtype, pd.CategoricalDtype):
        return True
    try:
        return dtype.type is not None and bool(dtype_of(dtype_text(dtype)) == dtype)  # pandas knows not all
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        return False


def levels_told(dtype: Any) -> str:  # noqa: ANN401 - of numpy or pandas
    """The dtype of a `category` column's categories, '' where it follows from their values.

    Args:
        dtype: Of a column.

    >>> levels_told(pd.Series([1, 2], dtype="int8").astype("category").dtype), levels_told(np.dtype("int8"))
    ('int8', '')
    """
    held: Any = getattr(getattr(dtype, "categories", None), "dtype", None)
    told = isinstance(held, pd.StringDtype) or hasattr(held, "pyarrow_dtype")
    number = held is not None and held.kind in "iufb"
    text = dtype_text(held) if (told or number) and is_kept(held) else ""
    return "" if text in ("str", "int64", "float64", "bool") else text


def zone_of(dtype: Any, value_type: str = "") -> dt.tzinfo | None:  # noqa: ANN401 - of numpy or pandas
    """The time zone of a column's times, None if they have none.

    Args:
        dtype: Its dtype.
        value_type: Of a column of objects, what the type of its values is called.
    """
    if value_type.endswith("[UTC]"):
        return dt.timezone.utc
    zone = getattr(dtype, "tz", None)
    arrow = getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    if zone is None and arrow is not None:
        zone = pd.Timestamp(0, tz=arrow).tzinfo
    return zone


def conversion_of(name: str, dtype: Any, value_type: str = "") -> str:  # noqa: ANN401 - a dtype
    """A line of Python that converts a column to something that can be learned.

    Args:
        name: The column.
        dtype: Its dtype.
        value_type: Of a column of objects, what the type of its values is called.
    """
    column = f"df[{name!r}]"
    if isinstance(dtype, pd.SparseDtype):
        return f"{column} = {column}.sparse.to_dense()"
    zone = getattr(dtype, "tz", None)
    if zone is not None:
        return f"{column} = {column}.dt.tz_convert({_zone_name(zone)!r})"
    called = value_type or str(dtype)
    found = next((line for word, line in CONVERSIONS.items() if called.startswith(word)), "")
    return f"{column} = {(found or TO_TEXT).format(column=column)}"


def _zone_name(zone: dt.tzinfo) -> str:
    """A time zone's name that pandas reads back: its own, or that of its fixed offset."""
    known = IANA.search(str(zone))
    if known:
        return known[1].split("posix/")[-1]
    offset = zone.utcoffset(None)
    return "UTC" if offset is None else str(dt.timezone(offset))
