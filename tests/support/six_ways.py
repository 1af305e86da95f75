"""What becomes of a kind of column on each of the ways in which a table can come in: right, or refused.

A column is right if a table of it is measured without noise, encoded and decoded, and then has the dtype,
the missing values and the values that it had when it came in: numbers and times within their bin, and 'other'
for a text that one row has. It is refused if the metadata, for which no row is read and nothing spent, cannot
be made. Whatever else happens is a fault.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.metadata import DataFrameMeta
from jupyter_dpsynth.metadata.extracting import column_meta
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.objects import as_level, as_plain, is_missing, same_key, unboxed
from jupyter_dpsynth.sources.opening import open_source
from tests.support.plans import releases_of
from tests.support.tables import EVERY_ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = ["REFUSED", "RIGHT", "UNWRITABLE", "WAYS", "difference", "further_kinds", "outcomes"]

RIGHT, REFUSED, UNWRITABLE = "right", "refused", "-"
SAME = 0.99  # of the values
OTHER = "other"
NEAR = 0.25  # of the range of a column's values: further no bin moves one


def _parquet(df: pd.DataFrame, folder: Path) -> object:
    df.to_parquet(folder / "table.parquet")
    return folder / "table.parquet"


def _csv(df: pd.DataFrame, folder: Path) -> object:
    df.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def _dask(df: pd.DataFrame, _: Path) -> object:
    import dask.dataframe as dd

    return dd.from_pandas(df, npartitions=2)


def _polars(df: pd.DataFrame, _: Path) -> object:
    import polars as pl

    return pl.from_pandas(df)


def _statistics(df: pd.DataFrame, folder: Path) -> object:
    import pyreadstat

    pyreadstat.write_sav(df, str(folder / "table.sav"))
    return folder / "table.sav"


#: Ways in, by name; each makes a table of a DataFrame, or raises if its library cannot.
WAYS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "memory": lambda df, _: df,
    "Parquet": _parquet,
    "CSV": _csv,
    "Dask": _dask,
    "polars": _polars,
    ".sav": _statistics,
}


def outcomes(columns: Mapping[str, pd.Series], way: str, folder: Path) -> dict[str, str]:
    """What becomes of each of some columns on one way in, where they are one table.

    Args:
        columns: The columns by name, all of one length.
        way: One of `WAYS`.
        folder: For files.

    Returns:
        By name `RIGHT`, `REFUSED`, `UNWRITABLE` if that way has no such column, or what is wrong.
    """
    found = {}
    for name, series in columns.items():
        try:
            _table(pd.DataFrame({"c": series}), way, folder)
        except Exception:  # whatever a library raises
            found[name] = UNWRITABLE
    # short names that every format takes
    names = {f"c{place}": name for place, name in enumerate(columns) if name not in found}
    df = pd.DataFrame({short: columns[name] for short, name in names.items()})
    with open_source(_table(df, way, folder)) as opened:
        metas = {}
        for short, name in names.items():
            try:
                metas[short] = column_meta(opened, short, opened.declared)
            except MetadataError as error:
                found[name] = REFUSED if repr(short) in str(error) else f"refused without its name: {error}"
        with opened.without([short for short in names if short not in metas]) as source:
            problems = _problems(source, DataFrameMeta(tuple(metas.values())))
    return found | {names[short]: problem or RIGHT for short, problem in problems.items()}


def _table(df: pd.DataFrame, way: str, folder: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WAYS[way](df, folder)


def _problems(source: Source, df_meta: DataFrameMeta) -> dict[str, str]:
    """By column what is wrong, empty if nothing is."""
    config = HighDimConfig(differential_privacy=False, steps=2, batch_size=EVERY_ROW)
    plan = plan_run(config.resolve(), df_meta, float(source.rows))
    releases = releases_of(plan, NoiseSource(test_only_seed=0))
    codec = measure_table(source, df_meta, plan, releases, lambda _: None).codec

    def part(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.float64]]:
        codes = codec.encode(frame).astype(np.int32)
        made = codec.decode(codes, np.random.default_rng(0))
        # a date that is learned as a difference is rounded to its own unit, which may move it by a bin
        again, near = codec.encode(made), [isinstance(each, DifferenceCodec) for each in codec.columns]
        return frame, made, (np.abs(again - codes) <= np.array(near)).mean(axis=0)

    found = dict.fromkeys(df_meta.names, "")
    for frame, made, kept in source.map(part, list(df_meta.names)):
        for name, same in zip(df_meta.names, kept, strict=True):
            given, dtype = source.described[name].dtype, made[name].dtype
            if dtype != given and not isinstance(dtype, pd.CategoricalDtype):
                found[name] = f"dtype {given} became {dtype}"
            found[name] = found[name] or difference(frame[name], made[name])
            found[name] = found[name] or ("values change their bins" if same < SAME else "")
    return found


def difference(given: pd.Series, made: pd.Series) -> str:
    """How two columns differ; empty if they do not."""
    one, two = unboxed(given.array), unboxed(made.array)
    lost = [is_missing(a) or (as_plain(a) is None and as_level(a) is None) for a in one]
    gone = [is_missing(b) for b in two]
    if lost != gone:
        return f"{np.mean(np.array(lost) != gone):.0%} missing, or not, otherwise than before"
    pairs = [(a, b) for a, b, missing in zip(one, two, lost, strict=True) if not missing]
    often = Counter(same_key(a) for a, _ in pairs)
    same = np.array(
        [same_key(a) == same_key(b) or (b == OTHER and often[same_key(a)] == 1) for a, b in pairs]
    )
    if len(pairs) == 0 or same.mean() >= SAME:
        return ""
    numbers = _numbers([a for a, _ in pairs]), _numbers([b for _, b in pairs])
    if numbers[0] is None or numbers[1] is None:
        return f"{1 - same.mean():.0%} of the values differ"
    span = np.ptp(numbers[0]) or 1.0
    far = np.abs(numbers[0] - numbers[1]) > NEAR * span
    return f"{far.mean():.0%} of the values are far off" if far.mean() > 1 - SAME else ""


def _numbers(values: list[object]) -> np.ndarray | None:
    """Numbers, or seconds of times; None if they are neither."""
    try:
        if isinstance(values[0], str | bytes):
            return None
        if hasattr(values[0], "year"):
            return np.array([pd.Timestamp(value).timestamp() for value in values])
        if hasattr(values[0], "total_seconds"):
            return np.array([value.total_seconds() for value in values])
        return np.array([float(value) for value in values])
    except (TypeError, ValueError, OverflowError):
        return None


def further_kinds(rows: int) -> dict[str, pd.Series]:
    """Kinds of columns that are refused on some ways, each a Series `[rows]`."""
    import datetime as dt
    import uuid

    import pyarrow as pa

    place = np.arange(rows) % 12

    def arrow(values: list[object], kind: object) -> pd.Series:
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))

    return {
        "UUIDs": pd.Series([uuid.UUID(int=int(i)) for i in place]),
        "lists": pd.Series([[int(i)] for i in place]),
        "times of day": pd.Series([dt.time(int(i)) for i in place]),
        "complex numbers": pd.Series(place * 1j),
        "periods": pd.Series(pd.period_range("2020-01", periods=12, freq="M").repeat(rows // 12 + 1)[:rows]),
        "intervals": pd.Series(pd.cut(place, 4).astype(object)),
        "categories of intervals": pd.Series(pd.cut(place, 4)),
        "arrow decimals": arrow([f"{i}.25" for i in place], pa.string()).astype(
            pd.ArrowDtype(pa.decimal128(8, 2))
        ),
        "arrow durations": arrow([int(i) for i in place], pa.duration("s")),
        "arrow times of day": arrow([int(i) for i in place], pa.time64("us")),
        "arrow lists": arrow([[int(i)] for i in place], pa.list_(pa.int64())),
        "arrow nothing": arrow([None] * rows, pa.null()),
        "arrow dictionary": pd.Series(
            pd.arrays.ArrowExtensionArray(pa.array(["x", "y"] * (rows // 2)).dictionary_encode())
        ),
        "arrow bytes": arrow([b"x", b"y"] * (rows // 2), pa.binary()),
    }
