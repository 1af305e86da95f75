"""Brings trained persons and their events nearer to what all steps of their training released together.

It is the step of Newton's that one table makes (`engine.sampling.refining`). What a step of training sums are
persons: the gradients of all rows of one are clipped as one. So what the model itself would have released is
a mean over persons that are drawn from it, with their events, clipped in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.engine.model.residuals import MeanGradient, chances_of, model_at
from jupyter_dpsynth.engine.model.weights import FreeWeights
from jupyter_dpsynth.engine.sampling.refining import one_step
from jupyter_dpsynth.persons.blocks import network_rows
from jupyter_dpsynth.persons.making import NOTHING_ASKED, Holders, draw_tables, make_persons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.persons.blocks import Blocks
    from jupyter_dpsynth.persons.learned import LearnedEvents

    Figures = NDArray[np.floating[Any]]  # float32

__all__ = ["MeanOfPersons", "refined_persons"]

MOST_ROWS = 65_536  # that are drawn, if every person had as many as it may have
# Pairs of rows of the same person, for each of which there is a figure for every cell: where persons have
# hundreds of rows, few persons are looked at, and none where those are too few to tell anything
MOST_PAIRS, LEAST_PERSONS = 500_000, 64


def refined_persons(
    model: TabularModel,
    tape: Tape | None,
    person: Learned,
    events: Sequence[LearnedEvents],
    blocks: Blocks,
    meta: TablesMeta,
    plan: RunPlan,
) -> TabularModel:
    """The model after one step towards what training released.

    Args:
        model: The trained model.
        tape: What the steps released, added up.
        person: Its part that draws persons.
        events: Its parts that draw events.
        blocks: The columns of the network.
        meta: Metadata of all tables.
        plan: Of the run.

    Privacy:
        Post-processing of released sums and of the model.
    """
    if tape is None or len(tape.sums) > plan.most_refined:
        return model
    persons = min(plan.refining_rows, max(MOST_ROWS // plan.unit_rows, 1))
    # of the same releases the same model: nothing but noise is drawn anew
    codes, starts = _drawn_rows(person, events, blocks, meta, persons, np.random.default_rng(0))
    kept = _affordable(starts)
    if kept < LEAST_PERSONS:
        return model
    codes, starts = codes[: starts[kept]], starts[: kept + 1]
    with threadpool_limits(1, user_api="blas"):
        return one_step(model, MeanOfPersons(model, tape, codes, starts), plan)


def _affordable(starts: NDArray[np.int64]) -> int:
    """Of how many persons, the first ones, all pairs of rows can be looked at."""
    counts = np.diff(starts)
    return int(np.searchsorted(np.cumsum(counts * (counts - 1) // 2), MOST_PAIRS, side="right"))


class _Owners(NamedTuple):
    """To whom drawn rows belong, as `network_rows` takes it."""

    unit: NDArray[np.int64]
    person: NDArray[np.int64]
    position: NDArray[np.int64]


def _drawn_rows(
    person: Learned,
    events: Sequence[LearnedEvents],
    blocks: Blocks,
    meta: TablesMeta,
    persons: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Codes of all rows of drawn persons, `[N, m]`, and where each person's begin, `[persons + 1]`."""
    df, codes = make_persons(person, meta, persons, generator, NOTHING_ASKED)
    everybody = Holders(df, codes, person.codec.sizes, np.arange(persons))
    drawn = {one.events.children.table: one for one in draw_tables(events, meta, everybody, generator)}
    tables = [drawn[each.children.table] for each in events]
    rows, units = network_rows(
        blocks,
        codes,
        [_Owners(one.unit, one.drawn.person, one.drawn.position) for one in tables],
        [one.drawn.codes for one in tables],
        [one.drawn.state for one in tables],
    )
    return rows, units.starts


class MeanOfPersons(MeanGradient):
    """The mean clipped gradient of persons that are drawn from a model, beside the released one.

    Args:
        model: The trained model.
        tape: Its tape.
        codes: Codes of all rows of drawn persons, a person's together, `[N, m]`, -1 where a row has no cell.
        starts: Where each person's rows begin, and where the last one's end, `[persons + 1]`.
    """

    def __init__(
        self,
        model: TabularModel,
        tape: Tape,
        codes: NDArray[np.integer[Any]],
        starts: NDArray[np.int64],
    ) -> None:
        if model.layout.importance is None:
            raise TypeError
        self._importance = model.layout.importance.astype(np.float32)
        self._codes, self._starts = codes, starts
        super().__init__(model, tape, codes)
        self.drawn = len(starts) - 1

    @property
    def targets(self) -> Sequence[int]:
        """Which columns are predicted."""
        found: list[int] = np.flatnonzero(self._importance > 0).tolist()
        return found

    def _residuals(self) -> tuple[dict[bool, Figures], Figures, Figures]:
        """As of rows. What is left out has about expectation 0: most factors are alike."""
        cells, tape = self._cells, self._tape
        there = {target: self._codes[:, target] >= 0 for target in self.targets}
        chance, means = np.zeros((2, *cells.shape), np.float32)
        for target in self.targets:
            own = self.own[target]
            self._chances[own] *= there[target]
            chance[own] = self._chances[own] - cells[own]
        together = _Together(self._layout.scale, self._codes, self._starts)
        mean_factor, free = np.zeros(len(self._codes), np.float32), FreeWeights(self._layout)
        steps = tape.steps_with(derived=False)
        for window, kept in zip(tape.windows, tape.parameters, strict=True):
            chances = chances_of(model_at(self._layout, free, window, kept), cells)
            errors = {
                target: (chances[self.own[target]] - cells[self.own[target]])
                * (self._importance[target] * there[target])
                for target in self.targets
            }
            factor = together.factor(errors, window.clip_norm) * np.float32(window.steps / steps)
            mean_factor += factor
            for target, error in errors.items():
                means[self.own[target]] += error * factor
        return {False: means, True: means}, mean_factor, chance

    def _factor_of(self, target: int) -> Figures:
        factor: Figures = self._factor * self._importance[target]
        return factor


class _Together:
    """By what the rows of each person are clipped, as one.

    The squared norm of the sum of a person's gradients is that of all pairs of its rows: of the products of
    their errors, once for the bias and `scale^2` times for each column in whose cell both are.

    Args:
        scale: Interaction strengths, `[m, m]`.
        codes: As of `MeanOfPersons`.
        starts: As of `MeanOfPersons`.
    """

    def __init__(
        self, scale: NDArray[np.float64], codes: NDArray[np.integer[Any]], starts: NDArray[np.int64]
    ) -> None:
        self._starts, self._counts = starts[:-1], np.diff(starts)
        self._scale = (scale**2).astype(np.float32)
        rows, end = np.arange(len(codes)), np.repeat(starts[1:], self._counts)
        first = [rows[rows + step < end] for step in range(1, int(self._counts.max()))]
        self._first = np.concatenate([rows[:0], *first])
        self._second = np.concatenate([rows[:0], *(each + step for step, each in enumerate(first, 1))])
        self._inputs = self._counted(codes >= 0)
        one, two = codes[self._first], codes[self._second]
        self._common = self._counted((one == two) & (one >= 0))

    def _counted(self, cells: NDArray[np.bool_]) -> Figures:
        """Products of the inputs of which these are equal, of each column: `[m, rows]`."""
        return np.ascontiguousarray((1 + cells.astype(np.float32) @ self._scale).T)

    def factor(self, errors: dict[int, Figures], clip_norm: float) -> Figures:
        """By what each row's gradients are multiplied, `[N]`.

        Args:
            errors: Gradients of the logits of each column that is predicted, `[cells, N]`.
            clip_norm: The largest norm.
        """
        squares = np.zeros(int(self._counts.sum()), np.float32)
        pairs = np.zeros(len(self._first), np.float32)
        for target, error in errors.items():
            squares += self._inputs[target] * np.einsum("cn,cn->n", error, error)
            one, two = error[:, self._first], error[:, self._second]
            pairs += self._common[target] * np.einsum("cn,cn->n", one, two)
        squares += np.bincount(self._first, 2 * pairs, minlength=len(squares)).astype(np.float32)
        whole = np.maximum(np.add.reduceat(squares, self._starts), 1e-12)
        factor = np.minimum(1, clip_norm / np.sqrt(whole))
        return np.repeat(factor, self._counts).astype(np.float32)
