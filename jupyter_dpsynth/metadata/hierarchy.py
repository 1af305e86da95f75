"""Public hierarchies of codes: the first characters are the group, or a tree says which group is whose."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_dpsynth.errors import MetadataError, shown
from jupyter_dpsynth.metadata.codelists import CODE_LISTS, PREFIX_LISTS

__all__ = [
    "TREE_FILE",
    "Tree",
    "declared_list",
    "declared_prefixes",
    "declared_tree",
    "is_rule",
    "prefixes_of",
]

RULE = re.compile(r"prefix:\s*(\d+(?:\s*,\s*\d+)*)")
TREE_FILE = ".csv"
MOST_LEVELS = 4  # above the codes themselves: each level costs a share of what a column may be measured with
MOST_CODES = 100_000
LONGEST = 100


@dataclass(frozen=True)
class Tree:
    """Which group each code belongs to.

    Attributes:
        pairs: Codes (child, parent), sorted by child; each child once, and nothing its own ancestor.
    """

    pairs: tuple[tuple[str, str], ...]

    @functools.cached_property
    def parents(self) -> dict[str, str]:
        """The same as a dict."""
        return dict(self.pairs)

    @functools.cached_property
    def groups(self) -> frozenset[str]:
        """Codes that others belong to."""
        return frozenset(self.parents.values())

    @functools.cached_property
    def levels(self) -> int:
        """How many levels of groups there are."""
        return max(len(self.above(child)) for child in self.parents)

    def above(self, value: str) -> tuple[str, ...]:
        """The groups that a code belongs to, the narrowest first.

        >>> Tree((("62", "J"), ("62.01", "62"))).above("62.01")
        ('62', 'J')
        """
        found: list[str] = []
        while (parent := self.parents.get(value)) is not None:
            found.append(parent)
            value = parent
        return tuple(found)


def is_rule(text: str) -> bool:
    """Whether a text is a rule about first characters, or names a classification."""
    return RULE.fullmatch(text.strip()) is not None or text.strip() in (*CODE_LISTS, *PREFIX_LISTS)


def declared_list(name: str, rule: object, kind: str) -> str:
    """The name of the classification that was declared, if it has more than rules about first characters.

    Args:
        name: The column.
        rule: What was declared: 'icd10'.
        kind: What the column's values are: 'text', or something else.

    Raises:
        MetadataError: The column holds no text.
    """
    if not isinstance(rule, str) or rule.strip() not in CODE_LISTS:
        return ""
    _require_text(name, kind)
    return rule.strip()


def declared_prefixes(name: str, rule: object, kind: str) -> tuple[int, ...]:
    """Lengths of the groups' codes, increasing.

    Args:
        name: The column.
        rule: What was declared: 'prefix:1,3', or the name of a classification that has such a rule.
        kind: What the column's values are: 'text', or something else.

    Raises:
        MetadataError: It is no such rule, or the column holds no text.
    """
    text = rule.strip() if isinstance(rule, str) else ""
    found = RULE.fullmatch(text)
    lengths = tuple(map(int, found[1].split(","))) if found else PREFIX_LISTS.get(text, ())
    if not lengths or list(lengths) != sorted({*lengths}) or not 0 < lengths[0] <= lengths[-1] <= LONGEST:
        raise MetadataError(
            f"hierarchy of column {name!r} is {shown(rule)}: give the lengths of its groups' codes, such as "
            "'prefix:1,3' for diagnoses, of which the first character is the chapter and three are the "
            "group; or a tree, as a dict from each code to its group or as a file of such pairs, 'tree.csv'; "
            f"or a classification: {', '.join(map(repr, (*CODE_LISTS, *PREFIX_LISTS)))}."
        )
    if len(lengths) > MOST_LEVELS:
        raise MetadataError(f"hierarchy of column {name!r} has {len(lengths)} levels: at most {MOST_LEVELS}.")
    _require_text(name, kind)
    return lengths


def declared_tree(name: str, rule: object, kind: str) -> Tree | None:
    """A public tree; None if something else was declared.

    Args:
        name: The column.
        rule: What was declared: a dict from each code to its group, or the path of a CSV file whose first two
            columns have codes and their groups, below a line of headings.
        kind: What the column's values are: 'text', or something else.

    Raises:
        MetadataError: The tree goes round, is too deep or large, or cannot be read; or the column holds no
            text.
    """
    if isinstance(rule, Path) or (isinstance(rule, str) and rule.lower().endswith(TREE_FILE)):
        rule = _read(name, Path(rule))
    if not isinstance(rule, Mapping):
        return None
    _require_text(name, kind)
    given = dict(rule)
    texts = all(isinstance(each, str) and each for pair in given.items() for each in pair)
    if not texts or not 0 < len(given) <= MOST_CODES:
        raise MetadataError(
            f"hierarchy of column {name!r}: give a dict from each code to its group, both of them text, with "
            f"1 to {MOST_CODES:,} codes."
        )
    for child in given:
        seen, value = {child}, child
        while value in given:
            value = given[value]
            if value in seen:
                raise MetadataError(f"hierarchy of column {name!r} goes round in a circle at {shown(value)}.")
            seen.add(value)
    tree = Tree(tuple(sorted(given.items())))
    if tree.levels > MOST_LEVELS:
        raise MetadataError(f"hierarchy of column {name!r} has {tree.levels} levels: at most {MOST_LEVELS}.")
    return tree


def _require_text(name: str, kind: str) -> None:
    if kind not in ("text", ""):
        raise MetadataError(
            f"hierarchy names column {name!r}, which does not contain text: convert it first "
            f"(df[{name!r}] = df[{name!r}].astype(str))."
        )


def _read(name: str, path: Path) -> dict[str, str]:
    """Pairs of a file; of a code without a group there is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            separator = max(",;\t", key=head.count)
            rows = [row for row in csv.reader(file, delimiter=separator) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MetadataError(
            f"hierarchy of column {name!r}: {str(path)!r} cannot be read as CSV in UTF-8 "
            f"({type(error).__name__}): give the path of a file with a code and its group in each line."
        ) from None
    found: dict[str, str] = {}
    for row in rows:
        child, parent = (*map(str.strip, row[:2]), "")[:2]
        if child and parent and found.setdefault(child, parent) != parent:
            raise MetadataError(
                f"hierarchy of column {name!r}: {shown(child)} has two groups in {str(path)!r}."
            )
    return found


def prefixes_of(value: object, prefixes: tuple[int, ...]) -> tuple[str, ...]:
    """The groups that a code belongs to by its first characters, the narrowest first.

    >>> prefixes_of("I21.4", (1, 3))
    ('I21', 'I')
    """
    if not isinstance(value, str):
        return ()
    return tuple(value[:length] for length in reversed(prefixes) if length < len(value))
