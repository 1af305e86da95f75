"""DP-SGD training of the model: Poisson batches, released gradients, Adam on what was released."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.gradient import LOSS_BOUND_FACTOR, BatchGradient, full_precision
from jupyter_dpsynth.engine.model import TabularModel
from jupyter_dpsynth.engine.release import MicrobatchRelease, NativeRelease, TFPrivacyRelease, UnitRelease
from jupyter_dpsynth.engine.reports import StopReason
from jupyter_dpsynth.engine.scaleout import ReplicatedRelease
from jupyter_dpsynth.errors import WorkerLostError
from jupyter_dpsynth.privacy.sampling import poisson_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.encoding.units import Units
    from jupyter_dpsynth.engine.model import Layout
    from jupyter_dpsynth.engine.planning import RunPlan
    from jupyter_dpsynth.engine.release import GradientRelease, NoisySums
    from jupyter_dpsynth.engine.scaleout import Crew
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["AdamUpdate", "DPTrainer", "Start", "TrainingOutcome"]

BETA_1, BETA_2, ADAM_EPSILON = 0.9, 0.99, 1e-8
WARM_UP = 0.05  # of the steps, linear
AVERAGED_FROM = 0.5  # of the steps
LOSS_WINDOW = 50  # steps in the running mean of the loss
FEW_BINS = 4  # so few bins are not smoothed
SMOOTHING_KEPT = 0.4  # of a bin's gradient stays its own
SMOOTHING_WIDTH = 3 / 20  # standard deviation of the smoothing over a number's bins, in shares of them


@dataclass(frozen=True, eq=False)
class Start:
    """Where training starts: everything is noisy or public.

    Attributes:
        layout: Blocks and interactions.
        shares: Noisy one-way shares of each column; the biases start at their logarithms.
        ordered_cells: How many leading cells of each column are neighbours on a line.
    """

    layout: Layout
    shares: Sequence[NDArray[np.float64]]
    ordered_cells: Sequence[int]


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


class AdamUpdate:
    """Adam with warm-up, cosine decay and averaging of the last half of the iterates.

    Weights that exist and biases are one vector, so that every operation is done once, in place: at these
    sizes that takes a fraction of what a graph of small operations takes.

    Args:
        start: Layout and initial values.
        plan: Steps, learning rate and weight decay.

    Source:
        Kingma and Ba 2015; Polyak and Juditsky 1992 (averaging).
    """

    def __init__(self, start: Start, plan: RunPlan) -> None:
        self.layout, self.plan = start.layout, plan
        self._free = self.layout.free
        self._smoothers = _smoothers(self.layout.sizes, start.ordered_cells)
        logs = np.concatenate([np.log(share) for share in start.shares]).astype(np.float32)
        self._center = np.concatenate([np.zeros(len(self._free), dtype=np.float32), logs])
        self._values, self._average = self._center.copy(), self._center.copy()
        self._first, self._second = np.zeros_like(self._center), np.zeros_like(self._center)
        self._averaged = 0
        self.weights = np.zeros((self.layout.width, self.layout.width), dtype=np.float32)
        self._matrix = np.zeros_like(self.weights)

    @property
    def bias(self) -> NDArray[np.float32]:
        """Biases, float32 `[D]`."""
        return self._values[len(self._free) :]

    def state(self) -> dict[str, NDArray[np.float32]]:
        """What a step changes, float32 `[F + D]` each: functions of released sums."""
        return {
            "values": self._values,
            "average": self._average,
            "first": self._first,
            "second": self._second,
        }

    def restore(self, state: dict[str, NDArray[np.float32]], step: int) -> None:
        """Go on from what `state` gave after so many steps."""
        for name, own in self.state().items():
            own[:] = state[name]
        self._averaged = sum(each / self.plan.steps > AVERAGED_FROM for each in range(1, step + 1))
        self.weights.ravel()[self._free] = self._values[: len(self._free)]

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """One step on released sums."""
        progress = step / self.plan.steps
        rate = self.plan.learning_rate * min(1.0, progress / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
        # noise has been added in float64; what follows is post-processing
        weights, bias = sums.weights.astype(np.float32), sums.bias.astype(np.float32)
        gradient = np.concatenate([self._smooth(weights), bias])
        gradient /= divisor
        gradient += self.plan.weight_decay * (self._values - self._center)
        self._first += (1 - BETA_1) * (gradient - self._first)
        np.square(gradient, out=gradient)
        gradient -= self._second
        gradient *= 1 - BETA_2
        self._second += gradient
        spread = np.sqrt(self._second / (1 - BETA_2**step), out=gradient)
        spread += ADAM_EPSILON
        self._values -= (rate / (1 - BETA_1**step)) * self._first / spread
        self.weights.ravel()[self._free] = self._values[: len(self._free)]
        if progress > AVERAGED_FROM:
            self._averaged += 1
            self._average += (self._values - self._average) / self._averaged
        else:
            self._average[:] = self._values

    def _smooth(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        """Let neighbouring bins share the noisy gradient sum `[F]`, on both sides: post-processing."""
        matrix, offsets = self._matrix, self.layout.offsets
        matrix.ravel()[self._free] = sums
        for start, end, smoother in zip(offsets[:-1], offsets[1:], self._smoothers, strict=True):
            if smoother is not None:
                matrix[start:end] = smoother @ matrix[start:end]
                matrix[:, start:end] = matrix[:, start:end] @ smoother
        return matrix.ravel()[self._free]

    def model(self) -> TabularModel:
        """The averaged model; before averaging begins that is the latest one."""
        weights = np.zeros_like(self.weights)
        weights.ravel()[self._free] = self._average[: len(self._free)]
        return TabularModel(self.layout, weights * self.layout.mask, self._average[len(self._free) :].copy())


def _smoothers(sizes: NDArray[np.int64], ordered_cells: Sequence[int]) -> list[NDArray[np.float32] | None]:
    """For each column the symmetric matrix that lets neighbouring bins share their noisy gradient.

    A mixture of the identity and a Gaussian over the bins; None where nothing has neighbours.
    """
    matrices: list[NDArray[np.float32] | None] = []
    for size, bins in zip(sizes, ordered_cells, strict=True):
        if bins <= FEW_BINS:
            matrices.append(None)
            continue
        matrix = np.eye(int(size), dtype=np.float32)
        place = np.arange(bins)
        distance = (place[:, None] - place) / max(SMOOTHING_WIDTH * bins, 1.0)
        matrix[:bins, :bins] *= SMOOTHING_KEPT
        matrix[:bins, :bins] += (1 - SMOOTHING_KEPT) * np.exp(-(distance**2) / 2)
        matrices.append(matrix)
    return matrices
