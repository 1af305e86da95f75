"""What the leak tests plant in a table, and how they look for it."""

from __future__ import annotations

import gc
import logging
import re
import types
import zipfile

import numpy as np
import pandas as pd

from jupyter_dpsynth.privacy.noise import NoiseSource
from tests.support.tables import mixed_table

ROWS = 2347  # the exact row count that must not appear
PLANTED_ROW = 17
#: For learning the planted table: so small that a planted name is not published by chance either. With the
#: delta of a table of this size that happens about once in 300,000 runs.
DELTA = 1e-9
MARKERS = (
    "PLANTEDNAME",
    "7919283746",
    "1234567.891",
    "1999-12-31",
    "31.12.1999",
    "PLANTEDATTRIBUTE",
    "PLANTEDINDEX",
    "PLANTEDBYTES",
    "6.02214076",
)


def planted_table():
    """A table in which one row is marked in every kind of column, and the frame itself is marked too."""
    df = mixed_table(ROWS)
    df["amount"] = df["income"].fillna(0) / 3
    df["tiny"] = df["income"].fillna(0) / 1e6
    df["code"] = pd.Series(["x", "y"] * ROWS)[:ROWS].astype(object)
    df["raw"] = pd.Series([b"x", b"y"] * ROWS)[:ROWS].astype(object)
    df["kind"] = pd.Series(["p", "q"] * ROWS)[:ROWS].astype("category").cat.add_categories("PLANTEDNAME")
    order = ["lo", "PLANTEDNAME", "hi"]
    df["rank"] = pd.Categorical((["lo", "hi"] * ROWS)[:ROWS], order, ordered=True)
    df["stamp"] = pd.Series([pd.Timestamp("2021-01-01").date()] * ROWS, dtype=object)
    df["key"] = [f"PLANTEDNAME{i}" for i in range(ROWS)]  # an identifier, declared as one
    for name in ("group", "code", "kind", "rank"):
        df.loc[PLANTED_ROW, name] = "PLANTEDNAME"
    df.loc[PLANTED_ROW, "age"] = 7919283746
    df.loc[PLANTED_ROW, "amount"] = 1234567.891
    df.loc[PLANTED_ROW, "tiny"] = 6.02214076e-300
    df.loc[PLANTED_ROW, "day"] = pd.Timestamp("1999-12-31")
    df.loc[PLANTED_ROW, "stamp"] = pd.Timestamp("1999-12-31").date()
    df["raw"] = [b"PLANTEDBYTES" if i == PLANTED_ROW else v for i, v in enumerate(df["raw"])]
    df.attrs["note"] = "PLANTEDATTRIBUTE"
    df.index = pd.Index([f"PLANTEDINDEX{i}" for i in range(ROWS)], name="PLANTEDINDEX")
    return df


def leaking(*_, **__):
    """What a library does that quotes what it was given, with a cause that does so too."""
    try:
        raise KeyError("PLANTEDNAME")
    except KeyError as error:
        raise ValueError("cannot convert 7919283746 of 1999-12-31: PLANTEDNAME") from error


def found_in(text):
    """The markers in a text."""
    return [marker for marker in MARKERS if re.search(rf"(?<![\w.]){re.escape(marker)}", text)]


def assert_clean(text, where):
    """No marker is in a text."""
    found = found_in(text)
    assert not found, f"{found} in {where}"


def counts_in(text):
    """Whether the exact row count stands in a text as a number of its own."""
    grouped = f"{ROWS:,}"
    return bool(re.search(rf"(?<![\w.])({ROWS}|{grouped})(?![\w.]*\d)", text))


def without_pictures(text):
    """A text without its pictures, among whose letters and digits any number may stand by chance."""
    return re.sub(r"[A-Za-z0-9+/]{200,}", "", text)


def chain_of(error):
    """An exception and all that a debugger or an error reporter reaches from it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def everything_in(file):
    """All text, and all names and bytes, of a saved synthesizer, unpacked."""
    with zipfile.ZipFile(file) as archive:
        parts = [name.encode() + archive.read(name) for name in archive.namelist()]
        comments = [archive.comment, *(member.comment + member.extra for member in archive.infolist())]
    return b"\n".join([*parts, *comments]).decode("latin-1")


def reachable(root):
    """Every object that is kept alive by one, without modules, classes and code."""
    skipped = types.ModuleType | type | types.FunctionType | types.BuiltinFunctionType | logging.Logger
    seen, stack = {}, [root]
    while stack:
        each = stack.pop()
        if id(each) in seen or isinstance(each, skipped):
            continue
        seen[id(each)] = each
        stack += gc.get_referents(each)
    return list(seen.values())


def assert_holds_nothing_private(root, where):
    """No frame, no noise, no marker and nothing as long as the table is reachable from an object."""
    for each in reachable(root):
        assert not isinstance(each, pd.DataFrame | pd.Series | NoiseSource), f"{type(each)} in {where}"
        if isinstance(each, np.ndarray):
            assert ROWS not in each.shape, f"an array of the table's length in {where}"
        if isinstance(each, np.ndarray | str | bytes | int | float):
            assert_clean(repr(each), where)
        if isinstance(each, list | tuple | dict | set):
            assert len(each) != ROWS, f"a container of the table's length in {where}"
