"""Decides from the dtypes what the columns of a table contain.

Privacy:
    No value is read, with one stated exception: the Python type that most values of an `object` column have
    counts as metadata, like a dtype.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.sources.dtypes import conversion_of, dtype_text, is_kept
from jupyter_dpsynth.sources.objects import LEVELS, as_plain, type_name, unboxed, zoned_name
from jupyter_dpsynth.sources.values import is_duration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["category_kind", "column_kind", "identifier_type", "kind_of"]

UNKNOWN_CATEGORIES = "__UNKNOWN_CATEGORIES__"  # Dask's own word
FEW_VALUES = 10  # and this many in a hundred: with fewer, a column counts as one without values
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
    "datetime[UTC]": "datetime",
    "Timestamp": "datetime",
    "Timestamp[UTC]": "datetime",
    "timedelta": "datetime",
    "Timedelta": "datetime",
}
OBJECT_KINDS = {
    **dict.fromkeys(("bool", "bool_"), "truth value"),
    "bytes": "bytes",
    "int": "whole number",
    "Decimal": "decimal number",
}


def _object_type(series: pd.Series) -> str:
    """The Python type that most values of an object column have; 'str' for an empty one.

    Of types that are equally frequent the name decides, text first: the order of the rows never does.
    """
    # not with pandas' isna: it raises on some values (a signalling decimal NaN)
    counts = Counter(map(zoned_name, series))
    del counts[""]  # what is missing
    # one value must not decide what a column of nothing holds
    if sum(counts.values()) < min(FEW_VALUES, FEW_VALUES * len(series) / 100):
        return "str"
    nested = sum(count for name, count in counts.items() if name in NESTED)
    if nested * 2 > sum(counts.values()):
        raise MetadataError(
            f"column {series.name!r} holds nested objects (lists, dicts, arrays): split it into plain "
            f"columns (pandas.json_normalize(df[{series.name!r}]) or df.explode({series.name!r})), or drop "
            f"it (df.drop(columns={series.name!r}))."
        )
    # int and float mix freely in object columns; which of the two it is, most numbers decide
    whole, broken = counts.pop("int", 0), counts.pop("float", 0)
    if whole + broken:
        counts["int" if whole > broken else "float"] = whole + broken
    return max(
        counts, key=lambda name: (counts[name], name == "str", name in VALUE_TYPES, name), default="str"
    )


def kind_of(series: pd.Series) -> tuple[str, str]:
    """Kind of a column ('category', 'number', 'datetime') and, for object columns, its value type.

    Raises:
        MetadataError: It cannot be learned, or its dtype would not come back.
    """
    import pandas as pd
    from pandas.api import types

    dtype, value_type = series.dtype, ""
    if isinstance(dtype, pd.CategoricalDtype):
        _check_levels(series)
        return "category", ""
    if not is_kept(dtype):
        raise MetadataError(
            f"column {series.name!r} has the dtype {dtype}, which would not come back in the synthetic "
            f"table: convert it ({conversion_of(str(series.name), dtype)})."
        )
    if types.is_object_dtype(dtype):
        value_type = _object_type(series)
        if value_type in VALUE_TYPES:
            return VALUE_TYPES[value_type], value_type
    elif types.is_bool_dtype(dtype):
        return "category", ""
    elif types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number", ""
    elif types.is_datetime64_any_dtype(dtype) or is_duration(dtype):
        return "datetime", ""
    elif types.is_string_dtype(dtype):
        return "category", ""
    holds = f"{dtype} of {value_type}" if value_type else dtype_text(dtype)
    raise MetadataError(
        f"column {series.name!r} has a type that cannot be learned ({holds}): convert it "
        f"({conversion_of(str(series.name), dtype, value_type)}), or drop it."
    )


def _check_levels(series: pd.Series) -> None:
    """Raise MetadataError if most categories of a `category` column could not be saved."""
    import pandas as pd

    levels = series.dtype.categories
    if levels.dtype != object:
        known = pd.api.types.is_string_dtype(levels.dtype) or column_kind(pd.Series(levels)) != ""
        odd = (
            "" if known or isinstance(levels, pd.IntervalIndex | pd.PeriodIndex) else dtype_text(levels.dtype)
        )
    else:
        counts = Counter(map(type_name, levels))
        odd = max(counts, key=lambda name: (counts[name], name in LEVELS, name), default="")
        odd = "" if odd in LEVELS else odd
    if odd:
        raise MetadataError(
            f"column {series.name!r} has categories of a type that cannot be saved ({odd}): convert them "
            f"(df[{series.name!r}] = df[{series.name!r}].astype(str)), or drop the column."
        )


def category_kind(series: pd.Series) -> str:
    """The kind of value that declared categories of a column must be, as `declared_categories` names it."""
    import pandas as pd
    from pandas.api import types

    if isinstance(series.dtype, pd.CategoricalDtype):
        # what kind its categories are is metadata, like the dtype; in Dask they may be unknown
        values = pd.Series(series.dtype.categories)
        unknown = values.empty or as_plain(unboxed(values.array[:1])[0]) == UNKNOWN_CATEGORIES
        told = column_kind(values) in ("category", "number")  # not dates or intervals
        return category_kind(values) if told and not unknown else ""
    kind, value_type = kind_of(series)
    plain = {"category": "text", "number": "number", "datetime": "time"}[kind]
    if types.is_bool_dtype(series.dtype) or types.is_integer_dtype(series.dtype):
        plain = "truth value" if types.is_bool_dtype(series.dtype) else "whole number"
    return OBJECT_KINDS.get(value_type, plain)


def column_kind(series: pd.Series) -> str:
    """'category', 'number' or 'datetime'; '' for a column that cannot be learned."""
    try:
        return kind_of(series)[0]
    except MetadataError:
        return ""


def identifier_type(series: pd.Series) -> str:
    """'int', 'float', 'Decimal' or 'str' if most values of an object column are that, else ''."""
    found = _object_type(series)
    return found if found in ("int", "float", "Decimal", "str") else ""
