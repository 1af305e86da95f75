"""Converts a schema of another library into declarations, and notes what has no counterpart here."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["ConvertedSchema", "listed"]

MOST_NAMED = 5
KINDS = {"number": "numbers", "datetime": "dates or times", "category": "text or categories"}
CONVERSIONS = {
    "number": "pandas.to_numeric",
    "datetime": "pandas.to_datetime",
    "category": "astype(str)",
}


def listed(names: Collection[object]) -> str:
    """Names in a message, the first few of many."""
    first = ", ".join(shown(name) for name in list(names)[:MOST_NAMED])
    return first + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _options() -> dict[str, dict[str, Any]]:
    names = ("at_least", "bounds", "categories", "decimals", "derived", "hierarchy", "id", "missing")
    return {name: {} for name in names}


@dataclass
class ConvertedSchema:
    """A schema of another library, converted into declarations.

    Attributes:
        source: What it is: 'SDV metadata'.
        options: Declarations by option and column, as `MetaExtractor.extract` understands them.
        kinds: What a column is said to hold: 'number', 'datetime' or 'category'.
        left_out: What has no counterpart here, in words; by reason the columns that it is about.
        remarks: The same for what is about no column.
        labels: By column what its values are called.
        missing_labels: The same of values that stand for a missing one.

    Privacy:
        What a schema says is public: whoever passes it states so.
    """

    source: str
    options: dict[str, dict[str, Any]] = field(default_factory=_options)
    kinds: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    labels: dict[str, dict[Any, str]] = field(default_factory=dict)
    missing_labels: dict[str, dict[Any, str]] = field(default_factory=dict)

    def categorize(self, column: str, values: Iterable[Any], labels: Mapping[Any, str] | None = None) -> None:
        """Declare all values of a column; they may be codes, whose labels the column holds instead."""
        self.options["categories"][column] = tuple(values)
        self.labels[column] = dict(labels or {})

    def leave_out(self, what: str, column: object) -> None:
        """Record that something about a column has no counterpart here."""
        self.left_out.setdefault(what, []).append(str(column))

    def limit(self, column: str, low: object, high: object) -> None:
        """Declare bounds; a single bound cannot be declared."""
        if low is not None and high is not None:
            self.options["bounds"][column] = (low, high)
        elif low is not None or high is not None:
            side = "a lowest" if high is None else "a highest"
            self.leave_out(f"{side} value alone (bounds need both)", column)

    def fit(self, names: Collection[str], kind_of: Callable[[str], str]) -> None:
        """Drop declarations that do not fit the table, and record them.

        Args:
            names: The table's columns.
            kind_of: Tells what a column holds: 'number', 'datetime', 'category', or '' if unknown.
        """
        for name in dict.fromkeys([*self.kinds, *(n for by in self.options.values() for n in by)]):
            if name not in names:
                self._drop(name)
                self.leave_out("columns that the table does not have", name)
            elif name not in self.options["id"]:
                self._fit_column(name, kind_of(name))
            else:  # identifiers are not learned
                others = [key for key, by_name in self.options.items() if key != "id" and name in by_name]
                for key in others:
                    del self.options[key][name]
                if {"bounds", "categories"} & set(others):
                    self.leave_out("ranges and values of identifiers (they get new numbers)", name)

    def _fit_column(self, name: str, kind: str) -> None:
        self._say_labels(name, kind)
        said, categories = self.kinds.get(name, kind), self.options["categories"].get(name)
        if not kind:
            return
        if categories is None and said != kind:
            self._drop(name)
            change = f"convert with {CONVERSIONS[said]} first"
            if said == "category":
                change = f"give the categories, or {change}"
            self.leave_out(
                f"the stated type, because the columns contain {KINDS[kind]}, not {KINDS[said]} ({change})",
                name,
            )
        elif categories is not None and not _can_hold(kind, categories):
            self._drop(name)
            self.leave_out(f"categories that columns of {KINDS[kind]} cannot contain", name)
        if kind != "number":
            self.options["decimals"].pop(name, None)
        if kind == "category" and self.options["bounds"].pop(name, None):
            self.leave_out(f"ranges of columns that contain {KINDS[kind]}", name)

    def _say_labels(self, name: str, kind: str) -> None:
        """Declare the labels of codes, if the codes are numbers and the column holds text."""
        labels, codes = self.labels.get(name), self.options["categories"].get(name, ())
        if labels and kind == "category" and all(isinstance(code, numbers.Number) for code in codes):
            self.options["categories"][name] = tuple(labels.get(code, code) for code in codes)
        codes, labels = self.options["missing"].get(name, ()), self.missing_labels.get(name, {})
        if kind == "category" and codes and all(isinstance(code, numbers.Number) for code in codes):
            self.options["missing"][name] = [labels[code] for code in codes if code in labels]
            if not self.options["missing"][name]:  # text holds no numbers
                del self.options["missing"][name]

    def _drop(self, name: str) -> None:
        for by_column in self.options.values():
            by_column.pop(name, None)

    @property
    def note(self) -> str:
        """Everything that was left out, in one line; empty if nothing was."""
        parts = [f"{what}: {listed(names)}" for what, names in self.left_out.items()] + self.remarks
        return (
            (f"these parts of {self.source} have no counterpart here and were left out: {'; '.join(parts)}.")
            if parts
            else ""
        )


def _can_hold(kind: str, categories: Collection[Any]) -> bool:
    """Whether a column of this kind can hold such categories."""
    if kind == "datetime":
        return False
    return kind == "category" or all(isinstance(value, numbers.Number) for value in categories)
