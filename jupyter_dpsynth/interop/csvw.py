"""CSV on the Web (https://www.w3.org/TR/tabular-metadata/), read as declarations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.interop.conversion import ConvertedSchema, listed
from jupyter_dpsynth.interop.frictionless import read_missing

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["is_csvw", "read_csvw"]

WHOLE = {
    *(
        "integer",
        "long",
        "int",
        "short",
        "byte",
        "nonNegativeInteger",
        "positiveInteger",
        "nonPositiveInteger",
    ),
    *("negativeInteger", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"),
}
NUMBERS = {"number", "decimal", "double", "float"}
TIMES = {"date", "dateTime", "datetime", "dateTimeStamp", "duration", "dayTimeDuration", "yearMonthDuration"}
TEXTS = {"string", "normalizedString", "token", "language", "Name", "NMTOKEN", "boolean", "anyURI"}
TABLE_SCHEMA = {"number": "number", "datetime": "datetime", "category": "string"}  # what it calls them
COLUMN_KEYS = {
    "name",
    "titles",
    "datatype",
    "required",
    "null",
    "dc:description",
    "dc:title",
    "ordered",
    "separator",
}
IN_REGULAR_EXPRESSIONS = set("[](){}*+?.^$")
NO_MISSING = "whether values may be missing (that is measured)"


def is_csvw(content: Mapping[Any, Any]) -> bool:
    """Whether a document is CSVW metadata."""
    context = content.get("@context")
    first = context[0] if isinstance(context, list) and context else context
    return first == "http://www.w3.org/ns/csvw" or "tableSchema" in content


def read_csvw(content: Mapping[Any, Any], names: Collection[str]) -> ConvertedSchema:
    """Declarations from CSVW metadata.

    Args:
        content: Metadata of a table, or of a group of tables.
        names: The table's columns; of several tables the one with these columns is taken.

    Raises:
        MetadataError: There are several tables and none, or more than one, has these columns.
    """
    converted = ConvertedSchema("CSVW metadata")
    schema = _schema(content, names)
    called = {}
    for column in schema.get("columns", ()):
        if column.get("virtual"):
            continue
        called[column.get("name")] = _read_column(converted, column, schema, names)
    keys = schema.get("primaryKey") or ()
    keys = [keys] if isinstance(keys, str) else list(keys)
    if len(keys) == 1:
        converted.options["id"][called.get(keys[0], keys[0])] = True
    elif keys:
        converted.remarks.append(
            f"a primaryKey of several columns ({listed(keys)}), which are learned like others"
        )
    converted.remarks += [name for name in ("foreignKeys", "rowTitles") if schema.get(name)]
    return converted


def _schema(content: Mapping[Any, Any], names: Collection[str]) -> Mapping[str, Any]:
    tables = content.get("tables") or [content]
    schemas = [table["tableSchema"] for table in tables if isinstance(table.get("tableSchema"), Mapping)]
    if len(schemas) > 1:
        schemas = [
            schema
            for schema in schemas
            if {_name(column, names) for column in schema.get("columns", ())} == set(names)
        ]
    if len(schemas) != 1:
        raise MetadataError(
            f"schema is CSVW metadata in which {len(schemas)} tables have the columns of this one: pass the "
            "metadata of one table, with its tableSchema."
        )
    return dict(schemas[0])


def _name(column: Mapping[str, Any], names: Collection[str]) -> str:
    """What a column is called in the table: by its title, as in the header, or else by its name."""
    titles = column.get("titles") or ()
    if isinstance(titles, Mapping):
        titles = [title for each in titles.values() for title in ([each] if isinstance(each, str) else each)]
    titles = [titles] if isinstance(titles, str) else list(titles)
    known = [title for title in (*titles, column.get("name")) if title in names]
    return str(known[0] if known else column.get("name") or (titles or ["?"])[0])


def _read_column(
    converted: ConvertedSchema, column: Mapping[str, Any], schema: Mapping[str, Any], names: Collection[str]
) -> str:
    name = _name(column, names)
    datatype = column.get("datatype", schema.get("datatype", "string"))
    given = datatype if isinstance(datatype, Mapping) else {"base": datatype}
    base = given.get("base", "string")
    groups = {"number": WHOLE | NUMBERS, "datetime": TIMES, "category": TEXTS}
    kind = next((kind for kind, known in groups.items() if base in known), "")
    if kind:
        converted.kinds[name] = kind
    else:
        converted.leave_out(f"datatype {base!r} (learned according to the column's own type)", name)
    if base in WHOLE:
        converted.options["decimals"][name] = 0
    values = _alternatives(given.get("format")) if kind == "category" and base != "boolean" else None
    if values:
        converted.categorize(name, values)
    elif kind == "category" and given.get("format") and base != "boolean":
        converted.leave_out("a format that is no list of values", name)
    limits = [_limit(given, side, whole=base in WHOLE) for side in ("min", "max")]
    converted.limit(name, *limits)
    if column.get("required", schema.get("required")):
        converted.leave_out(NO_MISSING, name)
    marks = column.get("null", schema.get("null")) or ()
    marks = [mark for mark in ([marks] if isinstance(marks, str) else marks) if mark != ""]
    stated = "integer" if base in WHOLE else "boolean" if base == "boolean" else TABLE_SCHEMA.get(kind, "any")
    read_missing(converted, {"name": name, "type": stated}, marks)
    for key in column:
        if key not in COLUMN_KEYS:
            converted.leave_out(str(key), name)
    return name


def _limit(datatype: Mapping[str, Any], side: str, *, whole: bool) -> Any:  # noqa: ANN401 - number or date
    """The bound on one side; an excluded whole number is replaced by its neighbour."""
    for key in (f"{side}imum", f"{side}Inclusive"):
        if datatype.get(key) is not None:
            return datatype[key]
    excluded = datatype.get(f"{side}Exclusive")
    if excluded is None or not whole:
        return excluded
    return int(excluded) + (1 if side == "min" else -1)


def _alternatives(pattern: object) -> list[str] | None:
    r"""The values that a regular expression lists; None if it is another one.

    >>> _alternatives(r"^(a b|c\.)$"), _alternatives("[ab]+")
    (['a b', 'c.'], None)
    """
    if not isinstance(pattern, str):
        return None
    inner = pattern.removeprefix("^").removesuffix("$")
    if inner.startswith("(") and inner.endswith(")"):
        inner = inner[1:-1].removeprefix("?:")
    parts = re.split(r"(?<!\\)\|", inner)
    plain = [re.sub(r"\\(\W)", "", part) for part in parts]
    if any(set(part) & IN_REGULAR_EXPRESSIONS or "\\" in part for part in plain):
        return None
    return [re.sub(r"\\(\W)", r"\1", part) for part in parts]
