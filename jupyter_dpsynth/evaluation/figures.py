"""Noisy figures with their errors, and tables of them, as the private reports show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import details, explained, table
from jupyter_dpsynth.display.words import epsilon_text, item_text
from jupyter_dpsynth.privacy.receipt import budget_shares, relation_of

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.accounting import PrivacyPlan

__all__ = ["Measured", "cost_text", "figures_group", "figures_table", "spending_group"]

MOST_LINES = 30
TITLES = ("Figure", "Value", "Error", "Good")
SHARES = ("Share", "Item", "Detail")


@dataclass(frozen=True)
class Measured:
    """One noisy figure.

    Attributes:
        name: What of.
        value: The figure; noise may take it below 0.
        error: Standard deviation of its noise, at most.
        good: What a perfect synthetic table would have.
        meaning: What it says.
    """

    name: str
    value: float
    error: float
    good: float
    meaning: str = ""


def cost_text(plan: PrivacyPlan, epsilon: float | None, delta: float) -> str:
    """What a private report cost, in a sentence.

    Args:
        plan: What was measured for it.
        epsilon: What that cost; None for a test-only seed.
        delta: Delta of the guarantee.
    """
    if epsilon is None:
        return "TEST ONLY, no guarantee: the noise came from a fixed seed."
    return (
        f"This report cost epsilon = {epsilon_text(epsilon)} at delta = {delta:.2g} "
        f"({relation_of(plan.unit)}; the privacy unit is {plan.unit}), in addition to what learning cost."
    )


def spending_group(plan: PrivacyPlan) -> Markup:
    """What epsilon was spent on, in plain words, behind a heading that opens."""
    shares = [(f"{part:.0%}", item_text(name), detail) for name, detail, part in budget_shares(plan)]
    return details("What epsilon was spent on", table(shares, SHARES, numbers={0}, bold=False))


def figures_group(title: str, group: tuple[Measured, ...], *, opened: bool = True) -> Markup:
    """Figures of many columns or pairs, worst first, behind a heading that opens; open if they are few."""
    if not group:
        return Markup("")
    more = f", the {MOST_LINES} largest of {len(group)}" if len(group) > MOST_LINES else ""
    content = figures_table(group[:MOST_LINES])
    return details(
        f"{title}, largest difference first{more}", content, opened=opened and len(group) <= MOST_LINES
    )


def figures_table(figures: tuple[Measured, ...]) -> Markup:
    """Figures with their errors, and what would be good, as a table."""
    rows = [
        (
            explained(each.name, each.meaning),
            f"{each.value:.4f}",
            f"± {each.error:.4f}",
            f"{each.good:.4f}",
        )
        for each in figures
    ]
    return table(rows, TITLES, numbers={1, 2, 3})
