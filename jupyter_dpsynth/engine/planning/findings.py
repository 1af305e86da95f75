"""What the check-up finds, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_dpsynth.engine.planning.conversions import Conversion

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ALL_OF_THEM",
    "APPLY",
    "BANNER",
    "NOTHING",
    "SIGNS",
    "Finding",
    "Remedy",
    "amount",
    "conversion_lines",
    "findings_text",
]

BANNER = (
    "For the owner's eyes only: computed from the original rows, and not covered by epsilon. Clear this "
    "output before you pass the notebook on."
)
SIGNS = {"stop": ("✗", "must change"), "care": ("⚠", "look at this"), "hint": ("•", "hint")}
NOTHING = "Nothing was found that would spoil a run."
ALL_OF_THEM = "All conversions together, to paste into a cell (df is your table); then check again:"
APPLY = (
    "Put a line of code into the %%dpsynth learn cell; run one that begins with df[ in a cell before it. "
    "In the panel (%dpsynth panel, tab 'Check-up'), a "
    "button applies it."
)


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


def findings_text(findings: Sequence[Finding], apply: str = APPLY) -> str:
    """All findings as text.

    Args:
        findings: The findings.
        apply: What to do with their lines, in words.
    """
    lines = [f"⚠ {BANNER}", ""]
    if not findings:
        return "\n".join([*lines, f"✓ {NOTHING}"])
    for each in findings:
        sign, words = SIGNS[each.level]
        lines += [f"{sign} {words}: {each.text}", f"    {each.advice}"]
        lines += [f"    >>> {each.remedy.line}"] if each.remedy else []
    block = conversion_lines(findings)
    if len(block) > 1:
        lines += ["", ALL_OF_THEM, *(f"    {line}" for line in block)]
    return "\n".join([*lines, "", apply])


def conversion_lines(findings: Sequence[Finding]) -> list[str]:
    """The lines of all conversions, to be run together."""
    return [each.remedy.line for each in findings if each.remedy and each.remedy.name == "convert"]
