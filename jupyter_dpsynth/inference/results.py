"""What questions about the population are answered with: estimates, intervals, and what they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.display.html import card, note, paragraph, shown_by_summary, strong, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "Estimates", "figure"]


PARTS = ("table", "noise", "model")
WORDS = ("source", "verdict")


def figure(value: Any) -> str:  # noqa: ANN401 - a number, a date or a time
    """A figure with about four digits; dates and times as they are.

    >>> figure(0.123456), figure(1234567.0), figure(-2.5), figure(0.0)
    ('0.1235', '1,234,567', '-2.5', '0')
    """
    if not isinstance(value, (float, int)):
        return str(value).removesuffix(" 00:00:00")
    if math.isnan(value):
        return "?"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


@shown_by_summary
@dataclass(frozen=True, eq=False)
class Estimates:
    """Figures with intervals.

    Attributes:
        title: What was asked.
        frame: One row for each figure, with the columns `estimate`, `se` (standard error), `low` and `high`;
            then the parts of the standard error, whose squares add up: `table` (sampling of the table),
            `noise` (what was added) and `model` (what was not released), as far as they are known apart;
            `told`, the share of the variance that the model's word leaves open that the release took away. Of
            real rows that were asked also the model's estimate, `synthetic`, and whether both agree,
            `verdict`.
        level: Share of such intervals that are meant to hold the true figure.
        promise: What the intervals are about, and what they do not count, in sentences.
        notes: What else is to be known.
    """

    title: str
    frame: pd.DataFrame
    level: float
    promise: str
    notes: tuple[str, ...] = field(default=())

    def _lines(self) -> tuple[list[str], list[list[str]]]:
        parts = [name for name in (*PARTS, "synthetic", *WORDS) if name in self.frame]
        head = ["", "estimate", f"{self.level:.0%} interval", *parts]
        lines = []
        for name, row in self.frame.iterrows():
            words = " and ".join(name) if isinstance(name, tuple) else str(name)
            cells = [words, figure(row["estimate"]), f"{figure(row['low'])} to {figure(row['high'])}"]
            cells += [row[part] if part in WORDS else figure(row[part]) for part in parts]
            lines.append(cells)
        return head, lines

    def summary(self) -> str:
        """All of it as text for a terminal."""
        head, lines = self._lines()
        widths = [max(len(line[place]) for line in [head, *lines]) for place in range(len(head))]
        text = [self.title, ""]
        for line in [head, *lines]:
            first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            text.append("  ".join([line[0].ljust(widths[0]), *others]).rstrip())
            del first
        return "\n".join([*text, "", *self.notes, self.promise])

    def to_html(self) -> str:
        """All of it as HTML for a notebook."""
        head, lines = self._lines()
        return str(
            card(
                paragraph(strong(self.title)),
                table(lines, head, numbers=set(range(1, len(head)))),
                *(note(words) for words in self.notes),
                note(self.promise),
                kind="estimates",
            )
        )
