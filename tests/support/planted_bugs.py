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
from jupyter_dpsynth.engine.learning.auditing import STATISTICS, canary_draws
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.planning.plan import RunPlan, plan_run
from jupyter_dpsynth.engine.training import release as release_module
from jupyter_dpsynth.engine.training import trainer as training_module
from jupyter_dpsynth.engine.training.adam import Start
from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.release import NativeRelease, NoisySums
from jupyter_dpsynth.engine.training.trainer import DPTrainer
from jupyter_dpsynth.metadata.extracting import MetaExtractor
from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA, CanaryAudit, audit_canary, fit_shift, privacy_profile
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.sampling import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = np.array([3, 5, 2, 4])
CLIP = 0.5  # so small that the gradients of weights and biases reach it by themselves
EPSILONS = np.linspace(0.2, 8, 40)
Plant = Callable[[DPTrainer], contextlib.AbstractContextManager[None]]


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
    """A real plan, with the noise of gradient and loss in its own proportions to the accountant's."""
    frame = pd.DataFrame({name: ["a", "b"] for name in "abcd"})
    meta = MetaExtractor.extract(frame, categories={name: ["a", "b"] for name in "abcd"})
    plan = plan_run(_config(setting), meta, float(setting.rows))
    assert plan.privacy is not None
    assert plan.privacy.training is not None
    ratio = setting.noise / plan.privacy.training.noise_multiplier
    training = SampledTraining(setting.steps, setting.probability, setting.noise)
    return replace(
        plan,
        privacy=PrivacyPlan((), training),
        steps=setting.steps,
        sampling_probability=setting.probability,
        noise_multiplier=plan.noise_multiplier * ratio,
        loss_noise=plan.loss_noise * ratio,
    )


def trainer_of(setting: Setting, noise: NoiseSource | None = None) -> DPTrainer:
    """A real trainer under that plan."""
    scale = np.triu(np.full((len(SIZES), len(SIZES)), 0.9), 1)
    shares = [np.full(size, 1 / size) for size in SIZES]
    start = Start(Layout(SIZES, scale), shares, [0] * len(SIZES))
    return DPTrainer(start, plan_of(setting), _config(setting), noise or NoiseSource())


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
    trainer = trainer_of(setting, noise)
    claim = PrivacyPlan(
        (), SampledTraining(counted_steps or setting.steps, setting.probability, setting.noise)
    )
    with plant(trainer):
        without, canary = canary_draws(trainer, *table_of(setting), setting.draws)
    audit = audit_canary(without, canary, STATISTICS, (EPSILONS, privacy_profile(claim, EPSILONS)))
    mu, error = fit_shift(without[:, 0], canary[:, 0])
    claimed = math.sqrt(counted_steps or setting.steps) / setting.noise if setting.probability == 1 else None
    return Finding(name, audit, mu, mu - float(norm.isf(CANARY_ALPHA)) * error, claimed)


def nothing(trainer: DPTrainer) -> contextlib.AbstractContextManager[None]:
    """No bug."""
    return contextlib.nullcontext()


def _native(trainer: DPTrainer, kind: type[NativeRelease] = NativeRelease, **changes: Any) -> NativeRelease:
    arguments = {
        "gradient": trainer.gradient,
        "noise": trainer.noise,
        "sigma": trainer.plan.noise_multiplier,
        "loss_sigma": trainer.plan.loss_noise,
    }
    return kind(**{**arguments, **changes})


@contextlib.contextmanager
def noise_per_chunk(trainer: DPTrainer) -> Iterator[None]:
    """Each chunk of the batch gets its noise, so the noise tells how many chunks there are."""

    class PerChunk(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, indices: Any) -> NoisySums:
            parts = [
                super(PerChunk, self).release(weights, bias, codes, part)
                for part in chunks(indices, release_module.MAX_CHUNK)
            ]
            return NoisySums(
                np.sum([part.weights for part in parts], axis=0),
                np.sum([part.bias for part in parts], axis=0),
                sum(part.loss for part in parts),
            )

    trainer.release = _native(trainer, PerChunk)
    with mock.patch.object(release_module, "MAX_CHUNK", 16):
        yield


@contextlib.contextmanager
def divided_by_actual_batch(trainer: DPTrainer) -> Iterator[None]:
    """The sum is divided by the number of rows that were sampled, not by the expected one."""

    class Divided(NativeRelease):
        def release(self, weights: Any, bias: Any, codes: Any, indices: Any) -> NoisySums:
            sums = super().release(weights, bias, codes, indices)
            factor = trainer.plan.batch_size / max(len(indices), 1)
            return NoisySums(sums.weights * factor, sums.bias * factor, sums.loss * factor)

    trainer.release = _native(trainer, Divided)
    yield


@contextlib.contextmanager
def clipped_per_layer(trainer: DPTrainer) -> Iterator[None]:
    """Weights and biases are clipped each by itself to the whole clip norm."""

    class PerLayer(BatchGradient):
        @tf.function  # type: ignore[untyped-decorator, unused-ignore]
        def clipped_sum(self, weights: Any, bias: Any, codes: Any) -> Any:
            rows, error, losses = self.errors(weights, bias, codes)
            squares = error * error

            def scaled(block_weights: Any) -> Any:
                norm = tf.sqrt(tf.linalg.matvec(squares, block_weights))
                return error * tf.minimum(1.0, self._limit / norm)[:, None]

            gradient = self._to_free(tf.matmul(rows, scaled(self._block_weights - 1), transpose_a=True))
            for_bias = tf.reduce_sum(scaled(tf.ones_like(self._block_weights)), axis=0)
            return gradient, for_bias, tf.reduce_sum(tf.clip_by_value(losses, 0.0, self.loss_bound))

    real = trainer.gradient
    trainer.release = _native(trainer, gradient=PerLayer(real.layout, real.clip_norm, real.loss_bound))
    yield


@contextlib.contextmanager
def clipped_at_sqrt_2(trainer: DPTrainer) -> Iterator[None]:
    """Rows are clipped to sqrt(2) times the clip norm that the noise was made for."""
    real = trainer.gradient
    gradient = BatchGradient(real.layout, real.clip_norm, real.loss_bound)
    gradient._limit *= math.sqrt(2)
    trainer.release = _native(trainer, gradient=gradient)
    yield


@contextlib.contextmanager
def noise_10_percent_low(trainer: DPTrainer) -> Iterator[None]:
    """The noise has nine tenths of the planned standard deviation."""
    plan = trainer.plan
    trainer.release = _native(trainer, sigma=0.9 * plan.noise_multiplier, loss_sigma=0.9 * plan.loss_noise)
    yield


@contextlib.contextmanager
def loss_without_noise(trainer: DPTrainer) -> Iterator[None]:
    """The loss that is shown is the exact one."""

    class Exact(NativeRelease):
        def noisy_loss(self, loss: float) -> float:
            return loss

    trainer.release = _native(trainer, Exact)
    yield


@contextlib.contextmanager
def shuffled_batches(trainer: DPTrainer) -> Iterator[None]:
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

    with mock.patch.object(training_module, "poisson_sample", next_batch):
        yield


BUGS = (
    Bug("noise per chunk", Setting(400), noise_per_chunk),
    Bug("division by the actual batch size", Setting(2_000, rows=4), divided_by_actual_batch),
    Bug("clip per layer", Setting(3_000), clipped_per_layer),
    Bug("clip at sqrt(2) C", Setting(3_000), clipped_at_sqrt_2),
    Bug("noise 10 % low", Setting(25_000), noise_10_percent_low),
    Bug("one step more than accounted", Setting(4_000, math.sqrt(2), steps=3), nothing, counted_steps=2),
    Bug("shuffled batches, accounted Poisson", Setting(400, 0.25, 8, 1 / 8, 7), shuffled_batches),
    Bug("loss without noise", Setting(400), loss_without_noise),
)

#: The loop as it is: one step with every row, and an epoch of Poisson batches.
CORRECT = (
    ("no bug: one step, all rows", Setting(20_000)),
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
