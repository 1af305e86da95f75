"""Draws rows that meet conditions.

Rows are drawn one by one from the model's own probabilities: rows that meet conditions are often rare, and
cannot be steered like a whole table. The model is first adjusted to the measured one-way marginals, as
steering does.

Privacy:
    Everything is post-processing of the model and of measurements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import TabularModel

__all__ = ["ConditionalSampler"]

PILOT_ROWS, PILOTS = 4096, 4
LARGEST_TILT = 1e3
BATCH_ROWS = 65_536
TYPICAL = 0.98  # of the candidates give one row or none, the others perhaps several
LEAST_YIELD = 1 / 50  # rows that a candidate gives on average
PART_ROWS = 1024  # whose logits are in the cache together


class ConditionalSampler:
    """Draws from the model's conditional distributions.

    Args:
        model: The trained model.
        bias: Biases, `[D]`, with which single rows follow the measured shares: `calibrated_bias`.
        generator: Source of randomness; it does not concern privacy.

    Source:
        Importance sampling with a proposal that is fitted to pilots (Rubinstein, 'The cross-entropy
        method', 1999); the copies of a candidate as in residual resampling (Liu and Chen, 1998).
    """

    def __init__(
        self, model: TabularModel, bias: NDArray[np.float64], generator: np.random.Generator
    ) -> None:
        self.generator = generator
        self.bias = bias
        self.model, self.weights = model, model.weights
        self.offsets = model.layout.offsets
        self.blocks = [slice(*pair) for pair in zip(self.offsets[:-1], self.offsets[1:], strict=True)]

    def draw(self, allowed: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.int32]:
        """Codes `int32 [rows, m]` of rows that meet a condition on each column.

        The expected number of every combination of cells is exactly proportional to its chance under the
        model, given the condition.

        Args:
            allowed: Share of each cell of each column that the condition allows, in [0, 1].
            rows: How many rows.

        Raises:
            ConfigError: The model gives no such row a chance.
        """
        asked = [place for place, share in enumerate(allowed) if (share < 1).any()]
        prefix = asked[-1] + 1 if asked else 0
        tilts, typical, mean = self._fit(allowed, prefix)
        most = min(typical, mean / LEAST_YIELD) if mean else 1.0
        found: list[NDArray[np.int32]] = []
        missing = rows
        while missing > 0:
            size = min(math.ceil(1.1 * missing * most / max(mean, most * LEAST_YIELD)) + 64, BATCH_ROWS)
            codes, weights = self._propose(allowed, tilts, size, prefix)
            copies = np.floor(weights / most + self.generator.random(size)).astype(np.int64)
            # in random order: the last batch gives more rows than are missing
            chosen = self.generator.permutation(np.repeat(np.arange(size), copies))[:missing]
            found.append(self._finish(codes[chosen], prefix))
            missing -= len(chosen)
        return np.asfortranarray(np.concatenate(found))

    def _fit(
        self, allowed: Sequence[NDArray[np.float64]], prefix: int
    ) -> tuple[list[NDArray[np.float64]], float, float]:
        """Tilts that make the wanted rows likely, with a high and the mean importance weight."""
        tilts = [np.ones(len(share)) for share in allowed]
        if prefix == 0:
            return tilts, 1.0, 1.0
        for pilot in range(PILOTS):
            codes, weights = self._propose(allowed, tilts, PILOT_ROWS, prefix)
            total = weights.sum()
            if not total > 0:
                raise ConfigError(
                    "the model considers rows that meet these conditions impossible: use fewer conditions, "
                    "wider ranges or more values."
                )
            if pilot == PILOTS - 1:
                break
            for place in range(prefix):
                size = len(tilts[place])
                wanted = np.bincount(codes[:, place], weights, size) / total
                drawn = np.bincount(codes[:, place], minlength=size) / PILOT_ROWS
                tilts[place] *= (wanted + 1 / PILOT_ROWS) / (drawn + 1 / PILOT_ROWS)
                np.clip(tilts[place], 1 / LARGEST_TILT, LARGEST_TILT, out=tilts[place])
        return tilts, float(np.quantile(weights, TYPICAL)), float(weights.mean())

    def _propose(
        self,
        allowed: Sequence[NDArray[np.float64]],
        tilts: Sequence[NDArray[np.float64]],
        rows: int,
        prefix: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Codes of the first columns, allowed ones only, and importance weights that undo the tilts."""
        codes = np.zeros((rows, len(self.blocks)), dtype=np.int32)
        weights = np.ones(rows)
        for start in range(0, rows, PART_ROWS):
            part, weight = codes[start : start + PART_ROWS], weights[start : start + PART_ROWS]
            logits = np.tile(self.bias, (len(part), 1))
            for place in range(prefix):
                chances = self._chances(logits, part, place)
                chances *= allowed[place] * tilts[place]
                weight *= chances.sum(axis=1)
                part[:, place] = self._pick(chances)
                weight /= tilts[place][part[:, place]]
                self._condition(logits, place, part[:, place])
        return codes, weights

    def _finish(self, codes: NDArray[np.int32], prefix: int) -> NDArray[np.int32]:
        """Draw the columns behind the first ones, in place."""
        for start in range(0, len(codes) if prefix < len(self.blocks) else 0, PART_ROWS):
            part = codes[start : start + PART_ROWS]
            logits = self._logits(part, range(prefix))
            for place in range(prefix, len(self.blocks)):
                part[:, place] = self._pick(self._chances(logits, part, place))
                self._condition(logits, place, part[:, place])
        return codes

    def _logits(self, codes: NDArray[np.int32], places: Sequence[int]) -> NDArray[np.float64]:
        """Logits of every cell, `[rows, D]`, given some columns."""
        logits = np.tile(self.bias, (len(codes), 1))
        for place in places:
            self._condition(logits, place, codes[:, place])
        return logits

    def _chances(
        self, logits: NDArray[np.float64], codes: NDArray[np.int32], place: int
    ) -> NDArray[np.float64]:
        """Probabilities of a column's cells, which add up to 1 in every row."""
        own = logits[:, self.blocks[place]] + self.model.derived_logits(codes, place)
        chances = np.exp(own - own.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        return chances

    def _condition(self, logits: NDArray[np.float64], place: int, cells: NDArray[np.int32]) -> None:
        """Add what one column's cells contribute to the columns behind it."""
        end = self.offsets[place + 1]
        logits[:, end:] += self.weights[self.blocks[place], end:][cells]

    def _pick(self, chances: NDArray[np.float64]) -> NDArray[np.intp]:
        """Draw one cell per row, with probabilities that need not add up to 1."""
        heights = np.cumsum(chances, axis=1)
        points = self.generator.random(len(chances)) * heights[:, -1]
        return np.minimum((heights <= points[:, None]).sum(axis=1), chances.shape[1] - 1)
