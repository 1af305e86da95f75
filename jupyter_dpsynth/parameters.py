"""Types of parameters: numbers in a range, and names of columns."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from typing import Any

from traitlets import TraitType

from jupyter_dpsynth.errors import ConfigError, shown

__all__ = [
    "Analyses",
    "ColumnName",
    "NamedTables",
    "Number",
    "columns_of",
    "crossed",
    "empty_word",
    "formulas",
    "pairs_of",
]

NO_COLUMNS = {"True", "False", "None", "in", "and", "or", "not"}


class Number(TraitType[Any, Any]):
    """A real or whole number within a range, or one word that means 'not set'.

    traitlets' own numeric traits accept NaN, refuse numpy scalars and word their errors for
    developers, hence this small one.
    """

    def __init__(
        self,
        default: object,
        *,
        low: float,
        high: float,
        integer: bool = False,
        open_low: bool = False,
        unset: tuple[object, ...] = (),
        hint: str = "",
        help: str,  # noqa: A002 - traitlets' own keyword
    ) -> None:
        super().__init__(default_value=default, allow_none=None in unset, help=help)
        self.low, self.high, self.open_low = low, high, open_low
        self.integer, self.unset, self.hint = integer, unset, hint

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and help."""
        kind = "a whole number" if self.integer else "a number"
        bound = "above" if self.open_low else "from"
        upper = f"{'up ' if self.open_low else ''}to {self.high:,.10g}" if self.high < math.inf else ""
        words = " or ".join(repr(word) for word in self.unset)
        return f"{kind} {bound} {self.low:g} {upper}".rstrip() + (f", or {words}" if words else "")

    def validate(self, obj: object, value: object) -> object:  # noqa: ARG002 - traitlets' signature
        """Return the value as float or int; raise ConfigError outside the range."""
        if any(value is word or (isinstance(value, str) and value == word) for word in self.unset):
            return value
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            number = _as_float(value)
            whole = not self.integer or (math.isfinite(number) and number == int(number))
            above = number > self.low if self.open_low else number >= self.low
            if whole and above and math.isfinite(number) and number <= self.high:
                return int(number) if self.integer else number
        raise ConfigError(f"{self.name} = {shown(value)} is not allowed: give {self.range_text}.{self.hint}")


class ColumnName(TraitType[Any, Any]):
    """A column's name, or None."""

    def __init__(self, *, help: str) -> None:  # noqa: A002 - traitlets' own keyword
        super().__init__(default_value=None, allow_none=True, help=help)

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and help."""
        return "a column's name, or None"

    def validate(self, obj: object, value: object) -> object:  # noqa: ARG002 - traitlets' signature
        """Return the name; raise ConfigError for anything but text or None."""
        if value is None or (isinstance(value, str) and value):
            return value
        raise ConfigError(f"{self.name} = {shown(value)} is not allowed: give {self.range_text}.")


class NamedTables(ColumnName):
    """Tables of several columns each, or None; kept as text such as 'sex*income, sex*age'."""

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and help."""
        return "crossed columns such as 'sex*income, sex*age', a list of tuples of columns, or None"

    def validate(self, obj: object, value: object) -> object:  # noqa: ARG002 - traitlets' signature
        """Return the text; raise ConfigError unless every table has two different columns or more."""
        if value is None or value == "":
            return None
        tables = _crossed(value)
        names = [name for table in tables for name in table]
        fit = all(len(set(table)) == len(table) > 1 for table in tables)
        if tables and fit and all(name == name.strip() != "" and not set("*,") & set(name) for name in names):
            return ", ".join("*".join(table) for table in tables)
        raise ConfigError(f"{self.name} = {shown(value)} is not allowed: give {self.range_text}.")


def crossed(text: str | None) -> tuple[tuple[str, ...], ...]:
    """The columns of each named table.

    >>> crossed("sex*income, sex*age*income")
    (('sex', 'income'), ('sex', 'age', 'income'))
    """
    return () if text is None else _crossed(text)


def _crossed(value: object) -> tuple[tuple[str, ...], ...]:
    """Tables as tuples of names; empty for anything that is none."""
    if isinstance(value, str):
        parts = (table.split("*") for table in value.split(","))
        return tuple(tuple(name.strip() for name in table) for table in parts)
    if not isinstance(value, (list, tuple)) or not all(isinstance(table, (list, tuple)) for table in value):
        return ()
    tables = tuple(tuple(table) for table in value)
    return tables if all(isinstance(name, str) and name for table in tables for name in table) else ()


class Analyses(ColumnName):
    """Regressions by formula, or None; kept as text such as 'income ~ sex + age; hours ~ age'."""

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and help."""
        return "formulas such as 'income ~ sex + age' with ; between them, a list of formulas, or None"

    def validate(self, obj: object, value: object) -> object:  # noqa: ARG002 - traitlets' signature
        """Return the text; raise ConfigError unless every formula has an outcome and what explains it."""
        if value is None or value == "":
            return None
        given = value.split(";") if isinstance(value, str) else value
        if isinstance(given, (list, tuple)) and given and all(isinstance(each, str) for each in given):
            found = [each.strip() for each in given]
            if all(each.count("~") == 1 and all(map(columns_of, each.split("~"))) for each in found):
                return "; ".join(found)
        raise ConfigError(f"{self.name} = {shown(value)} is not allowed: give {self.range_text}.")


def formulas(text: str | None) -> tuple[str, ...]:
    """The formulas of analyses that are named.

    >>> formulas("income ~ sex + age; hours ~ age")
    ('income ~ sex + age', 'hours ~ age')
    """
    return () if text is None else tuple(each.strip() for each in text.split(";"))


def columns_of(formula: str) -> tuple[str, ...]:
    """The columns that a formula uses, without the library that reads formulas.

    >>> columns_of("I(income == '>50K') ~ np.log(age) * `marital status` + bs(age, df=3)")
    ('income', 'age', 'marital status')
    """
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", " ", formula)
    # what is called, what a dot belongs to, and names of arguments are no columns
    found = re.findall(r"`([^`]+)`|(?<![\w.])([^\W\d]\w*)\b(?!\s*(?:[(.]|=(?!=)))", plain)
    names = (quoted or bare for quoted, bare in found)
    return tuple(dict.fromkeys(name for name in names if name not in NO_COLUMNS))


def pairs_of(formula: str) -> list[tuple[str, str]]:
    """All pairs of the columns that a formula uses."""
    return list(itertools.combinations(columns_of(formula), 2))


def empty_word(trait: Any) -> str:  # noqa: ANN401 - a trait of HighDimConfig
    """What an empty field of a parameter means, in one word; nothing where it must not be empty."""
    may_be = getattr(trait, "unset", ()) or trait.allow_none
    return str(trait.metadata.get("empty", "automatic" if may_be else ""))


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):  # whole numbers beyond 1e308, numbers that are none
        return math.nan
