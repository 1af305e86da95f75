"""DP-SGD training of the model: Poisson batches, released gradients, Adam on what was released."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.adam import AdamUpdate, Start
from jupyter_dpsynth.engine.training.distribute import ReplicatedRelease
from jupyter_dpsynth.engine.training.gradient import LOSS_BOUND_FACTOR, BatchGradient, full_precision
from jupyter_dpsynth.engine.training.release import (
    MicrobatchRelease,
    NativeRelease,
    TFPrivacyRelease,
    UnitRelease,
)
from jupyter_dpsynth.engine.training.taping import StepRelease
from jupyter_dpsynth.errors import WorkerLostError
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.training.distribute import Workers
    from jupyter_dpsynth.engine.training.release import GradientRelease, NoisySums
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.releases import StepSample, TrainingReleases
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["DPTrainer", "Start", "TrainingOutcome", "TrainingParts", "Update", "training_parts"]

LOSS_WINDOW = 50  # steps in the running mean of the loss


class Update(Protocol):
    """What is made of released sums."""

    @property
    def weights(self) -> NDArray[np.float32]:
        """Current weights, float32, in the array of their arrangement."""
        ...

    @property
    def bias(self) -> NDArray[np.float32]:
        """Current biases, float32 `[D]`."""
        ...

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """One step on released sums."""
        ...

    def model(self) -> TabularModel:
        """The model so far."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingParts:
    """What a training is put together from.

    Attributes:
        releases: Draws samples and noise of the planned steps.
        release: Clips, sums and adds the noise.
        update: What is made of released sums.
        divisor: What every sum is divided by: a constant, never the actual (private) number of rows.
    """

    releases: TrainingReleases
    release: GradientRelease
    update: AdamUpdate
    divisor: float


@dataclass(frozen=True, eq=False)
class TrainingOutcome:
    """The result of training.

    Attributes:
        model: The averaged model.
        stop_reason: Why it ended.
        losses: Noisy mean loss of each step in nats a row, `[steps]`.
        paused: Whether it is only paused.
    """

    model: TabularModel
    stop_reason: StopReason
    losses: NDArray[np.float64]
    paused: bool = False


def training_parts(
    start: Start,
    plan: RunPlan,
    config: ResolvedConfig,
    noise: NoiseSource,
    units: PrivacyUnits | None = None,
    workers: Workers | None = None,
    made: int = 0,
    earlier: TrainingReleases | None = None,
) -> TrainingParts:
    """The parts of the training that a plan and a config describe.

    Args:
        start: Layout and initial values.
        plan: Noise, steps and sizes, fixed beforehand.
        config: Frozen parameters.
        noise: Source of noise and of the sampling.
        units: Which rows belong to which privacy unit; None if every row is one.
        workers: The replicas that train together, None for one. Rows and units are then those of this worker.
        made: Steps that were made, or may have been made, before.
        earlier: What drew the noise before the layout grew; the planned steps that are left go over to the
            new one.

    Raises:
        MissingDependencyError: The parameters name a library that is not installed.
    """
    # rows of one unit are not all alike: their gradients add up to about the root of their number
    factor = plan.clip_factor_of(start.layout.sizes) * math.sqrt(plan.unit_rows)
    clip = config.l2_norm_clip or start.layout.clip_norm(list(start.shares), factor)
    entropies = np.array([float(-(share * np.log(share)).sum()) for share in start.shares])
    counted = start.layout.importance  # what is only given has no loss
    entropy = float(entropies.sum() if counted is None else (entropies * counted).sum())
    loss_bound = LOSS_BOUND_FACTOR * max(entropy, 1.0)
    share = 1.0 if workers is None else workers.share
    expected = plan.batch_size * (1.0 if workers is None else share / len(workers.devices))
    gradient = BatchGradient(start.layout, clip, loss_bound, expected, plan.unit_rows)
    if earlier is None:
        releases = plan.training_releases(clip, loss_bound, noise, made=made, share=share)
    else:
        releases = earlier.handed_over(plan.step_sensitivity(clip, loss_bound))
    release: NativeRelease
    if config.num_microbatches is not None:
        release = MicrobatchRelease(gradient, config.num_microbatches, noise.generator, start.cells)
    elif units is not None:
        release = UnitRelease(gradient, units, start.cells)
    else:
        release = NativeRelease(gradient, start.cells)
    outer: GradientRelease = release
    if workers is not None:
        outer = ReplicatedRelease(release, workers)
    elif config.dp_backend == "tensorflow_privacy" and type(release) is NativeRelease:
        outer = TFPrivacyRelease(release, releases.gradient_noise)
    divisor = float(config.num_microbatches or plan.batch_size)
    derived, noise_size = bool(start.layout.derived), releases.gradient_noise
    released = StepRelease(clip, noise_size, divisor, plan.sampling_probability, derived)
    return TrainingParts(releases, outer, AdamUpdate(start, plan, released), divisor)


class DPTrainer:
    """Trains one model under one plan.

    Args:
        plan: Sizes, fixed beforehand.
        release: Clips, sums and adds the noise.
        update: What is made of released sums.
        divisor: What every sum is divided by.
        workers: The replicas that train together, None for one.
        losses: Losses of the steps that an earlier process made.

    Attributes:
        losses: Noisy mean loss of each completed step in nats a row, those included.
    """

    def __init__(
        self,
        plan: RunPlan,
        release: GradientRelease,
        update: Update,
        divisor: float,
        *,
        workers: Workers | None = None,
        losses: Sequence[float] = (),
    ) -> None:
        self.plan, self.release, self.update, self.divisor = plan, release, update, divisor
        self._workers = workers
        self.losses = list(losses)

    @full_precision()
    def train(
        self,
        codes: NDArray[np.integer[Any]],
        releases: TrainingReleases,
        after_step: Callable[[int, float, float], None],
        stopped: Callable[[], bool],
        until: int | None = None,
    ) -> TrainingOutcome:
        """Make the steps that are planned and left, or fewer if stopped.

        Args:
            codes: Private codes `[n, m]`.
            releases: Draws samples and noise of the planned steps.
            after_step: Called with the step's number, the running mean of the noisy loss and its noise.
            stopped: Asked before every step; True ends training and keeps the model. With several workers
                it ends after one more step, for all of them.
            until: Number of completed steps, those of an earlier process included, after which to pause.

        Privacy:
            Each step is a Poisson sample and one noisy release; all else is post-processing. The loss
            that observers get was released with the gradient.
        """
        losses, reason = self.losses, self.plan.ends_by
        loss_noise = releases.loss_noise / self.plan.batch_size
        population = self.release.population(codes)
        ahead: list[StepSample] = []

        last = math.inf if until is None else until

        def sample_ahead() -> None:
            if releases.left and len(losses) + 1 < last:
                ahead.append(releases.sample(population))

        if isinstance(self.release, ReplicatedRelease):
            self.release.meanwhile = sample_ahead  # while this step's devices are at work
        while releases.left:
            if len(losses) >= last:
                return TrainingOutcome(self.update.model(), reason, np.array(losses), paused=True)
            if self.ends(stopped()):
                reason = StopReason.STOPPED
                break
            sample = ahead.pop() if ahead else releases.sample(population)
            weights, bias = tf.constant(self.update.weights), tf.constant(self.update.bias)
            try:
                sums = self.release.release(weights, bias, codes, sample)
            except WorkerLostError:
                reason = StopReason.WORKER_LOST
                break
            self.update.apply(sums, self.divisor, len(losses) + 1)
            losses.append(sums.loss / self.plan.batch_size)
            recent = losses[-LOSS_WINDOW:]
            after_step(len(losses), float(np.mean(recent)), loss_noise / math.sqrt(len(recent)))
        return TrainingOutcome(self.update.model(), reason, np.array(losses))

    def ends(self, stop_requested: bool) -> bool:  # noqa: FBT001 - the one thing it is about
        """Whether training ends here: the same answer on all workers."""
        return stop_requested if self._workers is None else self._workers.ends(stop_requested)
