"""`UtilityReport`: how close a synthetic table comes, as figures, tables and plots."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.marginals import pair_dependence
from jupyter_dpsynth.errors import DataError, did_you_mean, shielded, shown
from jupyter_dpsynth.evaluation.metrics import (
    Discretizer,
    cramers_v,
    mean_total_variation,
    one_way_shares,
    prediction_auc,
    separation_auc,
)
from jupyter_dpsynth.evaluation.plots import ColumnComparison, dependence_figure, marginal_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["BANNER", "Metric", "UtilityReport", "check_columns"]

BANNER = (
    "Computed from the original data: not covered by epsilon, and saved in this notebook. "
    "Clear this output before you pass the notebook on."
)
HOLDOUT_SHARE = 0.2


@dataclass(frozen=True)
class Metric:
    """One figure of a report.

    Attributes:
        name: Short name.
        value: The figure.
        good: What a perfect table would give here; not always 0, for real halves differ too.
        meaning: What it says, in one line.
    """

    name: str
    value: float
    good: float
    meaning: str


@dataclass(frozen=True, eq=False)
class UtilityReport:
    """The comparison of a synthetic table with one reference.

    Attributes:
        reference_name: What it was compared with.
        table: The figures.
        columns: Every column's shares in both, largest difference first.
        names: Column names in the table's order.
        dependence: Dependence of every pair in the reference, `[m, m]`.
        dependence_synthetic: The same in the synthetic table.
        dependence_measure: What the dependence figures are.
        banner: A warning if original rows were used.

    Privacy:
        Against measurements: post-processing of what epsilon already covers. Against the original:
        computed from private rows, covered by nothing; hence the banner.
    """

    reference_name: str
    table: tuple[Metric, ...]
    columns: tuple[ColumnComparison, ...]
    names: tuple[str, ...]
    dependence: NDArray[np.float64]
    dependence_synthetic: NDArray[np.float64]
    dependence_measure: str
    banner: str | None = None

    @classmethod
    def against_measurements(cls, synthesizer: HighDimSynthesizer, df_synth: pd.DataFrame) -> UtilityReport:
        """Compare with the noisy measurements that epsilon already paid for: free.

        Args:
            synthesizer: A learned synthesizer.
            df_synth: A table that it made.

        Raises:
            NotLearnedError: Nothing has been learned.
            DataError: The table has other columns, or is the one that was learned.
        """
        check_columns(df_synth, synthesizer.reference.columns, "df_synth")
        if synthesizer.was_learned_from(df_synth):
            raise DataError(
                "df_synth is the original table itself: what would be shown is not covered by epsilon. Pass "
                "a synthetic table, or compare explicitly with UtilityReport.against_original (--original)."
            )
        return shielded(lambda: cls._from_measurements(synthesizer, df_synth), "the comparison failed")

    @classmethod
    def _from_measurements(cls, synthesizer: HighDimSynthesizer, df_synth: pd.DataFrame) -> UtilityReport:
        reference = synthesizer.reference
        codes = synthesizer.codec.encode(df_synth).astype(np.int64)
        sizes = synthesizer.codec.sizes
        shares = one_way_shares(codes, [int(size) for size in sizes])
        noise_floor = [float(noise.sum() * np.sqrt(2 / np.pi) / 2) for noise in reference.noise]
        columns = _sorted_columns(
            reference.columns,
            reference.labels,
            reference.shares,
            shares,
            reference.noise,
            tuple(kind != "category" for kind in reference.kinds),
        )
        dependence = pair_dependence(codes, sizes)
        pairs = np.triu_indices(len(sizes), 1)
        gaps = np.abs(dependence - reference.dependence)[pairs]
        table = (
            Metric(
                "one-way difference",
                float(np.mean([column.distance for column in columns])),
                float(np.mean(noise_floor)),
                "mean total-variation distance of a column from its noisy measurement; good: the "
                "measurement's own noise",
            ),
            Metric(
                "largest one-way difference",
                columns[0].distance,
                max(noise_floor),
                f"the same for the worst column, {columns[0].name}",
            ),
            *(
                (
                    Metric(
                        "pair dependence difference",
                        float(gaps.mean()),
                        float(reference.dependence_noise * np.sqrt(2 / np.pi)),
                        "mean difference of the pairs' distance from independence; good: its noise",
                    ),
                )
                if len(gaps)
                else ()
            ),
        )
        return cls(
            "noisy measurements of the original",
            table,
            columns,
            reference.columns,
            reference.dependence,
            dependence,
            "total-variation distance from independence",
        )

    @classmethod
    def against_original(
        cls,
        df: pd.DataFrame,
        df_synth: pd.DataFrame,
        target: str | None = None,
        holdout: pd.DataFrame | None = None,
    ) -> UtilityReport:
        """Compare with the original table. Not covered by epsilon: for the owner's eyes.

        Args:
            df: The original table.
            df_synth: A synthetic table with the same columns.
            target: A column to predict: adds train-on-synthetic, test-on-real figures.
            holdout: Original rows that were not learned from, to test on; by default a fifth of `df`,
                which makes the figure for the original optimistic only by what was learned.

        Raises:
            DataError: Columns differ, a table is empty, or the target is unknown.
            MissingDependencyError: `target` is given and scikit-learn is missing.
        """
        names = tuple(df.columns)
        check_columns(df, names, "df")
        check_columns(df_synth, names, "df_synth")
        if target is not None and (not isinstance(target, str) or target not in names):
            hint = did_you_mean(target if isinstance(target, str) else "", map(str, names))
            raise DataError(f"target = {shown(target)} is not a column of the table.{hint}")
        if holdout is not None:
            check_columns(holdout, names, "holdout")
        return shielded(lambda: cls._from_original(df, df_synth, target, holdout), "the comparison failed")

    @classmethod
    def _from_original(
        cls, df: pd.DataFrame, df_synth: pd.DataFrame, target: str | None, holdout: pd.DataFrame | None
    ) -> UtilityReport:
        names = tuple(df.columns)
        grid = Discretizer(df)
        codes, synthetic = grid.codes(df), grid.codes(df_synth)
        columns = _sorted_columns(
            names,
            grid.labels,
            one_way_shares(codes, grid.sizes),
            one_way_shares(synthetic, grid.sizes),
            None,
            grid.ordered,
        )
        dependence, dependence_synthetic = (cramers_v(c, grid.sizes) for c in (codes, synthetic))
        table = _distances(grid, codes, synthetic, dependence, dependence_synthetic)
        if target is not None:
            table += _learned_figures(df, df_synth, target, holdout)
        return cls(
            "original table",
            tuple(table),
            columns,
            names,
            dependence,
            dependence_synthetic,
            "Cramer's V",
            BANNER,
        )

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name."""
        return {metric.name: metric.value for metric in self.table}

    @property
    def per_column(self) -> pd.DataFrame:
        """Every column's total-variation distance, largest first."""
        return pd.DataFrame(
            {
                "column": [column.name for column in self.columns],
                "difference": [column.distance for column in self.columns],
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """The figures as a table: metric, value, good, meaning."""
        return pd.DataFrame([vars(metric) for metric in self.table])

    def summary(self) -> str:
        """The figures for a terminal."""
        width = max(len(metric.name) for metric in self.table)
        lines = [f"Synthetic table against the {self.reference_name}:"]
        lines += [
            f"  {metric.name:<{width}}  {metric.value:.4f}  (good: {metric.good:.4f})"
            for metric in self.table
        ]
        return "\n".join([*lines, *([self.banner] if self.banner else [])])

    def figures(self) -> list[Figure]:
        """Overlays of all columns, then the heatmaps of all pairs."""
        figures = marginal_figures(self.columns, self.reference_name, self.banner)
        if len(self.names) > 1:
            figures.append(
                dependence_figure(
                    self.names,
                    self.dependence,
                    self.dependence_synthetic,
                    self.reference_name,
                    self.dependence_measure,
                    self.banner,
                )
            )
        return figures

    def __str__(self) -> str:
        """The summary."""
        return self.summary()

    def __repr__(self) -> str:
        """The summary, with its warning: the generated one would print the reference's names and shares."""
        return self.summary()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # noqa: ANN401 - IPython's protocol
        """Text for terminals, tables and pictures for notebooks."""
        return {"text/plain": self.summary(), "text/html": self.to_html()}

    def to_html(self) -> str:
        """Figures, table and plots as one piece of HTML, without scripts."""
        cell = "padding:3px 14px 3px 0;text-align:left;vertical-align:top;white-space:normal"
        number = f"{cell};text-align:right;font-variant-numeric:tabular-nums"
        rows = "".join(
            f'<tr><th scope="row" style="{cell}">{html.escape(metric.name)}</th>'
            f'<td style="{number}">{metric.value:.4f}</td><td style="{number}">{metric.good:.4f}</td>'
            f'<td style="{cell}">{html.escape(metric.meaning)}</td></tr>'
            for metric in self.table
        )
        head = "".join(
            f'<th scope="col" style="{style}">{title}</th>'
            for title, style in (("Metric", cell), ("Value", number), ("Good", number), ("Meaning", cell))
        )
        banner = ""
        if self.banner:
            banner = (
                '<p role="note" style="border-left:4px solid #D55E00;padding:4px 10px;margin:6px 0">'
                f"<b>Not private.</b> {html.escape(self.banner)}</p>"
            )
        pictures = "".join(
            f'<img alt="{html.escape(self._picture_text(index))}" style="max-width:100%;margin-top:10px" '
            f'src="data:image/png;base64,{_png(figure)}">'
            for index, figure in enumerate(self.figures())
        )
        return (
            f'<div style="color:var(--jp-ui-font-color1,inherit)"><p><b>Synthetic table against the '
            f"{html.escape(self.reference_name)}</b></p>{banner}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{pictures}</div>"
        )

    def _picture_text(self, index: int) -> str:
        if index == 0 or len(self.names) == 1:
            worst = ", ".join(column.name for column in self.columns[:3])
            return f"Shares of every column in both tables; largest differences: {worst}"
        return "Further comparison plots of all columns and of the dependence of all pairs"


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def check_columns(df: object, names: tuple[str, ...], parameter: str, *, may_be_empty: bool = False) -> None:
    """Raise DataError unless it is a table with these columns and, where that may be told, with rows."""
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"{parameter} is a {type(df).__name__}: pass a pandas DataFrame.")
    missing = [name for name in names if name not in df.columns]
    if missing:
        raise DataError(f"{parameter} lacks column {missing[0]!r}: compare tables with the same columns.")
    if (len(df) == 0 and not may_be_empty) or len(names) == 0:
        raise DataError(f"{parameter} is empty: pass a table with rows and columns.")


def _sorted_columns(
    names: tuple[str, ...],
    labels: tuple[tuple[str, ...], ...],
    reference: tuple[NDArray[np.float64], ...],
    synthetic: tuple[NDArray[np.float64], ...],
    noise: tuple[NDArray[np.float64], ...] | None,
    ordered: tuple[bool, ...],
) -> tuple[ColumnComparison, ...]:
    columns = [
        ColumnComparison(
            name,
            labels[place],
            reference[place],
            synthetic[place],
            None if noise is None else noise[place],
            ordered[place],
            0.5 * float(np.abs(reference[place] - synthetic[place]).sum()),
        )
        for place, name in enumerate(names)
    ]
    return tuple(sorted(columns, key=lambda column: -column.distance))


def _distances(
    grid: Discretizer,
    codes: NDArray[np.int64],
    synthetic: NDArray[np.int64],
    dependence: NDArray[np.float64],
    dependence_synthetic: NDArray[np.float64],
) -> list[Metric]:
    """Marginal and dependence figures, each beside what two random halves of the original give."""
    order = np.random.default_rng(0).permutation(len(codes))
    halves = codes[order[: len(codes) // 2]], codes[order[len(codes) // 2 :]]
    table = []
    for ways, text in ((1, "columns"), (2, "pairs of columns"), (3, "triples of columns")):
        if len(grid.sizes) < ways:
            break
        good = mean_total_variation(*halves, grid.sizes, ways) if len(halves[0]) else 0.0
        value = mean_total_variation(codes, synthetic, grid.sizes, ways)
        meaning = f"mean total-variation distance over {text}; good: two random halves of the original"
        table.append(Metric(f"{ways}-way difference", value, good, meaning))
    pairs = np.triu_indices(len(grid.sizes), 1)
    if len(pairs[0]):
        gaps = np.abs(dependence_synthetic - dependence)[pairs]
        halves_v = [cramers_v(half, grid.sizes) for half in halves if len(half)]
        good = float(np.abs(halves_v[0] - halves_v[-1])[pairs].mean())
        meaning = "mean difference of Cramer's V over all pairs; good: two random halves"
        table.append(Metric("correlation difference", float(gaps.mean()), good, meaning))
    return table


def _learned_figures(
    df: pd.DataFrame, df_synth: pd.DataFrame, target: str, holdout: pd.DataFrame | None
) -> list[Metric]:
    """Figures of models that were trained on the tables."""
    train, where = df, "the holdout"
    if holdout is None:
        order = np.random.default_rng(0).permutation(len(df))
        cut = max(1, int(HOLDOUT_SHARE * len(df)))
        holdout, train = df.iloc[order[:cut]], df.iloc[order[cut:]]
        where = "a fifth of the original, kept out of the reference model but not out of learning"
    synthetic = prediction_auc(df, df_synth, holdout, target)
    real = prediction_auc(df, train, holdout, target)
    return [
        Metric(
            "train on synthetic, test on real",
            synthetic,
            real,
            f"ROC AUC of predicting {target} on {where}; good: trained on the original",
        ),
        Metric(
            "real against synthetic",
            separation_auc(holdout, df_synth),
            0.5,
            "ROC AUC of telling a synthetic row from a real one; good: a coin",
        ),
    ]
