"""SDV's metadata (https://docs.sdv.dev, 'Metadata JSON'): read as declarations, and written for SDMetrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.interop.conversion import ConvertedSchema, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["is_sdv", "read_sdv", "sdv_metadata"]

KINDS = {
    "numerical": "number",
    "categorical": "category",
    "ordinal": "category",
    "datetime": "datetime",
    "boolean": "category",
}
# what is read here, a datetime's format, which a column of dates no longer has, and a hint on how to model
COLUMN_KEYS = {
    "sdtype",
    "pii",
    "computer_representation",
    "datetime_format",
    "order",
    "range_is_nullable",
    "high_cardinality",
}
# from SDV 2 on metadata has them, and SDV's own detection reads them off the rows: nothing would pay for them
RANGES = {"range_min", "range_max", "range_values", "decimal_places"}
TABLE_KEYS = {"METADATA_SPEC_VERSION", "columns", "primary_key", "alternate_keys", "synthesizer_info"}


def is_sdv(content: Mapping[Any, Any]) -> bool:
    """Whether a document is SDV metadata."""
    if "METADATA_SPEC_VERSION" in content or "tables" in content:
        return True
    columns = content.get("columns")
    return isinstance(columns, Mapping) and any(
        isinstance(column, Mapping) and "sdtype" in column for column in columns.values()
    )


def read_sdv(content: Mapping[Any, Any], names: Collection[str]) -> ConvertedSchema:
    """Declarations from SDV metadata of one table.

    Keys, and columns of personal details (email, name, ...), are identifiers: never learned. Ranges and
    categories stay to be learned: where SDV metadata has them (from SDV 2 on), SDV has usually read them off
    the private rows.

    Args:
        content: The document.
        names: The table's columns; of several tables the one with these columns is taken.

    Raises:
        MetadataError: It describes several tables and none, or more than one, has these columns.
    """
    converted = ConvertedSchema("SDV metadata")
    table = _table(content, names, converted)
    for name, column in table["columns"].items():
        _read_column(converted, name, column)
    keys = table.get("primary_key"), *(table.get("alternate_keys") or ())
    for key in keys:
        if isinstance(key, str):
            converted.options["id"][key] = True
        elif key:
            converted.remarks.append(
                f"a key of several columns ({listed(key)}), which are learned like others"
            )
    if table.get("sequence_key"):
        key = table["sequence_key"]
        converted.remarks.append(
            f"the sequence key {key!r} (if several rows belong to one person, set privacy_unit = {key!r})"
        )
    others = [key for key, value in table.items() if value and key not in {*TABLE_KEYS, "sequence_key"}]
    converted.remarks += [str(key) for key in others]
    return converted


def _table(
    content: Mapping[Any, Any], names: Collection[str], converted: ConvertedSchema
) -> Mapping[str, Any]:
    """The part of a document that describes the table."""
    if "tables" not in content:
        return content
    if content.get("relationships"):
        converted.remarks.append("relationships between tables")
    tables = content["tables"]
    if len(tables) == 1:
        (table,) = tables.values()
        return dict(table)
    fitting = [table for table in tables.values() if set(table["columns"]) == set(names)]
    if len(fitting) != 1:
        raise MetadataError(
            f"schema describes several tables ({listed(tables)}), of which {len(fitting)} have the columns "
            "of this one: pass the part of one table, for example metadata.to_dict()['tables'][name]."
        )
    return dict(fitting[0])


def _read_column(converted: ConvertedSchema, name: str, column: Mapping[str, Any]) -> None:
    sdtype = column["sdtype"]
    if sdtype == "id":
        converted.options["id"][name] = True
    elif sdtype in KINDS:
        converted.kinds[name] = KINDS[sdtype]
        if str(column.get("computer_representation", "")).startswith(("Int", "UInt")):
            converted.options["decimals"][name] = 0
        if column.get("order"):
            converted.options["categories"][name] = tuple(column["order"])
    elif column.get("pii", True):  # SDV's own default
        converted.options["id"][name] = True
        converted.leave_out(f"realistic values of sdtype {sdtype!r} (they get new numbers instead)", name)
    else:
        converted.leave_out(f"sdtype {sdtype!r} (learned according to the column's own type)", name)
    if RANGES & set(column):
        converted.leave_out(
            "ranges and values, because SDV reads them from the rows (declare bounds and categories that "
            "are public)",
            name,
        )
    if column.get("range_is_nullable") is False:
        converted.leave_out("range_is_nullable = False (whether values are missing is measured)", name)
    for key in column:
        if key not in COLUMN_KEYS | RANGES:
            converted.leave_out(str(key), name)


class Column(Protocol):
    """A column's name and kind: 'number', 'category', 'datetime' or 'id'."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...


class Columns(Protocol):
    """Metadata with columns, such as `DataFrameMeta`."""

    @property
    def columns(self) -> Sequence[Column]: ...


def sdv_metadata(df_meta: Columns) -> dict[str, Any]:
    """A table's metadata as SDV metadata, which SDMetrics' reports need.

    Args:
        df_meta: From `MetaExtractor.extract`, or `synthesizer.df_meta`.

    Returns:
        `{"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", "columns": {name: {"sdtype": ...}}}`.

    Privacy:
        Names and types only: free.
    """
    columns = {column.name: {"sdtype": _sdtype(column)} for column in df_meta.columns}
    return {"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", "columns": columns}


def _sdtype(column: Column) -> str:
    if getattr(column, "is_duration", False):
        return "unknown"  # SDV has no durations
    if getattr(column, "categories", None) == (False, True):
        return "boolean"
    names = {"number": "numerical", "category": "categorical", "datetime": "datetime", "id": "id"}
    return names[column.kind]
