"""Recorders of the real training loop: they stand in for the optimizer and see what every step released.

The sampler, the clipping, the noise and the division are those that users run; the parameters stay where
they start. A canary is a row whose gradient is clipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.release import MicrobatchRelease, UnitRelease
from jupyter_dpsynth.engine.training.trainer import DPTrainer
from jupyter_dpsynth.privacy.releases import TrainingReleases

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.training.gradient import Tensor
    from jupyter_dpsynth.engine.training.release import NoisySums
    from jupyter_dpsynth.engine.training.trainer import TrainingParts
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.releases import StepSample

__all__ = ["AuditedTraining", "Recorder", "RunRecorder"]

ROWS_AT_ONCE = 32  # of whole gradients, each as large as the parameters
LEAST_CANARIES = 32


@dataclass(frozen=True, eq=False)
class AuditedTraining:
    """A training to be audited.

    Attributes:
        plan: Its plan.
        parts: Its parts; of the update only the first parameters are used.
        noise: Source of noise and samples.
    """

    plan: RunPlan
    parts: TrainingParts
    noise: NoiseSource


def _nothing(step: int, loss: float, loss_noise: float) -> None:
    pass


def _never() -> bool:
    return False


class Recorder:
    """Stands in for a training's optimizer and before its release; sees what every step released.

    Everything is in whitened units: one standard deviation of the noise that is claimed, in every
    coordinate of the gradient and for the loss. A row moves a release by at most 1 / claimed noise
    multiplier. Where persons are protected every row of the tables here stands for a person with as many
    equal rows as are allowed; or a table is one of persons with rows of their own, `[n, rows, m]`.

    Args:
        training: What is watched; its parameters stay as they start.
    """

    def __init__(self, training: AuditedTraining) -> None:
        parts = training.parts
        self.plan, self.inner = training.plan, parts.release
        self.weights, self.bias = parts.update.weights, parts.update.bias
        self.model: Callable[[], TabularModel] = parts.update.model
        self._noise, self._divisor, self._releases = training.noise, parts.divisor, parts.releases
        self._training = parts.releases.training
        self._copies = self.inner.unit_rows if isinstance(self.inner, UnitRelease) else 1

    def run(self, codes: NDArray[np.integer[Any]]) -> None:
        """Run the real loop once on a table."""
        planned = self._releases
        releases = TrainingReleases(self._training, planned.sensitivity, self._noise)
        DPTrainer(self.plan, self, self, self._divisor).train(codes, releases, _nothing, _never)

    def shorten(self, steps: int) -> None:
        """Let further runs have only so many steps of the plan."""
        self._training = replace(self._training, steps=steps)
        self.plan = self.plan.with_training(steps, self.plan.sampling_probability)

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """The rows (or persons) that are sampled."""
        return len(codes)

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """The real release."""
        return self.inner.release(weights, bias, self._rows(codes), sample)

    def _rows(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """The rows of every person, if rows stand for persons."""
        if codes.ndim > len(("row", "column")):
            return codes.reshape(-1, codes.shape[-1])
        return codes if self._copies == 1 else np.repeat(codes, self._copies, axis=0)

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Record what a step released."""
        raise NotImplementedError

    def clean(self, codes: NDArray[np.integer[Any]], indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The whitened clipped sum of some rows without noise (of rows that are no secret)."""
        parameters = tf.constant(self.weights), tf.constant(self.bias)
        return self.whitened(
            self._native.clipped_sums(*parameters, self._rows(codes), indices), self._divisor
        )

    @property
    def parameters(self) -> int:
        """How many numbers a step releases of the gradient."""
        return self.weights.size + self.bias.size

    @property
    def _native(self) -> Any:  # noqa: ANN401 - TF-Privacy's own release keeps one
        return getattr(self.inner, "native", self.inner)

    def whitened(self, sums: NoisySums, divisor: float) -> NDArray[np.float64]:
        """A release as the optimizer gets it, divided and scaled to equal noise, `[F + D + 1]`."""
        out = np.concatenate([sums.weights, sums.bias, [sums.loss]])
        out[:-1] /= self._releases.gradient_noise * divisor / self._divisor
        out[-1] /= self._releases.loss_noise
        return out


class RunRecorder(Recorder):
    """Adds up the releases of a run; the attack needs only their sum."""

    def __init__(self, training: AuditedTraining) -> None:
        super().__init__(training)
        self._total: NDArray[np.float64] = np.zeros(0)
        self._sampled: list[NDArray[np.int64]] = []

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """The real release; remembers which rows were sampled."""
        self._sampled.append(sample.indices)
        return super().release(weights, bias, codes, sample)

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Add a release."""
        released = self.whitened(sums, divisor)
        if step == 1:
            self._total = released
        else:
            self._total += released

    def aim(
        self, candidates: NDArray[np.int32], count: int, late: Callable[[], bool] = _never
    ) -> NDArray[np.int32]:
        """Choose the rows with the largest gradients as canaries and return them.

        Args:
            candidates: Codes of rows, `[n, m]`, or of persons, `[n, rows, m]`: of these the first are taken.
            count: How many.
            late: Whether there is no time for more; at least `LEAST_CANARIES` are chosen.
        """
        rows = candidates.ndim == len(("row", "column"))
        chosen = np.argsort(-self._row_norms(candidates)) if rows else np.arange(len(candidates))
        chosen = chosen[:count]
        directions = []
        for place in range(count):
            if place >= LEAST_CANARIES and place % 2 == 0 and late():
                break
            directions.append(self.clean(candidates, chosen[place : place + 1]))
        found = np.stack(directions)
        self.norms = np.linalg.norm(found, axis=1)
        self._directions = (found / self.norms[:, None]).astype(np.float32)
        return candidates[chosen[: len(found)]]

    def _row_norms(self, candidates: NDArray[np.int32]) -> NDArray[np.float64]:
        """Norm of every row's gradient before it is clipped."""
        parameters = tf.constant(self.weights), tf.constant(self.bias)
        norms = []
        for rows in np.array_split(candidates, math.ceil(len(candidates) / ROWS_AT_ONCE)):
            parts = self._native.gradient.row_gradients(*parameters, tf.constant(rows))
            squares = [part.numpy().reshape(len(rows), -1).astype(np.float64) ** 2 for part in parts]
            norms.append(np.sqrt(sum(part.sum(axis=1) for part in squares)))
        return np.concatenate(norms)

    def own_parts(self, codes: NDArray[np.int32], members: NDArray[np.intp]) -> NDArray[np.float64]:
        """What a run reveals about every canary, to somebody who knows the other sampled rows.

        Args:
            codes: The table, the canaries that are in it first.
            members: Which those are.
        """
        self._sampled = []
        self.run(codes)
        seen = self._total
        indices = np.concatenate(self._sampled)
        known = not isinstance(self.inner, MicrobatchRelease)  # nobody knows which rows shared a group
        if known:
            seen = seen - self.clean(codes, indices)
        parts = (self._directions @ seen.astype(np.float32)).astype(np.float64)
        if known:
            times = np.bincount(indices, minlength=len(codes))[: len(members)]
            parts[members] += times * self.norms[members]
        return parts / math.sqrt(self.plan.steps)
