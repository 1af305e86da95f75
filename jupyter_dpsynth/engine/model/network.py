"""The model: an autoregressive network of one block-masked dense layer, in numpy.

Training lives elsewhere; what is here needs no TensorFlow, so a loaded synthesizer samples at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.features import Derived

__all__ = ["Layout", "TabularModel", "kept_pairs", "pair_strength"]

LEAST_SPREAD = 1e-6  # where every column has one value only, nothing is learned, but divided by the norm


@dataclass(frozen=True, eq=False)
class Layout:
    """Which weights exist, and how strongly each pair of columns may interact.

    The logits of column j are `b_j + sum over i < j of scale_ij * W[cell of column i, cells of j]`, and as
    much of the cell of each derived feature whose target is j.

    Attributes:
        sizes: Number of cells of each column, `[m]`.
        scale: Interaction strength of each pair, float64 `[m, m]`, zero on and below the diagonal.
        derived: Derived features, whose cells come behind those of all columns.
        importance: By what the gradient of each column's logits is multiplied, `[m]`: 0 for a column that is
            given and never predicted; None if all count alike. With it, a code may be -1: the row then has
            no cell in that column, neither to be predicted nor to tell about others.
    """

    sizes: NDArray[np.int64]
    scale: NDArray[np.float64]
    derived: tuple[Derived, ...] = ()
    importance: NDArray[np.float64] | None = None

    @property
    def width(self) -> int:
        """D: the sum of the numbers of cells of all columns."""
        return int(self.sizes.sum())

    @property
    def input_sizes(self) -> NDArray[np.int64]:
        """Number of cells of each column and then of each derived feature, `[m + f]`."""
        return np.array([*self.sizes, *(feature.size for feature in self.derived)], np.int64)

    @property
    def inputs(self) -> int:
        """I: the sum of the numbers of cells of all columns and derived features."""
        return int(self.input_sizes.sum())

    def derived_inputs(self, target: int) -> Iterator[tuple[Derived, slice]]:
        """The derived features of a column, and the positions of their cells among all inputs."""
        ends = np.cumsum(self.input_sizes)[len(self.sizes) :]
        for feature, end in zip(self.derived, ends.tolist(), strict=True):
            if feature.target == target:
                yield feature, slice(end - feature.size, end)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First position of each column's block, and D at the end, `[m + 1]`."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def owner(self) -> NDArray[np.int64]:
        """The column to which each of the D positions belongs."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Positions of the cells that are predicted, increasing: all D, if no column is only given."""
        if self.importance is None:
            return np.arange(self.width)
        return np.flatnonzero(self.importance[self.owner] > 0)

    @property
    def mask(self) -> NDArray[np.float32]:
        """The scale of every weight, float32 `[I, D]`; zero where there is no weight."""
        out = np.zeros((self.inputs, self.width), np.float32)
        out[: self.width] = self.scale[self.owner][:, self.owner]
        for target in {feature.target for feature in self.derived}:
            for feature, inputs in self.derived_inputs(target):
                out[inputs, self.owner == target] = feature.scale
        return out

    @property
    def free(self) -> NDArray[np.int64]:
        """Positions of the F existing weights in the flattened `[I, D]` matrix, in increasing order."""
        return np.flatnonzero(self.mask)

    @property
    def squared_inputs(self) -> NDArray[np.float64]:
        """Squared norm `[m]` of the inputs of each column's block.

        These are the bias, one cell of every earlier column, and one of every derived feature of the column.
        """
        out = 1 + (self.scale**2).sum(axis=0)
        for feature in self.derived:
            out[feature.target] += feature.scale**2
        return out

    def clip_norm(self, shares: list[NDArray[np.float64]], factor: float) -> float:
        """`factor` times the root mean square gradient norm of a row at the start of training, not zero.

        Privacy:
            Computed from noisy shares: post-processing.
        """
        spread = np.array([1 - (share**2).sum() for share in shares])
        return factor * math.sqrt(max(float((self.squared_inputs * spread).sum()), LEAST_SPREAD))

    @classmethod
    def from_dependence(
        cls,
        sizes: NDArray[np.int64],
        dependence: NDArray[np.float64],
        exponent: float,
        parents: int | None = None,
    ) -> Layout:
        """Scale each pair by its noisy dependence: soft selection of pairs.

        Args:
            sizes: Number of cells of each column.
            dependence: Total-variation distance of each pair from independence, `[m, m]`.
            exponent: 1 selects sharply, 0 treats all pairs alike.
            parents: On how many earlier columns each column depends at most: the strongest; None for all.
        """
        kept = kept_pairs(dependence, parents)
        scale = np.zeros_like(dependence)
        scale[kept] = pair_strength(dependence[kept], dependence[kept], exponent)
        return cls(sizes, scale)

    def with_derived(self, derived: Sequence[Derived]) -> Layout:
        """The same with these derived features."""
        return replace(self, derived=tuple(derived))


def kept_pairs(dependence: NDArray[np.float64], parents: int | None) -> NDArray[np.bool_]:
    """Which pairs interact, `[m, m]` above the diagonal: of each column those with its strongest parents.

    Args:
        dependence: Total-variation distance of each pair of columns from independence, `[m, m]`.
        parents: How many parents a column has at most; None for all earlier columns.

    Privacy:
        Post-processing of noisy dependences.
    """
    kept = np.triu(np.ones(dependence.shape, dtype=bool), 1)
    if parents is None or parents >= len(dependence) - 1:
        return kept
    distances = np.where(kept, dependence, -1.0)
    strongest = np.argsort(-distances, axis=0, kind="stable")[:parents]
    chosen = np.zeros_like(kept)
    np.put_along_axis(chosen, strongest, values=True, axis=0)
    return chosen & kept


def pair_strength(
    distance: NDArray[np.float64], pairs: NDArray[np.float64], exponent: float
) -> NDArray[np.float64]:
    """Interaction strength for a total-variation distance from what a model without the interaction has.

    Args:
        distance: Of each interaction, in [0, 1].
        pairs: Total-variation distance of each pair that interacts from independence; the mean square of
            their strengths is 1.
        exponent: 1 selects sharply, 0 treats all alike.
    """
    # twice the distance is the L1 score; the constant keeps every pair a little alive
    usual = (2 * pairs + 0.02) ** exponent
    strength: NDArray[np.float64] = (2 * distance + 0.02) ** exponent
    return strength / np.sqrt((usual**2).mean()) if len(usual) else strength


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A trained model.

    Attributes:
        layout: Blocks and their interactions.
        weights: Weights with their scale applied, float32 `[I, D]`: of the columns' cells, block upper
            triangular, and below them of the derived features' cells.
        bias: Biases, float32 `[D]`.

    Privacy:
        Result of DP training on noisy measurements; sampling and scoring are post-processing.
    """

    layout: Layout
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def derived_logits(self, codes: NDArray[np.integer[Any]], target: int) -> NDArray[np.float32] | float:
        """What derived features add to a column's logits, `[n, cells]`; 0 if it has none.

        Args:
            codes: Codes `[n, m]`, known up to the column.
            target: Place of the column.
        """
        first, end = self.layout.offsets[target : target + 2]
        return sum(
            self.weights[inputs, first:end][feature.codes(codes)]
            for feature, inputs in self.layout.derived_inputs(target)
        )
