"""Decides from the dtypes what the columns of a table contain.

Privacy:
    No value is read, with one stated exception: the Python type that most values of an `object` column have
    counts as metadata, like a dtype.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import MetadataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["category_kind", "column_kind", "is_nullable", "kind_of"]

UNKNOWN_CATEGORIES = "__UNKNOWN_CATEGORIES__"  # Dask's own word
NESTED = ("list", "dict", "set", "tuple", "frozenset", "ndarray", "Series", "DataFrame")
VALUE_TYPES = {
    "str": "category",
    "bytes": "category",
    "bool": "category",
    "bool_": "category",
    "int": "number",
    "float": "number",
    "Decimal": "number",
    "date": "datetime",
    "datetime": "datetime",
    "Timestamp": "datetime",
    "timedelta": "datetime",
    "Timedelta": "datetime",
}
OBJECT_KINDS = {
    **dict.fromkeys(("bool", "bool_"), "truth value"),
    "bytes": "bytes",
    "int": "whole number",
    "Decimal": "decimal number",
}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _object_type(series: pd.Series) -> str:
    """The Python type that most values of an object column have; 'str' for an empty one."""
    # not with pandas' isna: it raises on some values (a signalling decimal NaN)
    counts = Counter(type(value).__name__ for value in series if not _is_nan(value))
    for name in ("NoneType", "NaTType", "NAType"):
        counts.pop(name, None)
    nested = sum(count for name, count in counts.items() if name in NESTED)
    if nested * 2 > sum(counts.values()):
        raise MetadataError(
            f"column {series.name!r} holds nested objects (lists, dicts, arrays): split it into plain "
            "columns, or drop it."
        )
    if not counts:
        return "str"
    # int and float mix freely in object columns, and are the same to a codec
    if counts.get("int") and counts.get("float"):
        counts["float"] += counts.pop("int")
    return counts.most_common(1)[0][0]


def kind_of(series: pd.Series) -> tuple[str, str]:
    """Kind of a column ('category', 'number', 'datetime') and, for object columns, its value type."""
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    if types.is_object_dtype(dtype):
        value_type = _object_type(series)
        if value_type in VALUE_TYPES:
            return VALUE_TYPES[value_type], value_type
    elif types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return "category", ""
    elif types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number", ""
    elif types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "datetime", ""
    elif types.is_string_dtype(dtype):
        return "category", ""
    raise MetadataError(
        f"column {series.name!r} has a type that cannot be learned ({dtype}): convert it to numbers, "
        "text, categories or dates, or drop it."
    )


def category_kind(series: pd.Series) -> str:
    """The kind of value that declared categories of a column must be, as `declared_categories` names it."""
    import pandas as pd
    from pandas.api import types

    if isinstance(series.dtype, pd.CategoricalDtype):
        # what kind its categories are is schema, like the dtype; in Dask they may be unknown
        values = pd.DataFrame({"categories": series.dtype.categories})
        unknown = values.empty or values.iloc[0, 0] == UNKNOWN_CATEGORIES
        told = column_kind(values, "categories") in ("category", "number")  # not dates or intervals
        return category_kind(values["categories"]) if told and not unknown else ""
    kind, value_type = kind_of(series)
    plain = {"category": "text", "number": "number", "datetime": "time"}[kind]
    if types.is_bool_dtype(series.dtype) or types.is_integer_dtype(series.dtype):
        plain = "truth value" if types.is_bool_dtype(series.dtype) else "whole number"
    return OBJECT_KINDS.get(value_type, plain)


def column_kind(df: pd.DataFrame, name: str) -> str:
    """'category', 'number' or 'datetime'; '' for a column that cannot be learned."""
    try:
        return kind_of(df[name])[0]
    except MetadataError:
        return ""


def is_nullable(series: pd.Series) -> bool:
    """Whether the dtype can hold a missing value (numpy integers and booleans cannot)."""
    import numpy as np

    dtype = series.dtype
    return not (isinstance(dtype, np.dtype) and dtype.kind in "iub")
