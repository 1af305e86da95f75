"""The methods of a synthesizer that answer with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, shown
from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.inference.results import Estimates
    from jupyter_dpsynth.inference.rows import ModelRows
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["Inferring"]

BASE_ROWS = 5000  # of the model, which stand for the table's
LEAST_ROWS = 500


class Inferring:
    """What a learned synthesizer answers with intervals; a base class of it."""

    config: HighDimConfig
    tables_meta: TablesMeta | None = None
    _model_rows: ModelRows | None = None

    @property
    def learned(self) -> Learned:
        """The released state."""
        raise NotImplementedError

    def require_one_table(self, what: str) -> None:
        """Raise ConfigError if several tables were learned."""
        raise NotImplementedError

    @property
    def _alike(self) -> int:
        """How many rows may be of one person, and so like one."""
        return 1 if self.tables_meta is not None else self.config.resolve().rows_per_unit

    def _require_of_persons(self, column: str) -> None:
        """Raise ConfigError if it is a column of rows, of which a person has any number."""
        meta = self.tables_meta
        for each in () if meta is None else meta.children:
            if meta is not None and column in meta.tables[each.table].names:
                raise ConfigError(
                    f"{shown(column)} is a column of {each.table!r}: with several tables intervals are known "
                    "of what is learned of persons only, because it is not known how much the rows of one "
                    "person resemble each other. %dpsynth compare shows how near the synthetic rows come."
                )

    def _rows_of_model(self) -> ModelRows:
        """Rows that get weights; drawn once for all questions."""
        from jupyter_dpsynth.inference.rows import ModelRows

        if self._model_rows is None or self._model_rows.learned is not self.learned:
            self._model_rows = ModelRows.draw(self.config, self.learned, BASE_ROWS, seed=0)
        return self._model_rows

    def infer(
        self,
        question: str | Callable[[pd.DataFrame, NDArray[Any]], Any],
        family: str = "gaussian",
        level: float = 0.95,
        *,
        columns: Sequence[str] | None = None,
    ) -> Estimates:
        """Estimate what the table tells about its population, with intervals that count the noise.

        Intervals that are computed of synthetic rows as if they were real ones are far too narrow. These are
        made of what the training steps released.

        Args:
            question: A regression such as 'income ~ sex + age' (this needs the extra `inference`), or a
                function of a DataFrame and weights that returns a number, a list, a dict or a Series. The
                weights are an array with a number for each row, and add up to the noisy row count.
            family: Of a regression: 'gaussian' (least squares), 'binomial' (logistic) or 'poisson'. Rows with
                missing values in its columns are left out.
            level: About which share of such intervals hold the true figure of the population.
            columns: Which columns a function uses; by default that is found out by trying. The fewer, the
                quicker.

        Returns:
            Estimates and intervals, in notebooks shown as a table; `.frame` is a DataFrame.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: The formula or function cannot be used; or what was released does not tell: the run
                protected persons, used microbatches, or was saved by a version without tapes, and the
                columns were not named beforehand (`tables`, `analyses`).
            MissingDependencyError: The extra `inference` is not installed.

        Privacy:
            Post-processing: free, as often as wanted.

        Example:
            >>> synthesizer.infer("income ~ sex + age", family="binomial")  # doctest: +SKIP
        """
        from jupyter_dpsynth.inference.inferring import infer

        self.require_one_table("a regression with intervals")
        rows = self._rows_of_model()
        spent = self.learned.receipt.epsilon
        return infer(rows, question, family, level, columns, 0.0 if spent is None else spent)

    def table(self, *columns: str, level: float = 0.95) -> Estimates:
        """The share of every value of a column, or of every combination of several, with intervals.

        Args:
            columns: One column or more, such as 'sex', 'income'. Numbers and dates are in bins.
            level: About which share of such intervals hold the true share of the population.

        Returns:
            Estimates and intervals. `.frame` says from where they come: 'measured' in closed form from noisy
            counts (of one column, or of a table that was named with the parameter `tables`), or 'weighted' as
            by `infer`.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: A column was not learned; or, for several columns, as `infer`.

        Privacy:
            Post-processing: free.

        Example:
            >>> synthesizer.table("sex", "income")  # doctest: +SKIP
        """
        from jupyter_dpsynth.inference.tables import joint, shares

        if not columns:
            raise ConfigError("table() needs a column: synthesizer.table('sex').")
        if len(columns) > 1:
            self.require_one_table("a table of several columns with intervals")
        self._require_of_persons(columns[0])
        if len(columns) == 1:
            return shares(self.learned, columns[0], level, self._alike)
        return joint(self.learned, self._rows_of_model, columns, level, self._alike)

    def mean(self, column: str, level: float = 0.95) -> Estimates:
        """The mean of a column of numbers with its interval, of the rows in which it is not missing.

        Args:
            column: A column of numbers.
            level: About which share of such intervals hold the mean of the population.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: It is no learned column of numbers.

        Privacy:
            Post-processing: free.
        """
        from jupyter_dpsynth.inference.tables import mean

        self._require_of_persons(column)
        return mean(self.learned, column, level, self._alike)

    def quantile(self, column: str, q: float | Sequence[float] = 0.5, level: float = 0.95) -> Estimates:
        """Quantiles of numbers or dates with their intervals, of the rows in which the column is not missing.

        Args:
            column: A column of numbers, dates or times.
            q: Which quantiles, such as 0.5 for the median, or [0.1, 0.5, 0.9].
            level: About which share of such intervals hold the quantile of the population.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: It is no learned column of them, or a quantile is not between 0 and 1.

        Privacy:
            Post-processing: free.
        """
        from jupyter_dpsynth.inference.tables import quantiles

        self._require_of_persons(column)
        return quantiles(self.learned, column, [q] if isinstance(q, float) else list(q), level, self._alike)

    def weighted(
        self,
        num_rows: int = BASE_ROWS,
        replicates: int = 60,
        seed: int = 0,
        *,
        to: str | Path | None = None,
        overwrite: bool = False,
    ) -> pd.DataFrame:
        """Synthetic rows with weights, for analyses in other programs with intervals that count the noise.

        The rows have a weight, `_weight`, and replicate weights, `_rep_001` and so on, which R's package
        survey, Stata's svy and a few lines of Python make standard errors of. The weights belong to their
        rows: without them the rows are synthetic rows like any others.

        Args:
            num_rows: How many rows; by default 5,000, of which each stands for many or few.
            replicates: How many replicate weights; with 60 a standard error is about 9 % uncertain.
            seed: Fixes rows, and on one machine the weights. It has no bearing on privacy.
            to: A .parquet or .csv file to write them to, with a description beside it (rows.weights.json).
            overwrite: Whether files that are there may be replaced.

        Returns:
            The rows; `.attrs["weights"]` says how the weights are read, with lines for R, Stata and Python.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: A number is not allowed, a file is there already; or as `infer`.
            MissingDependencyError: Parquet files need the extra `scale`.

        Privacy:
            Post-processing: free, as often as wanted.
        """
        from jupyter_dpsynth.inference.export import weighted_rows, write_weighted
        from jupyter_dpsynth.inference.rows import ModelRows

        self.require_one_table("a table with weights")
        if isinstance(num_rows, bool) or not isinstance(num_rows, int) or num_rows < LEAST_ROWS:
            raise ConfigError(
                f"num_rows = {shown(num_rows)} is not allowed: give a whole number from {LEAST_ROWS:,}."
            )
        rows = ModelRows.draw(self.config, self.learned, num_rows, seed)
        weighted = weighted_rows(rows, replicates, seed)
        if to is not None:
            write_weighted(weighted, to, overwrite=overwrite)
        return weighted

    def ask(
        self,
        question: str | Callable[[pd.DataFrame, NDArray[Any]], Any],
        df: object,
        epsilon: float,
        family: str = "gaussian",
        level: float = 0.95,
        *,
        columns: Sequence[str] | None = None,
        dataset: str | None = None,
        label: str = UNNAMED,
        new_dataset: bool = False,
        infinite_total: bool = False,
        ledger: PrivacyLedger | None = None,
        tell: Callable[[str], object] | None = None,
        noise: NoiseSource | None = None,
    ) -> Estimates:
        """Ask the real rows one question, for an epsilon of its own, and compare it with the model's answer.

        The joint table of the question's columns is measured with noise, once; all figures are computed of
        it. So a question about few columns with few values is answered well for little.

        Args:
            question: A regression such as 'income ~ sex' (this needs the extra `inference`), or a function of
                a DataFrame and weights; see `infer`.
            df: The private table, in any form that `learn` takes.
            epsilon: What the question may spend, beside what learning spent. Delta is that of learning.
            family: Of a regression: 'gaussian', 'binomial' or 'poisson'.
            level: About which share of such intervals hold the true figure of the population.
            columns: Which columns a function uses; by default that is found out, on rows of the model.
            dataset: Name of the dataset in the ledger; by default `df.attrs["dataset"]`, or none.
            label: What the ledger calls a table that is new to it and has no such name.
            new_dataset: Your word that the table is about other people than all tables in the ledger.
            infinite_total: Whether the dataset's total in the ledger may become infinite, because this
                question protects another unit (rows or persons) than the runs before it.
            ledger: By default the one in Jupyter's data directory.
            tell: Told what the data has cost so far, for their owner; by default a line goes to stderr.
            noise: For tests only: a fixed seed, and so no guarantee.

        Returns:
            Estimates and intervals. Where `infer` answers the question, too, `.frame` has its estimates
            (`synthetic`) and whether both agree (`verdict`: agrees, unclear, differs).

        Raises:
            ArtifactError: The ledger cannot record it; nothing was spent.
            BudgetExhaustedError: It would exceed the dataset's cap; nothing was spent.
            ConfigError: The question or epsilon cannot be used; nothing was spent.
            DataError: Epsilon was too small for the table; it was spent.
            MetadataError: The table has other columns or types; nothing was spent.
            NotLearnedError: Before `learn`.

        Privacy:
            (epsilon, delta)-differentially private for the unit that learning protected. It composes with
            what learning spent; the ledger adds them up.
        """
        from jupyter_dpsynth.inference.asking import Asking, LedgerName, answer_of_rows, compared

        self.require_one_table("a question to the real rows")
        asking = Asking(self.config, self.learned, question, family, level, columns, epsilon, noise)
        named = LedgerName(dataset, label, new_dataset=new_dataset, infinite_total=infinite_total)
        answer = answer_of_rows(asking, df, named, ledger, tell)
        try:
            inferred = self.infer(question, family, level, columns=columns)
        except ConfigError:  # there is no such answer of the model
            return answer
        return compared(answer, inferred)
