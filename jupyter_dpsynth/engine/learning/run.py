"""One learning run: the order of the measurements, and what observers are told meanwhile."""

from __future__ import annotations

import logging
import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.learning.checkpoint import TrainingTask
from jupyter_dpsynth.engine.learning.fitting import PreparedRun
from jupyter_dpsynth.engine.measuring.codes import encode_table
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.marginals import measure_one_way, measure_pairs
from jupyter_dpsynth.engine.measuring.orderings import measure_orderings
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.reference import PAIR_ROWS, MeasuredReference, reference_from, to_shares
from jupyter_dpsynth.engine.planning.plan import (
    NOMINAL_DELTA,
    check_feasible,
    count_sigma,
    least_rows,
    plan_run,
)
from jupyter_dpsynth.errors import (
    ArtifactError,
    BudgetExhaustedError,
    ConfigError,
    DataError,
    NotLearnedError,
)
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    compute_epsilon,
    epsilon_curve,
)
from jupyter_dpsynth.privacy.composition import Spending
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.reports import StopReason
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from jupyter_dpsynth.startup import BackgroundImport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.engine.planning.plan import RunPlan
    from jupyter_dpsynth.engine.training.distribute import Crew
    from jupyter_dpsynth.privacy.ledger.book import RunStatus

__all__ = ["Learned", "LearningRun"]

logger = logging.getLogger(__name__)

NOTHING_SEEN = 3.0  # standard deviations under which 'other', 'missing' or a column's values count as absent
LEAST_COUNT = 0.3  # rows of an empty cell, so that no probability is zero
SEED_BITS = 63


class LearningRun(PreparedRun):
    """Executes one `HighDimSynthesizer.learn`: reserves, measures, trains. Arguments as `PreparedRun`."""

    def execute(self) -> Learned:
        """Run to the end, or to a stop.

        Raises:
            ArtifactError: The ledger cannot record the run; nothing was measured.
            BudgetExhaustedError: The dataset's cap does not allow the run.
            ConfigError: The noise cannot keep within epsilon.
            DataError: Too few rows for anything but noise.
            NotLearnedError: Stopped before the measurements were complete.
        """
        self.tell()
        self.source.pulse = self._pulse
        if self.crew is None:
            return self._lead()
        if self.crew.worker == 0:
            with self.crew.leading():
                return self._lead()
        return self._join(self.crew)

    def _lead(self) -> Learned:
        """The run of the first worker, or of the only one: it alone spends and measures."""
        task = None if self.checkpoint is None else TrainingTask.read(self.checkpoint)
        if task is None:
            count_is_private = self.config.differential_privacy and not self.config.n_public
            if not count_is_private and self.source.rows == 0:
                raise DataError("df is empty: pass a DataFrame with rows to learn from.")
            public_rows = self.source.rows if self.config.n_public else None
            check_feasible(self.config, self.df_meta, public_rows)
        if self.crew is not None and self.crew.workers > 1:
            self._compare_tables(self.crew)
        if task is None:
            self._reserve()
        else:
            task = self._readmit(task)
        status: RunStatus = "failed"
        try:
            learned = self._learn(task)
            early = learned.stop_reason in (StopReason.STOPPED, StopReason.WORKER_LOST)
            status = "stopped" if early else "finished"
        except NotLearnedError:
            status = "stopped"
            raise
        finally:
            self._note(status)
        return learned

    def _join(self, crew: Crew) -> Learned:
        """The run of another worker: it trains on its shard what the first one measured."""
        self._compare_tables(crew)
        self.tell(phase="measuring", message="waiting for the first worker to measure")
        task = TrainingTask.from_bytes(self._received(crew.send(b"")))
        self._check(task)
        self._take_over(task)
        return self._train(task, None, BackgroundImport())

    def _learn(self, task: TrainingTask | None) -> Learned:
        """Everything after the reservation."""
        importer = BackgroundImport()
        codes = None
        if task is None:
            plan = self._plan()
            codec, reference, codes, counts = self._measure(plan)
            task = TrainingTask(
                config=self.config.to_dict(),
                plan=plan,
                codec=codec,
                reference=reference,
                counts=tuple(counts),
                entry=self.entry or "",
                reserved=self.reserved or (None, plan.delta),
                seed=secrets.randbits(SEED_BITS),
            )
        return self._train(task, codes, importer)

    def _pulse(self) -> None:
        """Between two parts of a table: show that time passes, and stop if that is wanted."""
        self.tell()
        self._check_stop()

    def _check_stop(self, what: str = "") -> None:
        """Before there is a model a stop leaves nothing to keep."""
        if what:
            self.tell(phase="measuring", message=what)
        if self.stop.is_set():
            if self.reserved is None:
                raise NotLearnedError("stopped before anything was measured; nothing was spent.")
            raise NotLearnedError(
                "stopped before there was a model. The measurements made so far count as spent: "
                f"epsilon = {self.config.epsilon:g} is used up for this synthesizer."
            )

    def _plan(self) -> RunPlan:
        """Measure the row count and fix everything else."""
        config = self.config
        self._bound()
        exact = self.source.rows
        if config.n_public or not config.differential_privacy:
            rows = float(exact)
        else:
            self._check_stop("loading the accountant and counting rows")
            noisy = self.histograms.measure(np.array([exact]), config.rows_per_unit * count_sigma(config))
            rows = max(float(noisy[0]), 2.0)
        if config.differential_privacy:
            self._check_signal(rows)
        self.tell(phase="calibrating", message="calibrating the noise")
        try:
            plan = plan_run(config, self.df_meta, rows)
        except ConfigError as error:  # feasible for some row counts, but not for this one
            raise ConfigError(f"{error} Counting the rows has spent this synthesizer's budget.") from None
        self._settle(plan)
        if config.delta is not None and plan.delta * rows >= 1:
            logger.warning(
                "delta = %g is not below 1 / number of rows (about %d rows): such a guarantee allows to "
                "publish whole rows. Leave delta = None, or give a smaller one.",
                plan.delta,
                rows,
            )
        if plan.privacy is not None:
            self.curve = epsilon_curve(plan.privacy, plan.delta)
        return plan

    @property
    def _guaranteed(self) -> bool:
        """Whether the run has a guarantee; without one the ledger counts it as infinite."""
        return self.config.differential_privacy and not self.noise.test_only

    def _reserve(self) -> None:
        """Enter the whole budget into the ledger, before a value is measured.

        Privacy:
            What the data has cost so far is told to the observer, for the owner. That the ledger knows
            the table comes from its exact rows.
        """
        config = self.config
        if self.source.partitioned:
            self.tell(message="reading the table, to know it again in the ledger")
        identity = TableIdentity(table_fingerprint(self.source), self.dataset, self.label)
        account = self.ledger.account(identity)
        epsilon = config.epsilon if self._guaranteed else math.inf
        self.tell(ledger=account.sentence(epsilon, config.unit_text))
        # an earlier run's delta tells about how many rows there are
        delta = config.delta or max(NOMINAL_DELTA, account.run_delta)
        self.entry = self.ledger.reserve(identity, epsilon, delta, config.unit_text)
        if config.differential_privacy:
            self.reserved = (config.epsilon if self._guaranteed else None), config.delta or NOMINAL_DELTA
        else:
            self.reserved = (math.inf, 0.0)

    def _settle(self, plan: RunPlan) -> None:
        """Replace the reservation by the plan, before anything but the row count is measured."""
        if plan.privacy is None or self.entry is None:
            return
        if not self._guaranteed:
            self.reserved = (None, plan.delta)
            return
        try:
            self.ledger.record(self.entry, Spending(plan.privacy, plan.delta, plan.epsilon))
        except BudgetExhaustedError as error:
            counted = (
                () if self.config.n_public else (GaussianMeasurement("row count", count_sigma(self.config)),)
            )
            spent = PrivacyPlan(counted, unit=self.config.unit_text)
            epsilon = compute_epsilon(spent, plan.delta)
            self.ledger.record(self.entry, Spending(spent, plan.delta, epsilon))
            self.reserved = (epsilon, plan.delta)
            raise BudgetExhaustedError(
                f"{error} At most the row count has been measured, for epsilon = {epsilon_text(epsilon)}."
            ) from None
        self.reserved = (plan.epsilon, plan.delta)

    def _note(self, status: RunStatus) -> None:
        """Note in the ledger how the run ended; what it reserved is recorded in any case."""
        if self.entry is None:
            return
        try:
            self.ledger.record(self.entry, status=status)
        except ArtifactError:
            logger.warning("the ledger could not note that this run %s; what it spent is recorded.", status)

    def _check_signal(self, rows: float) -> None:
        config = self.config
        needed = least_rows(config, rows)
        if rows < needed:
            raise DataError(
                f"the table has too few rows for epsilon = {config.epsilon:g}: about {rows:,.0f} were "
                f"counted with noise, about {needed:,.0f} are needed for more than noise. "
                "Counting has spent this synthesizer's budget. Give more rows or a larger epsilon."
            )

    def _measure(
        self, plan: RunPlan
    ) -> tuple[TableCodec, MeasuredReference, NDArray[np.integer[Any]], list[NDArray[np.float64]]]:
        """Domain, one-way marginals and pair dependences; also the codes and the noisy counts."""
        discovered = discover_table(
            self.source,
            self.df_meta,
            self.histograms,
            plan.table_settings,
            lambda name: self._check_stop(f"measuring column {name!r}"),
        )
        codec = discovered.codec
        _warn_of_lost_columns(codec, discovered.columns, plan.rows)
        self._check_stop("encoding")
        table = encode_table(self.source, codec)
        self._check_stop("measuring marginals")
        marginal_sigma = plan.marginal_sigma if discovered.looked_again else plan.finer_marginal_sigma
        counts, variances = measure_one_way(table.counts, discovered.columns, self.histograms, marginal_sigma)
        shares = [to_shares(count, LEAST_COUNT) for count in counts]
        self._check_stop("measuring pairs of columns")
        dependence = measure_pairs(table.codes, codec.sizes, shares, plan.rows, plan.pair_sigma, self.noise)
        if plan.order_sigma is not None:
            orderings = measure_orderings(
                self.source, codec, dependence, self.histograms, plan.order_sigma, plan.rows
            )
            codec = replace(codec, orderings=orderings)
        for column, share, count, variance in zip(codec.columns, shares, counts, variances, strict=True):
            cells = list(column.optional_cells)
            absent = count[cells] < NOTHING_SEEN * np.sqrt(variance[cells])
            share[np.array(cells, dtype=int)[absent]] = 0.0
            if not share.any():  # nothing stood out anywhere: the likeliest cell is all there is
                share[np.argmax(count)] = 1.0
            share[:] = share / share.sum()
        measured = {
            "shares": shares,
            "noise": [np.sqrt(variance) / plan.rows for variance in variances],
            "dependence": dependence,
            "dependence_noise": plan.pair_sigma / (2 * min(plan.rows, PAIR_ROWS)),
            "rows": max(1, round(plan.rows)),
        }
        return codec, reference_from(codec, measured), table.codes, counts


def _warn_of_lost_columns(codec: TableCodec, columns: Sequence[Discovered], rows: float) -> None:
    """Name the columns of which noise has left next to nothing, with what to do.

    Args:
        codec: The table's codec.
        columns: What discovery gave of each column.
        rows: Noisy number of rows.

    Privacy:
        Post-processing of noisy counts.
    """
    if codec.unlisted:
        logger.warning(
            "no value of column%s %s is frequent enough to be told: all count as 'other'. Convert dates that "
            "are text (pandas.to_datetime). Leave free text out (ignore), group its values, or declare "
            "public categories.",
            "s" if len(codec.unlisted) > 1 else "",
            ", ".join(map(repr, codec.unlisted)),
        )
    for column in columns:
        found = column.counts.sum() + NOTHING_SEEN * np.sqrt(column.variances.sum())
        if isinstance(column.codec, NumericCodec) and found < rows / 2:
            logger.warning(
                "the values of column %r are spread so widely that most do not stand out from the noise: "
                "they are all moved into %s. Declare its bounds, if they are public, or give more epsilon.",
                column.codec.meta.name,
                column.codec.range_label,
            )
