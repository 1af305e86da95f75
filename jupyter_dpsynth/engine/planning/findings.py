"""What the check-up finds, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_dpsynth.engine.planning.conversions import Conversion

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "APPLY",
    "BANNER",
    "NOTHING",
    "SIGNS",
    "Finding",
    "Remedy",
    "amount",
    "blocks",
    "findings_text",
]

BANNER = (
    "For the owner's eyes only: computed from the original rows, and not covered by epsilon. Clear this "
    "output before you pass the notebook on."
)
DECLARED = ("missing", "ids", "ignore")
SIGNS = {"stop": ("✗", "must change"), "care": ("⚠", "look at this"), "hint": ("•", "hint")}
NOTHING = "Nothing was found that would spoil a run."
CONVERSIONS = "All conversions together, to paste into a cell (df is your table); then check again:"
DECLARATIONS = "All declarations together, to paste into the %%dpsynth learn cell:"
APPLY = (
    "Put a line of code into the %%dpsynth learn cell; run one that begins with df[ in a cell before it. "
    "In the panel (%dpsynth panel, tab 'Check-up'), a "
    "button applies it."
)


@dataclass(frozen=True)
class Remedy:
    """The remedy for a finding, as one line of a cell.

    Attributes:
        name: A parameter, 'ids', 'ignore' for a column that is better left out, 'missing', or 'convert'.
        value: A column's name, codes for a missing value by column, the parameter's value, or a `Conversion`.
    """

    name: str
    value: Any

    @property
    def line(self) -> str:
        """The line to write.

        >>> Remedy("ids", "person").line, Remedy("epsilon", 2.0).line
        ("ids = ['person']", 'epsilon = 2')
        >>> Remedy("missing", {"height": [-9]}).line
        "missing = {'height': [-9]}"
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
    for heading, block in blocks(findings).items():
        lines += ["", heading, *(f"    {line}" for line in block)]
    return "\n".join([*lines, "", apply])


def blocks(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Lines to be run together, by what is said above them; none where one finding has its line alone."""
    remedies = [each.remedy for each in findings if each.remedy]
    conversions = [each.line for each in remedies if each.name == "convert"]
    declared = [each for each in remedies if each.name in DECLARED]
    codes = {name: code for each in declared if each.name == "missing" for name, code in each.value.items()}
    columns = {key: [each.value for each in declared if each.name == key] for key in ("ids", "ignore")}
    lines = [f"{key} = {value!r}" for key, value in (("missing", codes), *columns.items()) if value]
    found = {CONVERSIONS: conversions} if len(conversions) > 1 else {}
    return found | ({DECLARATIONS: lines} if len(declared) > 1 else {})
