"""pandera's schemas, models and their files (https://pandera.readthedocs.io), read as declarations."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from jupyter_dpsynth.interop.conversion import ConvertedSchema

__all__ = ["is_pandera", "read_pandera"]

# pandera's names of checks: what each says about (lowest, highest), and whether the limit itself is allowed
LIMITS = {
    "greater_than_or_equal_to": ("min_value", None, True),
    "greater_than": ("min_value", None, False),
    "less_than_or_equal_to": (None, "max_value", True),
    "less_than": (None, "max_value", False),
    "in_range": ("min_value", "max_value", True),
}
ENDS = ("min_value", "max_value")
# numpy's whole numbers and booleans cannot be missing in any case
NEVER_MISSING = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"bool"}
# what a file says of a check besides its limits
OPTIONS = {
    "check_name",
    "ignore_na",
    "raise_warning",
    "n_failure_cases",
    "groupby",
    "groups",
    "error",
    "name",
}
# what it says of a column besides its checks, written by their names
PARTS = {
    *("checks", "coerce", "default", "description", "drop_invalid_rows", "dtype", "name", "nullable"),
    *("regex", "report_duplicates", "required", "title", "unique"),
}
NO_MISSING = "nullable = False (whether values are missing is measured)"


def is_pandera(source: object) -> bool:
    """Whether something is a schema of pandera's, a model class, or the content of a file of one."""
    if isinstance(source, Mapping):
        return source.get("schema_type") == "dataframe" and isinstance(source.get("columns"), Mapping)
    family = source.__mro__ if isinstance(source, type) else type(source).__mro__
    own = [cls for cls in family if cls.__module__.partition(".")[0] == "pandera"]
    return any(cls.__name__ in ("DataFrameSchema", "DataFrameModel") for cls in own)


def read_pandera(source: Any) -> ConvertedSchema:  # noqa: ANN401 - a type of pandera's
    """Declarations from a schema: its columns' types, their checks of ranges and of allowed values."""
    converted = ConvertedSchema("the pandera schema")
    schema = source.to_schema() if hasattr(source, "to_schema") else source
    if isinstance(schema, Mapping):
        schema = _of_file(schema)
    for name, column in schema.columns.items():
        if column.regex:
            converted.leave_out("columns given by a pattern (declare them by name)", name)
        else:
            _read_column(converted, name, column)
    remarks = {"checks of whole rows": schema.checks, "unique combinations": schema.unique}
    converted.remarks += [what for what, given in remarks.items() if given]
    return converted


def _of_file(content: Mapping[str, Any]) -> SimpleNamespace:
    """A schema of which `to_yaml` or `to_json` has written the content; those leave out what is usual."""
    columns = {
        str(name): SimpleNamespace(
            dtype=str(one.get("dtype")),
            nullable=one.get("nullable", False),
            unique=one.get("unique", False),
            regex=one.get("regex", False),
            checks=_checks_of_file(one),
        )
        for name, one in content["columns"].items()
    }
    return SimpleNamespace(columns=columns, checks=content.get("checks"), unique=content.get("unique"))


def _checks_of_file(column: Mapping[str, Any]) -> list[SimpleNamespace]:
    """The checks of a column, which are beside its other parts, or in 'checks' by name or as a list."""
    listed = column.get("checks") or {}
    if isinstance(listed, Mapping):
        listed = {**listed, **{name: value for name, value in column.items() if name not in PARTS}}
        named = list(listed.items())
    else:
        named = [(each["options"]["check_name"], each) for each in listed]
    found = []
    for name, value in named:
        given = dict(value) if isinstance(value, Mapping) else {"value": value}
        given = {key: each for key, each in given.items() if key != "options" and key not in OPTIONS}
        if "value" in given:
            given[_single(name)] = given.pop("value")
        if str(column.get("dtype")).startswith("timedelta"):
            given = {key: f"{each} ns" if key in ENDS else each for key, each in given.items()}
        found.append(SimpleNamespace(name=name, statistics=given))
    return found


def _single(check: str) -> str:
    """What a check with one value calls it."""
    return next(filter(None, LIMITS.get(check, ())[:2]), "allowed_values")


def _read_column(converted: ConvertedSchema, name: str, column: Any) -> None:  # noqa: ANN401 - a type of pandera's
    dtype = str(column.dtype).lower()
    if kind := _kind(dtype):
        converted.kinds[name] = kind
    whole = dtype.startswith(("int", "uint"))
    if whole:
        converted.options["decimals"][name] = 0
    values = getattr(column.dtype, "categories", None)
    low = high = None
    for check in column.checks:
        statistics = check.statistics or {}
        if check.name == "isin":
            values = statistics["allowed_values"]
        elif check.name in LIMITS:
            below, above = _limits(check.name, statistics, whole=whole)
            low = below if low is None or (below is not None and below > low) else low
            high = above if high is None or (above is not None and above < high) else high
        else:
            converted.leave_out(f"the check {check.name!r}", name)
    if values is not None:
        converted.options["categories"][name] = tuple(values)
    else:
        converted.limit(name, low, high)
    if column.unique:
        converted.leave_out("unique = True (ids = [...] makes a column an identifier)", name)
    if not column.nullable and str(column.dtype) not in NEVER_MISSING:
        converted.leave_out(NO_MISSING, name)


def _limits(check: str, statistics: dict[str, Any], *, whole: bool) -> tuple[Any, Any]:
    """Lowest and highest value that a check allows; an excluded whole number is replaced by its neighbour."""
    low_key, high_key, inclusive = LIMITS[check]
    found = []
    for key, include, step in ((low_key, "include_min", 1), (high_key, "include_max", -1)):
        value = None if key is None else statistics[key]
        included = statistics.get(include, inclusive)
        found.append(value + step if whole and value is not None and not included else value)
    return found[0], found[1]


def _kind(dtype: str) -> str:
    """What columns of a dtype contain; empty if the dtype does not say."""
    if dtype.startswith(("int", "uint", "float", "decimal")):
        return "number"
    if dtype.startswith(("datetime", "timedelta", "date")):
        return "datetime"
    return "category" if dtype.startswith(("str", "bool", "category")) else ""
