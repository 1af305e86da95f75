"""The report of a private evaluation, as text, table and HTML; it may be published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.display.html import (
    card,
    paragraph,
    score,
    shown_by_summary,
    strong,
)
from jupyter_dpsynth.engine.model.losses import glance
from jupyter_dpsynth.evaluation.figures import (
    Measured,
    cost_text,
    figures_group,
    figures_table,
    spending_group,
)
from jupyter_dpsynth.evaluation.losses_html import losses_html
from jupyter_dpsynth.evaluation.overall import NOT_GIVEN, Overall, overall_of
from jupyter_dpsynth.evaluation.private_orders import worst_order
from jupyter_dpsynth.privacy.receipt import budget_shares

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.privacy.accounting import PrivacyPlan

__all__ = ["Measured", "PrivateReport"]


@shown_by_summary
@dataclass(frozen=True, eq=False)
class PrivateReport:
    """Utility figures with error bars that epsilon paid for.

    Attributes:
        columns: Noisy distance of every column, largest first.
        pairs: The same of pairs of columns.
        mean_errors: Standard deviations of the noise in the means of both.
        independent: Noisy mean distance of the pairs from independent columns, and its error; None with
            one column.
        target: The column that was predicted, or None.
        prediction: Noisy share of right predictions, and its error.
        majority: Share of the most frequent class in the synthetic table.
        rows: Noisy row count.
        rows_error: Standard deviation of its noise.
        synthetic_rows: Rows of the synthetic table.
        plan: What was measured.
        epsilon: What that cost; None for a test-only seed.
        delta: Delta of the guarantee.
        losses: What each column of the model loses, as learning measured and paid for it.
        orders: Of pairs of dates and numbers the order, the share of synthetic rows that break it, and that
            of the private ones; worst first.

    Privacy:
        Noisy figures and public ones: it may be passed on.
    """

    columns: tuple[Measured, ...]
    pairs: tuple[Measured, ...]
    mean_errors: tuple[float, float]
    independent: tuple[float, float] | None
    target: str | None
    prediction: tuple[float, float] | None
    majority: float
    rows: float
    rows_error: float
    synthetic_rows: int
    plan: PrivacyPlan
    epsilon: float | None
    delta: float
    losses: tuple[ColumnLoss, ...] = ()
    orders: tuple[Measured, ...] = ()

    @property
    def table(self) -> tuple[Measured, ...]:
        """The figures of the whole table."""
        found = []
        groups = (("1-way", self.columns, "columns"), ("2-way", self.pairs, "pairs of columns"))
        for (name, group, words), error in zip(groups, self.mean_errors, strict=True):
            if group:
                value, good = (float(np.mean([getattr(e, f) for e in group])) for f in ("value", "good"))
                text = (
                    "share of the rows that would have to change for the shares to be equal (total-variation "
                    f"distance), mean over {len(group)} {words}; good: two samples of one"
                )
                found.append(Measured(f"{name} difference", value, error, good, f"{text} population"))
        order = worst_order(self.orders)
        if order is not None:
            text = (
                f"share of rows that break what the private table keeps: {order.name}; good: as in that "
                "table, give or take the error. The worst pair of columns"
            )
            found.append(Measured("order broken", order.value, order.error, order.good, text))
        if self.prediction is not None:
            text = (
                f"share of real rows whose {self.target} is predicted correctly by a model trained on the "
                "synthetic table; good: better than always predicting the most frequent class"
            )
            found.append(Measured("accuracy on real rows", *self.prediction, self.majority, text))
        return tuple(found)

    @property
    def overall(self) -> Overall | None:
        """The overall score; None if so few rows are compared that there is nothing to score."""
        distance = self.table[1 if self.pairs else 0]
        apart = None if self.independent is None else self.independent[0]
        return overall_of(distance.value, distance.good, error=distance.error, apart=apart)

    @property
    def cost(self) -> str:
        """What it cost, in a sentence."""
        return cost_text(self.plan, self.epsilon, self.delta)

    @property
    def covers(self) -> str:
        """What the guarantee covers and what it does not."""
        return (
            "Covered by epsilon: every figure here (what is left of the columns: by that of learning). The "
            "errors are upper bounds on the standard deviation of the noise, which may take a share below 0 "
            "or above 1. Not covered: column names, the synthetic table (it has its own receipt), other "
            "reports and runs on the same rows (the ledger adds them up)."
        )

    @property
    def rows_text(self) -> str:
        """How many rows were compared."""
        private = f"{self.rows:,.0f} (± {self.rows_error:,.0f}) private rows"
        unit = self.plan.unit
        used = "" if unit == ONE_ROW else f" (the privacy unit is {unit}; further rows are left out)"
        return f"{private}{used}, {self.synthetic_rows:,} synthetic ones"

    @property
    def per_column(self) -> pd.DataFrame:
        """Every column's distance with its error, largest first."""
        return _frame(self.columns)

    @property
    def per_pair(self) -> pd.DataFrame:
        """The same for the pairs."""
        return _frame(self.pairs)

    def to_frame(self) -> pd.DataFrame:
        """The figures of the whole table: name, value, error, good, meaning."""
        return _frame(self.table, meaning=True)

    def spending(self) -> pd.DataFrame:
        """What epsilon was spent on: item, detail, share of the squared privacy loss."""
        import pandas as pd

        return pd.DataFrame(budget_shares(self.plan), columns=["item", "detail", "share"])

    def summary(self) -> str:
        """All for a terminal."""
        lines = [f"Private quality report: {self.rows_text}."]
        if self.overall is not None:
            lines.append(f"  overall: {self.overall.text} ({self.overall.meaning})")
        else:
            lines.append(f"  overall: {NOT_GIVEN}")
        lines += [f"  {line}" for line in glance(self.losses)]
        width = max(len(each.name) for each in self.table)
        lines += [f"  {each.name:<{width}}  {_numbers(each)}" for each in self.table]
        for title, group in (("Columns", self.columns), ("Pairs", self.pairs)):
            if group:
                worst = ", ".join(f"{each.name} {_value(each)}" for each in group[:3])
                lines.append(f"  {title} with the largest difference: {worst}")
        order = worst_order(self.orders)
        if order is not None:
            lines.append(f"  The order that most rows break: {order.name}")
        return "\n".join([*lines, self.cost, self.covers])

    def __html__(self) -> str:
        """The same as `to_html`: templates take it for markup."""
        return self.to_html()

    def to_html(self) -> str:
        """All as one piece of HTML, without scripts."""
        overall = self.overall
        number, meaning = ("", NOT_GIVEN) if overall is None else (overall.text, overall.meaning)
        content = card(
            paragraph(strong("Private quality report"), f": {self.rows_text}."),
            score(f"Overall {number}", meaning),
            losses_html(self.losses),
            figures_table(self.table),
            figures_group("Columns", self.columns),
            figures_group("Pairs of columns", self.pairs),
            figures_group("Orders of two columns", self.orders),
            paragraph(self.cost),
            spending_group(self.plan),
            paragraph(self.covers),
            kind="private-report",
        )
        return str(content)


def _frame(figures: tuple[Measured, ...], *, meaning: bool = False) -> pd.DataFrame:
    import pandas as pd

    names = ("name", "value", "error", "good", *(("meaning",) if meaning else ()))
    return pd.DataFrame([{name: getattr(each, name) for name in names} for each in figures], columns=names)


def _value(each: Measured) -> str:
    return f"{max(each.value, 0):.1%} (± {each.error:.1%})"


def _numbers(each: Measured) -> str:
    return f"{each.value:.4f} ± {each.error:.4f}  (good: {each.good:.4f})"
