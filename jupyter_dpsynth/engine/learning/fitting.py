"""The second half of a learning run: training on what was measured, alone or together with other workers."""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import json
import logging
import math
import platform
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jupyter_dpsynth.engine.learning.checkpoint import Claims
from jupyter_dpsynth.engine.learning.statement import tf_privacy_statement
from jupyter_dpsynth.engine.measuring.codes import encode_table
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.network import TabularModel
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.sampling.relations import sharpen
from jupyter_dpsynth.errors import ArtifactError, ConfigError, DataError, NotLearnedError
from jupyter_dpsynth.privacy.accounting import compute_epsilon, epsilon_curve
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt, relation_of
from jupyter_dpsynth.privacy.releases import Histograms
from jupyter_dpsynth.reports import StepReport, StopReason
from jupyter_dpsynth.sources.bounding import bound_units
from jupyter_dpsynth.sources.fingerprint import table_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.learning.checkpoint import TrainingTask
    from jupyter_dpsynth.engine.planning.plan import RunPlan
    from jupyter_dpsynth.engine.training.distribute import Crew
    from jupyter_dpsynth.engine.training.trainer import DPTrainer
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.accounting import EpsilonCurve
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import Units
    from jupyter_dpsynth.startup import BackgroundImport

__all__ = ["PreparedRun"]

logger = logging.getLogger(__name__)

START_FLOOR = 0.25  # least count of a cell at the start of training, in standard deviations
POLL_SECONDS = 0.25
KEY_BYTES = 32
NUMBERS_AT_ONCE = 2**20


class PreparedRun:
    """What a learning run is made of, and what it does once everything else is measured.

    Args:
        df_meta: The table's schema.
        config: The frozen parameters.
        source: The private table.
        callback: Told of every phase and step.
        stop: Set from anywhere to end after the current step.
        noise: Source of noise; operating-system entropy by default.
        ledger: Where the run is recorded before a value is measured.
        dataset: The dataset's name as the user gave it, or None.
        label: What the ledger calls a new dataset without a name.
        strategy: The `tf.distribute` strategy to train with, or None.
        checkpoint: File to keep the training's state in and to go on from, or None.

    Attributes:
        reserved: Epsilon (None for a test-only seed) and delta, set before the first value is measured.
        entry: The run's identifier in the ledger, None before it is there.
    """

    def __init__(
        self,
        df_meta: DataFrameMeta,
        config: ResolvedConfig,
        source: Source,
        callback: Callable[[StepReport], None],
        stop: threading.Event | None,
        noise: NoiseSource | None,
        ledger: PrivacyLedger,
        dataset: str | None,
        label: str,
        strategy: Any = None,  # noqa: ANN401 - TensorFlow ships no types
        checkpoint: Path | None = None,
    ) -> None:
        self.df_meta, self.config, self.source = df_meta, config, source
        self.ledger, self.dataset, self.label = ledger, dataset, label
        self.callback, self.stop = callback, stop or threading.Event()
        self.crew, self.checkpoint = _crew_of(strategy, config), checkpoint
        self.noise = noise or NoiseSource()
        if self.crew is not None and self.crew.workers > 1:
            self.noise = self.noise.of_worker(self.crew.worker)
        self.histograms = Histograms(self.noise)
        self.reserved: tuple[float | None, float] | None = None
        self.entry: str | None = None
        self.units: Units | None = None
        self.bounding = self.noise.generator
        self.curve: EpsilonCurve | None = None
        self.began = time.monotonic()
        target = config.epsilon if config.differential_privacy else math.inf
        spent = None if self.noise.test_only else 0.0
        self.report = StepReport("starting", "reading the schema", epsilon=spent, epsilon_target=target)

    def tell(self, **changes: Any) -> None:  # noqa: ANN401 - the report's own fields
        """Pass the report with these changes to the observer."""
        self.report = replace(self.report, seconds=time.monotonic() - self.began, **changes)
        self.callback(self.report)

    def _epsilon_at(self, step: int, plan: RunPlan) -> float | None:
        if self.noise.test_only:
            return None
        return math.inf if self.curve is None else min(self.curve.at(step), plan.epsilon)

    def _compare_tables(self, crew: Crew) -> None:
        """Raise on all workers, before anything is spent, unless all have the same table and parameters.

        The shards are cut by index: in tables of different order a row could be in two of them.
        """
        parameters = json.dumps(self.config.to_dict(), sort_keys=True).encode()
        problem = DataError(
            "the workers do not have the same table, in the same order, with the same parameters: load it on "
            "each of them by the same code without randomness. Nothing was measured or spent."
        )
        key = self._compare(crew, table_fingerprint(self.source, ordered=True) + parameters, problem)
        self.source.in_order = True  # the shards are cut by index
        # all workers keep the same rows of each unit, and number the units alike
        seed = np.random.SeedSequence(int.from_bytes(key, "little"))
        self.bounding = np.random.Generator(np.random.Philox(seed))

    def _compare_units(self, crew: Crew, units: Units) -> None:
        """Raise on all workers, before the first step, unless all have put the same rows into each unit."""
        ours = hashlib.sha256(b"jupyter_dpsynth units 1")
        for numbers in (units.starts, units.rows):
            for start in range(0, len(numbers), NUMBERS_AT_ONCE):
                ours.update(numbers[start : start + NUMBERS_AT_ONCE].astype("<i8").tobytes())
        problem = DataError(
            "the workers do not agree which rows belong to a unit: install the same versions on all of them. "
            "What was measured counts as spent."
        )
        self._compare(crew, ours.digest(), problem)

    def _compare(self, crew: Crew, ours: bytes, problem: DataError) -> bytes:
        """Raise on all workers unless all hold the same; return a key that is new and the same for all.

        Privacy:
            A digest of what may be exact rows, keyed for this once, goes from the first worker to the others,
            who hold the same rows, and is kept nowhere.
        """
        key = secrets.token_bytes(KEY_BYTES)
        content = self._received(crew.send(key + hmac.digest(key, ours, hashlib.sha256)))
        key, digest = content[:KEY_BYTES], content[KEY_BYTES:]
        crew.require(hmac.compare_digest(hmac.digest(key, ours, hashlib.sha256), digest), problem)
        return key

    @staticmethod
    def _received(content: bytes) -> bytes:
        """What the first worker sent; NotLearnedError if it had nothing to send."""
        if not content:
            raise NotLearnedError("the first worker ended before training began: its own message says why.")
        return content

    def _check(self, task: TrainingTask) -> None:
        """Raise ConfigError unless a task is of the run's parameters, schema and kind of noise."""
        task.check(self.config, self.df_meta)
        if self.noise.test_only != (task.reserved[0] is None):
            raise ConfigError("noise: a run goes on with the kind of noise, test-only or not, it began with.")

    def _take_over(self, task: TrainingTask) -> None:
        """Go on with a run that was measured before, or by another worker."""
        self.entry, self.reserved = task.entry, task.reserved
        if task.plan.privacy is not None:
            self.curve = epsilon_curve(task.plan.privacy, task.plan.delta)

    def _readmit(self, task: TrainingTask) -> TrainingTask:
        """Let the ledger say how much of an interrupted run is left; nothing new is spent."""
        self._check(task)
        identity = TableIdentity(table_fingerprint(self.source), self.dataset, self.label)
        released = self.ledger.readmit(identity, task.entry, task.plan.privacy)
        self._take_over(task)
        done, planned = len(task.losses), task.plan.steps
        self.tell(message=f"going on after step {done} of {planned}: nothing new is spent")
        return replace(task, released=max(released, done))

    def _rows(self, task: TrainingTask) -> NDArray[np.integer[Any]]:
        """Codes of all rows, for a run that was measured before or elsewhere."""
        self.source.pulse = self.tell  # a wish to stop holds at the first step: the other workers wait for it
        self._bound()
        return encode_table(self.source, task.codec).codes

    def _bound(self) -> None:
        """Keep at most so many rows of each unit of privacy."""
        config = self.config
        if config.privacy_unit is not None:
            self.tell(message="choosing the rows of each unit")
            self.source, self.units = bound_units(
                self.source, config.privacy_unit, config.max_rows_per_unit, self.bounding
            )

    def _cut(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Codes of this worker's shard; with units these become those of the shard, and the codes stay."""
        if self.crew is None or self.crew.workers == 1:
            return codes
        if self.units is None:
            return codes[self.crew.rows(len(codes))]
        self._compare_units(self.crew, self.units)
        self.units = self.units.shard(self.crew.rows(len(self.units)))
        return codes

    def _shared(self, task: TrainingTask) -> tuple[TrainingTask, Claims | None]:
        """Begin the checkpoint, if there is to be one, and tell the other workers what to do."""
        claims = None
        if self.crew is None or self.crew.worker == 0:
            if self.checkpoint is not None:
                claims = Claims(self.checkpoint, self.ledger, task)
                task = claims.task
            if self.crew is not None and self.crew.workers > 1:
                self.crew.send(task.to_bytes(), last=True)
        return task, claims

    def _train(
        self, task: TrainingTask, codes: NDArray[np.integer[Any]] | None, importer: BackgroundImport
    ) -> Learned:
        """Train as planned; a stop before the first step keeps the noisy marginals as the model.

        Args:
            task: What was measured, and the state of a training that goes on.
            codes: All rows' codes, where they are known already.
            importer: Brings the training's module.
        """
        plan = task.plan
        codes = self._rows(task) if codes is None else codes
        self.tell(total_steps=plan.steps, delta=plan.delta, epsilon=self._epsilon_at(task.lost, plan))
        shares = [to_shares(count, START_FLOOR * plan.marginal_sigma + 1) for count in task.counts]
        self.tell(phase="starting", message="starting TensorFlow (10 to 20 s the first time)")
        while not importer.wait(POLL_SECONDS):
            if self.stop.is_set() and self.crew is None and not task.state:
                if self.checkpoint is not None:
                    task.write(self.checkpoint)
                bias = np.concatenate([np.log(share) for share in shares]).astype(np.float32)
                model = TabularModel(task.layout, np.zeros_like(task.layout.mask), bias)
                return self._finished(task, model, StopReason.STOPPED, task.losses, task.lost)
            self.tell()
        task, claims = self._shared(task)
        codes = self._cut(codes)
        training = importer.module
        start = training.Start(task.layout, shares, [column.ordered_cells for column in task.codec.columns])
        trainer = training.DPTrainer(start, plan, self.config, self.noise, self.units, self.crew)
        if task.state:
            trainer.update.restore(task.state, len(task.losses))
            trainer.resumed = task.losses.tolist()
        self.tell(phase="training", message="training")

        def after_step(step: int, loss: float, loss_noise: float) -> None:
            self.tell(
                step=step,
                epsilon=self._epsilon_at(step + task.lost, plan),
                loss=loss,
                loss_noise=loss_noise,
                rows=round(step * plan.batch_size),
            )

        ahead = 1 if self.crew is None or self.crew.workers == 1 else 2  # a wish holds after one more step

        def stopped() -> bool:
            upcoming = min(len(trainer.losses) + ahead, task.last_step)
            return self.stop.is_set() or (claims is not None and not claims.allows(upcoming, trainer))

        outcome = trainer.train(codes, after_step, stopped, task.last_step)
        released = self._close(claims, trainer, outcome.stop_reason, task)
        return self._finished(task, outcome.model, outcome.stop_reason, outcome.losses, released)

    def _close(
        self, claims: Claims | None, trainer: DPTrainer, reason: StopReason, task: TrainingTask
    ) -> int:
        """Keep the last state; returns how many steps have been made, at most."""
        steps, planned = len(trainer.losses), task.plan.steps
        lost = reason is StopReason.WORKER_LOST
        if lost:
            logger.warning(
                "another worker ended or cannot be reached: training ended after step %d of %d and its model "
                "is kept. All that was planned counts as spent.%s",
                steps,
                planned,
                " Start all workers anew with the same checkpoint to go on." if claims else "",
            )
        if claims is not None:
            try:
                return claims.close(trainer, reason)
            except ArtifactError as error:  # the model is not lost for that
                logger.warning("the last checkpoint could not be kept: %s", error)
        return min(steps + task.lost + lost, planned)

    def _finished(
        self,
        task: TrainingTask,
        model: TabularModel,
        reason: StopReason,
        losses: NDArray[np.float64],
        released: int,
    ) -> Learned:
        """What the run leaves, after so many steps at most."""
        model = sharpen(model, task.reference, np.random.default_rng(task.seed))
        receipt = self._receipt(task.plan, released)
        self.tell(phase="finished", message=reason.value, epsilon=receipt.epsilon)
        return Learned(task.codec, model, task.reference, receipt, reason, losses)

    def _receipt(self, plan: RunPlan, steps: int) -> PrivacyReceipt:
        config = self.config
        tf_privacy = config.dp_backend == "tensorflow_privacy"
        noise = (
            "training: TensorFlow Privacy's GaussianSumQuery on tf.random, whose float32 normals are cut "
            "at 5.7 sigma; measurements: operating-system entropy, float64"
            if tf_privacy
            else "operating-system entropy (numpy Philox), float64"
        )
        if self.crew is not None and self.crew.workers > 1:
            noise += f", in {self.crew.workers} shares whose variances add up to the planned one"
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


def _crew_of(strategy: Any, config: ResolvedConfig) -> Crew | None:  # noqa: ANN401 - TensorFlow ships no types
    """The replicas of a strategy, None without one; whoever has a strategy has loaded TensorFlow."""
    if strategy is None:
        return None
    from jupyter_dpsynth.engine.training.distribute import Crew

    crew = Crew(strategy)
    crew.check(config)
    return crew


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
