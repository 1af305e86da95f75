"""What training released, as noisy means over the table of known functions of one row.

A row x with one-hot cells, and residuals r (softmax minus one-hot, clipped, averaged over the steps), has the
mean clipped gradient `scale_ij * x_i outer r_j` for each pair of columns i < j, and `r_j` for the biases. The
tape holds the mean of that over the table, with noise of known size; the measured one-way shares are the
means of the one-hot cells. Whatever rows stand for the table must reproduce all of these means.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.model.residuals import clipped_residuals, mean_residuals, model_at, one_hot
from jupyter_dpsynth.engine.model.weights import FreeWeights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.engine.model.tape import Tape

FEW_ROWS = 1000  # tell how mean gradients change from window to window
BENT = 3  # windows in a row

__all__ = ["Block", "RowGradients", "measured_blocks", "pairs_are_named"]


@dataclass(frozen=True, eq=False)
class Block:
    """Released figures that belong together, such as those of one pair of columns.

    Attributes:
        rows: The function whose mean was released, of each row, float32 `[N, figures]`.
        released: The released mean, `[figures]`.
        noise: Standard deviation of its noise, the same for all figures or one for each.
        sampled: Variance that the steps' random samples add, relative to the variance of a row over the
            number of the table's rows; 0 where all rows were counted.
        trained: Whether training released it.
    """

    rows: NDArray[np.float32]
    released: NDArray[np.float64]
    noise: NDArray[np.float64]
    sampled: float
    trained: bool = True


class RowGradients:
    """The mean clipped gradient of given rows, and what was released of the table's.

    Args:
        learned: The released state.
        tape: Its tape.
        codes: Codes of the rows, `[N, m]`.

    Privacy:
        Post-processing: released figures, and rows that are no secret.
    """

    def __init__(self, learned: Learned, tape: Tape, codes: NDArray[np.integer[Any]]) -> None:
        self.layout, self.tape, self.codes = learned.model.layout, tape, codes
        free = FreeWeights(self.layout)
        self._means = {derived: self._mean_sums(derived=derived) for derived in (False, True)}
        matrices = {}
        for derived, sums in self._means.items():
            matrices[derived] = np.zeros((self.layout.inputs, self.layout.width))
            free.matrix(sums, matrices[derived])
        self._matrices = matrices
        self._residuals = mean_residuals(self.layout, tape, codes)
        self._between, self._between_biases = between_windows(self.layout, tape, codes[:FEW_ROWS])

    def _mean_sums(self, *, derived: bool) -> NDArray[np.float64]:
        return self.tape.sums / max(self.tape.steps_with(derived=derived), 1)

    def _sampled(self, *, derived: bool) -> float:
        probability, steps = self.tape.sampling_probability, self.tape.steps_with(derived=derived)
        return (1 - probability) / (probability * max(steps, 1))

    def blocks(self, columns: Sequence[int], most_pairs: int) -> Iterator[Block]:
        """All that training released of some columns: biases, pairs and derived features.

        Args:
            columns: Places of the columns.
            most_pairs: How many pairs at most: those that interact most.
        """
        layout, bounds = self.layout, self.layout.offsets
        noise, sampled = self.tape.noise_of(derived=False), self._sampled(derived=False)
        residuals = self._residuals[False]
        for column in columns:
            own = slice(bounds[column], bounds[column + 1])
            of_bias = self._means[False][own.start - layout.width :][: own.stop - own.start]
            yield Block(residuals[:, own], of_bias, np.hypot(noise, self._between_biases[own]), sampled)
        for first, second in self._pairs(columns, most_pairs):
            own, other = (slice(bounds[j], bounds[j + 1]) for j in (first, second))
            scale = np.float32(layout.scale[first, second])
            cells = one_hot(self.codes[:, first], layout.sizes[first])
            products = cells[:, :, None] * (scale * residuals[:, None, other])
            total = np.hypot(noise, scale * self._between[own, other]).ravel()
            yield Block(_flat(products), self._matrices[False][own, other].ravel(), total, sampled)
        yield from self._derived_blocks(set(columns))

    def _pairs(self, columns: Sequence[int], most: int) -> list[tuple[int, int]]:
        chosen = sorted(columns)
        pairs = [(i, j) for i in chosen for j in chosen if i < j and self.layout.scale[i, j] > 0]
        return sorted(pairs, key=lambda pair: -self.layout.scale[pair])[:most]

    def _derived_blocks(self, columns: set[int]) -> Iterator[Block]:
        """Derived features whose columns are all among those that are asked about."""
        noise, sampled = np.array(self.tape.noise_of(derived=True)), self._sampled(derived=True)
        if not self.tape.steps_with(derived=True):
            return
        bounds = self.layout.offsets
        for target in sorted(columns):
            own = slice(bounds[target], bounds[target + 1])
            for feature, inputs in self.layout.derived_inputs(target):
                if not columns.issuperset(feature.sources):
                    continue
                cells = one_hot(feature.codes(self.codes), feature.size)
                products = cells[:, :, None] * (
                    np.float32(feature.scale) * self._residuals[True][:, None, own]
                )
                yield Block(_flat(products), self._matrices[True][inputs, own].ravel(), noise, sampled)


def measured_blocks(
    reference: MeasuredReference, codes: NDArray[np.integer[Any]], columns: Sequence[int]
) -> Iterator[Block]:
    """What was measured of some columns before training: one-way shares, and tables named beforehand.

    Args:
        reference: What was measured.
        codes: Codes of the rows, `[N, m]`.
        columns: Places of the columns.
    """
    for column in columns:
        share = reference.shares[column]
        rows = one_hot(codes[:, column], len(share))
        yield Block(rows, share, reference.noise[column], 0.0, trained=False)
    for table in reference.tables:
        places = [reference.columns.index(name) for name in table.columns]
        if set(columns).issuperset(places):
            cells = np.ravel_multi_index(tuple(codes[:, each] for each in places), table.shares.shape)
            rows = one_hot(cells, table.shares.size)
            yield Block(rows, table.shares.ravel(), table.total_noise.ravel(), 0.0, trained=False)


def pairs_are_named(reference: MeasuredReference, columns: Sequence[str]) -> bool:
    """Whether every pair of some columns was measured because it was named beforehand."""
    tables = [set(table.columns) for table in reference.tables]
    return all(any(table.issuperset(pair) for table in tables) for pair in combinations(columns, 2))


def _flat(products: NDArray[np.float32]) -> NDArray[np.float32]:
    return products.reshape(len(products), -1)


def between_windows(
    layout: Layout, tape: Tape, codes: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard error from kept parameters that stand for those of all steps.

    Where there is much signal, parameters move by more than noise within a window. How much the rows' mean
    gradients of three neighbouring windows differ from a straight line tells the variance of one of them.

    Args:
        layout: Of the network as it ended.
        tape: The tape.
        codes: Codes of some rows, `[N, m]`.

    Returns:
        Of the mean products of a row's cells and residuals, `[D, D]`, and of the mean residuals, `[D]`.
    """
    cells = np.concatenate([one_hot(codes[:, j], size) for j, size in enumerate(layout.sizes)], axis=1)
    squares, free = np.zeros((layout.width + 1, layout.width)), FreeWeights(layout)
    before: list[NDArray[np.floating[Any]]] = []
    for window, kept in zip(tape.windows, tape.parameters, strict=True):
        clipped = clipped_residuals(model_at(layout, free, window, kept), codes, window.clip_norm)
        before.append(np.vstack([cells.T @ clipped, clipped.sum(axis=0)]) / len(codes))
        if len(before) == BENT:
            first, middle, last = before
            squares += np.square(first - 2 * middle + last)
            del before[0]
    bends = max(len(tape.windows) - BENT + 1, 1)
    spread = np.sqrt(squares / (6 * bends * len(tape.windows)))  # a bend has six times the variance of one
    return spread[:-1], spread[-1]
