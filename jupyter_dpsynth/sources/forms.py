"""In which form a table came, and how a synthetic one is given back in the same form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, MissingDependencyError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["DUCKDB_TYPES", "FORMS", "PANDAS", "TableForm", "given_as"]

#: What a table may be, by the name that `frame=` takes, and the library that it needs.
FORMS = {
    "pandas": "pandas",
    "polars": "polars",
    "polars-lazy": "polars",
    "pyarrow": "pyarrow",
    "arrow-stream": "pyarrow",
    "duckdb": "duckdb",
    "dask": "dask",
}
NOTHING = "NULL"  # the type that DuckDB gives a column without any value
#: Types of DuckDB that Arrow has no counterpart for.
DUCKDB_TYPES = frozenset(("HUGEINT", "UHUGEINT", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", NOTHING))
DECIMAL = re.compile(r"(decimal(?:32|64|128|256))\((\d+), (-?\d+)\)")
APOSTROPHE = "'"
PART_ROWS = 262_144  # of a Dask DataFrame


@dataclass(frozen=True)
class TableForm:
    """The kind of object that a table was, and what its pandas dtypes do not tell of its types.

    Attributes:
        kind: One of `FORMS`; 'pandas' also for files.
        types: By column the type in the words of that library, where a dtype of pandas has not all of it; of
            Parquet files in those of Arrow.
    """

    kind: str = "pandas"
    types: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `TableForm(**values)`."""
        return {"kind": self.kind, "types": dict(self.types)}


PANDAS = TableForm()


def given_as(df: pd.DataFrame, form: TableForm, kind: str | None = None) -> Any:  # noqa: ANN401 - any frame
    """A synthetic table in the form that the original had, or in another one.

    Args:
        df: The table.
        form: Of the original.
        kind: What the user asks for, one of `FORMS`; None for that of the original.

    Raises:
        ConfigError: There is no such kind.
        MissingDependencyError: Its library is not installed.
    """
    kind = form.kind if kind is None else kind
    if kind not in FORMS:
        raise ConfigError(f"frame = {shown(kind)} is not allowed: give one of {', '.join(map(repr, FORMS))}.")
    types = form.types if FORMS[kind] == FORMS[form.kind] else {}
    try:
        return _MAKERS[kind](df, types)
    except ImportError as error:
        if isinstance(error, MissingDependencyError):
            raise
    raise MissingDependencyError(
        f"a table of {kind} is to be made, and {FORMS[kind]} is not installed: install it, or pass "
        "frame='pandas'."
    )


def _to_pandas(df: pd.DataFrame, _: Mapping[str, str]) -> pd.DataFrame:
    return df


def _to_arrow(df: pd.DataFrame, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - a pyarrow.Table
    import pyarrow as pa

    table = pa.Table.from_pandas(df, preserve_index=False).replace_schema_metadata(None)
    for place, name in enumerate(table.column_names):
        if name in types:
            kind = arrow_type(types[name])
            column = pa.nulls(len(df)) if pa.types.is_null(kind) else table.column(place).cast(kind)
            table = table.set_column(place, pa.field(name, kind), column)
    return table


def arrow_type(text: str) -> Any:  # noqa: ANN401 - a pyarrow.DataType
    """A type of Arrow that has no counterpart in pandas, from its text.

    Args:
        text: `str(type)` of a dictionary, of decimal numbers, or a name that pyarrow knows.
    """
    import pyarrow as pa

    decimals = DECIMAL.fullmatch(text)
    if decimals:
        kind: Any = getattr(pa, decimals[1])
        return kind(int(decimals[2]), int(decimals[3]))
    if not text.startswith("dictionary<"):
        return pa.type_for_alias(text)
    values, indices, ordered = (
        part.partition("=")[2] for part in text.removeprefix("dictionary<")[:-1].rsplit(", ", 2)
    )
    return pa.dictionary(pa.type_for_alias(indices), pa.type_for_alias(values), ordered == "1")


def _to_stream(df: pd.DataFrame, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - a RecordBatchReader
    return _to_arrow(df, types).to_reader()


def _to_polars(df: pd.DataFrame, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - a polars.DataFrame
    import polars as pl

    frame = pl.from_arrow(_to_arrow(df, {}))
    levels = {name: df[name].dtype.categories for name, told in types.items() if told == "Enum"}
    casts = [pl.col(name).cast(pl.Enum(list(names))) for name, names in levels.items()]
    casts += [pl.lit(None).alias(name) for name, told in types.items() if told == "Null"]
    return frame.with_columns(casts) if casts else frame


def _to_lazy(df: pd.DataFrame, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - a polars.LazyFrame
    return _to_polars(df, types).lazy()


def _to_duckdb(df: pd.DataFrame, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - a relation
    import duckdb

    relation = duckdb.from_arrow(_to_arrow(df, {}))
    if not types:
        return relation
    casts = []
    for name in df.columns:
        column, told = _quoted(name, '"'), types.get(name, "")
        if told == "ENUM":
            told = f"ENUM({', '.join(_quoted(level, APOSTROPHE) for level in df[name].dtype.categories)})"
        elif told not in DUCKDB_TYPES:  # a saved model may say anything, and this becomes SQL
            told = ""
        cast = "NULL" if told == NOTHING else f"CAST({column} AS {told})"
        casts.append(f"{cast} AS {column}" if told else column)
    return relation.project(", ".join(casts))


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark + mark) + mark


def _to_dask(df: pd.DataFrame, _: Mapping[str, str]) -> Any:  # noqa: ANN401 - a Dask DataFrame
    import dask.dataframe as dd

    return dd.from_pandas(df, npartitions=max(1, -(-len(df) // PART_ROWS)), sort=False)


_MAKERS = {
    "pandas": _to_pandas,
    "polars": _to_polars,
    "polars-lazy": _to_lazy,
    "pyarrow": _to_arrow,
    "arrow-stream": _to_stream,
    "duckdb": _to_duckdb,
    "dask": _to_dask,
}
