"""The receipt and the outcome of an audit as HTML: no script, readable in light and dark themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.display.html import card, details, paragraph, preformatted, strong, table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["audit_html", "receipt_html"]

SPENDING = ("Share of the budget", "Item", "Detail")


def receipt_html(
    headline: str,
    spending: Sequence[tuple[str, str, float]],
    facts: Sequence[tuple[str, str]],
    opinion: tuple[str, str],
) -> str:
    """A receipt.

    Args:
        headline: The guarantee in one sentence.
        spending: Item, detail and share of the budget of each part of the run.
        facts: Names and texts.
        opinion: Title and text of a second opinion; without a text it is left out.
    """
    title, text = opinion
    shares = [(f"{share:.1%}", item, detail) for item, detail, share in spending]
    return str(
        card(
            paragraph(strong(headline)),
            table(shares, SPENDING, numbers={0}, bold=False) if shares else "",
            table(facts),
            details(title, preformatted(text)) if text else "",
            kind="receipt",
        )
    )


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
