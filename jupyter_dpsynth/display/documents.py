"""The receipt and the outcome of an audit as HTML: no script, readable in light and dark themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import (
    card,
    details,
    heading,
    join,
    paragraph,
    preformatted,
    strong,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    #: Title, sentences, and the heads and lines of a table.
    Attack: TypeAlias = tuple[str, str, Sequence[str], Sequence[Sequence[str]]]

__all__ = ["audit_html", "receipt_html", "record_html"]

SHARES, FACTS = "What the budget was spent on", "Facts of the run"
SPENDING = ("Share of the budget", "Item", "Detail")


def receipt_html(
    headline: str,
    spending: Sequence[tuple[str, str, float]],
    facts: Sequence[tuple[str, str]],
    opinion: tuple[str, str],
    attack: Attack | None,
) -> str:
    """A receipt.

    Args:
        headline: The guarantee in one sentence.
        spending: Item, detail and share of the budget of each part of the run.
        facts: Names and texts.
        opinion: Title and text of a second opinion; without a text it is left out.
        attack: What an attacker could find out at most; None without a guarantee.
    """
    title, text = opinion
    shares = [(f"{share:.1%}", item, detail) for item, detail, share in spending]
    return str(
        card(
            paragraph(strong(headline)),
            "" if attack is None else attack_html(attack),
            heading(SHARES) if shares else "",
            table(shares, SPENDING, numbers={0}, bold=False) if shares else "",
            heading(FACTS),
            table(facts),
            details(title, preformatted(text)) if text else "",
            kind="receipt",
        )
    )


def attack_html(attack: Attack) -> Markup:
    """What an attacker could find out at most, in words and figures."""
    title, sentences, heads, lines = attack
    figures = table(lines, heads, numbers={0, 1}, bold=False)
    return join((heading(title), paragraph(sentences), figures))


def record_html(
    headline: str,
    left: str,
    attack: Attack,
    groups: Sequence[tuple[str, Sequence[tuple[str, str, str]]]],
    mark: str,
) -> str:
    """A record for a registry.

    Args:
        headline: The guarantee in one sentence.
        left: How much is left to be answered, in one sentence.
        attack: What an attacker could find out at most.
        groups: Title, and for each question the question, the answer and what is left to be answered.
        mark: What stands before that.
    """

    def cell(answer: str, blank: str) -> Markup:
        lines: list[str] = answer.splitlines()
        if blank:
            lines.append(join((strong(mark), f": {blank}")))
        return Markup("<br>").join(lines)

    parts = [
        join(
            (heading(title), table([(question, cell(answer, blank)) for question, answer, blank in entries]))
        )
        for title, entries in groups
    ]
    return str(card(paragraph(strong(headline)), paragraph(left), attack_html(attack), *parts, kind="record"))


def audit_html(verdict: str, figures: Sequence[tuple[str, str]], explanation: str) -> str:
    """The outcome of an audit.

    Args:
        verdict: The outcome in one sentence.
        figures: Names and values.
        explanation: How it was done and what it is worth.
    """
    values = [(name, strong(value)) for name, value in figures]
    return str(
        card(
            paragraph(strong(verdict)),
            table(values, bold=False),
            paragraph(explanation),
            kind="audit",
        )
    )
