"""Private measurements as pure functions on summary statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["Histograms", "noisy_counts", "partition_threshold"]


def noisy_counts(counts: NDArray[np.int64], sigma: float, noise: NoiseSource) -> NDArray[np.float64]:
    """Counts of disjoint cells with discrete Gaussian noise, float64 `[cells]`.

    Args:
        counts: Exact counts, int64 `[cells]`.
        sigma: Standard deviation of the noise.
        noise: Its source.

    Privacy:
        One row changes one count by one: L2 sensitivity 1, Gaussian mechanism with noise multiplier
        `sigma`. Integer noise on integers leaves no floating-point trace of the counts.
    """
    return (np.asarray(counts) + noise.discrete_gaussian(len(counts), sigma)).astype(np.float64)


def partition_threshold(sigma: float, delta: float, rows: int = 1) -> float:
    """Noisy count above which an unlisted category may be published.

    A single unit of so many rows may bring in so many categories, of exact counts up to `rows` each; the
    chance that any of them is published is at most delta.

    Args:
        sigma: Noise of the count, which may be a weighted mean of several noisy counts.
        delta: Chance that is allowed.
        rows: Most rows of a unit; 1 if the unit is a row.

    Source:
        Desfontaines, Voss, Gipson and Mandayam 2022, 'Differentially private partition selection'.

    >>> round(partition_threshold(10.0, 1e-6), 1)
    49.0
    """
    from scipy.stats import norm

    # the discrete Gaussian's tail at whole numbers is below the normal's half a step earlier, so a mean
    # of several is stochastically below the normal plus half a step
    return rows + 0.5 + sigma * float(norm.isf(delta / rows))


@dataclass(frozen=True)
class Histograms:
    """The only door to private counts: adds Gaussian noise of a standard deviation to each cell."""

    noise: NoiseSource

    def measure(self, counts: NDArray[np.int64], sigma: float) -> NDArray[np.float64]:
        """Noisy counts of one histogram, in which one row counts in at most one cell.

        Privacy:
            Gaussian mechanism of L2 sensitivity 1 and standard deviation `sigma`; none if 0.
        """
        if sigma == 0:
            return counts.astype(np.float64)
        return noisy_counts(counts, sigma, self.noise)
