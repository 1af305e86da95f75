"""DP-SGD training of the model: Poisson batches, released gradients, Adam on what was released."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.gradient import LOSS_BOUND_FACTOR, BatchGradient
from jupyter_dpsynth.engine.model import TabularModel
from jupyter_dpsynth.engine.release import MicrobatchRelease, NativeRelease, TFPrivacyRelease
from jupyter_dpsynth.engine.reports import StopReason
from jupyter_dpsynth.privacy.sampling import poisson_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model import Layout
    from jupyter_dpsynth.engine.planning import RunPlan
    from jupyter_dpsynth.engine.release import GradientRelease, NoisySums
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["DPTrainer", "Start", "TrainingOutcome"]

BETA_1, BETA_2, ADAM_EPSILON = 0.9, 0.99, 1e-8
WARM_UP = 0.05  # of the steps, linear
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
    """

    def __init__(self, start: Start, plan: RunPlan, config: ResolvedConfig, noise: NoiseSource) -> None:
        self.start, self.plan, self.noise = start, plan, noise
        layout = start.layout
        clip = config.l2_norm_clip or layout.clip_norm(list(start.shares), plan.clip_factor)
        entropy = sum(float(-(share * np.log(share)).sum()) for share in start.shares)
        self.gradient = BatchGradient(layout, clip, LOSS_BOUND_FACTOR * max(entropy, 1.0))
        self.release = self._release(config)
        # every sum is divided by a constant, never by the actual (private) number of rows
        self.divisor = float(config.num_microbatches or plan.batch_size)
        self.update = _AdamUpdate(start, plan)

    def _release(self, config: ResolvedConfig) -> GradientRelease:
        plan = self.plan
        arguments: dict[str, Any] = {
            "gradient": self.gradient,
            "noise": self.noise,
            "sigma": plan.noise_multiplier,
            "loss_sigma": plan.loss_noise,
            "expected_rows": plan.batch_size,
        }
        if config.num_microbatches is not None:
            return MicrobatchRelease(groups=config.num_microbatches, **arguments)
        native = NativeRelease(**arguments)
        return TFPrivacyRelease(native) if config.dp_backend == "tensorflow_privacy" else native

    @property
    def loss_noise(self) -> float:
        """Noise of one step's mean loss in nats a row."""
        return self.plan.loss_noise * self.gradient.loss_bound / self.plan.batch_size

    def train(
        self,
        codes: NDArray[np.integer[Any]],
        after_step: Callable[[int, float, float], None],
        stopped: Callable[[], bool],
    ) -> TrainingOutcome:
        """Run the planned steps, or fewer if stopped.

        Args:
            codes: Private codes `[n, m]`.
            after_step: Called with the step's number, the running mean of the noisy loss and its noise.
            stopped: Asked before every step; True ends training and keeps the model.

        Privacy:
            Each step is a Poisson sample and one noisy release; all else is post-processing. The loss
            that observers get was released with the gradient.
        """
        losses: list[float] = []
        reason = self.plan.ends_by
        for step in range(1, self.plan.steps + 1):
            if stopped():
                reason = StopReason.STOPPED
                break
            indices = poisson_sample(len(codes), self.plan.sampling_probability, self.noise.generator)
            sums = self.release.release(self.update.weights, self.update.bias, codes, indices)
            self.update.apply(sums, self.divisor, step)
            losses.append(sums.loss / self.plan.batch_size)
            recent = losses[-LOSS_WINDOW:]
            after_step(step, float(np.mean(recent)), self.loss_noise / math.sqrt(len(recent)))
        return TrainingOutcome(
            self.update.model(), len(losses), reason, np.array(losses), self.gradient.clip_norm
        )


class _AdamUpdate:
    """Adam with warm-up, cosine decay and averaging of the last half of the iterates.

    Source:
        Kingma and Ba 2015; Polyak and Juditsky 1992 (averaging).
    """

    def __init__(self, start: Start, plan: RunPlan) -> None:
        self.layout, self.plan = start.layout, plan
        width = self.layout.width
        logs = np.concatenate([np.log(share) for share in start.shares]).astype(np.float32)
        self.weights = tf.Variable(tf.zeros((width, width)))
        self.bias = tf.Variable(logs)
        self._first_bias = tf.constant(logs)
        self._mask = tf.constant(self.layout.mask)
        self._smoothers = _smoothers(self.layout.sizes, start.ordered_cells)
        self._moments = [tf.Variable(tf.zeros_like(v)) for v in self._parameters for _ in range(2)]
        self._averages = [tf.Variable(v) for v in self._parameters]
        self._averaged = 0

    @property
    def _parameters(self) -> tuple[Any, Any]:
        return self.weights, self.bias

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """One step on released sums."""
        progress = step / self.plan.steps
        rate = self.plan.learning_rate * min(1.0, progress / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
        self._averaged += progress > 0.5
        self._step(
            tf.constant((sums.weights / divisor).astype(np.float32)),
            tf.constant((sums.bias / divisor).astype(np.float32)),
            tf.constant(float(step)),
            tf.constant(rate, tf.float32),
            tf.constant(1 / max(self._averaged, 1), tf.float32),
        )

    @tf.function
    def _step(self, weights: Any, bias: Any, step: Any, rate: Any, share: Any) -> None:  # noqa: ANN401
        weights = self._smooth(weights) * self._mask
        gradients = (
            weights + self.plan.weight_decay * self.weights,
            bias + self.plan.weight_decay * (self.bias - self._first_bias),
        )
        for place, (variable, gradient) in enumerate(zip(self._parameters, gradients, strict=True)):
            first, second = self._moments[2 * place : 2 * place + 2]
            first.assign(BETA_1 * first + (1 - BETA_1) * gradient)
            second.assign(BETA_2 * second + (1 - BETA_2) * gradient**2)
            mean = first / (1 - BETA_1**step)
            spread = tf.sqrt(second / (1 - BETA_2**step)) + ADAM_EPSILON
            variable.assign_sub(rate * mean / spread)
            average = self._averages[place]
            average.assign_add(share * (variable - average))

    def _smooth(self, weights: Any) -> Any:  # noqa: ANN401
        """Let neighbouring bins share the noisy gradient sum `[D, D]`, on both sides: post-processing."""
        for axis in (0, 1):
            parts = tf.split(weights, [int(size) for size in self.layout.sizes], axis=axis)
            for place, matrix in enumerate(self._smoothers):
                if matrix is not None:
                    pair = (matrix, parts[place]) if axis == 0 else (parts[place], matrix)
                    parts[place] = tf.matmul(*pair)
            weights = tf.concat(parts, axis=axis)
        return weights

    def model(self) -> TabularModel:
        """The averaged model; before averaging begins that is the latest one."""
        weights, bias = self._averages
        return TabularModel(self.layout, weights.numpy() * self.layout.mask, bias.numpy())


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
