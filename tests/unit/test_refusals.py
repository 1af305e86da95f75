"""What is no table, or no column that can be learned, is refused with the library and the call that help."""

from __future__ import annotations

import datetime as dt
import io
import sqlite3

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.errors import DataError, MetadataError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.sources.forms import TableForm
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.refusals import column_call

for library in ("pyarrow", "polars", "dask", "duckdb"):
    pytest.importorskip(library)

import dask.dataframe as dd
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


class Foreign:
    """A table of a library that nobody here knows."""

    def to_pandas(self):
        return FRAME


class Modin:
    __module__ = "modin.pandas.dataframe"


class Spark:
    __module__ = "pyspark.sql.classic.dataframe"


class Untold:
    """As a DataFrame of pyspark 4.3 with times in it."""

    __module__ = "pyspark.sql.classic.dataframe"

    def __arrow_c_stream__(self, requested_schema=None):
        raise AssertionError("PLANTED")


Spark.__name__ = Untold.__name__ = "DataFrame"

OBJECTS = {
    "Series of pandas": (FRAME["a"], "series.to_frame()"),
    "Series of polars": (pl.Series([1]), "series.to_frame()"),
    "Series of dask": (dd.from_pandas(FRAME, npartitions=1)["a"], "series.to_frame()"),
    "DataFrameGroupBy of pandas": (FRAME.groupby("b"), ".agg(...)"),
    "ndarray of numpy": (np.zeros((2, 2)), "pandas.DataFrame(array"),
    "list": ([[1, 2]], "pandas.DataFrame(rows"),
    "list of frames": ([FRAME, FRAME], "pandas.concat(frames"),
    "list of paths": (["a.parquet", "b.parquet"], "'folder/*.parquet'"),
    "dict": ({"a": [1]}, "pandas.DataFrame(records)"),
    "FileSystemDataset of pyarrow": (pyarrow.dataset.dataset([]), "dataset.to_table()"),
    "ChunkedArray of pyarrow": (pa.chunked_array([[1]]), "pyarrow.table("),
    "DuckDBPyConnection of duckdb": (duckdb.connect(), "connection.sql("),
    "Connection of sqlite3": (sqlite3.connect(":memory:"), "pandas.read_sql("),
    "BytesIO": (io.BytesIO(b"a"), "pandas.read_csv(file)"),
    "DataFrame of pyspark": (Spark(), "df.toPandas()"),
    "Modin of modin": (Modin(), "df.modin.to_pandas()"),
    "Foreign of tests": (Foreign(), "table.to_pandas()"),
    "int": (5, "pass a table of pandas, polars, pyarrow, DuckDB or Dask"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_is_no_table_is_refused_with_the_call_that_makes_one(kind):
    data, call = OBJECTS[kind]
    with pytest.raises(DataError) as refusal:
        MetaExtractor.extract(data)
    assert call in str(refusal.value)
    assert f"has the type {kind}".split(" of frames")[0].split(" of paths")[0] in str(refusal.value)


def test_a_table_that_cannot_tell_arrow_its_types_is_refused_with_the_call_that_makes_another():
    with pytest.raises(
        DataError, match=r"DataFrame of pyspark cannot tell Arrow.*df.toPandas\(\)"
    ) as refusal:
        MetaExtractor.extract(Untold())
    assert "PLANTED" not in str(refusal.value)
    assert refusal.value.__suppress_context__


FILES = {
    "t.json": "pandas.read_json('t.json')",
    "t.xls": "pandas.read_excel('t.xls', engine='calamine')",
    "t.txt": "pandas.read_csv('t.txt'",
    "t.csv.zip": "pandas.read_csv('t.csv.zip')",
    "t.db": "pandas.read_sql(",
    "t.orc": "pandas.read_orc('t.orc')",
    "t.pkl": "pandas.read_pickle('t.pkl')",
    "t.rds": "pyreadr.read_r('t.rds')",
    "t.shp": "geopandas.read_file('t.shp')",
    "t.odd": "does not end like a table file",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_read_is_refused_with_the_call_that_reads_it(name, tmp_path, capsys):
    (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(DataError) as refusal:
        open_source(tmp_path / name)
    assert FILES[name] in str(refusal.value)
    assert cli.main(["doctor", str(tmp_path / name)]) == cli.FAILED
    told = capsys.readouterr().err
    assert FILES[name].partition("(")[0] in told


def test_an_address_elsewhere_is_refused_with_the_call_of_its_kind():
    for ending, call in (("csv", "dask.dataframe.read_csv"), ("parquet", "dask.dataframe.read_parquet")):
        with pytest.raises(DataError, match=call):
            open_source(f"s3://bucket/t.{ending}")


COLUMNS = {
    "lists of polars": (pl.DataFrame({"c": [[1]]}), "df.explode('c')"),
    "structs of polars": (pl.DataFrame({"c": [{"a": 1}]}), "df.unnest('c')"),
    "bytes of polars": (pl.DataFrame({"c": [b"x"]}), ".cast(polars.String)"),
    "times of polars": (pl.DataFrame({"c": [dt.time(1)]}), ".cast(polars.String)"),
    "structs of pyarrow": (pa.table({"c": [{"a": 1}]}), "table.flatten()"),
    "bytes of pyarrow": (pa.table({"c": [b"x"]}), "table['c'].cast('string')"),
    "lists of DuckDB": (duckdb.sql("select [1, 2] as c"), 'unnest("c") AS "c"'),
    "UUIDs of DuckDB": (duckdb.sql("select uuid() as c"), 'CAST("c" AS VARCHAR)'),
    "JSON of DuckDB": (duckdb.sql("select '{}'::JSON as c"), 'CAST("c" AS VARCHAR)'),
    "times of an unknown zone": (
        pa.table({"c": pa.array([0], pa.timestamp("s", "Mars/Base"))}),
        "table.drop_columns(['c'])",
    ),
    "lists of pandas": (pd.DataFrame({"c": [[1]] * 20}), "df.explode('c')"),
    "times of pandas": (pd.DataFrame({"c": [dt.time(1)] * 20}), "pd.to_timedelta("),
    "complex numbers": (pd.DataFrame({"c": [1j]}), ".to_numpy().real"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_that_cannot_be_learned_is_refused_with_the_call_that_converts_it(kind):
    with pytest.raises(MetadataError, match="column 'c'") as refusal:
        MetaExtractor.extract(COLUMNS[kind][0])
    assert COLUMNS[kind][1] in str(refusal.value)


def test_the_calls_for_columns_work():
    made = pl.DataFrame({"c": [b"x"], "s": [{"a": 1}], "l": [[1]]})
    for name, kind in (("c", "binary"), ("s", "struct<a: int64>"), ("l", "list<item: int64>")):
        for call in column_call(name, kind, TableForm("polars")).split(" or "):
            assert isinstance(eval(call, {"df": made, "polars": pl}), pl.DataFrame)
    table = pa.table({"c": [b"x"], "s": [{"a": 1}]})
    for name, kind in (("c", "binary"), ("s", "struct<a: int64>")):
        for call in column_call(name, kind, TableForm("pyarrow")).split(" or "):
            assert isinstance(eval(call, {"table": table}), pa.Table)
    relation = duckdb.sql("select uuid() as c, [1] as l, {'a': 1} as s")
    for name, kind in (("c", "UUID"), ("l", "list<l: int32>"), ("s", "struct<a: int32>")):
        for call in column_call(name, kind, TableForm("duckdb")).split(" or "):
            assert len(eval(call, {"relation": relation}).fetchall()) == 1
