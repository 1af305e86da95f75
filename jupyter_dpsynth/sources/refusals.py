"""Names the library and the call for what is no table, or no column that can be learned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dpsynth.sources.forms import TableForm

__all__ = ["column_call", "file_call", "library_of", "object_call"]

# by library and class what becomes a table, and how
OBJECTS = {
    ("polars", "Series"): "series.to_frame()",
    ("narwhals", "LazyFrame"): "df.collect()",
    ("polars", "GroupBy"): "df.group_by(...).agg(...)",
    ("pandas", "Series"): "series.to_frame()",
    ("pandas", "Index"): "index.to_frame(index=False)",
    ("pandas", "MultiIndex"): "index.to_frame(index=False)",
    ("pandas", "DataFrameGroupBy"): "df.groupby(...).agg(...)",
    ("pandas", "TextFileReader"): "pandas.concat(reader)",
    ("pandas", "ExcelFile"): "file.parse('Sheet1')",
    ("numpy", ""): "pandas.DataFrame(array, columns=[...])",
    ("scipy", ""): "pandas.DataFrame.sparse.from_spmatrix(matrix).sparse.to_dense()",
    ("pyspark", "DataFrame"): "df.toPandas(), or df.write.parquet(folder)",
    ("dask", "Series"): "series.to_frame()",
    ("dask", "Bag"): "bag.to_dataframe()",
    ("dask", "Array"): "dask.dataframe.from_dask_array(array)",
    ("pyarrow", "ParquetFile"): "file.read()",
    ("pyarrow", "ParquetDataset"): "dataset.read()",
    ("pyarrow", "Dataset"): "dataset.to_table()",
    ("pyarrow", "FileSystemDataset"): "dataset.to_table()",
    ("pyarrow", "InMemoryDataset"): "dataset.to_table()",
    ("pyarrow", "UnionDataset"): "dataset.to_table()",
    ("pyarrow", "Scanner"): "scanner.to_table()",
    ("pyarrow", "RecordBatchFileReader"): "reader.read_all()",
    ("pyarrow", ""): "pyarrow.table({'name': array})",
    ("duckdb", ""): "connection.sql('SELECT ...')",
    ("sqlite3", ""): "pandas.read_sql('SELECT ...', connection)",
    ("sqlalchemy", ""): "pandas.read_sql('SELECT ...', engine)",
    ("psycopg", ""): "pandas.read_sql('SELECT ...', engine) with an engine of SQLAlchemy",
    ("psycopg2", ""): "pandas.read_sql('SELECT ...', engine) with an engine of SQLAlchemy",
    ("pyodbc", ""): "pandas.read_sql('SELECT ...', engine) with an engine of SQLAlchemy",
    ("xarray", ""): "dataset.to_dataframe().reset_index()",
    ("torch", "Tensor"): "pandas.DataFrame(tensor.numpy(), columns=[...])",
    ("tensorflow", ""): "pandas.DataFrame(tensor.numpy(), columns=[...])",
    ("sklearn", "Bunch"): "bunch.frame (fetch it with as_frame=True)",
    ("_io", ""): "pandas.read_csv(file), or the path instead of the open file",
    ("builtins", "dict"): "pandas.DataFrame(records)",
    ("builtins", "bytes"): "pandas.read_csv(io.BytesIO(data))",
    ("builtins", "generator"): "pandas.DataFrame(records)",
}
# methods by which libraries give a table, the best first
METHODS = ("to_pandas", "toPandas", "to_pandas_df", "to_dataframe", "as_data_frame", "to_arrow", "to_frame")
FILES = (  # by the end of a name what a file is, and how it is read
    (".xls", "a workbook", "pandas.read_excel({path}, engine='calamine')"),
    (".xlsb", "a workbook", "pandas.read_excel({path}, engine='calamine')"),
    (".numbers", "a workbook", "its program's export as .xlsx, then pandas.read_excel(...)"),
    (".jsonl", "JSON", "pandas.read_json({path}, lines=True)"),
    (".ndjson", "JSON", "pandas.read_json({path}, lines=True)"),
    (".json", "JSON", "pandas.read_json({path})"),
    (".orc", "ORC", "pandas.read_orc({path})"),
    (".avro", "Avro", "polars.read_avro({path})"),
    (".arrow", "Arrow", "pandas.read_feather({path})"),
    (".ipc", "Arrow", "polars.read_ipc({path})"),
    (".h5", "HDF5", "pandas.read_hdf({path})"),
    (".hdf5", "HDF5", "pandas.read_hdf({path})"),
    (".pkl", "a pickle", "pandas.read_pickle({path})"),
    (".pickle", "a pickle", "pandas.read_pickle({path})"),
    (".xml", "XML", "pandas.read_xml({path})"),
    (".html", "HTML", "pandas.read_html({path})[0]"),
    (".fwf", "text of fixed widths", "pandas.read_fwf({path})"),
    (".txt", "text", "pandas.read_csv({path}, sep=None, engine='python'), or rename it to .csv"),
    (".dat", "text", "pandas.read_csv({path}, sep=None, engine='python'), or rename it to .csv"),
    (".tab", "text", "pandas.read_csv({path}, sep='\\t'), or rename it to .tsv"),
    (".tsv.gz", "packed text", "pandas.read_csv({path}, sep='\\t')"),
    (".csv.zip", "packed text", "pandas.read_csv({path})"),
    (".zip", "packed", "pandas.read_csv({path}) if one CSV file is in it"),
    (".bz2", "packed", "pandas.read_csv({path})"),
    (".xz", "packed", "pandas.read_csv({path})"),
    (".zst", "packed", "pandas.read_csv({path})"),
    (".gz", "packed", "pandas.read_csv({path})"),
    (".sqlite", "a database", "pandas.read_sql('SELECT ...', sqlite3.connect({path}))"),
    (".db", "a database", "pandas.read_sql('SELECT ...', sqlite3.connect({path}))"),
    (".duckdb", "a database", "duckdb.connect({path}).sql('SELECT ...')"),
    (".mdb", "a database of Access", "its program's export as CSV"),
    (".accdb", "a database of Access", "its program's export as CSV"),
    (".dbf", "dBase", "geopandas.read_file({path})"),
    (".shp", "a map", "geopandas.read_file({path}).drop(columns='geometry')"),
    (".gpkg", "a map", "geopandas.read_file({path}).drop(columns='geometry')"),
    (".geojson", "a map", "geopandas.read_file({path}).drop(columns='geometry')"),
    (".mat", "MATLAB", "scipy.io.loadmat({path})"),
    (".npy", "NumPy", "pandas.DataFrame(numpy.load({path}))"),
    (".npz", "NumPy", "pandas.DataFrame(dict(numpy.load({path})))"),
    (".rds", "R", "pyreadr.read_r({path})[None]"),
    (".rda", "R", "pyreadr.read_r({path})"),
    (".rdata", "R", "pyreadr.read_r({path})"),
    (".sas7bcat", "a catalogue of labels", "the .sas7bdat file that belongs to it"),
    (".feather", "Feather", "pandas.read_feather({path})"),
)
STRUCTS = ("struct", "dense_union", "sparse_union", "union")
LISTS = ("list", "large_list", "fixed_size_list", "map", "array")
# by library how a column of structs and one of lists is split, how one becomes text, and how one is left out;
# {c} is its name
COLUMNS = {
    "polars": (
        "df.unnest({c})",
        "df.explode({c})",
        "df.with_columns(polars.col({c}).cast(polars.String))",
        "df.drop({c})",
    ),
    "pyarrow": (
        "table.flatten()",
        "",
        "table.set_column(table.column_names.index({c}), {c}, table[{c}].cast('string'))",
        "table.drop_columns([{c}])",
    ),
    "duckdb": (
        "relation.project('* EXCLUDE ({q}), unnest({q})')",
        "relation.project('* EXCLUDE ({q}), unnest({q}) AS {q}')",
        "relation.project('* REPLACE (CAST({q} AS VARCHAR) AS {q})')",
        "relation.project('* EXCLUDE ({q})')",
    ),
    "file": (
        "polars.read_parquet(path).unnest({c})",
        "polars.read_parquet(path).explode({c})",
        "polars.read_parquet(path).with_columns(polars.col({c}).cast(polars.String))",
        "polars.read_parquet(path).drop({c})",
    ),
}
LIBRARIES = {"polars-lazy": "polars", "arrow-stream": "pyarrow", "pandas": "file", "dask": "file"}


def object_call(data: object) -> str:
    """The call that makes a table of an object, with the name of its library; empty if none is known.

    Args:
        data: What is no table; only its type is looked at.
    """
    kind = type(data)
    home, name = library_of(data), kind.__name__
    if home == "builtins" and name in ("list", "tuple"):
        return _list_call(data)
    if home == "modin":
        return "df.modin.to_pandas()"
    method = next((each for each in METHODS if callable(getattr(kind, each, None))), "")
    return OBJECTS.get((home, name)) or OBJECTS.get((home, "")) or (f"table.{method}()" if method else "")


def library_of(data: object) -> str:
    """The library whose type an object has; 'builtins' and '_io' are Python's own.

    >>> library_of([]), library_of(1.5)
    ('builtins', 'builtins')
    """
    home = type(data).__module__.partition(".")[0]
    return home.removeprefix("_") if home == "_duckdb" else home


def _list_call(data: object) -> str:
    """The call for a list, by the types of what is in it."""
    kinds = {(type(each).__module__.partition(".")[0], type(each).__name__) for each in list(data)[:100]}  # type: ignore[call-overload]
    names = {name for _, name in kinds}
    if names == {"DataFrame"}:
        return {"polars": "polars.concat(frames)", "pandas": "pandas.concat(frames, ignore_index=True)"}.get(
            next(iter(kinds))[0], "one table of all of them"
        )
    if names and names <= {"str", "PosixPath", "WindowsPath", "Path"}:
        return "'folder/*.parquet', one pattern for all paths"
    return "pandas.DataFrame(rows, columns=[...])"


def file_call(name: str) -> str:
    """What a file is and the call that reads it, in words; empty if its name tells nothing.

    Args:
        name: Its name or path.

    >>> file_call("visits.json")
    "JSON, which is not read from here: pass pandas.read_json('visits.json')"
    """
    for ending, what, call in FILES:
        if name.lower().endswith(ending):
            read = call.format(path=repr(name))
            return f"{what}, which is not read from here: pass {read}"
    return ""


def column_call(name: str, kind: str, form: TableForm) -> str:
    """The calls that convert or leave out a column whose type cannot be learned.

    Args:
        name: The column.
        kind: Its type, in the words of its library.
        form: What kind of table it is in.
    """
    struct, lists, text, drop = COLUMNS[LIBRARIES.get(form.kind, form.kind)]
    names = {"c": repr(name), "q": '"' + name.replace('"', '""') + '"'}
    word = re.split(r"[<(\[]", kind.lower())[0]
    first = struct if word in STRUCTS else lists if word in LISTS else text
    return " or ".join(each.format(**names) for each in (first, drop) if each)
