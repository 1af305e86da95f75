"""How sure the noisy evidence must be before a relation between columns is imposed on every synthetic row.

A relation that is imposed wrongly changes the table more than one that is left to the network, which then
keeps it nearly. So it is imposed only where a test rejects that more than `RARE_BREAKS` of the rows break it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "RARE_BREAKS",
    "certainty",
    "complete_text",
    "derived_text",
    "function_text",
    "interaction_text",
    "ordering_text",
    "several",
]

RARE_BREAKS = 0.02  # of the rows: what fewer rows break may be imposed
FALSE_RELATIONS = 0.005  # of all tables, for each kind: one is imposed that more rows break
MOST_NAMED = 5
LONGEST_NAME = 60


def certainty(tests: int) -> float:
    """By how many standard deviations of noise each of so many tests must reject.

    None of them then rejects wrongly but in `FALSE_RELATIONS` of all tables (Bonferroni).

    >>> round(certainty(1), 2), round(certainty(100), 2)
    (2.58, 3.89)
    """
    from scipy.stats import norm

    return float(norm.isf(FALSE_RELATIONS / max(tests, 1)))


def ordering_text(low: str, high: str) -> str:
    """An ordering in words."""
    return f"{_short(low)} is never above {_short(high)}"


def derived_text(name: str, formula: str) -> str:
    """A column that follows from others in words.

    >>> derived_text("total", "net + tax")
    "'total' is net + tax"
    """
    return f"{_short(name)} is {formula}"


def function_text(source: str, target: str) -> str:
    """A function in words."""
    return f"{_short(source)} determines {_short(target)}"


def complete_text(names: Iterable[str]) -> str:
    """Columns of which no synthetic row lacks the value, in words.

    >>> complete_text(["age", "sex"])
    "no value of 'age', 'sex' is missing or 'other'"
    """
    return f"no value of {several(names)} is missing or 'other'"


def interaction_text(sources: Iterable[str], target: str) -> str:
    """An interaction in words.

    >>> interaction_text(["dose", "age"], "outcome")
    "'dose', 'age' together tell about 'outcome'"
    """
    return f"{several(sources)} together tell about {_short(target)}"


def several(names: Iterable[str], *words: str) -> str:
    """Names of columns, not more than fit into a sentence.

    Args:
        names: The columns.
        words: What is said of each, if anything is.

    >>> several(["age", "sex"]), several(["age"], "5 % lost")
    ("'age', 'sex'", "'age' (5 % lost)")
    """
    every = list(names)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    told = [_short(name) for name in every[:MOST_NAMED]]
    if words:
        told = [f"{name} ({each})" for name, each in zip(told, words, strict=False)]
    return ", ".join(told) + more


def _short(name: str) -> str:
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}\u2026")
