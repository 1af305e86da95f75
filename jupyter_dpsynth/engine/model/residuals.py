"""Residuals of rows (softmax less one-hot) as training clips them, and mean gradients made of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.model.network import TabularModel
from jupyter_dpsynth.engine.model.weights import FreeWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.model.tape import Tape, Window

    Figures = NDArray[np.floating[Any]]  # float32

__all__ = ["MeanGradient", "chances_of", "clipped_residuals", "mean_residuals", "model_at", "one_hot"]


def one_hot(codes: NDArray[np.integer[Any]], size: int) -> NDArray[np.float32]:
    """One-hot cells of a column, float32 `[N, size]`."""
    chosen: NDArray[np.float32] = np.eye(size, dtype=np.float32)[codes]
    return chosen


def mean_residuals(
    layout: Layout, tape: Tape, codes: NDArray[np.integer[Any]]
) -> dict[bool, NDArray[np.float32]]:
    """Clipped residuals of rows averaged over the steps, float32 `[N, D]`.

    Args:
        layout: Of the network as it ended.
        tape: The tape.
        codes: Codes of the rows, `[N, m]`.

    Returns:
        Over all steps (False), and over those with derived features (True).
    """
    totals, _ = _averaged(layout, tape, _all_cells(layout, codes))
    return {derived: np.ascontiguousarray(total.T, np.float32) for derived, total in totals.items()}


def clipped_residuals(
    model: TabularModel, codes: NDArray[np.integer[Any]], clip_norm: float
) -> NDArray[np.float32]:
    """Softmax minus one-hot of every row, times the factor by which its gradient is clipped, `[N, D]`."""
    residuals, factor = _residuals(model, _all_cells(model.layout, codes), clip_norm)
    residuals *= factor
    return np.ascontiguousarray(residuals.T, np.float32)


def model_at(layout: Layout, free: FreeWeights, window: Window, kept: NDArray[np.float16]) -> TabularModel:
    """The network as it was in a window, from its kept parameters.

    Args:
        layout: Of the network as it ended.
        free: Its weights.
        window: The window.
        kept: Parameters that were kept of it.
    """
    values = kept.astype(np.float32)
    weights = np.zeros((layout.inputs, layout.width), np.float32)
    free.matrix(values, weights)
    used = layout if window.derived else replace(layout, derived=())
    return TabularModel(used, weights * layout.mask, values[free.size :])


class MeanGradient:
    """The mean clipped gradient of rows that are drawn from a model, beside the released one of the table.

    All figures of a target are float32 `[P + 1, c]`: of the weights from its P input cells to its c cells,
    and of its biases.

    Args:
        model: The trained model.
        tape: Its tape.
        codes: Codes of rows that were drawn from it, `[N, m]`.

    Attributes:
        own: Positions of each target's cells.
        inputs: Positions of each target's input cells.
        drawn: How many contributions the rows are: as many as there are rows.

    Privacy:
        Post-processing: released figures, and rows that are no secret.
    """

    def __init__(self, model: TabularModel, tape: Tape, codes: NDArray[np.integer[Any]]) -> None:
        layout = self._layout = model.layout
        self._tape, self.drawn = tape, len(codes)
        self.own, self.inputs = _own(layout), _inputs(layout)
        self._cells, free = _all_cells(layout, codes), FreeWeights(layout)
        self._chances = chances_of(model, self._cells)
        self._means, self._factor, self._chance = self._residuals()
        self._mask = layout.mask
        self._derived = np.arange(layout.inputs) >= layout.width
        self._released = np.zeros((layout.inputs, layout.width))
        free.matrix(tape.sums, self._released)
        for derived in (False, True):
            self._released[self._derived == derived] /= max(tape.steps_with(derived=derived), 1)
        self._released_biases = tape.sums[free.size :] / tape.steps

    @property
    def targets(self) -> Sequence[int]:
        """Which columns are predicted."""
        return range(len(self.own))

    def _residuals(self) -> tuple[dict[bool, Figures], Figures, Figures]:
        """What `_averaged` tells of the rows, and residuals of expectation 0."""
        clip_norm = self._tape.windows[-1].clip_norm
        chance = _chance_residuals(self._layout, self._chances, self._cells, clip_norm)
        return *_averaged(self._layout, self._tape, self._cells), chance

    def _factor_of(self, target: int) -> Figures:
        """By what each row's gradients of a target are multiplied, about, `[N]`."""
        del target  # all alike
        return self._factor

    def scale(self, target: int) -> Figures:
        """By what the parameters of a target are multiplied."""
        own = self.own[target]
        biases = np.ones((1, own.stop - own.start), np.float32)
        return np.concatenate([self._mask[self.inputs[target], own], biases])

    def released(self, target: int) -> tuple[Figures, Figures]:
        """The released mean over the table, and the standard deviation of its noise."""
        own, inputs = self.own[target], self.inputs[target]
        mean = np.concatenate([self._released[inputs, own], self._released_biases[None, own]])
        noise = np.full(mean.shape, self._tape.noise_of(derived=False), np.float32)
        noise[:-1][self._derived[inputs]] = self._tape.noise_of(derived=True)
        return mean.astype(np.float32), noise

    def of_rows(self, target: int) -> Figures:
        """The mean of rows of the model.

        Most of a residual is which cell was drawn, whose expectation is known: it is left out (a control
        variate). Few rows then tell as much as many.
        """
        own, inputs, cells = self.own[target], self.inputs[target], self._cells_of(target)
        chance = self._chance[own]
        common = float(np.vdot(self._means[False][own], chance))
        share = np.float32(common / max(float(np.vdot(chance, chance)), 1e-12))
        products = self._products(cells, self._means[False][own] - share * chance)
        derived = self._derived[inputs]
        if derived.any():
            kept = self._means[True][own] - share * chance
            products[:-1][derived] = cells[derived] @ kept.T / self.drawn
        return self.scale(target) * products

    def diagonal(self, target: int) -> Figures:
        """The diagonal of the matrix of `information`."""
        chances = self._chances[self.own[target]]
        spread = self._factor_of(target) * chances * (1 - chances)
        return self.scale(target) ** 2 * self._products(self._cells_of(target), spread)

    def information(self, target: int) -> Callable[[Figures], Figures]:
        """By how much less the rows' mean is, to first order, if a target's parameters change."""
        cells, chances = self._cells_of(target), self._chances[self.own[target]]
        scale, factor = self.scale(target), self._factor_of(target)

        def image(change: Figures) -> Figures:
            scaled = scale * change
            moved = scaled[:-1].T @ cells
            moved += scaled[-1][:, None]
            moved *= chances
            moved -= chances * moved.sum(axis=0)
            moved *= factor
            return scale * self._products(cells, moved)

        return image

    def _cells_of(self, target: int) -> Figures:
        """The input cells of a target, one-hot, `[P, N]`."""
        return self._cells[self.inputs[target]]

    def _products(self, cells: Figures, values: Figures) -> Figures:
        """Mean products of a target's input cells `[P, N]` and of ones with values `[c, N]`."""
        return np.concatenate([cells @ values.T, values.sum(axis=1)[None]]) / np.float32(self.drawn)


def _own(layout: Layout) -> list[slice]:
    return [slice(first, end) for first, end in itertools.pairwise(layout.offsets.tolist())]


def _inputs(layout: Layout) -> Sequence[slice | NDArray[np.intp]]:
    """Positions of the input cells of each target; a slice if they are the first ones."""
    mask, found = layout.mask, []
    for own in _own(layout):
        positions = np.flatnonzero(mask[:, own.start])
        first = len(positions) == 0 or positions[-1] == len(positions) - 1
        found.append(slice(0, len(positions)) if first else positions)
    return found


def _all_cells(layout: Layout, codes: NDArray[np.integer[Any]]) -> Figures:
    """One-hot cells of columns and derived features, float32 `[I, N]`; of a code -1 none."""
    out, rows = np.zeros((layout.inputs, len(codes)), np.float32), np.arange(len(codes))
    starts = np.concatenate([[0], np.cumsum(layout.input_sizes)])
    every = [codes[:, place] for place in range(len(layout.sizes))]
    every += [feature.codes(codes) for feature in layout.derived]
    for start, own in zip(starts, every, strict=False):
        there = own >= 0
        out[start + own[there], rows[there]] = 1
    return out


def chances_of(model: TabularModel, cells: Figures) -> Figures:
    """The model's chance of each cell in each row, `[D, N]`; 0 in columns that are never predicted."""
    out, importance = np.empty((model.layout.width, cells.shape[1]), np.float32), model.layout.importance
    for target, (own, inputs) in enumerate(zip(_own(model.layout), _inputs(model.layout), strict=True)):
        if importance is not None and not importance[target]:
            out[own] = 0
            continue
        logits = np.matmul(model.weights[inputs, own].T, cells[inputs], out=out[own])
        logits += model.bias[own, None]
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
    return out


def _residuals(model: TabularModel, cells: Figures, clip_norm: float) -> tuple[Figures, Figures]:
    """Softmax minus one-hot, `[D, N]`, and the factor by which each row's gradient is clipped, `[N]`."""
    errors = chances_of(model, cells)
    errors -= cells[: model.layout.width]
    squares = np.zeros(cells.shape[1], np.float32)
    for own, weight in zip(_own(model.layout), model.layout.squared_inputs, strict=True):
        squares += np.float32(weight) * np.einsum("cn,cn->n", errors[own], errors[own])
    factor = np.minimum(1, clip_norm / np.sqrt(np.maximum(squares, 1e-12)))
    return errors, factor.astype(np.float32)


def _chance_residuals(layout: Layout, chances: Figures, cells: Figures, clip_norm: float) -> Figures:
    """The model's residuals about as they are clipped, `[D, N]`, of expectation 0 given earlier columns.

    The factor must not depend on the target's own cell, nor on later columns: for these the mean stands.
    """
    residuals = chances - cells[: layout.width]
    expected, found = np.empty((2, len(layout.sizes), cells.shape[1]), np.float32)
    for target, (own, weight) in enumerate(zip(_own(layout), layout.squared_inputs, strict=True)):
        expected[target] = weight * (1 - np.einsum("cn,cn->n", chances[own], chances[own]))
        found[target] = weight * np.einsum("cn,cn->n", residuals[own], residuals[own])
    usual = expected.mean(axis=1)
    for target, own in enumerate(_own(layout)):
        squares = found[:target].sum(axis=0) + expected[target] + usual[target + 1 :].sum()
        residuals[own] *= np.minimum(1, clip_norm / np.sqrt(np.maximum(squares, 1e-12)))
    return residuals


def _averaged(layout: Layout, tape: Tape, cells: Figures) -> tuple[dict[bool, Figures], Figures]:
    """Clipped residuals averaged over the steps, `[D, N]`, as in `mean_residuals`; the mean factor, `[N]`."""
    steps = {derived: tape.steps_with(derived=derived) for derived in (False, True)}
    totals = {derived: np.zeros((layout.width, cells.shape[1]), np.float32) for derived in steps}
    mean_factor, free = np.zeros(cells.shape[1], np.float32), FreeWeights(layout)
    for window, kept in zip(tape.windows, tape.parameters, strict=True):
        errors, factor = _residuals(model_at(layout, free, window, kept), cells, window.clip_norm)
        factor *= window.steps
        errors *= factor
        mean_factor += factor
        totals[False] += errors
        if window.derived:
            totals[True] += errors
    for derived, made in steps.items():
        totals[derived] /= max(made, 1)
    return totals, mean_factor / max(steps[False], 1)
