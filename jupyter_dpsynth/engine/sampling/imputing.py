"""Fills the missing values of rows with draws from the model, given the other values of each row.

A few missing cells are drawn together, from their exact joint distribution by enumeration. Where the missing
cells of a row have too many combinations, some of them at a time are drawn given all others, again and again.

Privacy:
    The model is post-processing. The rows that are given are not: what comes back is as private as they are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.constraints import Derivation, Ordering
from jupyter_dpsynth.encoding.building import build_series, with_cells
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.difference import DifferenceCodec, follow
from jupyter_dpsynth.engine.sampling.derivations import complete, compute, derivations_of
from jupyter_dpsynth.engine.sampling.generation import calibrated_bias
from jupyter_dpsynth.sources.letters import letter_text
from jupyter_dpsynth.sources.values import missing_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.constraints import Combinations, Constraint
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.network import TabularModel

__all__ = ["CellSampler", "impute_table"]

MOST_COMBINATIONS = 8192  # of missing cells that are drawn at once, exactly
BLOCK_COMBINATIONS = 512  # of those that are drawn given the others, if there are more
SWEEPS = 20  # over such blocks
MOST_CHANCES = 2**20  # that are held at once
ROUNDS = (1, 9, 90, 900)  # candidates of a row, round by round, until one keeps the constraints
MOST_CANDIDATES = 100_000  # that are compared at once
BELOW_ONE = 1 - 1e-9  # times a number below 1, and after a sum with thousands of rows: below the next
TINY = np.finfo(np.float64).tiny


class CellSampler:
    """Draws missing cells, given the other cells of the row.

    Args:
        model: The trained model.
        bias: Biases, `[D]`, with which single rows follow the measured shares.
        allowed: Which cells of each column may be drawn; at least one.
        generator: Source of randomness; it does not concern privacy.

    Source:
        Enumeration; above `MOST_COMBINATIONS` blocked Gibbs sampling (Geman and Geman 1984; Jensen, Kong and
        Kjaerulff 1995) with blocks that change from sweep to sweep.
    """

    def __init__(
        self,
        model: TabularModel,
        bias: NDArray[np.float64],
        allowed: Sequence[NDArray[np.bool_]],
        generator: np.random.Generator,
    ) -> None:
        self.weights, self.bias = model.weights.astype(np.float64), bias
        self.layout = model.layout
        self.allowed, self.generator = allowed, generator
        bounds = model.layout.offsets.tolist()
        self.blocks = [slice(*pair) for pair in itertools.pairwise(bounds)]
        self.sizes = model.layout.sizes.tolist()

    def impute(
        self, codes: NDArray[np.int32], missing: NDArray[np.bool_], copies: int = 1
    ) -> NDArray[np.int32]:
        """Codes `int32 [n, copies, m]`: each row several times, its missing cells drawn anew each time.

        Args:
            codes: Codes `int32 [n, m]`; what is missing may hold anything.
            missing: Which are missing, `[n, m]`.
            copies: How many draws of each row; independent ones unless too much of it is missing.
        """
        out = np.repeat(codes[:, None], copies, axis=1)
        patterns, which = np.unique(missing, axis=0, return_inverse=True)
        order = np.argsort(which.reshape(-1), kind="stable")
        bounds = np.searchsorted(which.reshape(-1)[order], np.arange(len(patterns) + 1))
        for number, pattern in enumerate(patterns):
            rows = order[bounds[number] : bounds[number + 1]]
            places = np.flatnonzero(pattern).tolist()
            if math.prod(self.sizes[place] for place in places) <= MOST_COMBINATIONS:
                self._draw(out, rows, places)
            else:
                self._sweep(out, rows, places)
        return out

    def _sweep(self, out: NDArray[np.int32], rows: NDArray[np.intp], places: list[int]) -> None:
        """Draw many missing cells of rows, block by block, in place; copies are states of one chain."""
        state = out[rows, :1]
        for place in places:  # to start from
            chances = np.where(self.allowed[place], self.bias[self.blocks[place]], -np.inf)
            chances = np.exp(chances - chances.max())
            cells = self.generator.choice(len(chances), len(rows), p=chances / chances.sum())
            state[:, 0, place] = cells
        for copy in range(out.shape[1]):
            for _ in range(1 if copy else SWEEPS):
                shuffled = self.generator.permutation(places).tolist()
                for block in _blocks(shuffled, self.sizes):
                    self._draw(state, np.arange(len(rows)), sorted(block))
            out[rows, copy] = state[:, 0]

    def _draw(self, out: NDArray[np.int32], rows: NDArray[np.intp], places: list[int]) -> None:
        """Draw cells of some columns from their joint distribution given the other columns, in place."""
        sizes = [self.sizes[place] for place in places]
        combinations = math.prod(sizes)
        step = max(MOST_CHANCES // max(combinations, len(self.bias)), 1)
        for start in range(0, len(rows) if places else 0, step):
            part = rows[start : start + step]
            scores = self._scores(out[part, 0], places).reshape(len(part), -1)
            scores -= scores.max(axis=1, keepdims=True)
            heights = np.cumsum(np.exp(scores), axis=1)
            heights /= heights[:, -1:].copy()
            # one increasing line for all rows, each on a stretch of length 1
            lines = np.arange(len(part))[:, None]
            points = lines + self.generator.random((len(part), out.shape[1])) * BELOW_ONE
            found = np.searchsorted((heights + lines).reshape(-1), points, side="right")
            # flat: numpy's unravel_index is wrong for more than 8,192 rows of one column (seen in 2.4)
            cells = np.unravel_index((found - lines * combinations).reshape(-1), sizes)
            for place, own in zip(places, cells, strict=True):
                out[part, :, place] = own.reshape(points.shape)

    def _scores(self, codes: NDArray[np.int32], places: list[int]) -> NDArray[np.float64]:
        """Log-chances, `[rows, cells of the first place, cells of the second, ...]`, up to a constant a row.

        A later column's normaliser is a sum over its cells of a product with one factor for each column that
        it depends on: a matrix product, where the columns that are missing give one side and the row the
        other.
        """
        logits = np.tile(self.bias, (len(codes), 1))
        for other in range(len(self.blocks)):
            if other not in places:
                end = self.blocks[other].stop
                logits[:, end:] += self.weights[self.blocks[other], end : len(self.bias)][codes[:, other]]
        joint = [self._joint(codes, places, column, logits) for column in range(len(self.blocks))]
        scores = np.zeros((len(codes), *(self.sizes[place] for place in places)))
        for axis, place in enumerate(places):
            barred = np.where(self.allowed[place], 0.0, -np.inf)
            scores += _along(logits[:, self.blocks[place]] + barred, [axis], len(places))
        for column in range(places[0] + 1, len(self.blocks)):
            earlier = [place for place in places if place < column]
            between = [self.weights[self.blocks[place], self.blocks[column]] for place in earlier]
            for axis, effect in enumerate(between):
                if column in places:
                    scores += _along(effect[None], [axis, places.index(column)], len(places))
                else:
                    scores += _along(effect[:, codes[:, column]].T, [axis], len(places))
            for axes, effect in joint[column]:
                if column in places:
                    scores += _along(effect, [*axes, places.index(column)], len(places))
                else:
                    scores += _along(effect[np.arange(len(codes)), ..., codes[:, column]], axes, len(places))
            normaliser = _log_sums(logits[:, self.blocks[column]], between, joint[column])
            scores -= _along(normaliser, list(range(len(earlier))), len(places))
        return scores

    def _joint(
        self, codes: NDArray[np.int32], places: list[int], target: int, logits: NDArray[np.float64]
    ) -> list[tuple[list[int], NDArray[np.float64]]]:
        """Effects of a column's derived features; of those whose sources are all known it is added to logits.

        Returns:
            For each other feature the axes of the sources that are missing, and its effect, `[rows, cells of
            each of them, cells of the column]`.
        """
        found = []
        for feature, inputs in self.layout.derived_inputs(target):
            index = np.zeros(len(codes), np.int64)
            axes = [places.index(source) for source in feature.sources if source in places]
            for source, addend in zip(feature.sources, feature.addends, strict=True):
                if source not in places:
                    index += addend[codes[:, source]]
            for source, addend in zip(feature.sources, feature.addends, strict=True):
                if source in places:
                    index = index[..., None] + addend
            effect = self.weights[inputs, self.blocks[target]][index]
            if axes:
                found.append((axes, effect))
            else:
                logits[:, self.blocks[target]] += effect
        return found


def _blocks(places: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Neighbouring places in blocks of at most `BLOCK_COMBINATIONS` combinations, or of one place."""
    block: list[int] = []
    for place in places:
        if block and math.prod(sizes[each] for each in (*block, place)) > BLOCK_COMBINATIONS:
            yield block
            block = []
        block.append(place)
    yield block


def _along(values: NDArray[np.float64], axes: Sequence[int], count: int) -> NDArray[np.float64]:
    """Values `[rows, ...]` with their other axes where they belong among `count`, to be added."""
    shape = [1] * count
    for axis, size in zip(axes, values.shape[1:], strict=True):
        shape[axis] = size
    return values.reshape(len(values), *shape)


def _log_sums(
    logits: NDArray[np.float64],
    effects: Sequence[NDArray[np.float64]],
    joint: Sequence[tuple[list[int], NDArray[np.float64]]] = (),
) -> NDArray[np.float64]:
    """Log of the sum over cells of exp(logit + effects), `[rows, cells of each earlier column]`.

    Args:
        logits: Of one column's cells, `[rows, cells]`.
        effects: Of each earlier column's cells on them, `[earlier cells, cells]`.
        joint: Of several earlier columns' cells together: which columns, and `[rows, their cells, cells]`.
    """
    if joint:
        sums = np.full((len(logits), *(len(effect) for effect in effects)), -np.inf)
        for cell in range(logits.shape[1]):
            own = _along(logits[:, cell], [], len(effects))
            for axis, effect in enumerate(effects):
                own = own + _along(effect[None, :, cell], [axis], len(effects))
            for axes, effect in joint:
                own = own + _along(effect[..., cell], axes, len(effects))
            np.logaddexp(sums, own, out=sums)
        return sums
    highest = logits.max(axis=1, keepdims=True)
    factors = np.ones((1, logits.shape[1]))
    logs: NDArray[np.float64] = np.zeros(())
    for effect in effects:
        most = effect.max(axis=1)
        own = np.exp(effect - most[:, None])
        factors = (factors[:, None] * own).reshape(-1, logits.shape[1])
        logs = logs[..., None] + most
    sums = np.exp(logits - highest) @ factors.T
    np.log(np.maximum(sums, TINY, out=sums), out=sums)
    sums += highest
    return sums.reshape(len(logits), *logs.shape) + logs


def impute_table(
    learned: Learned, df: pd.DataFrame, generator: np.random.Generator, constraints: tuple[Constraint, ...]
) -> pd.DataFrame:
    """The table with its missing values drawn from the model, given the other values of each row.

    Args:
        learned: The released state.
        df: A DataFrame with the columns and types of the learned table.
        generator: Source of randomness; it does not concern privacy.
        constraints: Constraints, checked. A row that cannot keep them keeps its missing cells.

    Privacy:
        The result is as private as `df`.
    """
    df = complete(df, learned.codec)
    codec = replace(learned.codec, orderings=(), formulas=())  # values of given cells stay where they are
    derivations = derivations_of(constraints)
    checked = tuple(each for each in constraints if not isinstance(each, Derivation))
    wanting = _missing(codec, df)
    df = compute(df, derivations, codec, wanting)
    present, missing = codec.present(df), _missing(codec, df)
    rows = np.flatnonzero(missing.any(axis=1))
    out = df.copy()
    if not len(rows):
        return complete(out, learned.codec)
    allowed = [np.ones(column.size, dtype=bool) for column in codec.columns]
    for column, cells in zip(codec.columns, allowed, strict=True):
        if column.meta.nullable and column.size > 1:
            cells[-1] = False  # a missing cell must not be drawn again
        if isinstance(column, CategoryCodec):
            lettered = [place for place, value in enumerate(column.published) if letter_text(value)]
            cells[lettered] = False
    shares = learned.reference.shares
    sampler = CellSampler(
        learned.model, calibrated_bias(learned.model, shares, generator), allowed, generator
    )
    orderings = tuple(Ordering(*pair) for pair in learned.codec.orderings)
    gaps = _Gaps(codec, present.iloc[rows].reset_index(drop=True), missing[rows], checked, orderings)
    filled, met = gaps.fill(sampler, generator)
    for place, name in enumerate(codec.names):
        absent = missing[rows, place] & met
        if absent.any():
            out[name] = with_cells(df[name], rows[absent], filled[name][absent])
    return complete(compute(out, derivations, codec, wanting), learned.codec)


def _missing(codec: TableCodec, df: pd.DataFrame) -> NDArray[np.bool_]:
    """Which cells of the learned columns are missing, `[n, m]`."""
    present = codec.present(df)
    return np.stack([missing_values(present[name]) for name in codec.names], axis=1)


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Rows with missing cells, and the constraints to meet when they are filled.

    Attributes:
        codec: The table's codec.
        df: The rows, with a fresh index.
        missing: Which cells are missing, `[n, m]`.
        constraints: Constraints of the user.
        orderings: Orderings that were found when learning: most rows keep them.
    """

    codec: TableCodec
    df: pd.DataFrame
    missing: NDArray[np.bool_]
    constraints: tuple[Ordering | Combinations, ...]
    orderings: tuple[Ordering, ...]

    def fill(
        self, sampler: CellSampler, generator: np.random.Generator
    ) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
        """Rows with all learned columns drawn where they are missing, and which keep the constraints.

        Candidates are drawn until one keeps everything; that is the distribution given that it is kept. If
        none does, one that keeps the constraints is taken.
        """
        codes = self.codec.encode(self.df).astype(np.int32)
        unknown = self._without_base()
        frames: list[pd.DataFrame] = []
        grades = np.full(len(codes), -1)
        taken = np.zeros(len(codes), dtype=np.int64)  # numbers of rows in all frames
        total = 0
        for copies in ROUNDS:
            waiting = np.flatnonzero(grades < 2)
            step = max(MOST_CANDIDATES // copies, 1)
            for rows in (waiting[start : start + step] for start in range(0, len(waiting), step)):
                drawn = sampler.impute(codes[rows], unknown[rows], copies)
                df = self.codec.decode(drawn.reshape(-1, codes.shape[1]), generator)
                df = self._from_known(df, np.repeat(rows, copies))
                found = self._grades(df, np.repeat(rows, copies)).reshape(len(rows), copies)
                best = found.argmax(axis=1)  # the first of the best
                better = found.max(axis=1) > grades[rows]
                chosen = (np.arange(len(rows)) * copies + best)[better]
                grades[rows[better]] = found.max(axis=1)[better]
                taken[rows[better]] = total + np.arange(len(chosen))
                frames.append(df.iloc[chosen])
                total += len(chosen)
        filled = pd.concat(frames, ignore_index=True).iloc[taken].reset_index(drop=True)
        return filled, grades > 0

    def _without_base(self) -> NDArray[np.bool_]:
        """Which cells are to be drawn, `[n, m]`: what is missing, and differences whose base is missing."""
        unknown = self.missing.copy()
        for place, column in enumerate(self.codec.columns):
            if isinstance(column, DifferenceCodec):
                unknown[:, place] |= self.missing[:, self.codec.names.index(column.base)]
        return unknown

    def _from_known(self, drawn: pd.DataFrame, rows: NDArray[np.intp]) -> pd.DataFrame:
        """Rows in which a missing time follows from one that is known, and the difference that was drawn.

        Args:
            drawn: Candidates, decoded.
            rows: To which row each belongs.
        """
        pairs = [(c.meta.name, c.base) for c in self.codec.columns if isinstance(c, DifferenceCodec)]
        both = [pair for one in pairs for pair in (one, one[::-1])]
        names, made = self.codec.names, drawn.copy()
        known = {name: ~self.missing[rows, names.index(name)] for pair in pairs for name in pair}
        values = {name: self.df[name].iloc[rows].reset_index(drop=True) for name in known}
        for own, other in both * len(pairs):  # a time may follow from one that did
            found = np.flatnonzero(~known[own] & known[other])
            if len(found):
                part, column = drawn.iloc[found], self.codec.columns[names.index(own)]
                step = 1.0 if isinstance(column, CategoryCodec) else column.resolution
                times = follow(values[other].iloc[found], part[other], part[own], step)
                series = build_series(times, self.codec.moments(own))
                made[own], values[own] = (with_cells(each[own], found, series) for each in (made, values))
                known[own][found] = True
        return made

    def _grades(self, drawn: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """0 for candidates that break a constraint, 1 for those that break an ordering, else 2.

        What a row's given cells break by themselves does not count: no draw could mend it.
        """
        kept = []
        groups: tuple[tuple[Ordering | Combinations, ...], ...] = self.constraints, self.orderings
        for group in groups:
            good = np.ones(len(rows), dtype=bool)
            for constraint in group:
                absent = {
                    name: self.missing[rows, self.codec.names.index(name)] for name in constraint.columns
                }
                touched = np.flatnonzero(np.logical_or.reduce(list(absent.values())))
                if not len(touched):
                    continue
                columns = {
                    name: with_cells(
                        self.df[name].iloc[rows[touched]].reset_index(drop=True),
                        np.flatnonzero(gaps[touched]),
                        drawn[name].iloc[touched[gaps[touched]]],
                    )
                    for name, gaps in absent.items()
                }
                good[touched] &= constraint.holds(pd.DataFrame(columns))
            kept.append(good)
        constrained, ordered = kept
        return np.where(constrained, 1 + ordered, 0)
