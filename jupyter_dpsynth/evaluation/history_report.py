"""The report of a private evaluation of several tables, as text, table and HTML; it may be published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.display.html import card, paragraph, shown_by_summary, strong
from jupyter_dpsynth.engine.model.losses import glance
from jupyter_dpsynth.evaluation.figures import (
    Measured,
    cost_text,
    figures_group,
    figures_table,
    spending_group,
)
from jupyter_dpsynth.evaluation.losses_html import losses_html

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.privacy.accounting import PrivacyPlan

__all__ = ["FigureGroup", "PrivateHistoryReport"]

MEANING = (
    "share of the persons who would have to change for the shares to be equal (total-variation distance), of "
    "those who have such rows; a person's rows share its weight; mean over {} of them"
)


@dataclass(frozen=True)
class FigureGroup:
    """Distances that were measured together.

    Attributes:
        name: What of.
        figures: The distances, largest first.
        error: Standard deviation of the noise in their mean.
    """

    name: str
    figures: tuple[Measured, ...]
    error: float

    @property
    def mean(self) -> Measured:
        """Their mean."""
        value, good = (float(np.mean([getattr(e, of) for e in self.figures])) for of in ("value", "good"))
        return Measured(self.name, value, self.error, good, MEANING.format(len(self.figures)))


@shown_by_summary
@dataclass(frozen=True, eq=False)
class PrivateHistoryReport:
    """Utility figures of several tables of the same persons, with error bars that epsilon paid for.

    Attributes:
        groups: The distances, by what they are of.
        persons: Noisy number of persons.
        persons_error: Standard deviation of its noise.
        synthetic_persons: Number of synthetic persons.
        plan: What was measured.
        epsilon: What that cost; None for a test-only seed.
        delta: Delta of the guarantee.
        losses: What each column of persons loses, as learning measured and paid for it.

    Privacy:
        Noisy figures and public ones: it may be passed on.
    """

    groups: tuple[FigureGroup, ...]
    persons: float
    persons_error: float
    synthetic_persons: int
    plan: PrivacyPlan
    epsilon: float | None
    delta: float
    losses: tuple[ColumnLoss, ...] = ()

    @property
    def table(self) -> tuple[Measured, ...]:
        """The mean of each group."""
        return tuple(group.mean for group in self.groups)

    @property
    def cost(self) -> str:
        """What it cost, in a sentence."""
        return cost_text(self.plan, self.epsilon, self.delta)

    @property
    def covers(self) -> str:
        """What the guarantee covers and what it does not."""
        return (
            "Covered by epsilon: every figure here (what is left of the columns: by that of learning). The "
            "errors are upper bounds on the standard deviation of the noise. Not covered: names of columns "
            "and tables, the synthetic tables (they have their own receipt), other reports and runs on the "
            "same rows (the ledger adds them up)."
        )

    @property
    def persons_text(self) -> str:
        """How many persons were compared."""
        private = f"{self.persons:,.0f} (± {self.persons_error:,.0f}) persons"
        return f"{private}, {self.synthetic_persons:,} synthetic ones"

    def to_frame(self) -> pd.DataFrame:
        """All distances: group, name, value, error, good."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"group": group.name, "name": e.name, "value": e.value, "error": e.error, "good": e.good}
                for group in self.groups
                for e in group.figures
            ]
        )

    def summary(self) -> str:
        """All for a terminal."""
        width = max(len(each.name) for each in self.table)
        lines = [f"Private quality report: {self.persons_text}."]
        lines += [f"  {line}" for line in glance(self.losses)]
        lines += [
            f"  {each.name:<{width}}  {each.value:.4f} ± {each.error:.4f}  (good: {each.good:.4f})"
            for each in self.table
        ]
        return "\n".join([*lines, self.cost, self.covers])

    def __html__(self) -> str:
        """The same as `to_html`: templates take it for markup."""
        return self.to_html()

    def to_html(self) -> str:
        """All as one piece of HTML, without scripts."""
        content = card(
            paragraph(strong("Private quality report"), f": {self.persons_text}."),
            losses_html(self.losses),
            figures_table(self.table),
            *(
                figures_group(group.name[:1].upper() + group.name[1:], group.figures, opened=not place)
                for place, group in enumerate(self.groups)
            ),
            paragraph(self.cost),
            spending_group(self.plan),
            paragraph(self.covers),
            kind="private-report",
        )
        return str(content)
