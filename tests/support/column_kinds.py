"""About sixty kinds of columns: every dtype that people have, and values that are odd in each of them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.support.odd_values import ODD_VALUES, PLAIN_COLUMNS

__all__ = ["KINDS", "ROWS", "latin"]

ROWS = 600
DAYS = np.datetime64("2024-01-01", "us") + np.arange(ROWS) % 40 * np.timedelta64(1, "D")
NUMBERS = np.arange(ROWS) % 12
FAR = [np.datetime64(2**62, "us"), np.datetime64(-(2**62), "us"), np.datetime64("NaT", "us")]
LONG = [2**62, -(2**62), 0, 1]
REAL = [np.inf, -np.inf, np.nan, 1e308, -1e308, 5e-324, -0.0, 1e-300]
TEXT = ["", "PLANTEDNAME", "\x00", "a" * 5000, "1", "True", "nan", None]


def _arrow(values, kind):
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values).cast(kind)))


def latin(_):
    """A text of Arrow that is not in UTF-8."""
    raw = pa.array([b"caf\xe9"])
    return pa.Array.from_buffers(pa.string(), 1, raw.buffers())


def _numbers():
    """Name, values and odd values of the columns of numbers."""
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        info = np.iinfo(dtype)
        yield dtype, pd.Series(NUMBERS, dtype=dtype), [info.min, info.max, 0, 1]
    for dtype in ("float16", "float32", "float64"):
        with np.errstate(all="ignore"):
            yield dtype, pd.Series(NUMBERS / 4, dtype=dtype), list(np.array(REAL).astype(dtype))
    for dtype in ("Int8", "Int64", "UInt64", "Float64", "boolean"):
        values = NUMBERS % 2 == 0 if dtype == "boolean" else NUMBERS
        odd = [None, True, False] if dtype == "boolean" else [None, 0, 100]
        yield dtype, pd.Series(values).astype(dtype), odd
    yield "bool", pd.Series(NUMBERS % 2 == 0), [True, False]
    yield "sparse", pd.Series(NUMBERS / 4).astype("Sparse[float64]"), [np.nan, np.inf, 1e308]
    yield "no number", pd.Series([np.nan] * ROWS), REAL
    yield "spike", pd.Series([0.0] * (ROWS - 30) + [99999.0] * 30), REAL
    yield "arrow whole", _arrow(NUMBERS, pa.int64()), [2**62, -(2**62), None]
    yield "arrow real", _arrow(NUMBERS / 4, pa.float64()), [np.inf, 1e308, None]
    yield "arrow truth", _arrow(NUMBERS % 2 == 0, pa.bool_()), [True, None]


def _times():
    """The same of times and durations."""
    for unit in ("s", "ms", "us", "ns"):
        ends = [np.array([v]).view(f"datetime64[{unit}]")[0] for v in LONG]
        yield f"times in {unit}", pd.Series(DAYS.astype(f"datetime64[{unit}]")), [*ends, pd.NaT]
        spans = (DAYS - DAYS[0]).astype(f"timedelta64[{unit}]")
        ends = [np.array([v]).view(f"timedelta64[{unit}]")[0] for v in LONG]
        yield f"durations in {unit}", pd.Series(spans), [*ends, pd.NaT]
    for zone in ("UTC", "Asia/Tokyo", "America/New_York", "Pacific/Apia"):
        ends = [
            pd.Series(FAR).dt.tz_localize("UTC").dt.tz_convert(zone)[i] if i == 2 else v
            for i, v in enumerate(FAR)
        ]
        yield zone, pd.Series(DAYS).dt.tz_localize("UTC").dt.tz_convert(zone), ends
    yield "arrow days", _arrow(DAYS, pa.date32()), ["far", None]
    yield "arrow times", _arrow(DAYS, pa.timestamp("us")), ["far", None]
    yield "arrow zoned", _arrow(DAYS, pa.timestamp("us", "Asia/Tokyo")), ["far", None]


def _words():
    """The same of categorical columns."""
    words = np.array(["red", "green", "blue"])[NUMBERS % 3]
    yield "str", pd.Series(words, dtype="str"), TEXT
    yield "string", pd.Series(words, dtype="string"), TEXT
    yield "python string", pd.Series(words, dtype="string[python]"), [*TEXT]
    yield "arrow text", _arrow(words, pa.string()), ["latin", "PLANTEDNAME", None]
    levels = {
        "category": (["red", "green", "blue", "PLANTEDNAME"], words),
        "category of numbers": ([0.0, 1.0, 2.5, 7919283746.5], np.array([0.0, 1.0, 2.5])[NUMBERS % 3]),
        "category of both": (
            ["red", 1, "blue", (1, 2)],
            np.array(["red", 1, "blue"], dtype=object)[NUMBERS % 3],
        ),
    }
    for name, (categories, values) in levels.items():
        column = pd.Series(pd.Categorical(values, categories=categories))
        yield name, column, [None, categories[-1], categories[0]]
    ordered = pd.Categorical(words, ["blue", "PLANTEDNAME", "green", "red"], ordered=True)
    yield "ordered", pd.Series(ordered), [None, "PLANTEDNAME"]
    for name, make in PLAIN_COLUMNS.items():
        yield (
            f"objects: {name}",
            pd.Series([make(i) for i in range(ROWS)], dtype=object),
            list(ODD_VALUES.values()),
        )
    yield "categories of truth", pd.Series(NUMBERS % 2 == 0).astype("category"), [None, True]
    yield "categories of whole numbers", pd.Series(NUMBERS).astype("category"), [None, 11]
    yield "own text", pd.Series([f"id{i}" for i in range(ROWS)]), TEXT
    yield "nothing", pd.Series([None] * ROWS, dtype=object), list(ODD_VALUES.values())


#: By name the column, `[ROWS]`, and odd values of it.
KINDS = {name: (series, odd) for name, series, odd in itertools.chain(_numbers(), _times(), _words())}
