"""Formulas of columns that follow from others: sums, differences, and whole units of time between two dates.

A formula is read as a syntax tree of which few kinds of nodes are known; nothing of it is ever run.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.sources.values import number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["MICROSECONDS", "UNITS", "Formula", "in_order", "read_formula", "written"]

MICROSECONDS = {
    "weeks": 604_800_000_000,
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
}
UNITS = ("years", "months", *MICROSECONDS)
FARTHEST = 2**61  # microseconds: differences of two times up to here do not overflow
QUOTED = re.compile(r"`([^`]+)`")
LONGEST, MOST_DIGITS = 1_000, 9


@dataclass(frozen=True)
class Formula:
    """How a column of numbers follows from others.

    Attributes:
        added: Columns that are added.
        subtracted: Columns that are subtracted.
        unit: Of `UNITS`, if these are two points in time between which whole units are counted; else ''.
        digits: To how many digits after the point a sum is rounded; None if it is not.
    """

    added: tuple[str, ...]
    subtracted: tuple[str, ...] = ()
    unit: str = ""
    digits: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it follows from."""
        return *self.added, *self.subtracted

    def values(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """What the column is in each row, float64 `[n]`; NaN where one of the others is missing.

        Halves are rounded to the even neighbour. Units of time are those that have passed in full, years and
        months by the calendar; they are negative if the second time is earlier.

        Args:
            df: The other columns; what stands for a missing value is missing.
        """
        if self.unit:
            return _elapsed(df[self.subtracted[0]], df[self.added[0]], self.unit)
        found = np.zeros(len(df))
        for sign, names in ((1.0, self.added), (-1.0, self.subtracted)):
            for name in names:
                found = found + sign * number_values(df[name])
        return found if self.digits is None else np.round(found, self.digits)

    def solved(self, part: str, total: NDArray[np.float64], df: pd.DataFrame) -> NDArray[np.float64]:
        """What a part is where the column and all other parts are known, float64 `[n]`; NaN elsewhere.

        That can be told of sums that are not rounded.

        Args:
            part: One of `columns`.
            total: The column, float64 `[n]`.
            df: The other columns; what stands for a missing value is missing.
        """
        sign = self.added.count(part) - self.subtracted.count(part)
        if self.unit or self.digits is not None or sign not in (1, -1):
            return np.full(len(df), np.nan)
        rest = self.values(df.assign(**{part: 0.0}))
        return sign * (total - rest)


def _elapsed(since: pd.Series, until: pd.Series, unit: str) -> NDArray[np.float64]:
    (start, unknown), (end, absent) = (time_values(each, duration=False) for each in (since, until))
    if unit in MICROSECONDS:
        length = np.clip(end, -FARTHEST, FARTHEST) - np.clip(start, -FARTHEST, FARTHEST)
        counted = length // MICROSECONDS[unit]
    else:
        first, last = (each.astype("datetime64[us]") for each in (start, end))
        months = [each.astype("datetime64[M]") for each in (first, last)]
        within = [each - month for each, month in zip((first, last), months, strict=True)]
        counted = (months[1] - months[0]).astype(np.int64) - (within[1] < within[0])
        counted = counted // 12 if unit == "years" else counted
    return np.where(unknown | absent, np.nan, counted.astype(np.float64))


@functools.lru_cache(maxsize=1_024)
def read_formula(text: str) -> Formula | None:
    """The formula that a text writes; None if it writes none.

    Args:
        text: 'net + tax', 'round(gross - tax, 2)', 'years(admitted - born)'. A column whose name is not that
            of a variable of Python is written in backticks.

    >>> read_formula("years(admitted - born)")
    Formula(added=('admitted',), subtracted=('born',), unit='years', digits=None)
    >>> read_formula("round(`net price` + tax, 2)").columns
    ('net price', 'tax')
    >>> read_formula("net * 1.2") is None
    True
    """
    if len(text) > LONGEST:
        return None
    quoted = QUOTED.findall(text)
    stand_ins = [f"q{'_' * len(text)}{place}" for place in range(len(quoted))]  # no name is so long
    names, left = dict(zip(stand_ins, quoted, strict=True)), iter(stand_ins)
    try:
        node = ast.parse(QUOTED.sub(lambda _: f" {next(left)} ", text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    function, digits, inner = "", None, node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        function, inner = node.func.id, node.args[0]
        digits = _digits(node.args[1:]) if function == "round" else None
        if (function == "round") is (digits is None) or len(node.args) > 1 + (function == "round"):
            return None
    signed = _terms(inner, names) or []
    added, subtracted = (tuple(name for sign, name in signed if sign == one) for one in (1, -1))
    fits = {"": len(signed) > 1, "round": bool(signed)}
    fits |= dict.fromkeys(UNITS, (len(added), len(subtracted)) == (1, 1))
    if not fits.get(function, False):
        return None
    return Formula(added, subtracted, function if function in UNITS else "", digits)


def _digits(nodes: Sequence[ast.expr]) -> int | None:
    """Digits to which `round` rounds; None if that is not told so."""
    values = [node.value if isinstance(node, ast.Constant) else None for node in nodes] or [0]
    value = values[0]
    return value if type(value) is int and 0 <= value <= MOST_DIGITS else None


def _terms(node: ast.expr, names: dict[str, str]) -> list[tuple[int, str]] | None:
    """Signs and names of a sum in the order in which they are written; None if it is none.

    Args:
        node: The sum.
        names: What stands for names in backticks.
    """
    if isinstance(node, ast.Name):
        return [(1, names.get(node.id, node.id))]
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
        return None
    left, right = _terms(node.left, names), _terms(node.right, names)
    if left is None or right is None:
        return None
    sign = 1 if isinstance(node.op, ast.Add) else -1
    return [*left, *((sign * each, name) for each, name in right)]


def written(formula: Formula) -> str:
    """A formula as `read_formula` reads it.

    >>> written(Formula(("net price", "tax"), ("discount",)))
    '`net price` + tax - discount'
    """
    plus, minus = (tuple(map(_quoted, names)) for names in (formula.added, formula.subtracted))
    text = " - ".join([" + ".join(plus), *minus])
    if formula.unit:
        return f"{formula.unit}({text})"
    if formula.digits is None:
        return text
    return f"round({text}, {formula.digits})" if formula.digits else f"round({text})"


def _quoted(name: str) -> str:
    try:
        plain = ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError):
        return f"`{name}`"
    return name if isinstance(plain, ast.Name) and plain.id == name else f"`{name}`"


def in_order(texts: Mapping[str, str]) -> tuple[tuple[str, Formula], ...]:
    """Formulas by column, each behind those of the columns that it follows from.

    Those that go round in a circle, or cannot be read, are left out.

    Args:
        texts: As they are written, by column.
    """
    left = {name: formula for name, text in texts.items() if (formula := read_formula(text)) is not None}
    found: list[tuple[str, Formula]] = []
    while free := [name for name, formula in left.items() if not set(formula.columns) & set(left)]:
        found += [(name, left.pop(name)) for name in free]
    return tuple(found)
