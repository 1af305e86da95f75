"""Frictionless Table Schema (https://specs.frictionlessdata.io/table-schema/), read as declarations."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.interop.conversion import ConvertedSchema, listed

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["is_frictionless", "read_frictionless", "read_missing"]

KINDS = {
    "integer": "number",
    "number": "number",
    "boolean": "category",
    "string": "category",
    "date": "datetime",
    "datetime": "datetime",
    "duration": "datetime",
}
# what is read here, or describes what reading the file has settled or what nobody computes with
FIELD_KEYS = {
    *("name", "type", "constraints", "missingValues", "categories", "categoriesOrdered", "title"),
    *("description", "example", "format", "decimalChar", "groupChar", "bareNumber", "rdfType"),
    *("trueValues", "falseValues"),
}
READ = {"required", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")  # of all other markers of dates none is a date
NO_MISSING = "whether values may be missing (that is measured)"


def is_frictionless(content: Mapping[Any, Any]) -> bool:
    """Whether a document is a Table Schema, or a resource or package with one."""
    return isinstance(content.get("fields"), list) or "resources" in content or _has_schema(content)


def _has_schema(content: Mapping[Any, Any]) -> bool:
    schema = content.get("schema")
    return isinstance(schema, Mapping) and isinstance(schema.get("fields"), list)


def read_frictionless(content: Mapping[Any, Any], names: Collection[str]) -> ConvertedSchema:
    """Declarations from a Table Schema.

    Args:
        content: The descriptor of a schema, or of a resource or package with one.
        names: The table's columns; of several resources the one with these columns is taken.

    Raises:
        MetadataError: There are several resources and none, or more than one, has these columns.
    """
    converted = ConvertedSchema("the Table Schema")
    schema = _schema(content, names)
    for described in schema["fields"]:
        _read_field(converted, described)
        markers = described.get("missingValues", schema.get("missingValues"))
        read_missing(converted, described, markers or ())
    key = schema.get("primaryKey") or ()
    keys = [key] if isinstance(key, str) else list(key)
    if len(keys) == 1:
        converted.options["id"][keys[0]] = True
    elif keys:
        converted.remarks.append(
            f"a primaryKey of several columns ({listed(keys)}), which are learned like others"
        )
    converted.remarks += [name for name in ("foreignKeys", "uniqueKeys") if schema.get(name)]
    return converted


def _schema(content: Mapping[Any, Any], names: Collection[str]) -> Mapping[str, Any]:
    if "fields" in content:
        return content
    if _has_schema(content):
        return dict(content["schema"])
    schemas = [resource["schema"] for resource in content["resources"] if _has_schema(resource)]
    if len(schemas) > 1:
        schemas = [each for each in schemas if {one["name"] for one in each["fields"]} == set(names)]
    if len(schemas) != 1:
        raise MetadataError(
            f"schema is a data package in which {len(schemas)} resources have the columns of this table: "
            "pass the schema of one resource."
        )
    return dict(schemas[0])


def _read_field(converted: ConvertedSchema, described: Mapping[str, Any]) -> None:
    name, kind = described["name"], described.get("type", "any")
    constraints = described.get("constraints") or {}
    if kind in KINDS:
        converted.kinds[name] = KINDS[kind]
    elif kind != "any":
        converted.leave_out(f"type {kind!r} (learned according to the column's own type)", name)
    if kind == "integer":
        converted.options["decimals"][name] = 0
    _read_domain(converted, name, kind, constraints.get("enum") or described.get("categories"), constraints)
    for key in constraints:
        if key == "required" and constraints[key]:
            converted.leave_out(NO_MISSING, name)
        elif key not in READ:
            converted.leave_out(f"the constraint {key!r}", name)
    for key in described:
        if key not in FIELD_KEYS:
            converted.leave_out(str(key), name)


def read_missing(
    converted: ConvertedSchema,
    described: Mapping[str, Any],
    markers: Any,  # noqa: ANN401 - a list
) -> None:
    """Declare the markers of missing values that a column of the field's type can hold."""
    kind = described.get("type", "any")
    found: list[Any]
    values = [marker["value"] if isinstance(marker, Mapping) else marker for marker in markers]
    if kind in ("integer", "number"):
        values = [_number(value, kind) for value in values]
        found = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    elif KINDS.get(kind) == "datetime":
        found = [value for value in values if DAY.match(str(value))]
    else:
        found = [value for value in values if isinstance(value, str) and kind != "boolean"]
    if found:
        converted.options["missing"][described["name"]] = found
        converted.missing_labels[described["name"]] = {
            _value(marker, kind): str(marker["label"])
            for marker in markers
            if isinstance(marker, Mapping) and marker.get("label")
        }


def _read_domain(
    converted: ConvertedSchema,
    name: str,
    kind: str,
    values: Any,  # noqa: ANN401 - a list
    constraints: Mapping[str, Any],
) -> None:
    if values and KINDS.get(kind) == "datetime":
        converted.leave_out("a list of dates", name)
    elif values:
        labels = {
            _value(each, kind): str(each["label"])
            for each in values
            if isinstance(each, Mapping) and each.get("label")
        }
        converted.categorize(name, (_value(each, kind) for each in values), labels)
    else:
        converted.limit(name, *(_limit(constraints, side, kind) for side in ("inimum", "aximum")))


def _value(value: Any, kind: str) -> Any:  # noqa: ANN401 - a category
    """A category as a column of that type holds it; it may be written as text, or as value and label."""
    plain = value["value"] if isinstance(value, Mapping) else value
    return _number(plain, kind) if kind in ("integer", "number") else plain


def _number(value: Any, kind: str) -> Any:  # noqa: ANN401 - left as it is if it is no number
    try:
        return int(value) if kind == "integer" else float(value)
    except (TypeError, ValueError):
        return value


def _limit(constraints: Mapping[str, Any], side: str, kind: str) -> Any:  # noqa: ANN401 - number or date
    """The bound on one side; an excluded whole number is replaced by its neighbour."""
    if (included := constraints.get(f"m{side}")) is not None:
        return included
    excluded = constraints.get(f"exclusiveM{side}")
    if excluded is None or kind != "integer":
        return excluded
    whole = _number(excluded, kind)
    return whole + (1 if side == "inimum" else -1) if isinstance(whole, int) else excluded
