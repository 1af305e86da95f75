"""`evaluate_privately`: measures the quality of a synthetic table with noise, to be published.

What is measured is fixed before a row is read: the row count, the distance of every column and of a public
set of pairs from the synthetic table (in the cells of `cells`, where rows that lose their value count), how
many rows keep the order of pairs of dates and numbers, and, with a target, how many rows a model predicts
rightly that was trained on the synthetic table. The synthetic table is public, so one row changes each
distance by at most one. All distances of a group are released, each with the noise of the whole group, so
their mean has no more noise than if it had been measured alone.
"""

from __future__ import annotations

import functools
import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.display.console import ConsoleProgress
from jupyter_dpsynth.engine.measuring.codes import encode_apart
from jupyter_dpsynth.engine.planning.counting import NOMINAL_DELTA
from jupyter_dpsynth.engine.planning.plan import LARGE_DELTA
from jupyter_dpsynth.engine.sampling.provenance import require_synthetic
from jupyter_dpsynth.errors import ConfigError, DataError, did_you_mean, shielded, shown
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.evaluation.distances import Chance, compared_pairs
from jupyter_dpsynth.evaluation.metrics import cell_counts, prediction_counter, total_variation
from jupyter_dpsynth.evaluation.private_orders import ComparedOrders
from jupyter_dpsynth.evaluation.private_report import Measured, PrivateReport
from jupyter_dpsynth.evaluation.report import check_columns
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, compute_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.composition import provisional_spending
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED
from jupyter_dpsynth.privacy.ledger.once import OwnMeasurement
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import ROW_PARTS, PlannedRelease, Releases
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from jupyter_dpsynth.sources.identity import identify_table
from jupyter_dpsynth.sources.opening import in_memory, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.evaluation.history_report import PrivateHistoryReport
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["PrivateEvaluation", "evaluate_privately", "plan_evaluation"]

logger = logging.getLogger(__name__)

SHARES = {
    "row count": 0.2,
    "columns": 0.25,
    "pairs": 0.35,
    "independent pairs": 0.1,
    "orders": 0.1,
    "prediction": 0.1,
}
LARGEST_ERROR = 0.25  # of the mean distance, in shares of all rows; beyond, a report would be noise alone
MARGIN = 1 - 1e-5  # of mu, for the accountant's rounding
AT_ONCE = 2**18  # rows that are counted together


def evaluate_privately(
    synthesizer: HighDimSynthesizer,
    df: object,
    df_synth: Any = None,  # noqa: ANN401 - a table of any library
    *,
    epsilon: float,
    target: str | None = None,
    dataset: str | None = None,
    label: str = UNNAMED,
    new_dataset: bool = False,
    infinite_total: bool = False,
    ledger: PrivacyLedger | None = None,
    tell: Callable[[str], object] | None = None,
    noise: NoiseSource | None = None,
    synthetic: bool = False,
) -> PrivateReport | PrivateHistoryReport:
    """Measure with noise how close a synthetic table comes to a private one, or several tables of persons.

    Args:
        synthesizer: A learned synthesizer; its cells are used, and its unit of privacy is protected.
        df: The private table, in any form that `HighDimSynthesizer.learn` takes: the one that was learned,
            or other rows with the same columns. Columns that were not learned are left out. Of several tables
            of the same persons, all of them by name.
        df_synth: A synthetic table, or several ones by name; by default they are made.
        epsilon: What the report may spend, beside what learning spent. Delta is that of learning.
        target: A categorical column, to be predicted by a model that is trained on the synthetic table. Not
            with several tables.
        dataset: Name of the dataset in the ledger; by default `df.attrs["dataset"]`, or none.
        label: What the ledger calls a table that is new to it and has no such name.
        new_dataset: Your word that the table is about other people than all tables in the ledger.
        infinite_total: Whether the dataset's total in the ledger may become infinite, because this report
            protects another unit (rows or persons) than the runs before it.
        ledger: By default the one in Jupyter's data directory.
        tell: Told what the data has cost so far, for their owner; by default a line goes to stderr.
        noise: For tests only: a fixed seed, and so no guarantee.
        synthetic: Your word that `df_synth` is synthetic, for a table that is not known to be.

    Raises:
        ArtifactError: The ledger cannot record it; nothing was spent.
        BudgetExhaustedError: It would exceed the dataset's cap or make its total infinite; nothing was
            spent.
        ConfigError: `epsilon` is not above 0; nothing was spent.
        DataError: A table does not fit, or (spent, and said so) epsilon is too small for it.
        MissingDependencyError: `target` is given and scikit-learn is missing; nothing was spent.
        NotLearnedError: Nothing has been learned.

    Privacy:
        The report is (epsilon, delta)-differentially private for the unit that learning protected. The row
        count is measured with noise even if `n_public` was set: it was set for the table that was learned. It
        composes with what learning spent; the ledger adds them up.
    """
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < math.inf:
        raise ConfigError(f"epsilon = {shown(epsilon)} is not allowed: give a number above 0, such as 0.1.")
    if synthesizer.tables_meta is not None:
        from jupyter_dpsynth.evaluation.history_private import evaluate_histories

        if target is not None:
            raise ConfigError("target is for one table: leave it out.")
        return evaluate_histories(
            synthesizer,
            df,
            df_synth,
            epsilon=float(epsilon),
            dataset=dataset,
            label=label,
            new_dataset=new_dataset,
            infinite_total=infinite_total,
            ledger=ledger,
            tell=tell,
            noise=noise,
            synthetic=synthetic,
        )
    codec = synthesizer.codec
    with open_source(df) as opened, opened.without(_not_learned(opened, codec)) as source:
        check_columns(source.described, codec.df_meta.names, "df", may_be_empty=True)
        codec.df_meta.check(source)
        if df_synth is None:
            df_synth = synthesizer.synthesize(frame="pandas")
        df_synth = in_memory(df_synth, "df_synth")
        check_columns(df_synth, codec.names, "df_synth")
        original = df_synth is opened.described or synthesizer.was_learned_from(df_synth)
        require_synthetic(df_synth, original=original, synthetic=synthetic)
        _check_target(target, codec.names, synthesizer.reference.kinds)
        if dataset is None:
            dataset = source.described.attrs.get("dataset")
        evaluation = PrivateEvaluation(synthesizer, df_synth, float(epsilon), target, noise)

        def run() -> PrivateReport:
            # whether arithmetic overflows depends on single values: no warning may tell
            with np.errstate(all="ignore"):
                identity = identify_table(source, dataset, label, new=new_dataset)
                book = PrivacyLedger() if ledger is None else ledger
                reserves, unit = evaluation.reserves, evaluation.plan.unit
                further = provisional_spending(reserves, evaluation.delta, unit)
                words = book.account(identity, further).sentence(reserves, unit)
                (tell or ConsoleProgress().line.keep)(words)
                return evaluation.execute(source, identity, book, infinite_total=infinite_total)

        return shielded(run, "the evaluation failed")


def _not_learned(source: Source, codec: TableCodec) -> list[str]:
    return [name for name in source.described.columns if name not in codec.df_meta.names]


def _check_target(target: str | None, names: Sequence[str], kinds: Sequence[str]) -> None:
    if target is None:
        return
    if not isinstance(target, str) or target not in names:
        hint = did_you_mean(target if isinstance(target, str) else "", names)
        raise DataError(f"target = {shown(target)} is not a learned column.{hint}")
    if kinds[names.index(target)] != "category":
        raise DataError(
            f"target = {target!r} is not a categorical column: accuracy needs classes. Choose another column."
        )
    if len(names) < 2:
        raise DataError(f"target = {target!r} is the only column: there is nothing to predict it from.")


def plan_evaluation(
    epsilon: float, delta: float, columns: int, pairs: int, unit: str, *, target: bool, orders: int = 0
) -> PrivacyPlan:
    """The plan of everything that an evaluation will measure.

    Args:
        epsilon: What it may spend.
        delta: At which delta.
        columns: How many columns are compared.
        pairs: How many pairs are compared.
        unit: Whose privacy is protected.
        target: Whether predictions are counted.
        orders: How many pairs of columns have their order compared.
    """
    used = {
        # also where learning was told that it is public: that was said of the table that was learned
        "row count": (True, ""),
        "columns": (True, f"{columns} distances"),
        "pairs": (pairs > 0, f"{pairs} distances"),
        "independent pairs": (pairs > 0, "the mean distance"),
        "orders": (orders > 0, f"{orders} pairs of columns"),
        "prediction": (target, "the number of correct predictions"),
    }
    names = [name for name, (is_used, _) in used.items() if is_used]
    whole = sum(SHARES[name] for name in names)
    mu = MARGIN * gaussian_mu(epsilon, delta)
    return PrivacyPlan(
        tuple(
            GaussianMeasurement(name, math.sqrt(whole / SHARES[name]) / mu, used[name][1]) for name in names
        ),
        unit=unit,
    )


class PrivateEvaluation(OwnMeasurement["Source", PrivateReport]):
    """One evaluation: everything public is prepared first, then the rows are read.

    Args:
        synthesizer: A learned synthesizer.
        df_synth: The synthetic table.
        epsilon: What may be spent.
        target: The column to predict, or None.
        noise: Source of noise; operating-system entropy by default.

    Attributes:
        plan: What will be measured.
        delta: Delta of the guarantee.
        pairs: The pairs of columns that are compared.
        orders: The pairs whose order is compared.
    """

    what = "evaluation"

    def __init__(
        self,
        synthesizer: HighDimSynthesizer,
        df_synth: pd.DataFrame,
        epsilon: float,
        target: str | None,
        noise: NoiseSource | None = None,
    ) -> None:
        self.codec, self.target, self.losses = synthesizer.codec, target, synthesizer.losses
        self.cells = cells_of(self.codec, synthesizer.reference)
        self.config = synthesizer.config.resolve()
        self.noise = noise or NoiseSource()
        self.delta = synthesizer.delta or NOMINAL_DELTA
        self.sizes = list(self.cells.sizes)
        self.synthetic = shielded(lambda: self.cells.encode_apart(df_synth), "encoding df_synth failed")
        # which pairs are compared has no bearing on privacy
        self.pairs = compared_pairs(len(self.sizes)) if len(self.sizes) > 1 else []
        self.independent = np.random.default_rng(0).permuted(self.synthetic, axis=0)
        self.columns: list[tuple[int, ...]] = [(column,) for column in range(len(self.sizes))]
        self.orders = shielded(
            lambda: ComparedOrders(self.codec, synthesizer.reference, df_synth), "comparing orders failed"
        )
        self.plan = plan_evaluation(
            epsilon,
            self.delta,
            len(self.columns),
            len(self.pairs),
            self.config.unit_text,
            target=target is not None,
            orders=len(self.orders.pairs),
        )
        self.epsilon = compute_epsilon(self.plan, self.delta)
        self.asked = epsilon
        self._predict = None
        if target is not None:
            place = self.codec.names.index(target)
            names = [place for place, axis in enumerate(self.cells.axes) if axis is None]
            self._predict = shielded(
                lambda: prediction_counter(self.synthetic, place, names),
                "training a model on df_synth failed",
            )

    def measure(self, source: Source) -> PrivateReport:
        """Read the private rows once.

        Args:
            source: The private table.

        Raises:
            DataError: By the noisy count, epsilon is too small for the table.

        Privacy:
            The measurements of `plan`, each scaled to the most rows of one unit.
        """
        if self.config.privacy_unit is not None:
            source, _ = limit_rows_per_unit(
                source, self.config.privacy_unit, self.config.max_rows_per_unit, self.noise.generator
            )
        releases = Releases(self.noise, self.releases)
        rows, count_error = self._count(releases, source.rows)
        self._check_signal(rows, count_error)
        if self.delta * rows >= 1:
            logger.warning(
                LARGE_DELTA, self.delta, rows, "Learn this table, and evaluate with what was learned."
            )
        encoded = encode_apart(source, self.cells)
        columns = self._distances(releases, "columns", encoded.counts, self.columns, rows, count_error)
        pairs, independent = [], None
        if self.pairs:
            counts = self.joint_counts(encoded.codes)
            pairs = self._distances(releases, "pairs", counts, self.pairs, rows, count_error)
            apart = self.whole_distances(counts, self.independent, self.pairs, rows)
            # each of the pairs changes by at most one, so their sum by at most so many
            allowance = releases.allowance("independent pairs", sensitivity=len(self.pairs))
            noisy = allowance.counts(np.array([apart.sum()]), ROW_PARTS)[0] / len(self.pairs)
            independent = noisy / (2 * rows), self._error("independent pairs", rows, count_error)
        orders: list[Measured] = []
        if self.orders.pairs:
            allowance = releases.allowance("orders", sensitivity=self.orders.sensitivity)
            orders = self.orders.measure(source, allowance)
        prediction = None
        if self._predict is not None:
            right = sum(self._predict(part) for part in _parts(encoded.codes))
            allowance = releases.allowance("prediction")
            share = float(allowance.counts(np.array([right]))[0]) / rows
            prediction = share, math.hypot(allowance.noise, share * count_error) / rows
        return self._report(rows, count_error, columns, pairs, independent, orders, prediction)

    @property
    def releases(self) -> tuple[PlannedRelease, ...]:
        """The measurements of `plan` with their sensitivities, in rows."""
        columns, pairs = len(self.columns), len(self.pairs)
        # one row changes every distance by at most one
        known = {
            "columns": math.sqrt(columns),
            "pairs": math.sqrt(pairs),
            "independent pairs": float(pairs),
            "orders": self.orders.sensitivity,
        }
        return tuple(
            PlannedRelease(each, known.get(each.name, 1.0), self.config.rows_per_unit)
            for each in self.plan.measurements
        )

    def _count(self, releases: Releases, exact: int) -> tuple[float, float]:
        """Row count, and the standard deviation of its noise."""
        allowance = releases.allowance("row count")
        return max(float(allowance.counts(np.array([exact]))[0]), 2.0), allowance.noise

    def _check_signal(self, rows: float, count_error: float) -> None:
        name = "pairs" if self.pairs else "columns"
        error = self._error(name, rows, count_error)
        if error > LARGEST_ERROR:
            needed = rows * error / LARGEST_ERROR
            raise DataError(
                f"epsilon = {self.asked:g} is too small to evaluate this table: about {rows:,.0f} rows were "
                f"counted (with noise), but about {needed:,.0f} are needed for anything to stand out from "
                "the noise. The ledger counts this evaluation as spent. Use more rows or a larger epsilon."
            )

    def _error(self, name: str, rows: float, count_error: float) -> float:
        """Standard deviation of a group's mean distance, at most; the error of the row count adds to it."""
        (planned,) = (each for each in self.releases if each.measurement.name == name)
        return math.hypot(planned.noise() / planned.sensitivity, count_error) / (2 * rows)

    def joint_counts(self, codes: NDArray[np.integer[Any]]) -> list[NDArray[np.int64]]:
        """Exact number of rows in each joint cell of every pair that is compared: private.

        Args:
            codes: Private codes `[n, m]`.
        """
        counts = [np.zeros(self.sizes[one] * self.sizes[two], dtype=np.int64) for one, two in self.pairs]
        for part in _parts(codes):
            for exact, columns in zip(counts, self.pairs, strict=True):
                exact += cell_counts(part, self.sizes, columns)  # noqa: PLW2901 - in place
        return counts

    def whole_distances(
        self,
        counts: Sequence[NDArray[np.int64]],
        synthetic: NDArray[np.integer[Any]],
        sets: Sequence[tuple[int, ...]],
        rows: float,
    ) -> NDArray[np.int64]:
        """L1 distances in rows between counts and the synthetic table's, in whole parts of a row, exact.

        Args:
            counts: Exact number of rows in each joint cell of each set.
            synthetic: Codes of the synthetic table.
            sets: Columns of each marginal.
            rows: Noisy row count.

        Privacy:
            Not private. One row more or less changes each by at most `ROW_PARTS`.
        """
        out = np.zeros(len(sets), dtype=np.int64)
        for place, (exact, columns) in enumerate(zip(counts, sets, strict=True)):
            expected = np.rint(ROW_PARTS * rows * self._shares(synthetic, columns))
            out[place] = np.abs(ROW_PARTS * exact - expected.astype(np.int64)).sum()
        return out

    def _shares(self, codes: NDArray[np.integer[Any]], columns: tuple[int, ...]) -> NDArray[np.float64]:
        """Shares of a synthetic table's joint cells."""
        return cell_counts(codes, self.sizes, columns) / len(codes)

    def _distances(
        self,
        releases: Releases,
        name: str,
        counts: Sequence[NDArray[np.int64]],
        sets: Sequence[tuple[int, ...]],
        rows: float,
        count_error: float,
    ) -> list[Measured]:
        """Noisy total-variation distances of some marginals from the synthetic table's.

        Privacy:
            One measurement of the plan: one row changes all of them, so L2 sensitivity is the root of
            their number.
        """
        allowance = releases.allowance(name, sensitivity=math.sqrt(len(sets)))
        distances = self.whole_distances(counts, self.synthetic, sets, rows)
        noisy = allowance.counts(distances, ROW_PARTS) / (2 * rows)
        total = math.hypot(allowance.noise, count_error) / (2 * rows)
        chance = Chance(self.synthetic, (rows, len(self.synthetic)))  # public
        return [
            Measured(
                " and ".join(self.codec.names[column] for column in columns),
                float(value),
                total,
                chance.of(functools.partial(total_variation, sizes=self.sizes, columns=columns)),
            )
            for columns, value in zip(sets, noisy, strict=True)
        ]

    def _report(
        self,
        rows: float,
        count_error: float,
        columns: list[Measured],
        pairs: list[Measured],
        independent: tuple[float, float] | None,
        orders: list[Measured],
        prediction: tuple[float, float] | None,
    ) -> PrivateReport:
        majority = 0.0
        if self.target is not None:
            place = self.codec.names.index(self.target)
            majority = float(self._shares(self.synthetic, (place,)).max())
        return PrivateReport(
            columns=tuple(sorted(columns, key=lambda each: -each.value)),
            pairs=tuple(sorted(pairs, key=lambda each: -each.value)),
            mean_errors=(
                self._error("columns", rows, count_error),
                self._error("pairs", rows, count_error) if pairs else 0.0,
            ),
            independent=independent,
            orders=tuple(sorted(orders, key=lambda each: each.good - each.value)),
            target=self.target,
            prediction=prediction,
            majority=majority,
            rows=rows,
            rows_error=count_error,
            synthetic_rows=len(self.synthetic),
            plan=self.plan,
            epsilon=None if self.noise.test_only else self.epsilon,
            delta=self.delta,
            losses=self.losses,
        )


def _parts(codes: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.integer[Any]]]:
    """Codes in groups of rows that are counted together, to limit memory."""
    for start in range(0, len(codes), AT_ONCE):
        yield np.asfortranarray(codes[start : start + AT_ONCE])
