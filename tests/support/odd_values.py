"""Values that raise, or answer otherwise, when they are asked anything; and columns to put them into."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools

import numpy as np
import pandas as pd


class OddError(Exception):
    """What the odd values raise: nobody else does."""


def _raise(*_, **__):
    raise OddError("PLANTEDNAME")


ASKED = (
    *("repr", "str", "bytes", "hash", "bool", "int", "float", "complex", "index", "len", "iter", "format"),
    *(
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "abs",
        "neg",
        "add",
        "sub",
        "mul",
        "truediv",
        "contains",
        "getitem",
    ),
    *("array", "array_ufunc", "array_interface", "arrow_c_array", "arrow_array", "reduce_ex", "sizeof"),
)
Raises = type("Raises", (), {f"__{name}__": _raise for name in ASKED})


class Masked:
    """Not even its class may be asked for."""

    __hash__ = None
    __class__ = property(_raise)  # type: ignore[assignment]

    def __getattr__(self, name):
        raise OddError(name)


class Shifty:
    """Has another hash each time, and is equal to nothing."""

    numbers = itertools.count()

    def __hash__(self):
        return next(self.numbers)

    def __eq__(self, other):
        return False

    def __repr__(self):
        return str(next(self.numbers))


class Several:
    """Is compared value by value, as an array is."""

    def __hash__(self):
        return 7

    def __eq__(self, other):
        return np.array([True, False])


class Text(str):
    """Text that raises at whatever a subclass may change."""

    __slots__ = ()
    __eq__ = __ne__ = __hash__ = __repr__ = __str__ = __len__ = _raise  # type: ignore[assignment]


class Number(int):
    __eq__ = __hash__ = __repr__ = __int__ = __float__ = __index__ = _raise  # type: ignore[assignment]


class Real(float):
    __eq__ = __hash__ = __repr__ = __int__ = __float__ = _raise  # type: ignore[assignment]


class Zone(dt.tzinfo):
    """A time zone that does not know."""

    utcoffset = dst = tzname = fromutc = _raise  # type: ignore[assignment]


FOR_EVER = pd.Timestamp(dt.datetime(9999, 12, 31, 23, 59, 59), tz="UTC").tz_convert("Asia/Tokyo")
ODD_VALUES = {
    "raises": Raises(),
    "masked": Masked(),
    "shifty": Shifty(),
    "several": Several(),
    "number": Number(3),
    "real": Real(2.5),
    "signalling": decimal.Decimal("sNaN"),
    "not a number": decimal.Decimal("NaN"),
    "endless": decimal.Decimal("Infinity"),
    "digits": 10**5000,
    "for ever": FOR_EVER,
    "first": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14))),
    "zone": dt.datetime(2020, 1, 1, tzinfo=Zone()),
    "longest": dt.timedelta.max,
    "moment": np.datetime64(2**62, "s"),
    "span": np.timedelta64(2**62, "h"),
    "surrogate": "\ud800",
    "bytes": b"\xff\xfe",
    "list": [pd.NA, Raises()],
    "tuple": (Raises(),),
    "frame": pd.DataFrame({"a": [1]}),
    "array": np.array([1, np.nan]),
    "long double": np.longdouble("1e400"),
    "void": np.void(b"abc"),
    "class": Raises,
    "period": pd.Period("2020-01", "M"),
    "missing": pd.NA,
    "no time": pd.NaT,
}

ROWS = 300
_START = dt.datetime(2024, 5, 1, 12)
PLAIN_COLUMNS = {
    "text": lambda i: "abc"[i % 3],
    "bytes": lambda i: b"xyz"[i % 3 :],
    "truth": lambda i: i % 3 == 0,
    "whole": lambda i: i % 7,
    "real": lambda i: i % 9 / 4,
    "decimal": lambda i: decimal.Decimal(i % 11) / 4,
    "date": lambda i: (_START + dt.timedelta(days=i % 20)).date(),
    "datetime": lambda i: _START + dt.timedelta(hours=i % 20),
    "aware": lambda i: (_START + dt.timedelta(days=i % 20)).replace(tzinfo=dt.timezone.utc),
    "timestamp": lambda i: pd.Timestamp(_START, tz="Asia/Tokyo") + pd.Timedelta(days=i % 20),
    "duration": lambda i: dt.timedelta(minutes=i % 30),
}


def plain_table(rows: int = ROWS) -> pd.DataFrame:
    """Columns of objects, each of one type."""
    return pd.DataFrame(
        {
            name: pd.Series([make(i) for i in range(rows)], dtype=object)
            for name, make in PLAIN_COLUMNS.items()
        }
    )


def odd_table(rows: int = ROWS) -> pd.DataFrame:
    """The same with every odd value in every column, in front of the others, where pandas looks first."""
    df = plain_table(rows)
    odd = list(ODD_VALUES.values())
    columns = {}
    for place, name in enumerate(df):
        box = np.empty(len(odd) + rows, dtype=object)
        for row, value in enumerate(odd[place:] + odd[:place]):
            box[row] = value
        box[len(odd) :] = df[name].to_numpy()
        columns[name] = pd.Series(box, dtype=object)
    return pd.DataFrame(columns)
