"""Tables of other libraries: polars, pyarrow, DuckDB, and whatever offers the Arrow PyCapsule interface.

Names and types are read when such a table is opened. Rows are read part by part, and each part alone becomes
a frame of pandas, so that the table is in memory once. What can be read only once, or would be computed anew
in each pass, is copied into a file without a name first.
"""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import DataError, MissingDependencyError, shielded
from jupyter_dpsynth.sources.codebook import NO_CODEBOOK, Codebook
from jupyter_dpsynth.sources.forms import DUCKDB_TYPES, TableForm
from jupyter_dpsynth.sources.refusals import library_of, object_call

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["ArrowFrame", "arrow_frame", "is_frame"]

CAPSULE, CAPSULE_SCHEMA = "__arrow_c_stream__", "__arrow_c_schema__"
AT_ONCE = 65_536  # rows that another library computes at once


@dataclass(frozen=True)
class ArrowFrame:
    """A table of another library, as far as it is known without its rows.

    Attributes:
        schema: Names and types of what Arrow can read, a pyarrow.Schema.
        form: What it is.
        parts: Reads the rows: record batches, or tables, of pyarrow.
        held: Whether it is in memory, so that reading it again costs nothing.
        levels: By column all values that its type allows: public, because they are part of the type.
        spans: By column the lowest and the highest of all whole numbers that it can have: public as well.
        missing: By column numbers that stand for a missing value and come back in synthetic tables: public.
        lettered: Columns that may have letters of missing values.
        orders: By column the categories in their order, where that is part of the type: an array of Arrow.
        refused: Columns that Arrow cannot read, with their types.
        codebook: What a file's dictionary says about the columns.
        plain: Whether pandas' own dtypes hold the columns, as those of a file; else Arrow's do.
        note: What of the codebook is not used, for a warning.
    """

    schema: Any
    form: TableForm
    parts: Callable[[], Iterable[Any]]
    held: bool = False
    levels: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    missing: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    lettered: Collection[str] = ()
    orders: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    codebook: Codebook = NO_CODEBOOK
    plain: bool = False
    note: str = ""


def is_frame(data: object) -> bool:
    """Whether something is a table of another library than pandas and Dask."""
    if _is(data, "polars", "LazyFrame"):
        return True
    single = _is(data, "pandas", "DataFrame", "Series", "Index") or _is(data, "polars", "Series")
    return hasattr(type(data), CAPSULE) and not single and not _is(data, "pyarrow", "ChunkedArray")


def arrow_frame(data: object) -> ArrowFrame:
    """A table of another library, of which no row is read.

    Args:
        data: What `is_frame` knows.

    Raises:
        DataError: Its library cannot tell its types.
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: ICN001, F401 - only whether it is there
    except ImportError:
        raise MissingDependencyError(
            f"df is a {type(data).__name__}, which is read with pyarrow: install pyarrow, or pass a pandas "
            "DataFrame."
        ) from None
    if _is(data, "polars", "DataFrame", "LazyFrame"):
        read: Callable[[Any], ArrowFrame] = _polars
    elif _is(data, "duckdb", "DuckDBPyRelation"):
        read = _duckdb
    else:
        read = _arrow
    return shielded(lambda: read(data), f"the types of this {type(data).__name__} could not be read:")


def _is(data: object, library: str, *names: str) -> bool:
    """Whether something is of a type of a library; the library is not imported for it."""
    return isinstance(data, tuple(getattr(sys.modules.get(library), name, ()) or () for name in names))


def _polars(data: Any) -> ArrowFrame:  # noqa: ANN401 - of polars
    import polars as pl
    import pyarrow as pa

    lazy = isinstance(data, pl.LazyFrame)
    types = dict(data.collect_schema() if lazy else data.schema)
    refused, fields = {}, []
    for name, dtype in types.items():
        try:
            fields.append(pa.table(pl.DataFrame(schema={name: dtype})).schema.field(0))
        except (pa.ArrowException, pl.exceptions.PolarsError):
            refused[name] = str(dtype)
    kept = data.select([name for name in types if name not in refused]) if refused else data

    def parts() -> Iterable[Any]:
        if not lazy:
            return [pa.table(kept)]
        if hasattr(kept, "collect_batches"):
            return map(pa.table, kept.collect_batches(chunk_size=AT_ONCE))
        return [pa.table(kept.collect())]

    told = {name: "Null" for name, dtype in types.items() if dtype == pl.Null}
    levels = {
        name: tuple(dtype.categories.to_list()) for name, dtype in types.items() if isinstance(dtype, pl.Enum)
    }
    form = TableForm("polars-lazy" if lazy else "polars", told | dict.fromkeys(levels, "Enum"))
    orders = {name: pa.array(names, pa.large_string()) for name, names in levels.items()}
    return ArrowFrame(pa.schema(fields), form, parts, not lazy, levels=levels, orders=orders, refused=refused)


def _duckdb(data: Any) -> ArrowFrame:  # noqa: ANN401 - a relation of DuckDB
    twice = [name for place, name in enumerate(data.columns) if name in data.columns[:place]]
    if twice:  # which Arrow would give other names, but not always the same ones
        raise DataError(f"column {twice[0]!r} appears more than once: rename the duplicates.")
    types = dict(zip(data.columns, data.types, strict=True))
    names = {name: kind.id for name, kind in types.items()}
    levels = {
        name: tuple(dict(kind.children)["values"]) for name, kind in types.items() if names[name] == "enum"
    }
    schema = _reader(data.limit(0)).schema
    told = {name: kind.upper() for name, kind in names.items() if kind.upper() in DUCKDB_TYPES}
    told |= dict.fromkeys(levels, "ENUM")
    odd = {
        name: str(kind) for name, kind in types.items() if names[name] in DUCKDB_ODD or str(kind) == "JSON"
    }
    return ArrowFrame(schema, TableForm("duckdb", told), lambda: _reader(data), levels=levels, refused=odd)


DUCKDB_ODD = frozenset(("uuid",))  # would come back as any other text


def _arrow(data: Any) -> ArrowFrame:  # noqa: ANN401 - whatever offers its rows as a stream of Arrow
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        found = ArrowFrame(data.schema, TableForm("pyarrow"), lambda: [data], held=True)
        return _of_pyarrow(found, data)
    reader, tells = isinstance(data, pa.RecordBatchReader), hasattr(type(data), CAPSULE_SCHEMA)
    schema = data.schema if reader else _told(data, pa.schema if tells else lambda it: _reader(it).schema)
    if reader or (tells and not hasattr(type(data), "columns")):
        return _of_pyarrow(ArrowFrame(schema, TableForm("arrow-stream"), _once(data)), None)
    # a table, whose rows can be asked for again
    return _of_pyarrow(ArrowFrame(schema, TableForm("pyarrow"), lambda: _reader(data)), None)


def _told(data: Any, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what Arrow is told of a table
    """What a library tells Arrow of its table; pyspark, for one, cannot if there are times in it."""
    try:
        return ask(data)
    except Exception:  # noqa: BLE001 - whatever a library raises
        raise DataError(
            f"the {type(data).__name__} of {library_of(data)} cannot tell Arrow its types: make another "
            f"table of it ({object_call(data) or 'of pandas'})."
        ) from None


def _once(data: Any) -> Callable[[], Any]:  # noqa: ANN401 - a stream
    """Reads a stream, which is empty afterwards.

    Raises:
        DataError: It has been read already.
    """
    if id(data) in _read:
        raise DataError(
            f"this {type(data).__name__} has been read already, and can be read once only: make it again."
        )

    def read() -> Any:  # noqa: ANN401 - a pyarrow.RecordBatchReader
        _read.add(id(data))
        weakref.finalize(data, _read.discard, id(data))
        return _reader(data)

    return read


_read: set[int] = set()  # streams by their identity, while they are there


def _of_pyarrow(frame: ArrowFrame, table: Any) -> ArrowFrame:  # noqa: ANN401 - a pyarrow.Table, or None
    """The same with what pandas' dtypes do not tell, and the order of the levels of ordered dictionaries."""
    import pyarrow.types as t

    told: dict[str, str] = {}
    orders: dict[str, Any] = {}
    for place, each in enumerate(frame.schema):
        if t.is_dictionary(each.type) or t.is_null(each.type) or str(each.type) == "string_view":
            told[each.name] = str(each.type)
        if not getattr(each.type, "ordered", False):
            continue
        if table is None or not table.column(place).num_chunks:
            raise DataError(
                f"the order of the categories of column {each.name!r} is not known before its rows are "
                "read: pass a pyarrow.Table (reader.read_all())."
            )
        orders[each.name] = table.column(place).chunk(0).dictionary
    return replace(frame, form=TableForm(frame.form.kind, told), orders=orders)


def _reader(data: Any) -> Any:  # noqa: ANN401 - a pyarrow.RecordBatchReader
    import pyarrow as pa

    return pa.RecordBatchReader.from_stream(data)
