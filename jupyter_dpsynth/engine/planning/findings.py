"""What the check-up finds, and what to do about it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from jupyter_dpsynth.engine.planning.conversions import Conversion

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BANNER",
    "NOTEBOOK",
    "NOTHING",
    "SIGNS",
    "Finding",
    "Place",
    "Remedy",
    "amount",
    "apply_at",
    "blocks",
    "conversions_of",
    "findings_text",
    "gathered",
]

BANNER = (
    "For the owner's eyes only: computed from the original rows, and not covered by epsilon. Clear this "
    "output before you pass the notebook on."
)
BY_COLUMN = ("missing", "hierarchy", "decimals", "at_least", "derived")
DECLARED = (*BY_COLUMN, "ids", "ignore")
APART = (*DECLARED, "convert", "order", "text", "categories")  # remedies with a block of their own, or none
SIGNS = {"stop": ("✗", "must change"), "care": ("⚠", "look at this"), "hint": ("•", "hint")}
NOTHING = "Nothing was found that would spoil a run."
CONVERSIONS = "All conversions together, to paste into a cell; then check again:"
DECLARATIONS = "All lines together, to paste into the %%dpsynth learn cell:"
OPTIONS = "All options together, for 'jupyter dpsynth doctor' and 'learn':"
CONVERTED = (
    "All conversions together: this command again with --convert {target}, which {makes} the converted "
    "table; then check that one:"
)
ORDERS = "All orders together, once the table is learned:"
APPLY = (
    "Put a line of the form 'name = value' into the %%dpsynth learn cell, and run the others in cells of "
    "their own. In the panel (%dpsynth panel, tab 'Check-up'), a button applies it."
)
APPLY_IN_TERMINAL = (
    "Add the options to this command to check again, and to 'jupyter dpsynth learn' (--order to 'jupyter "
    "dpsynth synthesize')."
)


@dataclass(frozen=True)
class Place:
    """Where findings are read, and so what a remedy looks like.

    Attributes:
        table: What the user calls the table: a variable, or a file.
        in_pandas: Whether that is a DataFrame of pandas in memory, which its owner can convert.
        terminal: Whether this is a terminal, where nothing of Python is run.
    """

    table: str = "df"
    in_pandas: bool = True
    terminal: bool = False

    @property
    def converting(self) -> str:
        """The command that makes all conversions, where the table is not in pandas."""
        if self.terminal:
            return f"jupyter dpsynth doctor {shlex.quote(self.table)} --convert converted.parquet"
        name = f"{self.table}_converted" if self.table.isidentifier() else "df"
        return f"%dpsynth doctor {self.table} --convert {name}"


NOTEBOOK = Place()


@dataclass(frozen=True)
class Remedy:
    """The remedy for a finding, as one line of a cell, or as an option of the command line.

    Attributes:
        name: A parameter, 'ids', 'ignore' for a column that is better left out, 'missing', 'convert',
            'hierarchy' for groups of codes, 'order' for two columns in order, 'categories' for public
            levels, or 'text' for a column of a file that is to stay text.
        value: A column's name, codes for a missing value by column, the parameter's value, a `Conversion`,
            two columns, the lower one first, of 'hierarchy' by column its rule, of 'decimals' how many,
            of 'at_least' by column those that are never above it, or of 'derived' by column the formula by
            which it follows from others.
    """

    name: str
    value: Any

    @property
    def columns(self) -> tuple[str, ...]:
        """Of 'ids' and 'ignore', the columns: one, or several in a tuple."""
        return self.value if isinstance(self.value, tuple) else (self.value,)

    @property
    def line(self) -> str:
        """The line to write in a notebook where the table is called df."""
        return self.written(NOTEBOOK)

    def written(self, place: Place) -> str:
        """The line to write.

        Args:
            place: Where.

        >>> Remedy("ids", "person").line, Remedy("epsilon", 2.0).line
        ("ids = ['person']", 'epsilon = 2')
        >>> Remedy("missing", {"height": [-9]}).line
        "missing = {'height': [-9]}"
        >>> Remedy("missing", {"height": [-9, 999]}).written(Place(terminal=True))
        '--missing height=-9,999'
        """
        if isinstance(self.value, Conversion):
            return self.value.line(place.table) if place.in_pandas else place.converting
        if place.terminal or self.name in ("order", "text"):
            before = {"order": "%dpsynth synthesize 1000 ", "text": f"%dpsynth doctor {place.table} "}
            return ("" if place.terminal else before[self.name]) + self._option()
        if self.name == "categories":
            levels = f"list({place.table}[{self.value!r}].cat.categories)"
            return f"categories = {{{self.value!r}: {levels}}}" if place.in_pandas else ""
        if self.name in {"ids", "ignore"}:
            return f"{self.name} = {list(self.columns)!r}"
        value = f"{self.value:g}" if isinstance(self.value, float) else repr(self.value)
        return f"{self.name} = {value}"

    def _option(self) -> str:
        """The same as an option of a command."""
        if self.name == "categories":
            return ""
        if self.name == "order":
            return f"--order {shlex.quote(' <= '.join(self.value))}"
        if self.name in BY_COLUMN:
            pairs = [
                f"{name}={','.join(map(_item, value)) if isinstance(value, list) else value}"
                for name, value in self.value.items()
            ]
            return " ".join(f"--{self.name.replace('_', '-')} {shlex.quote(pair)}" for pair in pairs)
        option = {"ids": "id"}.get(self.name, self.name).replace("_", "-")
        if option in {"id", "ignore"}:
            return " ".join(f"--{option} {shlex.quote(str(name))}" for name in self.columns)
        if isinstance(self.value, bool):
            return f"--{'' if self.value else 'no-'}{option}"
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"--{option} {shlex.quote(value)}"


def _item(code: object) -> str:
    """A value in a list of the command line; one with a comma or spaces around it has quotes."""
    text = str(code)
    plain = text and text == text.strip() and not set(text) & set(",\"'")
    return text if plain else '"' + text.replace('"', '""') + '"'


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
        rows: How many rows it concerns; None if all.
        in_terminal: What to do in a terminal, if that is something else.
    """

    kind: str
    level: Literal["stop", "care", "hint"]
    column: str
    text: str
    advice: str
    remedy: Remedy | None = None
    rows: int | None = None
    in_terminal: str = ""

    @property
    def heading(self) -> str:
        """How grave it is, and how many rows it concerns."""
        many = "all rows" if self.rows is None else "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return SIGNS[self.level][1] + (f" ({many})" if self.rows != 0 else "")

    def advice_at(self, place: Place) -> str:
        """What to do, in words for a place."""
        return (place.terminal and self.in_terminal) or self.advice

    def line_at(self, place: Place) -> str:
        """The line that does it in a place; empty if none does."""
        return self.remedy.written(place) if self.remedy else ""


def amount(share: float) -> str:
    """A share of rows in a word."""
    return "a few" if share < 0.02 else "some" if share < 0.1 else "many" if share < 0.5 else "most"


def gathered(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with those of several identifiers in one: a second line `ids = ...` would be refused."""
    same = [each for each in findings if each.kind == "identifier"]
    if len(same) < 2:
        return list(findings)
    first, names = same[0], [each.column for each in same]
    words = f"{', '.join(map(repr, names[:-1]))} and {names[-1]!r}"
    one = replace(
        first,
        column="",
        text=f"{words} look like identifiers: almost every row has different values.",
        advice="Declare them as identifiers: they are then never learned, and get new numbers in the "
        "synthetic table.",
        remedy=Remedy("ids", tuple(names)),
        rows=max((each.rows for each in same if each.rows is not None), default=None),
    )
    return [one if each is first else each for each in findings if each is first or each not in same]


def conversions_of(findings: Sequence[Finding]) -> list[Conversion]:
    """The conversions that are offered."""
    values = [each.remedy.value for each in findings if each.remedy]
    return [value for value in values if isinstance(value, Conversion)]


def findings_text(findings: Sequence[Finding], place: Place = NOTEBOOK) -> str:
    """All findings as text.

    Args:
        findings: The findings.
        place: Where they are read.
    """
    lines = [f"⚠ {BANNER}", ""]
    if not findings:
        return "\n".join([*lines, f"✓ {NOTHING}"])
    for each in gathered(findings):
        line = each.line_at(place)
        lines += [f"{SIGNS[each.level][0]} {each.heading}: {each.text}", f"    {each.advice_at(place)}"]
        lines += [f"    {line}" if place.terminal else f"    >>> {line}"] if line else []
    for heading, block in blocks(findings, place).items():
        lines += ["", heading, *(f"    {line}" for line in block)]
    return "\n".join([*lines, "", apply_at(place)])


def apply_at(place: Place) -> str:
    """What to do with the lines."""
    return APPLY_IN_TERMINAL if place.terminal else APPLY


def blocks(findings: Sequence[Finding], place: Place = NOTEBOOK) -> dict[str, list[str]]:
    """Lines to be run together, by what is said above them; none where one finding has its line alone."""
    remedies = [each.remedy for each in findings if each.remedy]
    conversions = list(dict.fromkeys(each.written(place) for each in remedies if each.name == "convert"))
    found: dict[str, list[str]] = {}
    if not place.in_pandas and conversions:
        target, makes = ("FILE", "writes") if place.terminal else ("NAME", "makes")
        found[CONVERTED.format(target=target, makes=makes)] = conversions
    elif len(conversions) > 1:
        found[CONVERSIONS] = conversions
    orders = [each.written(Place(terminal=True)) for each in remedies if each.name == "order"]
    if len(orders) > 1:
        command = "jupyter dpsynth synthesize MODEL -n" if place.terminal else "%dpsynth synthesize"
        found[ORDERS] = [f"{command} 1000 {' '.join(orders)}"]
    declared = [each for each in remedies if each.name in DECLARED]
    if place.terminal:
        options = [each.written(place) for each in remedies if each.name not in ("convert", "order", "text")]
        return found | ({OPTIONS: [" ".join(filter(None, options))]} if len(options) > 1 else {})
    columns = {
        key: [name for each in declared if each.name == key for name in each.columns]
        for key in ("ids", "ignore")
    }
    by_column = {
        key: {name: value for each in declared if each.name == key for name, value in each.value.items()}
        for key in BY_COLUMN
    }
    named = *by_column.items(), *columns.items()
    lines = [f"{key} = {value!r}" for key, value in named if value]
    others = {each.name: each.written(place) for each in reversed(remedies) if each.name not in APART}
    lines += reversed(others.values())  # the first of two that name the same parameter
    return found | ({DECLARATIONS: lines} if len(declared) + len(others) > 1 else {})
