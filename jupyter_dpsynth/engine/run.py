"""One learning run: the order of the measurements, and what observers are told meanwhile."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import math
import platform
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jupyter_dpsynth.encoding.fingerprint import table_fingerprint
from jupyter_dpsynth.encoding.histograms import Histograms
from jupyter_dpsynth.encoding.table import TableCodec, discover_table
from jupyter_dpsynth.encoding.units import bound_units
from jupyter_dpsynth.engine.marginals import (
    PAIR_ROWS,
    MeasuredReference,
    measure_one_way,
    measure_pairs,
    reference_from,
    to_shares,
)
from jupyter_dpsynth.engine.model import Layout, TabularModel
from jupyter_dpsynth.engine.planning import NOMINAL_DELTA, check_feasible, count_sigma, least_rows, plan_run
from jupyter_dpsynth.engine.reports import StepReport, StopReason
from jupyter_dpsynth.engine.statement import tf_privacy_statement
from jupyter_dpsynth.engine.structure import measure_orderings, sharpen
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
from jupyter_dpsynth.privacy.ledger_datasets import TableIdentity
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt, epsilon_text, relation_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.planning import RunPlan
    from jupyter_dpsynth.metadata import DataFrameMeta
    from jupyter_dpsynth.privacy.accounting import EpsilonCurve
    from jupyter_dpsynth.privacy.ledger import PrivacyLedger, RunStatus

__all__ = ["Learned", "LearningRun"]

logger = logging.getLogger(__name__)

NOTHING_SEEN = 3.0  # standard deviations under which 'other' or 'missing' counts as absent
LEAST_COUNT = 0.3  # rows of an empty cell, so that no probability is zero
START_FLOOR = 0.25  # least count of a cell at the start of training, in standard deviations
POLL_SECONDS = 0.25


@dataclass(frozen=True, eq=False)
class Learned:
    """Everything that a finished run leaves: privatised state only, and what is saved.

    Attributes:
        codec: Cells of every column.
        model: The trained network.
        reference: The noisy measurements.
        receipt: What was spent on what.
        stop_reason: Why training ended.
        losses: Noisy mean loss of every step, nats a row.
    """

    codec: TableCodec
    model: TabularModel
    reference: MeasuredReference
    receipt: PrivacyReceipt
    stop_reason: StopReason
    losses: NDArray[np.float64]


class LearningRun:
    """Executes one `HighDimSynthesizer.learn`.

    Args:
        df_meta: The table's schema.
        config: The frozen parameters.
        df: The private table.
        callback: Told of every phase and step.
        stop: Set from anywhere to end after the current step.
        noise: Source of noise; operating-system entropy by default.
        ledger: Where the run is recorded before a value is measured.
        dataset: The dataset's name as the user gave it, or None.
        label: What the ledger calls a new dataset without a name.

    Attributes:
        reserved: Epsilon (None for a test-only seed) and delta, set before the first value is measured.
        entry: The run's identifier in the ledger, None before it is there.
    """

    def __init__(
        self,
        df_meta: DataFrameMeta,
        config: ResolvedConfig,
        df: pd.DataFrame,
        callback: Callable[[StepReport], None],
        stop: threading.Event | None,
        noise: NoiseSource | None,
        ledger: PrivacyLedger,
        dataset: str | None,
        label: str,
    ) -> None:
        self.df_meta, self.config, self.df = df_meta, config, df
        self.ledger, self.dataset, self.label = ledger, dataset, label
        self.callback, self.stop = callback, stop or threading.Event()
        self.noise = noise or NoiseSource()
        self.histograms = Histograms(self.noise)
        self.reserved: tuple[float | None, float] | None = None
        self.entry: str | None = None
        self.units: NDArray[np.int64] | None = None
        self.curve: EpsilonCurve | None = None
        self.began = time.monotonic()
        target = config.epsilon if config.differential_privacy else math.inf
        spent = None if self.noise.test_only else 0.0
        self.report = StepReport("starting", "reading the schema", epsilon=spent, epsilon_target=target)

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
        count_is_private = self.config.differential_privacy and not self.config.n_public
        if not count_is_private and len(self.df) == 0:
            raise DataError("df is empty: pass a DataFrame with rows to learn from.")
        public_rows = len(self.df) if self.config.n_public else None
        check_feasible(self.config, self.df_meta, public_rows)
        self._reserve()
        status: RunStatus = "failed"
        try:
            learned = self._learn()
            status = "stopped" if learned.stop_reason is StopReason.STOPPED else "finished"
        except NotLearnedError:
            status = "stopped"
            raise
        finally:
            self._note(status)
        return learned

    def _learn(self) -> Learned:
        """Everything after the reservation."""
        importer = _BackgroundImport("jupyter_dpsynth.engine.training")
        plan = self._plan()
        codec, reference, codes, counts = self._measure(plan)
        layout = Layout.from_dependence(codec.sizes, reference.dependence, plan.pair_exponent)
        model, steps, reason, losses = self._train(plan, layout, codec, codes, counts, importer)
        model = sharpen(model, reference, np.random.default_rng())
        receipt = self._receipt(plan, steps)
        self.tell(phase="finished", message=reason.value, epsilon=receipt.epsilon)
        return Learned(codec, model, reference, receipt, reason, losses)

    def tell(self, **changes: Any) -> None:  # noqa: ANN401 - the report's own fields
        """Pass the report with these changes to the observer."""
        self.report = replace(self.report, seconds=time.monotonic() - self.began, **changes)
        self.callback(self.report)

    def _check_stop(self, what: str = "") -> None:
        """Before there is a model a stop leaves nothing to keep."""
        if what:
            self.tell(phase="measuring", message=what)
        if self.stop.is_set():
            raise NotLearnedError(
                "stopped before there was a model. The measurements made so far count as spent: "
                f"epsilon = {self.config.epsilon:g} is used up for this synthesizer."
            )

    def _plan(self) -> RunPlan:
        """Measure the row count and fix everything else."""
        config = self.config
        if config.privacy_unit is not None:
            self.df, self.units = bound_units(
                self.df, config.privacy_unit, config.max_rows_per_unit, self.noise.generator
            )
        exact = len(self.df)
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
        self.tell(total_steps=plan.steps, delta=plan.delta, epsilon=self._epsilon_at(0, plan))
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
        identity = TableIdentity(table_fingerprint(self.df), self.dataset, self.label)
        account = self.ledger.account(identity)
        epsilon = config.epsilon if self._guaranteed else math.inf
        self.tell(ledger=account.sentence(epsilon))
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

    def _epsilon_at(self, step: int, plan: RunPlan) -> float | None:
        if self.noise.test_only:
            return None
        return math.inf if self.curve is None else min(self.curve.at(step), plan.epsilon)

    def _measure(
        self, plan: RunPlan
    ) -> tuple[TableCodec, MeasuredReference, NDArray[np.integer[Any]], list[NDArray[np.float64]]]:
        """Domain, one-way marginals and pair dependences; also the codes and the noisy counts."""
        discovered = discover_table(
            self.df,
            self.df_meta,
            self.histograms,
            plan.table_settings,
            lambda name: self._check_stop(f"measuring column {name!r}"),
        )
        codec = discovered.codec
        self._check_stop("encoding")
        codes = codec.encode(self.df)
        self._check_stop("measuring marginals")
        marginal_sigma = plan.marginal_sigma if discovered.looked_again else plan.finer_marginal_sigma
        counts, variances = measure_one_way(codes, discovered.columns, self.histograms, marginal_sigma)
        shares = [to_shares(count, LEAST_COUNT) for count in counts]
        self._check_stop("measuring pairs of columns")
        dependence = measure_pairs(codes, codec.sizes, shares, plan.rows, plan.pair_sigma, self.noise)
        if plan.order_sigma is not None:
            orderings = measure_orderings(
                self.df, codec, dependence, self.histograms, plan.order_sigma, plan.rows
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
        return codec, reference_from(codec, measured), codes, counts

    def _train(
        self,
        plan: RunPlan,
        layout: Layout,
        codec: TableCodec,
        codes: NDArray[np.integer[Any]],
        counts: list[NDArray[np.float64]],
        importer: _BackgroundImport,
    ) -> tuple[TabularModel, int, StopReason, NDArray[np.float64]]:
        """Train as planned; a stop before the first step keeps the noisy marginals as the model."""
        floor = START_FLOOR * plan.marginal_sigma + 1
        shares = [to_shares(count, floor) for count in counts]
        ordered = [column.ordered_cells for column in codec.columns]
        self.tell(phase="starting", message="starting TensorFlow (10 to 20 s the first time)")
        while not importer.wait(POLL_SECONDS):
            if self.stop.is_set():
                bias = np.concatenate([np.log(share) for share in shares]).astype(np.float32)
                model = TabularModel(layout, np.zeros_like(layout.mask), bias)
                return model, 0, StopReason.STOPPED, np.zeros(0)
            self.tell()
        training = importer.module
        start = training.Start(layout, shares, ordered)
        trainer = training.DPTrainer(start, plan, self.config, self.noise, self.units)
        self.tell(phase="training", message="training")

        def after_step(step: int, loss: float, loss_noise: float) -> None:
            self.tell(
                step=step,
                epsilon=self._epsilon_at(step, plan),
                loss=loss,
                loss_noise=loss_noise,
                rows=round(step * plan.batch_size),
            )

        outcome = trainer.train(codes, after_step, self.stop.is_set)
        return outcome.model, outcome.steps, outcome.stop_reason, outcome.losses

    def _receipt(self, plan: RunPlan, steps: int) -> PrivacyReceipt:
        config = self.config
        tf_privacy = config.dp_backend == "tensorflow_privacy"
        noise = (
            "training: TensorFlow Privacy's GaussianSumQuery on tf.random, whose float32 normals are cut "
            "at 5.7 sigma; measurements: operating-system entropy, float64"
            if tf_privacy
            else "operating-system entropy (numpy Philox), float64"
        )
        guarantee: Literal["dp", "none"] = "dp" if config.differential_privacy else "none"
        epsilon, delta = self.reserved or (None, plan.delta)
        sampled = "row" if self.units is None else "unit"
        return PrivacyReceipt(
            plan=plan.privacy,
            delta=delta,
            epsilon=epsilon,
            epsilon_target=config.epsilon if config.differential_privacy else math.inf,
            epsilon_completed_steps=None if epsilon is None else _epsilon_of(plan, steps),
            planned_steps=plan.steps,
            completed_steps=steps,
            sampler=f"Poisson: every {sampled} is drawn independently in every step",
            noise=noise,
            row_count_private=not config.n_public and config.differential_privacy,
            backend=config.dp_backend,
            versions=_versions(),
            # TF-Privacy's statement is about examples, not about persons
            second_opinion=None if epsilon is None or self.units is not None else tf_privacy_statement(plan),
            unit=config.unit_text,
            relation=relation_of(config.unit_text),
            guarantee="test-only" if self.noise.test_only else guarantee,
            ledger_entry=self.entry,
        )


class _BackgroundImport:
    """Imports a module in a thread of its own, so that measuring goes on meanwhile."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"import {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            importlib.import_module(self._name)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Whether the module is there, after at most so many seconds."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    @property
    def module(self) -> Any:  # noqa: ANN401 - a module
        """The imported module."""
        return importlib.import_module(self._name)


def _epsilon_of(plan: RunPlan, steps: int) -> float:
    """Epsilon if so many steps had been planned; infinite without differential privacy."""
    if plan.privacy is None or steps == plan.steps:
        return plan.epsilon
    return min(compute_epsilon(plan.privacy.with_steps(steps), plan.delta), plan.epsilon)


def _versions() -> dict[str, str]:
    """Versions of what the guarantee rests on."""
    found = {"python": platform.python_version()}
    for name in ("jupyter_dpsynth", "tensorflow", "dp-accounting", "numpy", "tensorflow-privacy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
