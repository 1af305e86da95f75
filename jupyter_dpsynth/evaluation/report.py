"""`UtilityReport`: how close a synthetic table comes to the original, as figures, tables and plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from jupyter_dpsynth.display.html import shown_by_summary
from jupyter_dpsynth.engine.model.losses import glance
from jupyter_dpsynth.engine.sampling.provenance import is_known_synthetic, require_synthetic
from jupyter_dpsynth.errors import DataError, did_you_mean, shielded, shown
from jupyter_dpsynth.evaluation.comparison import Comparison
from jupyter_dpsynth.evaluation.comparison_html import comparison_html
from jupyter_dpsynth.evaluation.distances import Metric
from jupyter_dpsynth.evaluation.exact import compare_with_original
from jupyter_dpsynth.evaluation.groups import by_group
from jupyter_dpsynth.evaluation.maps import dependence_figures, pair_figures
from jupyter_dpsynth.evaluation.measured import compare_with_measurements
from jupyter_dpsynth.evaluation.overall import NOT_GIVEN
from jupyter_dpsynth.evaluation.page import comparison_page
from jupyter_dpsynth.evaluation.plots import column_figure
from jupyter_dpsynth.files.archive import write_file
from jupyter_dpsynth.metadata.columns import IdMeta
from jupyter_dpsynth.sources.opening import in_memory, open_source
from jupyter_dpsynth.sources.sample import LOOKED_AT, rows_for_owner
from jupyter_dpsynth.sources.values import is_duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jupyter_dpsynth.evaluation.plots import ColumnComparison
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["BANNER", "Metric", "UtilityReport", "check_columns"]

BANNER = (
    "Computed from the original data: not covered by epsilon, and saved in this notebook. "
    "Clear this output before you pass the notebook on."
)


@shown_by_summary
@dataclass(frozen=True, eq=False)
class UtilityReport(Comparison):
    """The comparison of a synthetic table with one reference: its figures, as tables, plots and texts.

    Attributes:
        reference_name: What it was compared with.
        table: The figures.
        columns: Every column's shares in both, largest difference first.
        names: Column names in the table's order.
        dependence: Dependence of every pair in the reference, `[m, m]`.
        dependence_synthetic: The same in the synthetic table.
        dependence_measure: What the dependence figures are.
        overall: The comparison in one number; None if no dependence stands out.
        joint: Gives the joint shares of two columns, by place, in the reference and the synthetic table.
        banner: A warning if original rows were used.
        losses: What each column of the model loses; empty if the model is not known.
        rows: Rows of both tables; noisy, where measurements stand for the original.
    Privacy:
        Against measurements: post-processing of what epsilon already covers. Against the original:
        computed from private rows, covered by nothing; hence the banner.
    """

    @classmethod
    def against_measurements(
        cls,
        synthesizer: HighDimSynthesizer,
        df_synth: Any,  # noqa: ANN401 - a table of any library
        *,
        synthetic: bool = False,
    ) -> UtilityReport:
        """Compare with the noisy measurements that epsilon already paid for: free.

        Args:
            synthesizer: A learned synthesizer.
            df_synth: A table that it made, or a part or a sorted copy of one.
            synthetic: Your word that `df_synth` is synthetic, for a table that is not known to be.

        Raises:
            NotLearnedError: Nothing has been learned.
            DataError: The table has other columns, is the one that was learned, or is not known to be
                synthetic.

        Privacy:
            Exact shares of `df_synth` are shown. Of a private table, or a changed copy of it, nothing would
            cover them: what is not known to be synthetic is therefore not compared without your word.
        """
        synthesizer.require_one_table("a comparison")
        df_synth = in_memory(df_synth, "df_synth")
        check_columns(df_synth, synthesizer.reference.columns, "df_synth")
        own = shielded(lambda: is_known_synthetic(df_synth), "the table could not be recognised")
        require_synthetic(
            df_synth, original=synthesizer.was_learned_from(df_synth), synthetic=synthetic or own
        )
        found = shielded(
            lambda: compare_with_measurements(synthesizer, df_synth, own=own), "the comparison failed"
        )
        return cls(**vars(found))

    @classmethod
    def against_original(
        cls,
        df: object,
        df_synth: Any,  # noqa: ANN401 - a table of any library
        target: str | None = None,
        holdout: object = None,
        df_meta: DataFrameMeta | None = None,
        synthesizer: HighDimSynthesizer | None = None,
    ) -> UtilityReport:
        """Compare with the original table. Not covered by epsilon: for the owner's eyes only.

        Args:
            df: The original table, in any form that `HighDimSynthesizer.learn` takes. Of a table in parts not
                all rows are read, and columns that `df_synth` lacks are left out; the report says so.
            df_synth: A synthetic table.
            target: A column to predict: adds train-on-synthetic, test-on-real figures.
            holdout: Original rows that were not learned from, to test on; by default a fifth of `df`,
                which makes the figure for the original optimistic only by what was learned.
            df_meta: Metadata of the tables: what it declares to stand for a missing value counts as missing,
                and identifiers are not compared.
            synthesizer: What made the table: the score is then that of its model's cells, in which rows
                whose value no synthetic row can have are counted, and its metadata stands in for `df_meta`.

        Raises:
            DataError: Columns differ, a table is empty, or the target is unknown.
            MissingDependencyError: `target` is given and scikit-learn is missing.
        """
        if synthesizer is not None:
            synthesizer.require_one_table("a comparison of one table")
            df_meta = synthesizer.df_meta
        original, in_parts = _original(df)
        df_synth = in_memory(df_synth, "df_synth")
        ids = [meta.name for meta in df_meta.columns if isinstance(meta, IdMeta)] if df_meta else []
        if synthesizer is not None:  # the privacy unit's column is none of them
            computed = [each.meta.name for each in synthesizer.codec.derived]
            kept = {*synthesizer.codec.names, *computed}
            ids = [name for name in synthesizer.df_meta.names if name not in kept]
        compared = [name for name in original.columns if name not in ids]
        names = tuple(name for name in compared if name in getattr(df_synth, "columns", ()))
        check_columns(df_synth, names, "df_synth")
        check_columns(original, tuple(name for name in df_synth.columns if name not in ids), "df")
        _check_kinds(original, df_synth, names)
        ignored = [str(name) for name in compared if name not in names]
        if target is not None and (not isinstance(target, str) or target not in names):
            hint = did_you_mean(target if isinstance(target, str) else "", map(str, names))
            raise DataError(f"target = {shown(target)} is not a column of the table.{hint}")
        unseen = None if holdout is None else _original(holdout)[0]
        if unseen is not None:
            check_columns(unseen, names, "holdout")
        banner = f"{BANNER} {LOOKED_AT}" if in_parts else BANNER
        if ignored:
            banner += f" Not compared, because the synthetic table has no such column: {', '.join(ignored)}."
        found = shielded(
            lambda: compare_with_original(
                _present(original[list(names)], df_meta),
                _present(df_synth[list(names)], df_meta),
                target,
                None if unseen is None else _present(unseen, df_meta),
                banner,
                synthesizer,
            ),
            "the comparison failed",
        )
        return cls(**vars(found))

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name."""
        return {metric.name: metric.value for metric in self.table}

    @property
    def per_column(self) -> pd.DataFrame:
        """Every column's total-variation distance, largest first, and the value that would be good."""
        return pd.DataFrame(
            {
                "column": [column.name for column in self.columns],
                "difference": [column.distance for column in self.columns],
                "good": [column.good for column in self.columns],
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """The figures as a table: metric, value, good, meaning."""
        return pd.DataFrame([vars(metric) for metric in self.table])

    def summary(self) -> str:
        """The figures for a terminal."""
        width = max(len(metric.name) for metric in self.table)
        lines = [f"Synthetic table against the {self.reference_name}:", f"  overall: {self._overall_text}"]
        lines += [
            f"  {metric.name:<{width}}  {metric.value:.4f}  (good: {metric.good:.4f})"
            for metric in self.table
        ]
        lines += [f"  {line}" for line in glance(self.losses)]
        return "\n".join([*lines, *([self.banner] if self.banner else [])])

    @property
    def _overall_text(self) -> str:
        if self.overall is None:
            return NOT_GIVEN
        return f"{self.overall.text} ({self.overall.meaning})"

    def column_figure(self, name: str) -> Figure:
        """One column's shares in both tables.

        Args:
            name: Its name.
        """
        chosen = next(column for column in self.columns if column.name == name)
        return column_figure(chosen, self.banner)

    def pair_figures(self, first: str, second: str) -> list[Figure]:
        """Two columns' joint shares in both tables, and their difference.

        Measurements hold no joint shares: there independence takes their place.

        Args:
            first: Name of a column.
            second: Name of another one.
        """
        places = self.names.index(first), self.names.index(second)
        chosen = {column.name: column for column in self.columns}
        lines = chosen[first].on_line, chosen[second].on_line
        name = self.reference_name if self.banner else "measured shares, as if the columns were independent"
        tables = self.joint(*places)
        return pair_figures(
            (first, second),
            (chosen[first].texts, chosen[second].texts),
            *tables,
            name,
            self.banner,
            lines,
        )

    def dependence_figures(self) -> list[Figure]:
        """Heatmaps of all pairs in both tables, and of their difference; none with one column."""
        if len(self.names) == 1:
            return []
        tables = self.dependence, self.dependence_synthetic
        return dependence_figures(self.names, *tables, self.reference_name, self.banner)

    def figures(self) -> list[Figure]:
        """Every column, largest difference first, then the heatmaps of all pairs."""
        return [column_figure(column, self.banner) for column in self.columns] + self.dependence_figures()

    def by_group(self, by: str) -> dict[str, tuple[ColumnComparison, ...]]:
        """Every other column within each group, those that differ most first.

        Against measurements, which know no joint shares, the reference is the whole synthetic table.

        Args:
            by: A column of categories.

        Raises:
            DataError: There is no such column, or it has numbers or times.
        """
        return by_group(self, by)

    def save(self, path: str | Path, *, by: str | None = None, guarantee: str = "") -> Path:
        """Write everything as one HTML page without scripts, to be mailed or printed.

        Args:
            path: The file; one that is there is replaced.
            by: A column of categories, to show the others within each of its groups.
            guarantee: What protects the table that was learned, in one sentence.

        Raises:
            ArtifactError: The file cannot be written.
            DataError: `by` is not a column of categories.
        """
        content, target = comparison_page(self, by=by, guarantee=guarantee), Path(path)
        write_file(target, content.encode("utf-8"))
        return target

    def to_html(self) -> str:
        """Figures, table and plots as one piece of HTML, without scripts."""
        return str(comparison_html(self))


def _original(table: object) -> tuple[pd.DataFrame, bool]:
    """The original rows to compare with, and whether they may be only some of them."""
    with open_source(table) as source:
        return shielded(lambda: rows_for_owner(source), "reading the original failed"), source.partitioned


def _check_kinds(original: pd.DataFrame, df_synth: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Raise DataError if a column has numbers or times in one table only, like dates from CSV."""
    for name in names:
        one, two = original[name].dtype, df_synth[name].dtype
        if _holds(one) != _holds(two):
            raise DataError(
                f"column {name!r} has dtype {one} in df and {two} in df_synth: convert one of them."
            )


def _holds(dtype: Any) -> str:  # noqa: ANN401 - a pandas dtype
    types = pd.api.types
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype):
        return "numbers"
    return "times" if types.is_datetime64_any_dtype(dtype) or is_duration(dtype) else "names"


def check_columns(df: object, names: tuple[str, ...], parameter: str, *, may_be_empty: bool = False) -> None:
    """Raise DataError unless a table has each of these columns once (and rows, if that may be said)."""
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"{parameter} is a {type(df).__name__}: pass a pandas DataFrame.")
    if not df.columns.is_unique:
        twice = df.columns[df.columns.duplicated()][0]
        raise DataError(f"{parameter} has column {twice!r} more than once: rename the duplicates.")
    missing = [name for name in names if name not in df.columns]
    if missing:
        raise DataError(f"{parameter} lacks column {missing[0]!r}: compare tables with the same columns.")
    if (len(df) == 0 and not may_be_empty) or len(names) == 0:
        raise DataError(f"{parameter} is empty: pass a table with rows and columns.")


def _present(df: pd.DataFrame, df_meta: DataFrameMeta | None) -> pd.DataFrame:
    """A table in which what is declared to stand for a missing value is missing."""
    coded = [meta for meta in df_meta.columns if meta.missing and meta.name in df] if df_meta else []
    return df.assign(**{meta.name: meta.present(df[meta.name]) for meta in coded}) if coded else df
