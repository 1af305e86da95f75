"""Checks documents against the JSON Schema files that the package ships.

The part of JSON Schema (draft 2020-12) that those files use, so that reading a receipt or a saved
synthesizer needs no further package. The tests hold it against the reference implementation.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import Any

from jupyter_dpsynth.errors import ArtifactError, shown

__all__ = ["check_document", "check_part", "load_schema", "read_json"]

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
LARGEST_DIGITS = 400  # of a number: longer ones are attacks


def read_json(text: bytes | str) -> Any:  # noqa: ANN401 - a JSON document
    """Parse a JSON document; raises ArtifactError for anything else, including NaN and infinities."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        kind = "nested too deeply" if isinstance(error, RecursionError) else "not JSON"
    raise ArtifactError(f"the content is {kind}.")


def _refuse(name: str) -> None:
    raise ValueError(name)


def _integer(digits: str) -> int:
    if len(digits) > LARGEST_DIGITS:
        raise ValueError
    return int(digits)


@functools.lru_cache(maxsize=8)
def load_schema(name: str) -> dict[str, Any]:
    """One of the schema files in the package's resources.

    Args:
        name: 'receipt', 'synthesizer' or 'checkpoint'.
    """
    source = resources.files("jupyter_dpsynth") / "resources" / f"{name}.schema.json"
    schema: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return schema


def check_document(document: object, name: str) -> None:
    """Raise ArtifactError, naming the field, unless a document follows one of our schemas.

    Args:
        document: What `read_json` gave.
        name: The schema's name.
    """
    schema = load_schema(name)
    _check(document, schema, schema, "")


def check_part(value: object, name: str, field: str) -> None:
    """The same for the value of one field of a schema.

    Args:
        value: The value.
        name: The schema's name.
        field: The field's name.
    """
    schema = load_schema(name)
    _check(value, schema["properties"][field], schema, field)


def _fail(path: str, problem: str) -> None:
    raise ArtifactError(f"{path.lstrip('.') or 'the document'} {problem}.")


def _check(value: object, schema: dict[str, Any], root: dict[str, Any], path: str) -> None:
    if "$ref" in schema:
        _check(value, root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root, path)
        return
    _check_kind(value, schema, path)
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(value, schema, path)
    elif isinstance(value, str):
        if len(value) > schema.get("maxLength", math.inf):
            _fail(path, "is too long")
    elif isinstance(value, list):
        _check_list(value, schema, root, path)
    elif isinstance(value, dict):
        _check_object(value, schema, root, path)
    choices = schema.get("anyOf", ())
    others = [each for each in choices if each.get("type") != "null"]
    if len(others) == 1 and value is not None:
        _check(value, others[0], root, path)  # tells which field is wrong
    elif choices and not any(_fits(value, each, root) for each in choices):
        _fail(path, "does not have any of the allowed forms")


def _check_kind(value: object, schema: dict[str, Any], path: str) -> None:
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        kinds = tuple(kind for name in names for kind in TYPES[name])
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            _fail(path, f"is a {type(value).__name__}, not {' or '.join(names)}")
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None and not any(type(value) is type(each) and value == each for each in allowed):
        _fail(path, f"is {shown(value)}, not {' or '.join(map(repr, allowed))}")


def _fits(value: object, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    try:
        _check(value, schema, root, "")
    except ArtifactError:
        return False
    return True


def _check_number(value: float, schema: dict[str, Any], path: str) -> None:
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        _fail(path, "is not a finite number")
    if value < schema.get("minimum", -math.inf) or value <= schema.get("exclusiveMinimum", -math.inf):
        _fail(path, f"= {shown(value)} is too small")
    if value > schema.get("maximum", math.inf):
        _fail(path, f"= {shown(value)} is too large")


def _check_list(value: list[Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> None:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        _fail(path, f"has {len(value)} entries")
    if "items" in schema:
        for place, item in enumerate(value):
            _check(item, schema["items"], root, f"{path}[{place}]")


def _check_object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            _fail(path, f"has no field {name!r}")
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            _check(item, known[name], root, f"{path}.{name}")
        elif others is False:
            _fail(path, f"has an unknown field {shown(name)}")
        elif isinstance(others, dict):
            _check(item, others, root, f"{path}[{shown(name)}]")
