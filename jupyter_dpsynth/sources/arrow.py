"""From pyarrow's tables to pandas' frames, the same way for every kind of file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.sources.forms import TableForm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import pandas as pd

__all__ = [
    "decoded_table",
    "file_form",
    "is_plain",
    "is_text",
    "is_untold",
    "nullable_dtype",
    "read_arrow_frame",
    "text_dictionaries",
    "to_frame",
    "untold_types",
]


def is_plain(kind: Any) -> bool:  # noqa: ANN401 - a pyarrow.DataType
    """Whether values of this type can be learned: numbers, text, truth values, points in time."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return is_plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):  # UUIDs, for one
        return False
    if t.is_timestamp(kind) and not _is_zone(kind.tz):
        return False
    odd = t.is_nested, t.is_binary, t.is_large_binary, t.is_fixed_size_binary, t.is_time, t.is_interval
    return not any(test(kind) for test in odd) and str(kind) not in ("binary_view", "run_end_encoded")


def is_untold(kind: Any) -> bool:  # noqa: ANN401 - a pyarrow.DataType
    """Whether a type becomes another one in the frames that `to_frame` makes: decimal numbers and days."""
    import pyarrow.types as t

    return bool(t.is_decimal(kind) or t.is_date(kind))


def _is_zone(name: str | None) -> bool:
    """Whether pandas knows a time zone, or there is none."""
    import pandas as pd

    try:
        return name is None or pd.Timestamp(0, tz=name).tzinfo is not None
    except Exception:  # noqa: BLE001 - of zoneinfo, or of another library of zones
        return False


def untold_types(schema: Any, names: Iterable[str]) -> dict[str, str]:  # noqa: ANN401 - a pyarrow.Schema
    """The types of some columns that become other ones in pandas, as text."""
    kinds = {name: schema.field(name).type for name in names}
    return {name: str(kind) for name, kind in kinds.items() if is_untold(kind)}


def file_form(path: str, kind: str) -> TableForm:
    """What pandas does not tell of the types of a file.

    Args:
        path: The file.
        kind: 'Parquet' or 'Feather'.
    """
    import pyarrow.feather
    import pyarrow.parquet

    if kind == "Parquet":
        schema = pyarrow.parquet.read_schema(path)
    else:
        schema = pyarrow.feather.read_table(path).schema
    return TableForm("pandas", untold_types(schema, schema.names))


def read_arrow_frame(path: str, kind: str) -> pd.DataFrame:
    """A file as a frame in memory, with the types that follow from its schema.

    Args:
        path: The file.
        kind: 'Parquet' or 'Feather'.
    """
    import pyarrow.feather
    import pyarrow.parquet

    if kind == "Parquet":
        schema = pyarrow.parquet.read_schema(path)
        table = pyarrow.parquet.read_table(path, read_dictionary=text_dictionaries(schema))
    else:
        table = pyarrow.feather.read_table(path)
        schema = table.schema
    described = to_frame(table.slice(0, 0), schema, None)
    return to_frame(table, schema, described.dtypes.to_dict())


def text_dictionaries(schema: Any) -> list[str]:  # noqa: ANN401 - a pyarrow.Schema
    """Columns in which texts are stored once for many rows; pyarrow must be told, or it checks the texts."""
    import pyarrow.types as t

    return [field.name for field in schema if t.is_dictionary(field.type) and is_text(field.type.value_type)]


def is_text(kind: Any) -> bool:  # noqa: ANN401 - a pyarrow.DataType
    """Whether a type is plain text, no dictionary of it."""
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind))


def to_frame(
    table: Any,  # noqa: ANN401 - pyarrow ships no types
    schema: Any,  # noqa: ANN401
    dtypes: dict[str, Any] | None,
    coded: Collection[str] = (),
) -> pd.DataFrame:
    """A frame whose dtypes follow from the file's schema alone, never from its values.

    Whole numbers and truth values that no data frame of pandas was written from may be missing anywhere, so
    they get pandas' nullable types. Decimal numbers become floating ones, days points in time.

    Args:
        table: Columns of the file, a pyarrow.Table.
        schema: Schema of the file.
        dtypes: What the columns must have in every part; None to find out.
        coded: Columns of text that stay categories: each text once, as the table has them.
    """
    import pandas as pd
    import pyarrow as pa

    table = _decodable(table, schema)
    fields = [_readable(field) for field in table.schema]
    table = table.cast(pa.schema(fields, _metadata_of(table)))
    mapper = None if table.schema.pandas_metadata else nullable_dtype
    # whole numbers beside missing ones stay exact, which floats would not
    options = {"types_mapper": mapper, "date_as_object": False, "integer_object_nulls": True}
    frame = table.to_pandas(**options).reset_index(drop=True)
    for name, dtype in (dtypes or {}).items():
        if name in coded:
            continue
        if frame[name].dtype != dtype and dtype != "category":
            series = frame[name]
            if getattr(dtype, "kind", "") in "iub":  # not fillna, which warns where something is missing
                series = pd.Series(np.where(series.isna(), 0, series.to_numpy(object)), dtype=object)
            frame[name] = series.astype(dtype)
    return frame[[name for name in table.column_names if name in frame.columns]]


def _metadata_of(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table; a dict or None
    """The metadata of a table's schema, of what pandas wrote into it only the columns that the table has.

    Of the others pyarrow would look for the dtypes, too, and not know all of them.
    """
    stored = table.schema.pandas_metadata
    if not stored:
        return table.schema.metadata
    names = set(table.column_names)
    stored["columns"] = [_known_type(each) for each in stored["columns"] if each["field_name"] in names]
    return {**table.schema.metadata, b"pandas": json.dumps(stored).encode()}


def _known_type(column: dict[str, Any]) -> dict[str, Any]:
    """What pandas wrote about a column, without a dtype of Arrow that pandas cannot make again."""
    import pandas as pd

    written = str(column["numpy_type"])
    if not written.endswith("[pyarrow]"):
        return column
    try:
        known = written != "null[pyarrow]" and pd.api.types.pandas_dtype(written) is not None
    except (TypeError, NotImplementedError):
        known = False
    return column if known else {**column, "numpy_type": "object"}


def _decodable(table: Any, schema: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table and Schema
    """The table with what is no text in UTF-8 missing: pyarrow checks it only when it makes text of it."""
    import pyarrow as pa

    for place, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
        stored = schema.field(field.name).type
        if not is_text(getattr(field.type, "value_type", field.type)):
            continue
        ordered = getattr(stored, "ordered", False) and not field.type.ordered  # is lost in reading
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            chunks = [_decoded(chunk) for chunk in column.chunks]
        else:
            if not ordered:
                continue
            chunks = column.chunks
        if ordered:
            chunks = [
                pa.DictionaryArray.from_arrays(each.indices, each.dictionary, ordered=True) for each in chunks
            ]
        kind = chunks[0].type if chunks else field.type
        table = table.set_column(place, field.with_type(kind), pa.chunked_array(chunks, kind))
    return table


def decoded_table(table: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table
    """The table with text in the forms that pandas can hold, and what is no text in UTF-8 missing.

    A dictionary gets each of its values once, as pandas asks of categories.
    """
    import pyarrow as pa

    arrays = []
    for column in table.columns:
        chunks = [_as_pandas_holds(chunk) for chunk in column.chunks]
        kind = chunks[0].type if chunks else _as_pandas_holds(pa.array([], column.type)).type
        arrays.append(pa.chunked_array(chunks, kind))
    return pa.table(arrays, names=table.column_names)


def _as_pandas_holds(chunk: Any) -> Any:  # noqa: ANN401 - a pyarrow.Array
    import pyarrow as pa

    if pa.types.is_null(chunk.type):
        return chunk.cast(pa.string())
    if str(chunk.type) == "string_view":
        chunk = chunk.cast(pa.binary_view()).cast(pa.large_binary()).view(pa.large_string())
    if pa.types.is_dictionary(chunk.type):
        indices, values = chunk.indices, _as_pandas_holds(chunk.dictionary)
        if len(values.unique()) < len(values):
            anew = values.take(indices).dictionary_encode()
            indices, values = anew.indices.cast(indices.type), anew.dictionary
        found = pa.DictionaryArray.from_arrays(indices, values, ordered=chunk.type.ordered)
        return _decoded(found) if values.null_count else found
    if not is_text(chunk.type):
        return chunk
    try:
        chunk.validate(full=True)
    except pa.ArrowInvalid:
        return _decoded(chunk)
    return chunk


def _decoded(chunk: Any) -> Any:  # noqa: ANN401 - a pyarrow.Array
    """Text, or a dictionary of it, with what is not in UTF-8 missing."""
    import pyarrow as pa

    if isinstance(chunk, pa.DictionaryArray):
        texts = _decoded(chunk.dictionary)
        known = np.append(texts.is_valid().to_numpy(zero_copy_only=False), False)
        codes = chunk.indices.cast(pa.int64()).fill_null(len(texts)).to_numpy()
        number = pa.array((np.cumsum(known) - 1)[codes], chunk.type.index_type, mask=~known[codes])
        return pa.DictionaryArray.from_arrays(number, texts.drop_null(), ordered=chunk.type.ordered)
    binary = pa.large_binary() if pa.types.is_large_string(chunk.type) else pa.binary()
    return pa.array(map(_text, chunk.cast(binary).to_pylist()), chunk.type)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _readable(field: Any) -> Any:  # noqa: ANN401 - a pyarrow.Field
    import pyarrow as pa

    if pa.types.is_decimal(field.type):
        return field.with_type(pa.float64())
    return field.with_type(pa.string()) if pa.types.is_null(field.type) else field


def nullable_dtype(kind: Any) -> Any:  # noqa: ANN401 - a pandas extension dtype, or None
    """The dtype of whole numbers and truth values that may be missing; None for other types of Arrow."""
    import pandas as pd
    import pyarrow.types as t

    if t.is_boolean(kind):
        return pd.BooleanDtype()
    if not t.is_integer(kind):
        return None
    return pd.api.types.pandas_dtype(str(kind).replace("u", "U").replace("int", "Int"))
