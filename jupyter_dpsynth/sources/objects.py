"""The one place where methods of single values of a private table are called, and always under a guard.

A Python object may raise whatever it likes from any of its methods, a library may fail while it decodes a
value, and some values of Python's own types have no text, no hash or no length of offset. An error because of
one value tells that the value is there, and no part of epsilon pays for that. So whatever cannot be read
counts as missing, and costs the other values nothing.

Only the type of a value decides how it is read; what a subclass of `str`, `int` or `float` overrides is never
called. Not even `isinstance` is: it asks an object for its `__class__`.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.letters import letter_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "LEVELS",
    "as_float",
    "as_level",
    "as_plain",
    "as_text",
    "durations",
    "is_missing",
    "key_of",
    "moments",
    "same_key",
    "type_name",
    "unboxed",
    "zoned_name",
]

PYTHON_TYPES = bytes, int, float, bool, dt.date, dt.datetime, dt.timedelta, decimal.Decimal
PLAIN = frozenset((*PYTHON_TYPES, pd.Timestamp, pd.Timedelta))
COMPOUND = pd.Interval, pd.Period, tuple  # pandas' categories may be these, too
LEVELS = frozenset(("", "str", "bool_", *(kind.__name__ for kind in (*PLAIN, *COMPOUND))))  # in their names
ZONES = frozenset(("datetime", "zoneinfo", "pytz", "dateutil", "pandas"))  # whose time zones keep their word
NUMPY_TYPES = {  # and what Python, or pandas, calls the like
    np.bool_: "bool",
    np.timedelta64: "Timedelta",  # which is an integer to numpy
    np.integer: "int",
    np.floating: "float",
    np.str_: "str",
    np.bytes_: "bytes",
    np.datetime64: "Timestamp",
}
NOTHING = frozenset(("NoneType", "NaTType", "NAType"))  # types of what stands for a missing value
FIRST_DAY = dt.date(1970, 1, 1).toordinal()
FIRST_MOMENT = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - in wall time
LONGEST = 2**63  # microseconds that 64 bits do not hold


def as_plain(value: Any) -> Any:  # noqa: ANN401 - any object
    """A value of a plain Python or pandas type; None for everything else, and for missing values.

    Args:
        value: Any object.

    Returns:
        A value whose text, hash and comparison work: text, bytes, a finite number, a point in time or a
        duration.
    """
    if type(value) is str:
        return value
    try:
        return _plain(value)
    except Exception:  # noqa: BLE001 - an object may raise anything
        return None


def _plain(value: Any) -> Any:  # noqa: ANN401 - any object
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)  # without what a subclass may add
    if issubclass(kind, np.generic):
        value = value.item()
        kind = type(value)
    if kind not in PLAIN:
        return str.__str__(value) if kind is str else None
    if kind in (float, decimal.Decimal) and not (
        math.isfinite(value) if kind is float else value.is_finite()
    ):
        return None
    zone = value.tzinfo if issubclass(kind, dt.datetime) else None
    if zone is not None and type(zone).__module__.partition(".")[0] not in ZONES:
        return None
    if zone is not None:  # that these work depends on the zone
        hash(value), repr(value), str(value)
    return value


def key_of(value: Any) -> Any:  # noqa: ANN401 - any plain value
    """A key that tells apart what is written differently, like 1, 1.0 and True; text is its own key.

    Args:
        value: What `as_plain` or `as_level` returned.
    """
    if value is None or type(value) is str:
        return value
    exact = isinstance(value, int | bytes)  # the text of a whole number may be too long to be made
    return type(value).__name__, value if exact else repr(value)


def same_key(value: Any) -> Any:  # noqa: ANN401 - any object
    """A key that is the same for equal values: numbers of every type, days and moments of every type.

    Text is never a number, nor a truth value one. Missing values have one key, None.

    Args:
        value: Any object.
    """
    plain = as_plain(value)
    if isinstance(plain, bool):
        return "bool", plain
    if isinstance(plain, dt.date):
        moment = _moment(plain)
        return ("time", moment, getattr(plain, "tzinfo", None) is not None) if moment is not None else None
    if isinstance(plain, dt.timedelta):
        return "duration", _duration(plain)
    return as_level(value) if plain is None else plain


def as_text(value: Any) -> str:  # noqa: ANN401 - any plain value
    """The text of a plain value; of a whole number of more digits than Python prints, its hexadecimal one.

    Of a number that stands for a letter of missing values, the letter: '.a'.
    """
    try:
        return letter_text(value) or str(value)
    except ValueError:
        return hex(value)


def as_level(value: Any, number: type[int | float] | None = None) -> Any:  # noqa: ANN401 - any object
    """One of pandas' categories, which may be of any type that keeps its hash and is equal to itself.

    pandas takes equal values for one category, and spells it as its first row does. So that no row decides,
    zero has no sign, and in a list of several types all whole numbers are spelled in one.

    Args:
        value: The category.
        number: How whole numbers and truth values are spelled; by default as they are.

    Returns:
        The category as it is published, or None if it cannot be read, or could not be saved.
    """
    plain = as_plain(value)
    try:
        if plain is None:
            if type(value) in PLAIN or issubclass(type(value), np.generic):  # infinite, say
                return None
            steady = hash(value) == hash(value) and (value == value) is True  # noqa: PLR0124
            return value if steady and _is_compound(value) and repr(value) else None
        if isinstance(plain, float):
            plain += 0.0
        if number is not None and isinstance(plain, int | float) and plain == int(plain):
            return number(plain)
    except Exception:  # noqa: BLE001 - an object may raise anything
        return None
    return plain


def _is_compound(value: Any) -> bool:  # noqa: ANN401 - any object
    """Whether a value is a period, or an interval or a tuple of plain values."""
    if type(value) is tuple:
        return all(as_level(part) is not None for part in value)
    if type(value) is pd.Interval:
        return all(isinstance(end, float) or as_plain(end) is not None for end in (value.left, value.right))
    return type(value) is pd.Period


def as_float(value: Any) -> float:  # noqa: ANN401 - any object
    """A number as float; NaN for what is none, or too large for one."""
    kind = type(value)
    try:
        for number in (float, int, decimal.Decimal):
            if issubclass(kind, number):
                return number.__float__(value)  # not that of a subclass
        if issubclass(kind, np.integer | np.floating):  # not complex ones: numpy warns of what they lose
            return float(value)
    except Exception:  # noqa: BLE001 - an object may raise anything
        return np.nan
    return np.nan


def is_missing(value: Any) -> bool:  # noqa: ANN401 - any object
    """Whether an object stands for a missing value."""
    if issubclass(type(value), decimal.Decimal):
        return decimal.Decimal.is_nan(value)
    return not type_name(value)


def type_name(value: Any) -> str:  # noqa: ANN401 - any object
    """Name of a value's type; '' for a missing value, and for a type that will not tell."""
    try:
        kind = type(value)
        if issubclass(kind, float) and math.isnan(value):
            return ""
        name = str.__str__(kind.__name__)
    except Exception:  # noqa: BLE001 - a class may raise anything
        return ""
    return "" if name in NOTHING else name


def zoned_name(value: Any) -> str:  # noqa: ANN401 - any object
    """The same, as Python calls it, with '[UTC]' for a time with a zone, whose moment is told in UTC.

    >>> zoned_name(np.float64(1.5)), zoned_name(pd.Timestamp("2024-01-01", tz="Europe/Paris"))
    ('float', 'Timestamp[UTC]')
    """
    name = type_name(value)
    kind = type(value)
    if name and issubclass(kind, np.generic):  # numbers and times of numpy
        return next((word for base, word in NUMPY_TYPES.items() if issubclass(kind, base)), name)
    try:
        zoned = issubclass(type(value), dt.datetime) and name and value.tzinfo is not None
    except Exception:  # noqa: BLE001 - an object may raise anything
        zoned = False
    return f"{name}[UTC]" if zoned else name


def moments(values: Iterable[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since 1970 of points in time, int64 `[n]`, and which are missing: text is, too.

    Times with a zone are told in UTC: those of one column may have several zones.

    Args:
        values: Any objects.
    """
    return _whole(map(_moment, values))


def durations(values: Iterable[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Lengths of durations in microseconds, int64 `[n]`, and which are missing.

    Args:
        values: Any objects.
    """
    return _whole(map(_duration, values))


def _whole(values: Iterable[int | None]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    found = [each if each is not None and -LONGEST < each < LONGEST else None for each in values]
    missing = np.fromiter((each is None for each in found), bool, len(found))
    return np.fromiter((each or 0 for each in found), np.int64, len(found)), missing


def _moment(value: Any) -> int | None:  # noqa: ANN401 - any object
    """Microseconds since 1970, None if it is no point in time."""
    kind = type(value)
    try:
        if kind is dt.date:
            return int(value.toordinal() - FIRST_DAY) * 86_400_000_000
        if kind is dt.datetime and value.tzinfo is None:
            return _length(value - FIRST_MOMENT)
        if not issubclass(kind, dt.date | np.datetime64):
            return None
        exact = pd.Timestamp(value)
        if exact is pd.NaT:
            return None
        if exact.tzinfo is not None:
            exact = exact.tz_convert(None)
        return int(exact.as_unit("us").asm8.astype(np.int64))
    except Exception:  # noqa: BLE001 - a time zone may raise anything
        return None


def _duration(value: Any) -> int | None:  # noqa: ANN401 - any object
    kind = type(value)
    try:
        if kind is dt.timedelta:
            return _length(value)
        if not issubclass(kind, dt.timedelta | np.timedelta64):
            return None
        exact = pd.Timedelta(value)
        return None if exact is pd.NaT else int(exact.as_unit("us").asm8.astype(np.int64))
    except Exception:  # noqa: BLE001 - an object may raise anything
        return None


def _length(value: dt.timedelta) -> int:
    """Microseconds of a duration, exact."""
    return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds


def unboxed(values: Any) -> list[Any]:  # noqa: ANN401 - an array of pandas or numpy
    """The values of an array as objects; None for what its library cannot decode, such as text in Latin-1.

    Args:
        values: Array-like `[n]` of any dtype.
    """
    try:
        return list(values)
    except Exception:  # noqa: BLE001 - whatever a library raises
        return [_unboxed(values, place) for place in range(len(values))]


def _unboxed(values: Any, place: int) -> Any:  # noqa: ANN401 - as `unboxed`
    try:
        return values[place]
    except Exception:  # noqa: BLE001 - whatever a library raises
        return None
