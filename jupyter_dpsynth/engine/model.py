"""The model: an autoregressive network of one block-masked dense layer, in numpy.

Training lives elsewhere; what is here needs no TensorFlow, so a loaded synthesizer samples at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layout", "TabularModel", "generate_codes"]

CHUNK_ROWS = 16_384
OVERSAMPLING = 4
MIN_DRAWN = 8_192
RAKING_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Layout:
    """Which weights exist and how strongly each pair of columns may interact.

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
        """Which column each of the D positions belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def mask(self) -> NDArray[np.float32]:
        """`scale` for every weight, float32 `[D, D]`; zero where there is no weight."""
        return self.scale[self.owner][:, self.owner].astype(np.float32)

    @property
    def squared_inputs(self) -> NDArray[np.float64]:
        """Squared norm of what enters each column's block: the bias and one cell a column, `[m]`."""
        return 1 + (self.scale**2).sum(axis=0)

    def clip_norm(self, shares: list[NDArray[np.float64]], factor: float) -> float:
        """`factor` times the root mean square gradient norm of a row at the start of training.

        Privacy:
            Computed from noisy shares: post-processing.
        """
        spread = np.array([1 - (share**2).sum() for share in shares])
        return factor * math.sqrt(float((self.squared_inputs * spread).sum()))

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

    def log_prob(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Log probability of each row in nats, float64 `[n]`.

        Args:
            codes: `int32 [n, m]`. Scores of private rows are not covered by epsilon.
        """
        offsets = self.layout.offsets
        logits = np.repeat(self.bias[None].astype(np.float64), len(codes), axis=0)
        for column in range(len(self.layout.sizes)):
            logits += self.weights[offsets[column] + codes[:, column]]
        total = np.zeros(len(codes))
        for column, start in enumerate(offsets[:-1]):
            block = logits[:, start : offsets[column + 1]]
            top = block.max(axis=1)
            norm = top + np.log(np.exp(block - top[:, None]).sum(axis=1))
            total += block[np.arange(len(codes)), codes[:, column]] - norm
        return total

    def sample(
        self, rows: int, generator: np.random.Generator, closed: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Draw rows column by column, `int32 [rows, m]`.

        Args:
            rows: How many.
            generator: Source of randomness; it does not concern privacy.
            closed: Cells that must not appear, `[D]`.
        """
        offsets = self.layout.offsets
        codes = np.empty((rows, len(self.layout.sizes)), dtype=np.int32)
        logits = np.repeat(np.where(closed, -np.inf, self.bias)[None].astype(np.float32), rows, axis=0)
        for column, size in enumerate(self.layout.sizes):
            start, end = offsets[column], offsets[column + 1]
            block = logits[:, start:end]
            chances = np.cumsum(np.exp(block - block.max(axis=1, keepdims=True)), axis=1)
            draw = generator.random((rows, 1), dtype=np.float32) * chances[:, -1:]
            cells = np.minimum((chances <= draw).sum(axis=1), size - 1)
            codes[:, column] = cells
            if end < self.layout.width:
                logits[:, end:] += self.weights[start:end, end:][cells]
        return codes


def generate_codes(
    model: TabularModel,
    shares: tuple[NDArray[np.float64], ...],
    rows: int,
    generator: np.random.Generator,
) -> NDArray[np.int32]:
    """Codes of a synthetic table, `int32 [rows, m]`, whose one-way marginals follow `shares`.

    More rows than needed are drawn, weighted by raking to the noisy marginals (which are more exact than
    the model's own), and resampled. Cells with share 0 never appear.

    Source:
        Deming and Stephan 1940 (raking).
    """
    closed = np.concatenate(shares) == 0
    parts = []
    for start in range(0, rows, CHUNK_ROWS):
        wanted = min(CHUNK_ROWS, rows - start)
        drawn = model.sample(max(OVERSAMPLING * wanted, MIN_DRAWN), generator, closed)
        weights = _rake(drawn, shares)
        parts.append(drawn[_systematic(weights, wanted, generator)])
    return np.concatenate(parts)


def _rake(codes: NDArray[np.int32], shares: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    weights = np.ones(len(codes))
    for _ in range(RAKING_ROUNDS):
        for column, share in enumerate(shares):
            have = np.bincount(codes[:, column], weights, minlength=len(share))
            # bounded factors: a cell that was drawn once must not stand for many rows
            ratio = np.clip(share * len(codes) / np.maximum(have, 1e-9), 0.2, 5)
            weights *= np.where(have > 0, ratio, 1.0)[codes[:, column]]
    return weights


def _systematic(weights: NDArray[np.float64], rows: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices `[rows]`, each drawn about `rows * weight` times, in random order."""
    heights = np.cumsum(weights / weights.sum())
    points = (np.arange(rows) + generator.random(rows)) / rows
    return generator.permutation(np.minimum(np.searchsorted(heights, points), len(weights) - 1))
