"""Known mistakes of DP training, each planted in a double of the real training loop.

What the doubles do not change is the product's own code. `findings` audits the loop without a bug and with
each of them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.stats import norm

from jupyter_dpsynth.config import HighDimConfig, ResolvedConfig
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.engine.training.adam import Start
from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.recording import AuditedTraining
from jupyter_dpsynth.engine.training.release import GradientRelease, NativeRelease, NoisySums
from jupyter_dpsynth.engine.training.trainer import DPTrainer, training_parts
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy import releases as releases_module
from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import StepSample
from tests.support.canary_audit import CanaryAudit, audit_canary, fit_shift, privacy_profile
from tests.support.canary_runs import STATISTICS, canary_draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.plan import RunPlan

SIZES = np.array([3, 5, 2, 4])
CLIP = 0.5  # so small that the gradients of weights and biases reach it by themselves
EPSILONS = np.linspace(0.2, 8, 40)
# A factor too much of mu = 4 stands out of its error as far as it does of mu = 1 in five times as many draws.
LITTLE_NOISE = 0.25
EVEN_LESS = LITTLE_NOISE * math.sqrt(2)  # two steps of it are one of the other
Plant = Callable[[AuditedTraining], contextlib.AbstractContextManager[GradientRelease]]


@dataclass(frozen=True)
class Setting:
    """A small training to be audited: its plan in the accountant's terms, and how often it runs."""

    draws: int
    noise: float = 1.0
    steps: int = 1
    probability: float = 1.0
    rows: int = 16


@dataclass(frozen=True)
class Bug:
    """A mistake, where it shows, and how it is planted."""

    name: str
    setting: Setting
    plant: Plant
    counted_steps: int | None = None  # what the accountant was told, if not the steps that are made


@dataclass(frozen=True)
class Finding:
    """What an audit said of the loop with a bug in it, or of the loop as it is."""

    name: str
    audit: CanaryAudit
    fitted_mu: float
    least_mu: float
    claimed_mu: float | None

    @property
    def caught(self) -> bool:
        """Whether the claim is refuted: by rates of alarms, or by the fitted mu where there is one."""
        return not self.audit.holds or (self.claimed_mu is not None and self.least_mu > self.claimed_mu)

    def row(self) -> str:
        """One line of the table."""
        verdict = "CAUGHT" if self.caught else "not refuted"
        mu = "" if self.claimed_mu is None else f"; mu >= {self.least_mu:.3f}, claimed {self.claimed_mu:.3f}"
        return (
            f"{self.name:36s} {verdict:12s} {self.audit.statistic:30s} epsilon >= {self.audit.bound:5.2f}, "
            f"claimed {self.audit.claim:5.2f} at delta {self.audit.delta:.2g}{mu}"
        )


def _config(setting: Setting) -> ResolvedConfig:
    return HighDimConfig(
        epsilon=100.0, delta=1e-5, steps=1, batch_size=setting.rows, l2_norm_clip=CLIP, n_public=True
    ).resolve()


def plan_of(setting: Setting) -> RunPlan:
    """A real plan, with the noise, steps and samples of the setting."""
    frame = pd.DataFrame({name: ["a", "b"] for name in "abcd"})
    meta = MetaExtractor.extract(frame, categories={name: ["a", "b"] for name in "abcd"})
    plan = plan_run(_config(setting), meta, float(setting.rows))
    training = SampledTraining(setting.steps, setting.probability, setting.noise)
    return replace(plan, privacy=PrivacyPlan((), training))


def training_of(setting: Setting, noise: NoiseSource | None = None) -> AuditedTraining:
    """A real training under that plan."""
    scale = np.triu(np.full((len(SIZES), len(SIZES)), 0.9), 1)
    shares = [np.full(size, 1 / size) for size in SIZES]
    start = Start(Layout(SIZES, scale), shares, [0] * len(SIZES))
    plan, noise = plan_of(setting), noise or NoiseSource()
    return AuditedTraining(plan, training_parts(start, plan, _config(setting), noise), noise)


def trainer_of(training: AuditedTraining) -> DPTrainer:
    """The trainer of a training, with the parts that users have."""
    parts = training.parts
    return DPTrainer(training.plan, parts.release, parts.update, parts.divisor)


def table_of(setting: Setting) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Equal rows, and a canary that differs from them in every column: their gradients oppose each other."""
    return np.zeros((setting.rows, len(SIZES)), dtype=np.int32), (SIZES - 1).astype(np.int32)


def examine(
    name: str,
    setting: Setting,
    plant: Plant,
    counted_steps: int | None = None,
    noise: NoiseSource | None = None,
) -> Finding:
    """Audit the training loop with something planted in it."""
    training = training_of(setting, noise)
    claim = PrivacyPlan(
        (), SampledTraining(counted_steps or setting.steps, setting.probability, setting.noise)
    )
    with plant(training) as release:
        planted = replace(training, parts=replace(training.parts, release=release))
        without, canary = canary_draws(planted, *table_of(setting), setting.draws)
    audit = audit_canary(without, canary, STATISTICS, (EPSILONS, privacy_profile(claim, EPSILONS)))
    mu, error = fit_shift(without[:, 0], canary[:, 0])
    claimed = math.sqrt(counted_steps or setting.steps) / setting.noise if setting.probability == 1 else None
    return Finding(name, audit, mu, mu - float(norm.isf(CANARY_ALPHA)) * error, claimed)


def nothing(training: AuditedTraining) -> contextlib.AbstractContextManager[GradientRelease]:
    """No bug."""
    return contextlib.nullcontext(training.parts.release)


def _gradient(training: AuditedTraining) -> BatchGradient:
    release = training.parts.release
    assert isinstance(release, NativeRelease)
    return release.gradient


@contextlib.contextmanager
def noise_per_chunk(training: AuditedTraining) -> Iterator[GradientRelease]:
    """Each chunk of the batch gets its noise, so the noise tells how many chunks there are."""

    class PerChunk(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, sample: StepSample) -> NoisySums:
            parts = [
                super(PerChunk, self).release(weights, bias, codes, _another_step(sample, part, training))
                for part in np.split(sample.indices, np.arange(16, len(sample.indices), 16))
            ]
            sample.noise(self.steps, self.sensitivity)  # the loop goes on as if one release had been made
            return NoisySums(
                np.sum([part.weights for part in parts], axis=0),
                np.sum([part.bias for part in parts], axis=0),
                sum(part.loss for part in parts),
            )

    yield PerChunk(_gradient(training))


def _another_step(sample: StepSample, indices: NDArray[np.int64], training: AuditedTraining) -> StepSample:
    """A step that nobody planned."""
    planned = sample.releases
    releases = releases_module.TrainingReleases(planned.training, planned.sensitivity, training.noise)
    return StepSample(releases, indices)


@contextlib.contextmanager
def divided_by_actual_batch(training: AuditedTraining) -> Iterator[GradientRelease]:
    """The sum is divided by the number of rows that were sampled, not by the expected one."""

    class Divided(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, sample: StepSample) -> NoisySums:
            sums = super().release(weights, bias, codes, sample)
            factor = training.plan.batch_size / max(len(sample.indices), 1)
            return NoisySums(sums.weights * factor, sums.bias * factor, sums.loss * factor)

    yield Divided(_gradient(training))


@contextlib.contextmanager
def clipped_per_layer(training: AuditedTraining) -> Iterator[GradientRelease]:
    """Weights and biases are clipped each by itself to the whole clip norm."""

    class PerLayer(BatchGradient):
        @tf.function  # type: ignore[untyped-decorator, unused-ignore]
        def clipped_sum(self, weights: Any, bias: Any, codes: Any, present: Any) -> Any:
            rows, error, losses = self.errors(weights, bias, codes)

            def whole(block_weights: Any) -> Any:
                factor = self._factor(tf.linalg.matvec(error * error, block_weights))
                return self._whole(error, factor, present)

            norms = tf.constant(self.layout.squared_inputs[self.layout.owner], tf.float32)
            gradient, _ = self._summed(rows, whole(norms - 1))
            for_bias = tf.reduce_sum(whole(tf.ones_like(norms)), axis=0)
            counted = tf.where(present, tf.round(self._losses_in_steps(losses, present)), 0.0)
            return gradient, for_bias, tf.reduce_sum(counted)

    real = _gradient(training)
    double = PerLayer(real.layout, real.clip_norm, real.loss_bound, real.expected)
    yield NativeRelease(double)


@contextlib.contextmanager
def clipped_at_sqrt_2(training: AuditedTraining) -> Iterator[GradientRelease]:
    """Rows are clipped to sqrt(2) times the clip norm that the noise was made for."""
    real = _gradient(training)
    gradient = BatchGradient(real.layout, real.clip_norm, real.loss_bound, real.expected)
    gradient.grid = replace(gradient.grid, limit=gradient.grid.limit * math.sqrt(2))
    yield NativeRelease(gradient)


class _Changed(StepSample):
    """A step's sample whose noise is changed by a factor, that of the loss by another."""

    def __init__(self, sample: StepSample, factor: float, loss_factor: float) -> None:
        super().__init__(sample.releases, sample.indices)
        self._factors = factor, loss_factor

    def noise(self, steps: NDArray[np.float64], sensitivity: Any) -> NDArray[np.float64]:
        noise = super().noise(steps, sensitivity)
        noise[:-1] *= self._factors[0]
        noise[-1] *= self._factors[1]
        return noise


@contextlib.contextmanager
def noise_10_percent_low(training: AuditedTraining) -> Iterator[GradientRelease]:
    """The noise has nine tenths of the planned standard deviation."""

    class Low(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, sample: StepSample) -> NoisySums:
            return super().release(weights, bias, codes, _Changed(sample, 0.9, 0.9))

    yield Low(_gradient(training))


@contextlib.contextmanager
def loss_without_noise(training: AuditedTraining) -> Iterator[GradientRelease]:
    """The loss that is shown is the exact one."""

    class Exact(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, sample: StepSample) -> NoisySums:
            return super().release(weights, bias, codes, _Changed(sample, 1.0, 0.0))

    yield Exact(_gradient(training))


@contextlib.contextmanager
def shuffled_batches(training: AuditedTraining) -> Iterator[GradientRelease]:
    """Every row is in exactly one batch of an epoch; accounted as Poisson sampling."""
    waiting: list[int] = []
    known = 0

    def next_batch(rows: int, probability: float, generator: np.random.Generator) -> NDArray[np.int64]:
        nonlocal known
        size = max(1, round(rows * probability))
        if len(waiting) < size or rows != known:  # another table begins an epoch of its own
            known = rows
            waiting[:] = generator.permutation(rows).tolist()
        return np.array([waiting.pop() for _ in range(size)])

    with mock.patch.object(releases_module, "poisson_sample", next_batch):
        yield training.parts.release


BUGS = (
    Bug("noise per chunk", Setting(400), noise_per_chunk),
    Bug("division by the actual batch size", Setting(2_000, rows=4), divided_by_actual_batch),
    Bug("clip per layer", Setting(1_000, LITTLE_NOISE), clipped_per_layer),
    Bug("clip at sqrt(2) C", Setting(1_000, LITTLE_NOISE), clipped_at_sqrt_2),
    Bug("noise 10 % low", Setting(5_000, LITTLE_NOISE), noise_10_percent_low),
    Bug("one step more than accounted", Setting(1_000, EVEN_LESS, steps=3), nothing, counted_steps=2),
    Bug("shuffled batches, accounted Poisson", Setting(400, 0.25, 8, 1 / 8, 7), shuffled_batches),
    Bug("loss without noise", Setting(400), loss_without_noise),
)

#: The loop as it is: one step with every row, and an epoch of Poisson batches.
CORRECT = (
    ("no bug: one step, all rows", Setting(4_000, LITTLE_NOISE)),
    ("no bug: eight Poisson steps", Setting(400, 0.25, 8, 1 / 8, 7)),
)


def findings(seed: int | None = None) -> Iterator[Finding]:
    """Audit the loop as it is and with every bug.

    Args:
        seed: Repeats the same draws, for tests.
    """
    for name, setting in CORRECT:
        yield examine(name, setting, nothing, noise=NoiseSource(seed))
    for bug in BUGS:
        yield examine(bug.name, bug.setting, bug.plant, bug.counted_steps, NoiseSource(seed))
