"""Records the tape of a training (`engine.model.tape`) while it runs.

Privacy:
    It is given what a step released, and the parameters, which are made of that: never rows or codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.tape import Tape, Window, windows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.training.release import NoisySums

__all__ = ["StepRelease", "TapeRecorder"]

LARGEST = 60_000  # of a parameter, so that none becomes infinite in two bytes


@dataclass(frozen=True)
class StepRelease:
    """How the steps' sums are released.

    Attributes:
        clip_norm: Largest norm of a row's gradient in a sum.
        noise: Standard deviation of the noise of every figure of a sum.
        divisor: What every sum is divided by.
        sampling_probability: Chance of each row to be sampled.
        derived: Whether the network has derived features.
    """

    clip_norm: float
    noise: float
    divisor: float
    sampling_probability: float
    derived: bool


class TapeRecorder:
    """Adds up released sums, and keeps the parameters in the middle of each window of steps.

    Args:
        weights: How many weights exist (F).
        biases: How many biases there are (D).
        steps: Planned steps.
        release: How they are released.
    """

    def __init__(self, weights: int, biases: int, steps: int, release: StepRelease) -> None:
        self._weights, self._biases, self._release = weights, biases, release
        self._count = windows_of(weights + biases)
        self._length = max(1, -(-steps // self._count)) if self._count else 0
        self._sums, self._added = np.zeros((2, weights + biases))
        self._windows: list[Window] = []
        self._values: list[NDArray[np.floating]] = []
        self._current = -1  # the window in which the last step was
        self._in_window = 0

    def add(self, sums: NoisySums, values: NDArray[np.float32], step: int) -> None:
        """Add what a step released.

        Args:
            sums: What it released.
            values: The parameters at which it did, `[F + D]`; they are copied.
            step: The step's number, from 1.
        """
        if not self._count:
            return
        added = self._added
        np.divide(sums.weights, self._release.divisor, out=added[: self._weights])
        np.divide(sums.bias, self._release.divisor, out=added[self._weights :])
        self._sums += added
        if (step - 1) // self._length != self._current:
            self._current, self._in_window = (step - 1) // self._length, 0
            release = self._release
            noise = release.noise / release.divisor
            self._windows.append(Window(0, release.clip_norm, noise, release.derived))
            self._values.append(np.zeros(0, np.float16))
        self._windows[-1] = replace(self._windows[-1], steps=self._windows[-1].steps + 1)
        self._in_window += 1
        if self._in_window <= self._length // 2 + 1:
            self._values[-1] = values.copy()

    def tape(self) -> Tape | None:
        """What was recorded; None if nothing was, or if the network is too large for a tape."""
        if not self._windows:
            return None
        probability = self._release.sampling_probability
        values = np.clip(np.stack(self._values), -LARGEST, LARGEST).astype(np.float16)
        return Tape(self._sums.copy(), tuple(self._windows), values, probability)

    def go_on_from(self, earlier: Tape | None) -> None:
        """Take over what was recorded before, of the same network or of one without derived features.

        Weights of derived features lie between the others and the biases; they were zero, and not released.
        A window that was broken off ends there.
        """
        if earlier is None or not self._count:
            return
        figures = len(earlier.sums)
        added = self._weights + self._biases - figures

        def grown(vector: NDArray[np.floating]) -> NDArray[np.floating]:
            return np.insert(vector, [figures - self._biases] * added, 0) if added else vector.copy()

        self._sums[:] = grown(earlier.sums)
        self._windows = list(earlier.windows)
        self._values = [grown(values).astype(np.float16) for values in earlier.parameters]
        self._current = -1
