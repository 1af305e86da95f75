"""How the gradient of a step is released: clipped, summed, with noise. Several ways with one contract.

`release` takes the sample of one step and returns noisy sums. The planned training drew the sample and draws
the noise (`privacy.releases`), both in whole numbers of small steps; what is here states how large the steps
are, and by how much a privacy unit changes the sums. The caller divides by the expected number of rows, never
by the actual one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.beside import Beside
from jupyter_dpsynth.engine.training.tf_privacy import gaussian_sum_query
from jupyter_dpsynth.errors import UnplannedReleaseError
from jupyter_dpsynth.privacy.releases import StepSensitivity
from jupyter_dpsynth.privacy.sampling import FixedChunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.cells import TrainedCells
    from jupyter_dpsynth.engine.training.gradient import BatchGradient, Tensor
    from jupyter_dpsynth.privacy.releases import StepSample
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = [
    "GradientRelease",
    "MicrobatchRelease",
    "NativeRelease",
    "NoisySums",
    "TFPrivacyRelease",
    "UnitRelease",
    "codes_at",
]


SMALLER_ROOMS = 8, 4, 2  # parts of the most rows of a unit


@dataclass(frozen=True, eq=False)
class NoisySums:
    """What one step releases.

    Attributes:
        weights: Noisy gradient sum of the weights that exist, float64 `[F]`.
        bias: Noisy gradient sum of the biases, float64 `[D]`.
        loss: Noisy sum of the rows' clipped losses, nats.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    loss: float

    @classmethod
    def of(cls, whole: NDArray[np.float64], steps: NDArray[np.float64], width: int) -> NoisySums:
        """From whole numbers of steps, both float64 `[F + D + 1]`, of which D = width are the biases'."""
        sums = whole * steps
        return cls(sums[: -width - 1], sums[-width - 1 : -1], float(sums[-1]))


class GradientRelease(Protocol):
    """One way of clipping, summing and adding noise."""

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """Of how many rows, or privacy units, a step's sample is drawn."""
        ...

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """Noisy sums over the sampled rows of `codes` at the given parameters."""
        ...


def codes_at(
    codes: NDArray[np.integer[Any]], places: NDArray[np.int64], cells: TrainedCells | None = None
) -> NDArray[np.int32]:
    """Codes of rows, `int32 [*places, m]`; of a table without rows any codes, since none is counted.

    Args:
        codes: Codes of the table, `[n, m]`.
        places: Which rows.
        cells: The cells that the network has; None if all.
    """
    if len(codes) == 0:
        return np.zeros((*places.shape, codes.shape[1]), np.int32)
    # of codes that lie column by column it is faster to take those of one column after the other
    found = np.moveaxis(codes.T.take(places, axis=1), 0, -1) if codes.flags.f_contiguous else codes[places]
    return found.astype(np.int32) if cells is None else cells.codes(found)


class NativeRelease:
    """Clips each row in one pass and adds operating-system noise once to the sum.

    Args:
        gradient: Gradients and clip norm.
        cells: The cells of the table that its layout has; None if all.
    """

    def __init__(self, gradient: BatchGradient, cells: TrainedCells | None = None) -> None:
        self.gradient, self.cells = gradient, cells
        self._on_weights = np.zeros(gradient.arrangement.size)
        self._beside = Beside()  # draws the noise while TensorFlow computes
        # traced once for any number of rows: a call then costs a third of what it does otherwise
        self._clipped_sum = self.kernel(gradient).get_concrete_function(
            *gradient.parameter_specs, *self.row_specs
        )

    @staticmethod
    def kernel(gradient: BatchGradient) -> Any:  # noqa: ANN401 - a traced function
        """What computes the clipped sum of one chunk."""
        return gradient.clipped_sum

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """The rows."""
        return len(codes)

    @property
    def steps(self) -> NDArray[np.float64]:
        """Size of one whole number of each figure of a sum, float64 `[F + D + 1]`."""
        return self.gradient.steps

    @property
    def sensitivity(self) -> StepSensitivity:
        """Largest change of the sums by one row."""
        return StepSensitivity(self.gradient.clip_norm, self.gradient.loss_bound)

    @property
    def row_specs(self) -> tuple[Tensor, ...]:
        """Forms of what `kernel` takes beside the parameters: codes, and which of them are rows."""
        return (
            tf.TensorSpec((None, len(self.gradient.layout.sizes)), tf.int32),
            tf.TensorSpec((None,), tf.bool),
        )

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Positions of one chunk's rows after the other, at least one chunk, and which of them are rows."""
        yield from self.gradient.grid.chunks.of(indices)

    def clipped_sums(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], indices: NDArray[np.int64]
    ) -> NoisySums:
        """The sums before noise (private!)."""
        whole = self.whole_sums(weights, bias, codes, self.batches(indices))
        return NoisySums.of(whole, self.steps, self.gradient.layout.width)

    def whole_sums(
        self,
        weights: Tensor,
        bias: Tensor,
        codes: NDArray[np.integer[Any]],
        batches: Iterable[tuple[NDArray[Any], ...]],
    ) -> NDArray[np.float64]:
        """The clipped sums of all chunks (private!), in whole numbers of steps, `[F + D + 1]`: exact."""
        whole, arrangement = np.zeros(len(self.steps)), self.gradient.arrangement
        free = arrangement.size
        for rows, *others in batches:
            found = tf.constant(codes_at(codes, rows, self.cells))
            for_weights, for_bias, loss = self._clipped_sum(weights, bias, found, *map(tf.constant, others))
            whole[:free] += arrangement.vector(for_weights.numpy(), self._on_weights)
            whole[free:-1] += for_bias.numpy()
            whole[-1] += float(loss)
        return whole

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """Noisy sums over the sampled rows.

        Privacy:
            Gaussian mechanism on one vector, gradient and loss, of the stated sensitivity, rounded to a grid
            on which the sums are.
        """
        batches = list(self.batches(sample.indices))  # before the noise: one generator may draw both
        noise = self._beside.begin(lambda: sample.noise(self.steps, self.sensitivity))
        whole = self.whole_sums(weights, bias, codes, batches)
        whole += noise()
        return NoisySums.of(whole, self.steps, self.gradient.layout.width)


class MicrobatchRelease(NativeRelease):
    """Assigns rows to groups independently, clips each group's mean gradient, adds noise once.

    Args:
        gradient: Gradients and clip norm.
        groups: Number of microbatches.
        generator: Assigns the rows.
        cells: As of `NativeRelease`.
    """

    def __init__(
        self,
        gradient: BatchGradient,
        groups: int,
        generator: np.random.Generator,
        cells: TrainedCells | None = None,
    ) -> None:
        super().__init__(gradient, cells)
        self.groups, self._generator = groups, generator

    @property
    def steps(self) -> NDArray[np.float64]:
        """As of `NativeRelease`; a group's vector is rounded as a whole."""
        return self.gradient.group_steps

    @property
    def sensitivity(self) -> StepSensitivity:
        """One row turns its group's vector of norm at most C into another one."""
        return StepSensitivity(2 * self.gradient.clip_norm, self.gradient.loss_bound)

    @property
    def row_specs(self) -> tuple[Tensor, ...]:
        """Codes: the places of a group are all taken."""
        return super().row_specs[:1]

    @staticmethod
    def kernel(gradient: BatchGradient) -> Any:  # noqa: ANN401 - a traced function
        """What computes the clipped mean of one group."""
        return gradient.clipped_mean

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Positions of one group's rows after the other."""
        group = self._generator.integers(self.groups, size=len(indices))
        # a group's mean depends on which rows are in it, and on nothing else
        order = np.lexsort((indices, group))
        bounds = np.searchsorted(group[order], np.arange(1, self.groups))
        for members in np.split(indices[order], bounds):
            yield (members,)


def _rooms(gradient: BatchGradient) -> list[tuple[int, FixedChunks]]:
    """For how many rows of a unit there is room, and how many such units are summed at once.

    Where rows lack cells (persons with histories), most persons have few of the rows that one may have.
    """
    most, chunks = gradient.unit_rows, gradient.grid.chunks
    if gradient.layout.importance is None:
        return [(most, chunks)]
    rooms = sorted({math.ceil(most / part) for part in SMALLER_ROOMS} | {most})
    return [(room, FixedChunks(gradient.expected, chunks.largest * most // room)) for room in rooms]


class UnitRelease(NativeRelease):
    """Clips the summed gradient of each privacy unit's rows: user-level privacy. Indices are those of units.

    Args:
        gradient: Gradients and clip norm.
        units: Which rows belong to which privacy unit.
        cells: As of `NativeRelease`.
    """

    def __init__(
        self, gradient: BatchGradient, units: PrivacyUnits, cells: TrainedCells | None = None
    ) -> None:
        self.units, self.unit_rows = units, gradient.unit_rows
        self._rooms = _rooms(gradient)
        super().__init__(gradient, cells)

    @staticmethod
    def kernel(gradient: BatchGradient) -> Any:  # noqa: ANN401 - a traced function
        """What computes the clipped sum of one chunk of units."""
        return gradient.clipped_unit_sum

    def population(self, codes: NDArray[np.integer[Any]]) -> int:  # noqa: ARG002 - of any table
        """The privacy units."""
        return len(self.units)

    @property
    def sensitivity(self) -> StepSensitivity:
        """Largest change of the sums by one privacy unit."""
        return StepSensitivity(self.gradient.clip_norm, self.unit_rows * self.gradient.loss_bound)

    @property
    def row_specs(self) -> tuple[Tensor, ...]:
        """Codes of each unit's rows, and which of those rows exist."""
        codes, _ = super().row_specs
        return (
            tf.TensorSpec((None, self._fixed_rows, codes.shape[1]), tf.int32),
            tf.TensorSpec((None, self._fixed_rows), tf.bool),
        )

    @property
    def _fixed_rows(self) -> int | None:
        """Places for the rows of a unit; None if units with few rows have fewer."""
        return self.unit_rows if len(self._rooms) == 1 else None

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], ...]]:
        """Positions of the rows of one chunk of units after the other, `[units, rows]`, and which exist.

        A unit goes where there is room for its rows, and takes the place of one other unit at most, as
        `FixedChunks` says.
        """
        if len(self.units) == 0:
            for chunk, present in self.gradient.grid.chunks.of(indices):
                shape = len(chunk), self.unit_rows
                yield np.zeros(shape, np.int64), np.broadcast_to(present[:, None], shape)
            return
        counts, least = self.units.starts[indices + 1] - self.units.starts[indices], -1
        for room, chunks in self._rooms:
            own = indices[(least < counts) & (counts <= room)]
            least = room
            if not len(own) and room < self.unit_rows:
                continue  # at least one chunk there is in any case
            for chunk, present in chunks.of(own):
                rows, exists = self.units.of(chunk, room)
                yield rows, exists & present[:, None]


class TFPrivacyRelease:
    """TensorFlow Privacy's `GaussianSumQuery` clips every row's own gradient and adds the noise.

    Slow, for cross-checks. Its noise comes from `tf.random`, which draws float32 normals that are cut
    at 5.7 sigma; the receipt says so.

    Args:
        native: Supplies the gradients and the loss.
        gradient_noise: Standard deviation of the planned noise of the gradient sum.

    Raises:
        MissingDependencyError: tensorflow-privacy is not installed.
    """

    ROWS_AT_ONCE = 32  # per-row gradients of this many rows are in memory at once

    def __init__(self, native: NativeRelease, gradient_noise: float) -> None:
        self.native, self._gradient_noise = native, gradient_noise
        self.query = gaussian_sum_query(native.gradient.clip_norm, gradient_noise)
        self._state = self.query.initial_global_state()
        self._params = self.query.derive_sample_params(self._state)

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """The rows."""
        return self.native.population(codes)

    def clipped_sums(
        self,
        weights: Tensor,
        bias: Tensor,
        codes: NDArray[np.integer[Any]],
        indices: NDArray[np.int64],
    ) -> tuple[Any, NoisySums]:
        """The query's own sample state and, for comparison, its sums before noise (private!).

        The loss is in whole numbers of its step.
        """
        template = [tf.zeros_like(weights), tf.zeros_like(bias)]
        state = self.query.initial_sample_state(template)
        loss = 0.0
        for start in range(0, len(indices), self.ROWS_AT_ONCE):
            own = indices[start : start + self.ROWS_AT_ONCE]
            rows = tf.constant(codes_at(codes, own, self.native.cells))
            *summed, losses = self._clip_and_sum(weights, bias, rows)
            state = self.query.merge_sample_states(state, summed)
            loss += float(losses)
        return state, NoisySums(self._to_free(state[0]), state[1].numpy().astype(np.float64), loss)

    def _to_free(self, weights: Tensor) -> NDArray[np.float64]:
        arrangement = self.native.gradient.arrangement
        return arrangement.vector(weights.numpy(), np.zeros(arrangement.size))

    @tf.function(reduce_retracing=True)
    def _clip_and_sum(self, weights: Tensor, bias: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """The query's own clipping of every row's gradient, summed; and the rows' summed losses."""
        clipped = tf.vectorized_map(self._clip, list(self.native.gradient.row_gradients(weights, bias, rows)))
        losses = self.native.gradient.whole_losses(weights, bias, rows)
        return (*(tf.reduce_sum(part, axis=0) for part in clipped), tf.reduce_sum(losses))

    def _clip(self, record: list[Any]) -> list[Any]:
        clipped, _ = self.query.preprocess_record_impl(self._params, record)
        return list(clipped)

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """Noisy sums over the sampled rows; privacy as in `NativeRelease.release`."""
        if sample.releases.gradient_noise != self._gradient_noise:
            raise UnplannedReleaseError(
                f"a training step is planned with noise {sample.releases.gradient_noise:g}; TensorFlow "
                f"Privacy's query adds {self._gradient_noise:g}."
            )
        loss_step = self.native.steps[-1:]
        (loss_noise,) = sample.noise(loss_step, self.native.sensitivity)
        state, sums = self.clipped_sums(weights, bias, codes, sample.indices)
        noisy, self._state, _ = self.query.get_noised_result(state, self._state)
        # positions without a weight got noise too: it tells nothing and is dropped
        weights_sum = self._to_free(noisy[0])
        bias_sum = noisy[1].numpy().astype(np.float64)
        return NoisySums(weights_sum, bias_sum, float((sums.loss + loss_noise) * loss_step[0]))
