"""The model: an autoregressive network of one block-masked dense layer, in numpy.

Training lives elsewhere; what is here needs no TensorFlow, so a loaded synthesizer samples at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layout", "TabularModel"]

LEAST_SPREAD = 1e-6  # where every column has one value only, nothing is learned, but divided by the norm


@dataclass(frozen=True, eq=False)
class Layout:
    """Which weights exist, and how strongly each pair of columns may interact.

    The logits of column j are `b_j + sum over i < j of scale_ij * W[cell of column i, cells of j]`.

    Attributes:
        sizes: Number of cells of each column, `[m]`.
        scale: Interaction strength of each pair, float64 `[m, m]`, zero on and below the diagonal.
    """

    sizes: NDArray[np.int64]
    scale: NDArray[np.float64]

    @property
    def width(self) -> int:
        """D: the sum of the numbers of cells."""
        return int(self.sizes.sum())

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First position of each column's block, and D at the end, `[m + 1]`."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def owner(self) -> NDArray[np.int64]:
        """The column to which each of the D positions belongs."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def mask(self) -> NDArray[np.float32]:
        """`scale` for every weight, float32 `[D, D]`; zero where there is no weight."""
        return self.scale[self.owner][:, self.owner].astype(np.float32)

    @property
    def free(self) -> NDArray[np.int64]:
        """Positions of the F existing weights in the flattened `[D, D]` matrix, in increasing order."""
        return np.flatnonzero(self.mask)

    @property
    def squared_inputs(self) -> NDArray[np.float64]:
        """Squared norm `[m]` of the inputs of each column's block: the bias, one cell per earlier column."""
        return 1 + (self.scale**2).sum(axis=0)

    def clip_norm(self, shares: list[NDArray[np.float64]], factor: float) -> float:
        """`factor` times the root mean square gradient norm of a row at the start of training, not zero.

        Privacy:
            Computed from noisy shares: post-processing.
        """
        spread = np.array([1 - (share**2).sum() for share in shares])
        return factor * math.sqrt(max(float((self.squared_inputs * spread).sum()), LEAST_SPREAD))

    @classmethod
    def from_dependence(
        cls, sizes: NDArray[np.int64], dependence: NDArray[np.float64], exponent: float
    ) -> Layout:
        """Scale each pair by its noisy dependence: soft selection of pairs.

        Args:
            sizes: Number of cells of each column.
            dependence: Total-variation distance of each pair from independence, `[m, m]`.
            exponent: 1 selects sharply, 0 treats all pairs alike.
        """
        upper = np.triu_indices(len(sizes), 1)
        scale = np.zeros_like(dependence)
        # twice the distance is the L1 score; the constant keeps every pair a little alive
        strength = (2 * dependence[upper] + 0.02) ** exponent
        scale[upper] = strength / np.sqrt((strength**2).mean()) if len(strength) else strength
        return cls(sizes, scale)


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A trained model.

    Attributes:
        layout: Blocks and their interactions.
        weights: Weights with their scale applied, float32 `[D, D]`, block upper triangular.
        bias: Biases, float32 `[D]`.

    Privacy:
        Result of DP training on noisy measurements; sampling and scoring are post-processing.
    """

    layout: Layout
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
