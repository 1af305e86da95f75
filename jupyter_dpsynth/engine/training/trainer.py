"""DP-SGD training of the model: Poisson batches, released gradients, Adam on what was released."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from jupyter_dpsynth.errors import WorkerLostError
from jupyter_dpsynth.privacy.sampling import poisson_sample
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.planning.plan import RunPlan
    from jupyter_dpsynth.engine.training.distribute import Crew
    from jupyter_dpsynth.engine.training.release import GradientRelease
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.sources.bounding import Units

__all__ = ["DPTrainer", "TrainingOutcome"]

LOSS_WINDOW = 50  # steps in the running mean of the loss


@dataclass(frozen=True, eq=False)
class TrainingOutcome:
    """What training gives.

    Attributes:
        model: The averaged model.
        steps: Completed steps.
        stop_reason: Why it ended.
        losses: Noisy mean loss of each step in nats a row, `[steps]`.
        clip_norm: The clip norm that was used.
    """

    model: TabularModel
    steps: int
    stop_reason: StopReason
    losses: NDArray[np.float64]
    clip_norm: float


class DPTrainer:
    """Trains one model under one plan.

    Args:
        start: Layout and initial values.
        plan: Noise, steps and sizes, fixed beforehand.
        config: Frozen parameters.
        noise: Source of noise and of the sampling.
        units: Which rows belong to which unit of privacy; None if every row is a unit.
        crew: The replicas that train together, None for one. Rows and units are then those of this worker.

    Attributes:
        resumed: Losses of the steps that an earlier process made.
        losses: Noisy mean loss of each completed step in nats a row, those included.
    """

    def __init__(
        self,
        start: Start,
        plan: RunPlan,
        config: ResolvedConfig,
        noise: NoiseSource,
        units: Units | None = None,
        crew: Crew | None = None,
    ) -> None:
        self.start, self.plan, self.noise, self.crew = start, plan, noise, crew
        layout = start.layout
        # rows of one unit are not all alike: their gradients add up to about the root of their number
        factor = plan.clip_factor * math.sqrt(plan.unit_rows)
        clip = config.l2_norm_clip or layout.clip_norm(list(start.shares), factor)
        entropy = sum(float(-(share * np.log(share)).sum()) for share in start.shares)
        self.gradient = BatchGradient(layout, clip, LOSS_BOUND_FACTOR * max(entropy, 1.0))
        release = self._release(config, units)
        self.release: GradientRelease = release
        if crew is not None:
            self.release = ReplicatedRelease(release, crew)
            self.release.meanwhile = self._sample_ahead
        self._population = 0
        self._ahead: NDArray[np.int64] | None = None
        # every sum is divided by a constant, never by the actual (private) number of rows
        self.divisor = float(config.num_microbatches or plan.batch_size)
        self.update = AdamUpdate(start, plan)
        self.resumed: list[float] = []
        self.losses: list[float] = []

    def _release(self, config: ResolvedConfig, units: Units | None) -> Any:  # noqa: ANN401 - one of several
        plan = self.plan
        arguments: dict[str, Any] = {
            "gradient": self.gradient,
            "noise": self.noise,
            "sigma": plan.noise_multiplier,
            "loss_sigma": plan.loss_noise * plan.unit_rows,
        }
        if config.num_microbatches is not None:
            return MicrobatchRelease(groups=config.num_microbatches, **arguments)
        if units is not None:
            return UnitRelease(units=units, unit_rows=plan.unit_rows, **arguments)
        native = NativeRelease(**arguments)
        return TFPrivacyRelease(native) if config.dp_backend == "tensorflow_privacy" else native

    @property
    def loss_noise(self) -> float:
        """Noise of one step's mean loss in nats a row."""
        loss = self.plan.loss_noise * self.plan.unit_rows * self.gradient.loss_bound
        return loss / self.plan.batch_size

    @full_precision()
    def train(
        self,
        codes: NDArray[np.integer[Any]],
        after_step: Callable[[int, float, float], None],
        stopped: Callable[[], bool],
        limit: int | None = None,
    ) -> TrainingOutcome:
        """Run the planned steps, or fewer if stopped.

        Args:
            codes: Private codes `[n, m]`.
            after_step: Called with the step's number, the running mean of the noisy loss and its noise.
            stopped: Asked before every step; True ends training and keeps the model. With several workers
                it ends after one more step, for all of them.
            limit: Number of the last step, where it is not the planned one.

        Privacy:
            Each step is a Poisson sample and one noisy release; all else is post-processing. The loss
            that observers get was released with the gradient.
        """
        losses = self.losses = list(self.resumed)
        reason = self.plan.ends_by
        self._population, self._ahead = self.release.population(codes), None
        last = self.plan.steps if limit is None else limit
        for step in range(len(losses) + 1, last + 1):
            if self._ends(stopped()):
                reason = StopReason.STOPPED
                break
            indices = self._draw() if self._ahead is None else self._ahead
            self._ahead = None
            weights, bias = tf.constant(self.update.weights), tf.constant(self.update.bias)
            try:
                sums = self.release.release(weights, bias, codes, indices)
            except WorkerLostError:
                reason = StopReason.WORKER_LOST
                break
            self.update.apply(sums, self.divisor, step)
            losses.append(sums.loss / self.plan.batch_size)
            recent = losses[-LOSS_WINDOW:]
            after_step(step, float(np.mean(recent)), self.loss_noise / math.sqrt(len(recent)))
        return TrainingOutcome(
            self.update.model(), len(losses), reason, np.array(losses), self.gradient.clip_norm
        )

    def _draw(self) -> NDArray[np.int64]:
        return poisson_sample(self._population, self.plan.sampling_probability, self.noise.generator)

    def _sample_ahead(self) -> None:
        """Draw the next step's sample while this one's devices are at work."""
        self._ahead = self._draw()

    def _ends(self, wish: bool) -> bool:  # noqa: FBT001 - the one thing it is about
        return wish if self.crew is None else self.crew.agreed(wish)
