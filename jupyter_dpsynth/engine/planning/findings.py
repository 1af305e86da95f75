"""What the check-up finds, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jupyter_dpsynth.engine.planning.conversions import Conversion

__all__ = ["Finding", "Remedy", "amount"]


@dataclass(frozen=True)
class Remedy:
    """The remedy for a finding, as one line of a cell.

    Attributes:
        name: A parameter, 'ids', 'ignore' for a column that is better left out, or 'convert'.
        value: A column's name, the parameter's value, or a `Conversion`.
    """

    name: str
    value: Any

    @property
    def line(self) -> str:
        """The line to write.

        >>> Remedy("ids", "person").line, Remedy("epsilon", 2.0).line
        ("ids = ['person']", 'epsilon = 2')
        """
        if isinstance(self.value, Conversion):
            return self.value.line
        if self.name in {"ids", "ignore"}:
            return f"{self.name} = [{self.value!r}]"
        value = f"{self.value:g}" if isinstance(self.value, float) else repr(self.value)
        return f"{self.name} = {value}"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: What sort of thing, for programs.
        level: 'stop' if learning would be refused, 'care' if it would be poor or the guarantee weaker than
            it looks, 'hint' otherwise.
        column: The column's name, or '' for the table.
        text: What was found.
        advice: What to do.
        remedy: The same as one line, if one line does it.
    """

    kind: str
    level: Literal["stop", "care", "hint"]
    column: str
    text: str
    advice: str
    remedy: Remedy | None = None


def amount(share: float) -> str:
    """A share of rows in a word."""
    return "a few" if share < 0.02 else "some" if share < 0.1 else "many" if share < 0.5 else "most"
