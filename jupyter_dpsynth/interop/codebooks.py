"""The codebook of a synthetic table, as a Frictionless Table Schema, as CSVW, or as DDI."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_dpsynth.errors import ConfigError, shown
from jupyter_dpsynth.sources.letters import letter_text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from jupyter_dpsynth.sources.codebook import Codebook, Variable

__all__ = ["codebook_text", "write_codebook"]

FRICTIONLESS = "https://datapackage.org/profiles/2.0/tableschema.json"
CSVW = "http://www.w3.org/ns/csvw"
DDI = "ddi:codebook:2_5"
TYPES = {  # in the words of Frictionless; CSVW and DDI have others for some
    "whole": "integer",
    "number": "number",
    "truth": "boolean",
    "time": "datetime",
    "duration": "duration",
    "text": "string",
}
CSVW_TYPES = {
    "whole": "integer",
    "number": "double",
    "truth": "boolean",
    "time": "dateTime",
    "duration": "duration",
}


class Column(Protocol):
    """A column's metadata, such as `ColumnMeta`."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def value_type(self) -> str: ...


class Described(Protocol):
    """Metadata with columns and a codebook, such as `DataFrameMeta`."""

    @property
    def columns(self) -> Sequence[Column]: ...

    @property
    def codebook(self) -> Codebook: ...


@dataclass(frozen=True)
class _Entry:
    """What a codebook says about a column, whichever form it gets.

    Attributes:
        name: Its name.
        variable: What the original file said: label, value labels, codes of missing values.
        type: A key of `TYPES`.
        values: All values that it can have, but codes of missing values; empty if that is not known.
        bounds: Public lowest and highest value, None if they are not public.
        identifier: Whether its values are new in every table.
        ordered: Whether the order of the values has a meaning.
    """

    name: str
    variable: Variable
    type: str
    values: tuple[Any, ...]
    bounds: tuple[Any, Any] | None
    identifier: bool
    ordered: bool

    @property
    def labelled(self) -> list[tuple[Any, str]]:
        """Values with their labels, '' where there is none."""
        labels = dict(self.variable.labels)
        return [(_plain(value), labels.get(value, "")) for value in self.values]

    @property
    def missing(self) -> list[tuple[Any, str]]:
        """Single codes of missing values with their labels, '' where there is none."""
        labels = {code: label for code, label in self.variable.labels if self.variable.is_missing(code)}
        codes = [low for low, high in self.variable.missing if low == high]
        return [(_plain(code), labels.get(code, "")) for code in dict.fromkeys([*codes, *labels])]


def write_codebook(
    df_meta: Described,
    path: str | os.PathLike[str],
    form: str | None = None,
    published: Mapping[str, Sequence[Any]] | None = None,
) -> Path:
    """Write what may be known about a synthetic table's columns into a file.

    Args:
        df_meta: `synthesizer.df_meta`, or what `MetaExtractor.extract` returned.
        path: Where to; a file that is there is replaced.
        form: 'frictionless' (Table Schema, version 2), 'csvw' or 'ddi' (DDI Codebook 2.5); by default 'ddi'
            for a path that ends in .xml, 'csvw' for one that ends in -metadata.json, else 'frictionless'.
        published: Categories that were measured with noise, by column.

    Returns:
        The path.

    Raises:
        ConfigError: There is no such form.

    Privacy:
        Names, types and what was declared, which is public; and what epsilon has paid for.
    """
    target = Path(path)
    name = target.name.lower()
    by_name = {name.endswith(".xml"): "ddi", name.endswith("-metadata.json"): "csvw"}
    chosen = form or by_name.get(True, "frictionless")
    target.write_text(codebook_text(df_meta, chosen, target.name, published), encoding="utf-8")
    return target


def codebook_text(
    df_meta: Described,
    form: str = "frictionless",
    title: str = "synthetic table",
    published: Mapping[str, Sequence[Any]] | None = None,
) -> str:
    """The same as text.

    Args:
        df_meta: As for `write_codebook`.
        form: As for `write_codebook`.
        title: What DDI calls the table, and the name of the file for which CSVW is meant.
        published: As for `write_codebook`.

    Raises:
        ConfigError: There is no such form.
    """
    makers: dict[str, Callable[[list[_Entry], str], str]] = {
        "frictionless": _frictionless,
        "csvw": _csvw,
        "ddi": _ddi,
    }
    if form not in makers:
        raise ConfigError(f"form = {shown(form)} is not allowed: give one of {', '.join(map(repr, makers))}.")
    known, book = published or {}, df_meta.codebook
    entries = [_entry(each, book[each.name], known.get(each.name, ())) for each in df_meta.columns]
    return makers[form](entries, title)


def _entry(column: Column, variable: Variable, published: Sequence[Any]) -> _Entry:
    spanned = variable.categories if getattr(column, "bounds", None) == variable.span else None
    declared = getattr(column, "categories", None) or spanned or published
    values = tuple(value for value in declared if not variable.is_missing(value))
    kind = _type(column, values)
    bounds = getattr(column, "bounds", None)
    if bounds is not None and column.kind == "datetime":
        bounds = tuple(_moment(each, duration=kind == "duration") for each in bounds)
    elif bounds is not None and kind == "whole":
        bounds = tuple(int(each) if each == int(each) else each for each in bounds)
    ordered = getattr(column, "ordered", False) or variable.measure == "ordinal"
    return _Entry(column.name, variable, kind, values, bounds, column.kind == "id", ordered)


def _type(column: Column, values: tuple[Any, ...]) -> str:
    if values:
        kinds = {type(_plain(value)) for value in values}
        return {frozenset({int}): "whole", frozenset({bool}): "truth"}.get(
            frozenset(kinds), "number" if kinds <= {int, float} else "text"
        )
    if column.kind == "datetime":
        return "duration" if getattr(column, "is_duration", False) else "time"
    if column.kind == "number":
        return "whole" if getattr(column, "decimals", None) == 0 else "number"
    whole = column.dtype.lower().startswith(("int", "uint")) or column.value_type == "int"
    return "whole" if whole else "text"


def _plain(value: Any) -> Any:  # noqa: ANN401 - a category
    """A value as JSON has it; whole numbers without a fraction."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return letter_text(value) or (int(value) if value == int(value) else value)
    return value if isinstance(value, str) else str(value)


def _moment(microseconds: int, *, duration: bool) -> str:
    import numpy as np

    if duration:
        return f"PT{microseconds / 1e6:g}S"
    return str(np.datetime64(microseconds, "us").astype("datetime64[s]"))


def _frictionless(entries: list[_Entry], _: str) -> str:
    fields = [_field(entry) for entry in entries]
    keys = [entry.name for entry in entries if entry.identifier]
    schema: dict[str, Any] = {"$schema": FRICTIONLESS, "fields": fields}
    if len(keys) == 1:
        schema["primaryKey"] = keys
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _field(entry: _Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"name": entry.name, "type": TYPES[entry.type]}
    if entry.variable.label:
        found["title"] = entry.variable.label
    if entry.values and entry.type in ("whole", "text"):
        labelled = [
            {"value": value, "label": label} if label else {"value": value} for value, label in entry.labelled
        ]
        plain = [value for value, _ in entry.labelled]
        found["categories"] = labelled if any("label" in each for each in labelled) else plain
        if entry.ordered:
            found["categoriesOrdered"] = True
    elif entry.values and entry.type == "number":
        found["constraints"] = {"enum": [value for value, _ in entry.labelled]}
    elif entry.bounds is not None:
        found["constraints"] = dict(zip(("minimum", "maximum"), entry.bounds, strict=True))
    if entry.missing:
        codes = [
            {"value": str(code), "label": label} if label else {"value": str(code)}
            for code, label in entry.missing
        ]
        found["missingValues"] = [{"value": ""}, *codes]
    return found


def _csvw(entries: list[_Entry], title: str) -> str:
    columns = [_csvw_column(entry) for entry in entries]
    schema: dict[str, Any] = {"columns": columns}
    keys = [entry.name for entry in entries if entry.identifier]
    if keys:
        schema["primaryKey"] = keys
    document = {"@context": CSVW, "url": f"{Path(title).stem}.csv", "tableSchema": schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _csvw_column(entry: _Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"titles": entry.name, "name": _csvw_name(entry.name)}
    base = CSVW_TYPES.get(entry.type, "string")
    datatype: dict[str, Any] = {"base": base}
    described = [entry.variable.label] * bool(entry.variable.label)
    if entry.values and base == "string":
        datatype["format"] = "|".join(re.escape(str(value)) for value, _ in entry.labelled)
    elif entry.values and entry.type in ("whole", "number"):
        numbers = [value for value, _ in entry.labelled]
        datatype |= {"minimum": min(numbers), "maximum": max(numbers)}
    elif entry.bounds is not None:
        datatype |= dict(zip(("minimum", "maximum"), entry.bounds, strict=True))
    labels = [f"{value} = {label}" for value, label in [*entry.labelled, *entry.missing] if label]
    described += ["; ".join(labels)] * bool(labels)
    if described:
        found["dc:description"] = ". ".join(described)
    found["datatype"] = datatype if len(datatype) > 1 else base
    if entry.missing:
        found["null"] = ["", *(str(code) for code, _ in entry.missing)]
    return found


def _csvw_name(name: str) -> str:
    """A column's name as CSVW allows it in addresses."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"c{plain}" if plain[:1] in ("", "_") else plain


def _ddi(entries: list[_Entry], title: str) -> str:
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    book = Element("codeBook", {"xmlns": DDI, "version": "2.5"})
    statement = SubElement(SubElement(SubElement(book, "stdyDscr"), "citation"), "titlStmt")
    SubElement(statement, "titl").text = title
    data = SubElement(book, "dataDscr")
    for number, entry in enumerate(entries, 1):
        _ddi_variable(data, entry, number)
    indent(book)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(book, encoding='unicode')}\n"


def _ddi_variable(data: Element, entry: _Entry, number: int) -> None:
    """Add a column; the order of its parts is that of the standard."""
    from xml.etree.ElementTree import SubElement

    measured = entry.type in ("number", "time", "duration") and not entry.values
    attributes = {"ID": f"V{number}", "name": entry.name, "intrvl": "contin" if measured else "discrete"}
    if entry.variable.measure:
        attributes["nature"] = {"scale": "interval"}.get(entry.variable.measure, entry.variable.measure)
    variable = SubElement(data, "var", attributes)
    if entry.variable.label:
        SubElement(variable, "labl").text = entry.variable.label
    if entry.bounds is not None:
        low, high = map(str, entry.bounds)
        SubElement(SubElement(variable, "valrng"), "range", {"min": low, "max": high})
    if entry.variable.missing:
        invalid = SubElement(variable, "invalrng")
        for low, high in entry.variable.missing:
            if low == high:
                SubElement(invalid, "item", {"VALUE": str(_plain(low))})
            else:
                SubElement(invalid, "range", {"min": str(_plain(low)), "max": str(_plain(high))})
    for codes, missing in ((entry.labelled, {}), (entry.missing, {"missing": "Y"})):
        for value, label in codes:
            category = SubElement(variable, "catgry", missing)
            SubElement(category, "catValu").text = str(value)
            if label:
                SubElement(category, "labl").text = label
    kind = "numeric" if entry.type in ("whole", "number") else "character"
    shown_as = {"time": {"category": "date"}, "duration": {"category": "time"}}.get(entry.type, {})
    SubElement(variable, "varFormat", {"type": kind, **shown_as})
