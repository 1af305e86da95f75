"""Finds the user's variables (DataFrames, configs) and evaluates expressions."""

from __future__ import annotations

import ast
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, DataError, did_you_mean
from jupyter_dpsynth.notebook.shield import PrivateTable, reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.csvfile import CsvOptions

__all__ = [
    "build_config",
    "dataframe_names",
    "evaluate",
    "expand",
    "find_dataframe",
    "find_instance",
    "find_table",
    "instances",
    "parse_body",
    "read_value",
    "variable_name",
]

WORDS = ("auto", "native", "tensorflow_privacy")
_DOLLAR = re.compile(r"\$\{?(\w+)\}?")  # a variable as shells write it
_COMMA = re.compile(r"([+-]?\d+),(\d+)")  # a number as half of the world writes it


def evaluate(expression: str, namespace: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    """Value of a Python expression among the user's variables.

    Args:
        expression: Its source.
        namespace: The user's variables.
        where: What it is for, for the message.

    Raises:
        ConfigError: It cannot be evaluated. Only a NameError is quoted: other messages may hold values
            of a private table.
    """
    try:
        code = compile(expression.strip(), f"<{where}>", "eval")
        # the user's own expression, among the user's own variables, as if typed in a cell
        return eval(code, dict(namespace))  # noqa: S307
    except NameError as error:
        name = str(getattr(error, "name", "") or "")
        hint = did_you_mean(name, [n for n in namespace if not n.startswith("_")])
        raise ConfigError(f"{where}: there is no variable {name!r}.{hint}") from None
    except SyntaxError:
        text = expression.strip()
        raise ConfigError(f"{where}: {text!r} is not a Python expression.{_meant(text)}") from None
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        kind = type(error).__name__
    # raised here, where no link leads to the other exception and its values
    raise ConfigError(f"{where}: {expression.strip()!r} raised {kind}.")


def read_value(text: str, namespace: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    """Read a value as typed: a literal, a word such as `auto`, a variable or an `{expression}`."""
    text = text.strip()
    if text in WORDS and text not in namespace:
        return text
    _refuse_decimal_comma(text, where)
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise ConfigError(
            f"{where} = {text!r} is not a value: give a number, a quoted text, a variable or an "
            f"{{expression}}.{_meant(text)}"
        ) from None
    return _node_value(node, text, namespace, where)


def _meant(text: str) -> str:
    """What somebody meant who wrote a variable as in a shell, as a sentence; '' if nobody did."""
    found = _DOLLAR.search(text)
    return f" Write {{{found[1]}}} for the value of a variable, not {found[0]}." if found else ""


def _refuse_decimal_comma(text: str, where: str) -> None:
    """Raise ConfigError for a number with a comma, which Python takes for two numbers."""
    found = _COMMA.fullmatch(text)
    if found is None:
        return
    whole, rest = found.groups()
    wanted = f"{whole}.{rest}" if len(rest) != 3 else f"{whole}{rest}, or {whole}.{rest} for a fraction"
    raise ConfigError(f"{where} = {text} is not a number, because of its comma: write {wanted}.")


def _node_value(node: ast.expr, text: str, namespace: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    try:
        return ast.literal_eval(node) if not isinstance(node, ast.Set) else _in_braces(node)
    except ValueError:
        pass
    if isinstance(node, ast.Set) and len(node.elts) == 1:  # `{expression}` reads as a set of one
        text = text.strip()[1:-1]
    return evaluate(text, namespace, where)


def _in_braces(node: ast.Set) -> Any:  # noqa: ANN401
    """`{1.5}` means 1.5; a set of several values stays a set."""
    value = ast.literal_eval(node)
    return next(iter(value)) if len(node.elts) == 1 else value


def expand(text: str, namespace: Mapping[str, Any], where: str) -> str:
    """Text for names and files, with its `{expressions}` evaluated and quotes removed.

    >>> expand("model_{n}.zip", {"n": 3}, "FILE")
    'model_3.zip'
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    parts, rest = [], text
    while "{" in rest:
        before, _, rest = rest.partition("{")
        inside, closed, rest = rest.partition("}")
        if not closed:
            raise ConfigError(f"{where}: {text!r} has no closing brace.")
        value = evaluate(inside, namespace, where)
        if not isinstance(value, str | int | float | os.PathLike):  # the text of a table are its cells
            raise ConfigError(f"{where}: {{{inside}}} is a {type(value).__name__}, not text or a number.")
        parts += [before, str(value)]
    return "".join([*parts, rest])


def variable_name(text: str, where: str, namespace: Mapping[str, Any], *, holds_table: bool = False) -> str:
    """A name for a new variable.

    Args:
        text: As it was written.
        where: The option.
        namespace: The user's variables.
        holds_table: Whether the variable gets a table, and so may take the place of one.

    Raises:
        ConfigError: It is no Python name, or a table would be lost.
    """
    from jupyter_dpsynth.sources.opening import is_table

    name = expand(text, namespace, where)
    if not name.isidentifier():
        raise ConfigError(f"{where} = {name!r} is not a variable name: give letters, digits and _.")
    if not holds_table and is_table(namespace.get(name)):
        raise ConfigError(f"{where} = {name!r} is a table, which would be lost: give another name.")
    return name


def instances(namespace: Mapping[str, Any], kind: type) -> list[str]:
    """Names of the user's variables of a type, without hidden ones."""
    return [n for n, value in list(namespace.items()) if not n.startswith("_") and isinstance(value, kind)]


def dataframe_names(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the user's tables, of any library, without hidden ones; none is imported for it."""
    from jupyter_dpsynth.sources.opening import is_table

    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and (is_table(value) or isinstance(value, PrivateTable))
    ]


def find_dataframe(text: str | None, namespace: Mapping[str, Any], where: str = "DATAFRAME") -> Any:  # noqa: ANN401
    """The table with a name, of pandas or another library, or the value of an `{expression}`.

    Raises:
        DataError: There is none, or the variable is something else.
    """
    names = dataframe_names(namespace)
    known = f" DataFrames here: {', '.join(names)}." if names else " No DataFrame has been made yet."
    if text is None:
        raise DataError(f"{where} is missing: name the DataFrame.{known}")
    text = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if text.isidentifier() and text not in namespace:
        raise DataError(f"there is no DataFrame {text!r}.{did_you_mean(text, names)}{known}")
    value = reveal(evaluate(text, namespace, where))
    from jupyter_dpsynth.sources.opening import is_table, no_table

    if not is_table(value):
        raise DataError(f"{where} = {text!r} {no_table(value)}.{known}")
    return value


def find_table(
    text: str | None,
    namespace: Mapping[str, Any],
    where: str = "DATAFRAME",
    reading: CsvOptions | None = None,
) -> Source:
    """Open the table that a line names: of pandas or another library, or files.

    A path stands there as it is, as `data/*.parquet`, or in quotes; a variable may hold one. A name that is
    no variable may be a folder's.

    Args:
        text: What the line says.
        namespace: The user's variables.
        where: What it is for, for messages.
        reading: How CSV files are written.

    Raises:
        ConfigError: `reading` has something that is not allowed.
        DataError: There is no such table.
        MissingDependencyError: Dask or pyarrow is needed, and is not installed.
    """
    from jupyter_dpsynth.sources.opening import open_source

    return open_source(_named(text, namespace, where), reading)


def _named(text: str | None, namespace: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - frame or path
    """The table or path that a line names, not opened yet."""
    if text is None or text.startswith("{"):
        return find_dataframe(text, namespace, where)
    from jupyter_dpsynth.sources.opening import names_files

    if any(sign in text for sign in "/\\*\"'") or names_files(text) or Path(text).is_file():
        return expand(text, namespace, where)
    value = namespace.get(text)
    if isinstance(value, str | os.PathLike):
        return value
    if value is None and Path(text).is_dir():
        return text
    return find_dataframe(text, namespace, where)


def find_instance(text: str, namespace: Mapping[str, Any], kind: type, where: str) -> Any:  # noqa: ANN401
    """The user's variable (or `{expression}`) of a type; ConfigError if it is not one."""
    names = instances(namespace, kind)
    known = f" Known: {', '.join(names)}." if names else ""
    text = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if text.isidentifier() and text not in namespace:
        hint = did_you_mean(text, names)
        raise ConfigError(f"{where}: there is no {kind.__name__} {text!r}.{hint}{known}")
    value = evaluate(text, namespace, where)
    if not isinstance(value, kind):
        raise ConfigError(f"{where} = {text!r} is a {type(value).__name__}, not a {kind.__name__}.{known}")
    return value


def parse_body(
    body: str, namespace: Mapping[str, Any], known: tuple[str, ...], columns: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read the `name = value` lines of a cell.

    Args:
        body: The cell without its first line.
        namespace: The user's variables.
        known: The names that may be set.
        columns: Those of them whose value is a column's name.

    Raises:
        ConfigError: A line is something else, a name is unknown or given twice. Values are not checked.
    """
    body = textwrap.dedent(body)
    for number, line in enumerate(body.splitlines(), start=2):
        name, _, text = line.partition("#")[0].partition("=")
        _refuse_decimal_comma(text.strip(), f"line {number} of the cell: {name.strip()}")
    try:
        statements = ast.parse(body).body
    except SyntaxError as error:
        number = error.lineno or 1
        meant = _meant("".join(body.splitlines()[number - 1 : number]))
        raise ConfigError(
            f"line {number + 1} of the cell: write one `name = value` per line.{meant}"
        ) from None
    values: dict[str, Any] = {}
    for statement in statements:
        where = f"line {statement.lineno + 1} of the cell"
        if not isinstance(statement, ast.Assign) or not _is_plain(statement):
            raise ConfigError(f"{where}: write one `name = value` per line.")
        name = statement.targets[0].id  # type: ignore[attr-defined]
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(
                f"{where}: {name!r} is not a parameter.{hint} See %dpsynth config for all of them."
            )
        if name in values:
            raise ConfigError(f"{where}: {name} is given twice: give it once.")
        text = ast.get_source_segment(body, statement.value) or ""
        if text not in namespace and (text in WORDS or (name in columns and text.isidentifier())):
            values[name] = text  # a column's name needs no quotes
        else:
            values[name] = _node_value(statement.value, text, namespace, name)
    return values


def _is_plain(statement: ast.Assign) -> bool:
    return len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)


def build_config(values: Mapping[str, Any], base: HighDimConfig) -> HighDimConfig:
    """A config from named values, on top of an existing one, which stays as it is."""
    config = base.copy()
    for name, value in values.items():
        setattr(config, name, value)
    return config
