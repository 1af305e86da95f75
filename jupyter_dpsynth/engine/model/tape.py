"""The tape: what the steps of a training released, added up, with a few of the parameters on the way.

Step t releases the sum, over a Poisson sample of the rows, of a known function of one row: its clipped
gradient at the parameters of that step, with noise. Training uses each of these sums once. Divided by the
expected number of rows and averaged over the steps they are a noisy mean over the table of the rows' mean
clipped gradient, about a noisy table of every pair of columns, and its noise is known: `inference` makes
intervals of it. The clipped gradient changes slowly from step to step, so the parameters of the middle of
each window of steps stand for the others of the window.

Privacy:
    A function of released sums, as the model is. The accountant counts every step's release in full, so
    keeping more of it costs nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["TAPE_ARRAYS", "Tape", "Window", "windows_of"]

WINDOWS = 20  # whose parameters are kept
LEAST_WINDOWS = 4
MOST_VALUES = 8_000_000  # of all kept parameters, each two bytes
TAPE_ARRAYS = ("tape_sums", "tape_parameters")


def windows_of(figures: int) -> int:
    """How many windows a tape of so many parameters has; 0 if none is kept, because it would be too large.

    >>> windows_of(40_000), windows_of(1_000_000), windows_of(5_000_000)
    (20, 8, 0)
    """
    windows = min(WINDOWS, MOST_VALUES // figures)
    return windows if windows >= LEAST_WINDOWS else 0


@dataclass(frozen=True)
class Window:
    """Steps for which one set of parameters stands.

    Attributes:
        steps: How many.
        clip_norm: Largest norm of a row's gradient in a step's sum.
        noise: Standard deviation of the noise of every figure of one step, divided by the expected number of
            sampled rows.
        derived: Whether the network had derived features.
    """

    steps: int
    clip_norm: float
    noise: float
    derived: bool


@dataclass(frozen=True, eq=False)
class Tape:
    """Released gradients of a training, summed, and parameters on the way.

    Attributes:
        sums: Sum over the steps of the noisy gradient sums, each divided by the expected number of sampled
            rows, float64 `[F + D]`: of the weights that exist, and of the biases.
        windows: The windows, in the order of the steps.
        parameters: Parameters at a step in the middle of each window, float16 `[windows, F + D]`.
        sampling_probability: Chance of each row to be in a step's sum.
    """

    sums: NDArray[np.float64]
    windows: tuple[Window, ...]
    parameters: NDArray[np.float16]
    sampling_probability: float

    @property
    def steps(self) -> int:
        """How many steps were added up."""
        return sum(window.steps for window in self.windows)

    def steps_with(self, *, derived: bool) -> int:
        """How many steps the sum of a figure consists of: of derived features' weights, or of all others."""
        return sum(window.steps for window in self.windows if window.derived or not derived)

    def noise_of(self, *, derived: bool) -> float:
        """Standard deviation of the noise of each figure's mean over the steps that it consists of."""
        counted = [window for window in self.windows if window.derived or not derived]
        steps = sum(window.steps for window in counted)
        variance = sum(window.steps * window.noise**2 for window in counted)
        return float(np.sqrt(variance)) / max(steps, 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of everything but the arrays."""
        return {
            "figures": len(self.sums),
            "sampling_probability": self.sampling_probability,
            "windows": [asdict(window) for window in self.windows],
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, by the names in `TAPE_ARRAYS`."""
        return {"tape_sums": self.sums.astype(np.float32), "tape_parameters": self.parameters}

    @staticmethod
    def shapes(document: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """The arrays' shapes, from what `to_dict` gave."""
        figures = document["figures"]
        return {"tape_sums": (figures,), "tape_parameters": (len(document["windows"]), figures)}

    @classmethod
    def from_parts(cls, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Tape:
        """Rebuild from `to_dict` and `arrays`."""
        windows: Sequence[Mapping[str, Any]] = document["windows"]
        return cls(
            arrays["tape_sums"].astype(np.float64),
            tuple(Window(**window) for window in windows),
            arrays["tape_parameters"].astype(np.float16),
            document["sampling_probability"],
        )
