"""Adam on released gradients: post-processing of what a step releases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.network import TabularModel
from jupyter_dpsynth.engine.training.arrangement import arrange
from jupyter_dpsynth.engine.training.taping import TapeRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.cells import TrainedCells
    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.engine.training.release import NoisySums
    from jupyter_dpsynth.engine.training.taping import StepRelease

__all__ = ["AdamUpdate", "Start"]

BETA_1, BETA_2, ADAM_EPSILON = 0.9, 0.99, 1e-8
WARM_UP = 0.05  # of the steps, linear
AVERAGED_FROM = 0.5  # of the steps
FEW_BINS = 4  # so few bins are not smoothed
SMOOTHING_KEPT = 0.4  # of a bin's gradient stays its own
SMOOTHING_WIDTH = 3 / 20  # standard deviation of the smoothing over a number's bins, in shares of them


@dataclass(frozen=True, eq=False)
class Start:
    """The starting point of training: everything in it is noisy or public.

    Attributes:
        layout: Blocks and interactions.
        shares: Noisy one-way shares of each column; the biases start at their logarithms.
        ordered_cells: How many leading cells of each column are neighbours on a line.
        cells: The cells of the table that the layout has; None if it has all.
    """

    layout: Layout
    shares: Sequence[NDArray[np.float64]]
    ordered_cells: Sequence[int]
    cells: TrainedCells | None = None


class AdamUpdate:
    """Adam with warm-up, cosine decay and averaging of the last half of the iterates.

    Weights that exist and biases are one vector, so that every operation is done once, in place: at these
    sizes that takes a fraction of what a graph of small operations takes.

    Args:
        start: Layout and initial values.
        plan: Steps, learning rate and weight decay.
        release: How the steps' sums are released, for the tape; None for no tape.

    Source:
        Kingma and Ba 2015; Polyak and Juditsky 1992 (averaging).
    """

    def __init__(self, start: Start, plan: RunPlan, release: StepRelease | None = None) -> None:
        self.layout, self.plan = start.layout, plan
        self._arrangement = arrange(self.layout)
        smoothers = _smoothers(self.layout.sizes, start.ordered_cells)
        self._smooth_array = self._arrangement.smoothing(smoothers)
        self._recorder = None
        if release is not None:
            size, width = self._arrangement.size, self.layout.width
            self._recorder = TapeRecorder(size, width, plan.steps, release)
        logs = np.concatenate([np.log(share) for share in start.shares]).astype(np.float32)
        self._center = np.concatenate([np.zeros(self._arrangement.size, dtype=np.float32), logs])
        self._gradient, self._change = np.zeros_like(self._center), np.zeros_like(self._center)
        self._values, self._average = self._center.copy(), self._center.copy()
        self._first, self._second = np.zeros_like(self._center), np.zeros_like(self._center)
        self._averaged = 0
        self.weights = np.zeros(self._arrangement.shape, dtype=np.float32)
        self._array = np.zeros_like(self.weights)

    @property
    def bias(self) -> NDArray[np.float32]:
        """Biases, float32 `[D]`."""
        return self._values[self._arrangement.size :]

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The state that a step changes, float32 `[F + D]` each; it depends on released sums only."""
        return {
            "values": self._values,
            "average": self._average,
            "first": self._first,
            "second": self._second,
        }

    @property
    def tape(self) -> Tape | None:
        """What the steps released, added up; None before the first step, or without a tape."""
        return None if self._recorder is None else self._recorder.tape()

    def restore(self, state: dict[str, NDArray[np.float32]], step: int, tape: Tape | None) -> None:
        """Restore what `state` and `tape` gave after this many steps."""
        if self._recorder is not None:
            self._recorder.go_on_from(tape)
        for name, own in self.state().items():
            own[:] = state[name]
        self._averaged = sum(each / self.plan.steps > AVERAGED_FROM for each in range(1, step + 1))
        self._arrangement.array(self._values, self.weights)

    def go_on_from(self, earlier: AdamUpdate, step: int) -> None:
        """Take over what an update of the same columns without derived features has after this many steps.

        The weights of derived features begin at zero, and behind all others.
        """
        free, biases = earlier._arrangement.size, self.layout.width
        grown = {}
        for name, values in earlier.state().items():
            grown[name] = np.zeros_like(self._values)
            grown[name][:free], grown[name][-biases:] = values[:free], values[-biases:]
        self.restore(grown, step, earlier.tape)

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """One step on released sums."""
        if self._recorder is not None:
            self._recorder.add(sums, self._values, step)
        progress = step / self.plan.steps
        rate = self.plan.learning_rate * min(1.0, progress / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
        # noise has been added in float64; what follows is post-processing
        gradient, change = self._gradient, self._change
        gradient[: self._arrangement.size], gradient[self._arrangement.size :] = sums.weights, sums.bias
        self._smooth(gradient)
        gradient /= divisor
        np.subtract(self._values, self._center, out=change)
        change *= self.plan.weight_decay
        gradient += change
        np.subtract(gradient, self._first, out=change)
        change *= 1 - BETA_1
        self._first += change
        np.square(gradient, out=gradient)
        gradient -= self._second
        gradient *= 1 - BETA_2
        self._second += gradient
        np.multiply(self._second, 1 / (1 - BETA_2**step), out=gradient)
        spread = np.sqrt(gradient, out=gradient)
        spread += ADAM_EPSILON
        np.divide(self._first, spread, out=change)
        change *= rate / (1 - BETA_1**step)
        self._values -= change
        self._arrangement.array(self._values, self.weights)
        if progress > AVERAGED_FROM:
            self._averaged += 1
            np.subtract(self._values, self._average, out=change)
            change /= self._averaged
            self._average += change
        else:
            self._average[:] = self._values

    def _smooth(self, sums: NDArray[np.float32]) -> None:
        """Average the noisy gradient sums `[F + D]` of neighbouring bins, in place: post-processing."""
        self._smooth_array(self._arrangement.array(sums, self._array))
        self._arrangement.vector(self._array, sums)

    def model(self) -> TabularModel:
        """The averaged model; before averaging begins that is the latest one."""
        arrangement, layout = self._arrangement, self.layout
        weights = np.zeros((layout.inputs, layout.width), dtype=np.float32)
        weights.ravel()[arrangement.cells] = self._average[: arrangement.size] * arrangement.scale
        return TabularModel(layout, weights, self._average[arrangement.size :].copy())


def _smoothers(sizes: NDArray[np.int64], ordered_cells: Sequence[int]) -> list[NDArray[np.float32] | None]:
    """For each column, the symmetric matrix that averages the noisy gradients of neighbouring bins.

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
