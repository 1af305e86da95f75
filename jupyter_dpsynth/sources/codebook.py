"""The codebook of a table: what its file says about its columns besides names and types.

All of it is public: whoever passes a file with a codebook states so, as with declared bounds and categories.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NO_CODEBOOK", "Codebook", "Variable"]

LONGEST_SCALE = 50  # whole numbers between two labelled ends that count as a scale
LONGEST_RANGE = 20  # of codes for missing values, each of which is counted
MOST_SORTED = 20  # labels in alphabetical order: of more, programs have made them from the rows


@dataclass(frozen=True)
class Variable:
    """What a codebook says about one column.

    Attributes:
        label: What the column is, in words.
        labels: Codes and what they mean, in the file's order.
        missing: Codes that stand for a missing value, as (lowest, highest).
        measure: 'nominal', 'ordinal', 'scale' or '' if unknown.
        format: How a statistical program shows it: 'F8.2', 'DATE11', '%td'.
    """

    label: str = ""
    labels: tuple[tuple[Any, str], ...] = ()
    missing: tuple[tuple[Any, Any], ...] = ()
    measure: str = ""
    format: str = ""

    def is_missing(self, code: Any) -> bool:  # noqa: ANN401 - a number or text of the codebook
        """Whether a code stands for a missing value."""
        return any(
            isinstance(code, str) == isinstance(low, str) and low <= code <= high
            for low, high in self.missing
        )

    @property
    def categories(self) -> tuple[Any, ...] | None:
        """All codes that the column can have, None if the codebook does not tell.

        A label or two may only name the ends of a scale, or a code among measured numbers. So a column that
        is measured on a scale has no categories, and neither has one with fewer than two labelled codes. If
        the codes are two far ends, or belong to an ordinal scale, the whole numbers between them are
        categories as well.
        """
        valid = [code for code, _ in self.labels if not self.is_missing(code)]
        if self.measure == "scale" or len(valid) < 2:
            return None
        ends = len(valid) == 2 and self.measure != "nominal"
        if (ends or self.measure == "ordinal") and all(_is_whole(code) for code in valid):
            low, high = min(valid), max(valid)
            if high - low <= LONGEST_SCALE:
                between = [low + step for step in range(int(high - low))]
                valid += [code for code in between if code not in valid]
        return tuple(dict.fromkeys([*valid, *self.missing_codes]))

    @property
    def missing_codes(self) -> tuple[Any, ...]:
        """The single codes that stand for a missing value: declared as such, or labelled within a range."""
        apart = [low for low, high in self.missing if low == high]
        return tuple(dict.fromkeys([*apart, *(code for code, _ in self.labels if self.is_missing(code))]))

    @property
    def codes_among_numbers(self) -> tuple[Any, ...]:
        """The same, and all whole numbers of a short range: what stands for a missing value among numbers."""
        found = list(self.missing_codes)
        for low, high in self.missing:
            if _is_whole(low) and _is_whole(high) and high - low <= LONGEST_RANGE:
                found += [low + step for step in range(int(high - low) + 1)]
        return tuple(dict.fromkeys(found))

    @property
    def span(self) -> tuple[int, int] | None:
        """Lowest and highest code, if the codes are all whole numbers between them and may have an order.

        As bounds of whole numbers these say as much as categories, and what is near is measured together.
        """
        codes = self.categories or ()
        if self.measure == "nominal" or self.missing or not codes or not all(map(_is_whole, codes)):
            return None
        low, high = int(min(codes)), int(max(codes))
        return (low, high) if len(codes) == high - low + 1 else None

    @property
    def is_made_from_rows(self) -> bool:
        """Whether its labels are so many and so sorted that a program has probably made them from rows."""
        labels = [label for code, label in sorted(self.labels, key=_order) if not self.is_missing(code)]
        return len(labels) > MOST_SORTED and labels == sorted(labels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without what is not known; read back by `from_dict`."""
        found: dict[str, Any] = {
            "label": self.label,
            "labels": [list(pair) for pair in self.labels],
            "missing": [list(pair) for pair in self.missing],
            "measure": self.measure,
            "format": self.format,
        }
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Variable:
        """Rebuild from `to_dict`."""
        pairs = {key: tuple((one, two) for one, two in values.get(key, ())) for key in ("labels", "missing")}
        return cls(**{**values, **pairs})


@dataclass(frozen=True)
class Codebook:
    """What is said about the columns of a table, by name."""

    variables: Mapping[str, Variable] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Variable:
        """What is said about a column; a `Variable` without anything if nothing is."""
        return self.variables.get(name, Variable())

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return any(variable != Variable() for variable in self.variables.values())

    def only(self, names: Sequence[str]) -> Codebook:
        """The same of some columns."""
        return Codebook({name: each for name, each in self.variables.items() if name in set(names)})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `from_dict`."""
        return {name: each.to_dict() for name, each in self.variables.items() if each != Variable()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, Any]]) -> Codebook:
        """Rebuild from `to_dict`."""
        return cls({name: Variable.from_dict(each) for name, each in values.items()})


NO_CODEBOOK = Codebook()


def _is_whole(code: Any) -> bool:  # noqa: ANN401 - of a codebook
    return isinstance(code, int | float) and code == int(code)


def _order(pair: tuple[Any, str]) -> tuple[bool, Any]:
    return isinstance(pair[0], str), pair[0]
