"""Checks what users declare to be public, and brings it into one form."""

from __future__ import annotations

import json
import math
import numbers
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown, tell_schema_note
from jupyter_dpsynth.interop.csvw import is_csvw, read_csvw
from jupyter_dpsynth.interop.frictionless import is_frictionless, read_frictionless
from jupyter_dpsynth.interop.odcs import is_odcs, read_odcs
from jupyter_dpsynth.interop.pandera import is_pandera, read_pandera
from jupyter_dpsynth.interop.sdv import is_sdv, read_sdv
from jupyter_dpsynth.sources.moments import in_zone, require_clear

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Hashable, Sequence

    from jupyter_dpsynth.interop.conversion import ConvertedSchema

__all__ = [
    "MAX_DECIMALS",
    "by_column",
    "declared_categories",
    "declared_decimals",
    "declared_numbers",
    "declared_times",
    "is_one",
    "microseconds_of",
    "read_schema",
]

MAX_DECIMALS = 9
PLURALS = {
    "text": "text",
    "bytes": "bytes",
    "whole number": "whole numbers",
    "number": "numbers",
    "decimal number": "decimal numbers (only whole ones can be declared)",
    "truth value": "truth values",
}
NOT_NUMBERS = ("object", "category")  # dtypes that hold any number


def by_column(option: str, values: object) -> dict[Any, Any]:
    """Declarations by column as a dict; MetadataError for anything else."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise MetadataError(f"{option} = {shown(values)} is not allowed: give a dict by column name.")
    return dict(values)


def read_schema(
    source: object,
    declared: dict[str, dict[str, Any]],
    names: Sequence[str],
    kind_of: Callable[[str], str],
) -> None:
    """Add the declarations of a schema to `declared`; those given in code take precedence.

    Args:
        source: The path of a YAML or JSON file, or its content, in our form, as SDV metadata or as a
            Frictionless Table Schema; or an object of SDV, Frictionless or pandera.
        declared: Declarations by option and column.
        names: The table's columns.
        kind_of: Tells what a column holds: 'number', 'datetime', 'category', or '' if unknown.

    Raises:
        MetadataError: It is none of these, or an option is unknown.
    """
    content, name = _content(source)
    try:
        converted = _converted(content, names)
        if converted is None:
            _add_own(content, declared)
            return
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, MetadataError):
            raise
    else:
        _add_converted(converted, declared, names, kind_of)
        return
    raise MetadataError(
        f"schema{name} is not a schema: write 'columns: {{name: {{bounds: [low, high]}}}}', or pass SDV "
        "metadata or a Table Schema."
    )


def _content(source: object) -> tuple[Any, str]:
    """The content of a schema, and what messages call it."""
    home = type(source).__module__.partition(".")[0]
    if home == "sdv":
        return source.to_dict(), ""  # type: ignore[attr-defined]
    if home == "frictionless":
        return source.to_descriptor(), ""  # type: ignore[attr-defined]
    if isinstance(source, Mapping) or is_pandera(source):
        return source, ""
    if not isinstance(source, str | os.PathLike):
        raise MetadataError(
            f"schema = {shown(source)} is not allowed: give the path of a file, or a schema of SDV, pandera "
            "or Frictionless."
        )
    import yaml

    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text), f" = {str(path)!r}"
    except OSError as error:
        raise MetadataError(f"schema = {str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, yaml.YAMLError, RecursionError):
        raise MetadataError(f"schema = {str(path)!r} is neither JSON nor YAML.") from None


def _converted(content: Any, names: Sequence[str]) -> ConvertedSchema | None:  # noqa: ANN401 - parsed, or an object
    """The declarations in another library's schema; None if it is in our own form."""
    if is_pandera(content):
        return read_pandera(content)
    if is_frictionless(content):
        return read_frictionless(content, names)
    if is_csvw(content):
        return read_csvw(content, names)
    if is_odcs(content):
        return read_odcs(content, names)
    return read_sdv(content, names) if is_sdv(content) else None


def _add_converted(
    converted: ConvertedSchema,
    declared: dict[str, dict[str, Any]],
    names: Sequence[str],
    kind_of: Callable[[str], str],
) -> None:
    converted.fit(names, kind_of)
    taken = {name for option in ("bounds", "categories", "id") for name in declared[option]}
    for option, by_name in converted.options.items():
        for name, value in by_name.items():
            besides = option in ("decimals", "missing") and name not in declared["id"]
            if besides or name not in taken:
                declared[option].setdefault(name, value)
    if converted.note:
        tell_schema_note(converted.note, stacklevel=5)  # of whoever called extract


def _add_own(content: Mapping[str, Any], declared: dict[str, dict[str, Any]]) -> None:
    for name, options in content["columns"].items():
        for option, value in by_column(f"schema column {shown(name)}", options).items():
            if option not in declared:
                hint = did_you_mean(str(option), declared)
                raise MetadataError(
                    f"schema option {shown(option)} of column {shown(name)} is unknown.{hint} "
                    f"Known: {', '.join(declared)}."
                )
            declared[option].setdefault(name, value)


def declared_categories(
    name: str,
    categories: Sequence[Hashable],
    kind: str,
    dtype: Any,  # noqa: ANN401 - of numpy or pandas
) -> tuple[Hashable, ...]:
    """Declared categories as a tuple without repetitions, with numbers as the column stores them.

    Args:
        name: The column.
        categories: What was declared.
        kind: What its values are: 'text', 'whole number', 'number', 'decimal number', 'truth value', 'time',
            'bytes', or '' if that is not known.
        dtype: The column's dtype.

    Raises:
        MetadataError: They are none, or the column cannot hold them. Found only when values are made, it
            would have cost epsilon for nothing.
    """
    if isinstance(categories, (str, bytes)):
        raise MetadataError(f"categories of column {name!r} are a single text: give a list of values.")
    if kind == "time":
        raise MetadataError(
            f"categories name column {name!r} of dtype {dtype}, which contains dates or durations: declare "
            "bounds (first, last), or convert the column to text first."
        )
    try:
        values = tuple(dict.fromkeys(categories))
    except TypeError:
        raise MetadataError(f"categories of column {name!r}: give a list of plain values.") from None
    if not values:
        raise MetadataError(f"categories of column {name!r} are empty: give at least one value.")
    for value in values:
        if value is None or value != value:  # noqa: PLR0124 - NaN, NaT
            raise MetadataError(
                f"categories of column {name!r} have a missing value: leave it out; missing values have a "
                "cell of their own anyway."
            )
        if kind and not is_one(value, kind):
            raise MetadataError(
                f"categories of column {name!r} have {shown(value)}, a {type(value).__name__}, but the "
                f"column holds {PLURALS[kind]} (dtype {dtype}): declare values of that type, or convert the "
                "column first."
            )
    if kind in ("whole number", "decimal number"):
        return tuple(dict.fromkeys(_whole(name, value, dtype) for value in values))
    if kind == "number":
        return tuple(dict.fromkeys(_as_held(name, value, dtype) for value in values))
    return values


def is_one(value: Any, kind: str) -> bool:  # noqa: ANN401 - any category
    """Whether a value is of a kind; numpy's own types count as Python's."""
    value = getattr(value, "item", lambda: value)()
    if isinstance(value, bool):
        return kind == "truth value"
    types: dict[str, Any] = {"text": str, "bytes": bytes, "truth value": bool}
    if kind in types:
        return isinstance(value, types[kind])
    number = isinstance(value, numbers.Real | Decimal) and math.isfinite(value)
    return number and (kind == "number" or value == int(value))


def _whole(name: str, value: Any, dtype: Any) -> int:  # noqa: ANN401 - a whole number; a dtype
    """A category of a column of whole numbers, within what its dtype can hold."""
    import numpy as np

    whole, width = int(value), str(dtype).lower().removesuffix("[pyarrow]")
    if width not in NOT_NUMBERS and not np.iinfo(width).min <= whole <= np.iinfo(width).max:
        raise MetadataError(
            f"categories of column {name!r} have {shown(value)}, which its dtype {dtype} cannot hold: leave "
            "it out, or convert the column first."
        )
    return whole


def _as_held(name: str, value: Any, dtype: Any) -> Any:  # noqa: ANN401 - a number; a dtype
    """A category of a column of numbers, rounded to its dtype, because 0.1 is another number in float32."""
    import numpy as np

    if str(dtype) in NOT_NUMBERS:
        return value
    with np.errstate(over="ignore"):
        held = float(getattr(dtype, "numpy_dtype", dtype).type(value))
    if not math.isfinite(held):
        raise MetadataError(
            f"categories of column {name!r} have {shown(value)}, which its dtype {dtype} cannot hold: leave "
            "it out, or convert the column first."
        )
    return held


def declared_decimals(name: str, decimals: int | None) -> int | None:
    """Public digits after the point, 0 to 9; MetadataError for anything else."""
    if decimals is None:
        return None
    if (
        not isinstance(decimals, numbers.Integral)
        or isinstance(decimals, bool)
        or not 0 <= decimals <= MAX_DECIMALS
    ):
        raise MetadataError(
            f"decimals of column {name!r} are {shown(decimals)}: give a whole number from 0 to "
            f"{MAX_DECIMALS}."
        )
    return int(decimals)


def _pair(name: str, bounds: Sequence[Any]) -> tuple[Any, Any]:
    # lists and tuples, and numpy's arrays, of which nothing is imported here
    if not (isinstance(bounds, list | tuple) or type(bounds).__name__ == "ndarray") or len(bounds) != 2:
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give (lowest, highest).")
    return bounds[0], bounds[1]


def declared_numbers(name: str, bounds: Sequence[Any] | None) -> tuple[float, float] | None:
    """Public bounds of a column of numbers; MetadataError unless finite and in order."""
    if bounds is None:
        return None
    first, last = _pair(name, bounds)
    try:
        low, high = float(first), float(last)
    except (TypeError, ValueError, OverflowError):
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give two numbers.") from None
    if not -1e300 < low <= high < 1e300:
        raise MetadataError(
            f"bounds of column {name!r} are {shown(bounds)}: give two finite numbers, lowest first."
        )
    return low, high


def declared_times(
    name: str, bounds: Sequence[Any] | None, *, duration: bool, zone: dt.tzinfo | None = None
) -> tuple[int, int] | None:
    """Public bounds of a column of times, in microseconds; MetadataError unless clear and in order.

    Args:
        name: The column.
        bounds: The first and the last.
        duration: Whether these are durations.
        zone: The column's time zone, in whose wall time they are; None if it has none.
    """
    if bounds is None:
        return None
    what = f"bounds of column {name!r} have"
    try:
        low, high = (
            microseconds_of(value, what, duration=duration, zone=zone) for value in _pair(name, bounds)
        )
    except MetadataError:
        raise
    except (TypeError, ValueError, OverflowError):
        kind = "durations" if duration else "dates"
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give two {kind}.") from None
    if low > high:
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give the earliest first.")
    return low, high


def _is_plain_number(value: object) -> bool:
    return isinstance(value, numbers.Number) or (isinstance(value, str) and value.strip().isdecimal())


def microseconds_of(value: Any, what: str, *, duration: bool, zone: dt.tzinfo | None = None) -> int:  # noqa: ANN401
    """A point in time since 1970 in the column's wall time, or the length of a duration.

    Args:
        value: As a user declares it.
        what: The beginning of a message about it, up to the value.
        duration: Whether it is a duration.
        zone: The column's time zone; None if it has none.

    Raises:
        MetadataError: It is a date that can be read in two ways.
        TypeError: It is no point in time, or no duration.
        ValueError: As above.
        OverflowError: It is beyond what 64 bits hold.
    """
    import pandas as pd

    if not duration:
        require_clear(value, what, MetadataError)
    if _is_plain_number(value):  # which pandas would take for nanoseconds, for durations also as text
        raise TypeError
    moment: Any = pd.Timedelta(value) if duration else pd.Timestamp(value)
    if moment != moment:  # noqa: PLR0124 - not a time
        raise ValueError
    moment = in_zone(moment, zone)
    return int(moment.to_numpy().astype(f"{moment.to_numpy().dtype.kind}8[us]").astype("int64"))
