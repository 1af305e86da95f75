"""Data contracts (Open Data Contract Standard 3, https://bitol-io.github.io), read as declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.interop.conversion import ConvertedSchema

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["is_odcs", "read_odcs"]

KINDS = {
    "integer": "number",
    "number": "number",
    "string": "category",
    "boolean": "category",
    "date": "datetime",
    "timestamp": "datetime",
}
DESCRIBING = {
    *("id", "name", "businessName", "description", "physicalName", "physicalType", "logicalType", "tags"),
    *("logicalTypeOptions", "quality", "required", "primaryKey", "primaryKeyPosition", "unique", "enum"),
    *("classification", "criticalDataElement", "examples", "authoritativeDefinitions", "customProperties"),
    *("partitioned", "partitionKeyPosition", "encryptedName", "transformLogic", "transformDescription"),
    *("transformSourceObjects", "businessDefinition"),
}
LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "multipleOf", "timezone"}
NO_MISSING = "whether values may be missing (that is measured)"


def is_odcs(content: Mapping[Any, Any]) -> bool:
    """Whether a document is a data contract."""
    return content.get("kind") == "DataContract" and isinstance(content.get("schema"), list)


def read_odcs(content: Mapping[Any, Any], names: Collection[str]) -> ConvertedSchema:
    """Declarations from a data contract.

    Args:
        content: The contract, of version 3.
        names: The table's columns; of several objects the one with these properties is taken.

    Raises:
        MetadataError: There are several objects and none, or more than one, has these properties.
    """
    converted = ConvertedSchema("the data contract")
    tables = list(content["schema"])
    if len(tables) > 1:
        tables = [each for each in tables if {_name(one, names) for one in each["properties"]} == set(names)]
    if len(tables) != 1:
        raise MetadataError(
            f"schema is a data contract in which {len(tables)} objects have the columns of this table: pass "
            "a contract with one object in its schema."
        )
    properties = tables[0].get("properties") or []
    for each in properties:
        _read_property(converted, each, _name(each, names))
    keys = [_name(each, names) for each in properties if each.get("primaryKey")]
    if len(keys) == 1:
        converted.options["id"][keys[0]] = True
    elif keys:
        converted.remarks.append("a primary key of several columns, which are learned like others")
    converted.remarks += [f"the object's {key}" for key in ("quality", "relationships") if tables[0].get(key)]
    return converted


def _name(described: Mapping[str, Any], names: Collection[str]) -> str:
    """What a property is called in the table: by its name, or else by its physical name."""
    physical = described.get("physicalName")
    return str(physical if described["name"] not in names and physical in names else described["name"])


def _read_property(converted: ConvertedSchema, described: Mapping[str, Any], name: str) -> None:
    kind, options = described.get("logicalType"), described.get("logicalTypeOptions") or {}
    if kind in KINDS:
        converted.kinds[name] = KINDS[kind]
    elif kind is not None:
        converted.leave_out(f"logicalType {kind!r} (learned according to the column's own type)", name)
    if kind == "integer":
        converted.options["decimals"][name] = 0
    values, labels, others = _values(described)
    if values:
        converted.categorize(name, values, labels)
    else:
        converted.limit(name, *(_limit(options, side, kind) for side in ("inimum", "aximum")))
    if others:
        converted.leave_out("quality rules that are no list of valid values", name)
    if described.get("unique") and not described.get("primaryKey"):
        converted.leave_out("unique = true (ids = [...] makes a column an identifier)", name)
    if described.get("required"):
        converted.leave_out(NO_MISSING, name)
    for key in (
        *(each for each in options if each not in LIMITS),
        *(k for k in described if k not in DESCRIBING),
    ):
        converted.leave_out(str(key), name)


def _values(described: Mapping[str, Any]) -> tuple[list[Any], dict[Any, str], bool]:
    """Valid values, their labels, and whether there are other rules."""
    values: list[Any] = []
    labels: dict[Any, str] = {}
    others = False
    for each in described.get("enum") or ():
        value = each["value"] if isinstance(each, Mapping) else each
        values.append(value)
        if isinstance(each, Mapping) and each.get("label"):
            labels[value] = str(each["label"])
    for rule in described.get("quality") or ():
        # version 3.0 has the list in the rule, 3.1 among its arguments
        valid = rule.get("validValues") or (rule.get("arguments") or {}).get("validValues")
        bounded = any(isinstance(each, str) and each[:1] in "<>=" for each in valid or ())
        none = rule.get("mustBe", 0) == 0
        if valid and none and not bounded:
            values += [each for each in valid if each is not None and each not in values]
        else:
            others = True
    return values, labels, others


def _limit(options: Mapping[str, Any], side: str, kind: str | None) -> Any:  # noqa: ANN401 - number or date
    """The bound on one side; an excluded whole number is replaced by its neighbour."""
    limit, excluded = options.get(f"m{side}"), options.get(f"exclusiveM{side}")
    if excluded is not True:  # version 3.0 has a truth value beside the limit
        beyond = excluded is not None and excluded is not False
        limit = excluded if beyond else limit
    else:
        beyond = True
    if not beyond or limit is None or kind != "integer":
        return limit
    return limit + (1 if side == "inimum" else -1)
