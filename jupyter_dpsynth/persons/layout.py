"""The network of persons with histories: how strongly columns tell about each other, and the clip norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.learning.fitting import START_FLOOR
from jupyter_dpsynth.engine.model.network import Layout, TabularModel, pair_strength
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.persons.blocks import Blocks, EventBlocks, start_shares
from jupyter_dpsynth.persons.events import blocks_of, event_pairs
from jupyter_dpsynth.persons.measuring import expected_numbers
from jupyter_dpsynth.persons.planning import CLIP, UNCLIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.measure import MeasuredTable
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.persons.events import MeasuredEvents

__all__ = ["PersonsNetwork", "layout_of"]

FEWEST_EVENTS = 0.2  # of a person, where weights are balanced
LEAST_OF_ALL = 0.7  # what all events of a person count together at least, to stand against the weight decay
NO_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class PersonsNetwork:
    """What training starts from: everything in it is noisy or public.

    Attributes:
        blocks: The columns.
        layout: Their interactions.
        shares: Noisy share of each cell of every column.
        ordered: How many leading cells of each column are neighbours.
        clip_norm: The largest norm of a person's contribution.
    """

    blocks: Blocks
    layout: Layout
    shares: list[NDArray[np.float64]]
    ordered: list[int]
    clip_norm: float

    def person_model(self, model: TabularModel) -> TabularModel:
        """The part of the network that draws persons."""
        person = len(self.blocks.person)
        width = int(self.layout.offsets[person])
        layout = Layout(self.layout.sizes[:person], self.layout.scale[:person, :person])
        return TabularModel(layout, model.weights[:width, :width].copy(), model.bias[:width].copy())

    def event_weights(
        self, model: TabularModel, place: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights `[inputs, cells]` and biases `[cells]` of the part that draws the events of one table."""
        table, offsets = self.blocks.tables[place], self.layout.offsets
        own = slice(offsets[table.own.start], offsets[table.own.stop])
        inputs = slice(offsets[table.given.start], offsets[table.own.stop])
        return model.weights[inputs, own].copy(), model.bias[own].copy()


def layout_of(
    measured: MeasuredTable, events: Sequence[MeasuredEvents], meta: TablesMeta, plan: RunPlan
) -> PersonsNetwork:
    """Fix the network by what was measured: post-processing.

    Args:
        measured: What was measured of persons.
        events: The same of events.
        meta: Metadata of all tables.
        plan: The run's plan.
    """
    person_sizes = tuple(measured.codec.sizes.tolist())
    blocks = blocks_of(meta, person_sizes, tuple(tuple(each.codec.sizes.tolist()) for each in events))
    sizes, count = blocks.sizes, len(person_sizes)
    distance = np.zeros((len(sizes), len(sizes)))
    distance[:count, :count] = np.triu(measured.reference.dependence, 1)
    for place, each in enumerate(events):
        for (first, second), value in zip(event_pairs(blocks, place), each.dependence, strict=True):
            distance[first, second] = value
        _leave_to_the_event_before(distance, blocks.tables[place], each.shares)
    pairs = blocks.pairs()
    scale = np.zeros_like(distance)
    scale[pairs] = pair_strength(distance[pairs], distance[pairs], plan.pair_exponent)
    starts = _start_shares(measured, events, blocks)
    importance, clip = _balance(blocks, scale, measured, events, plan)
    layout = Layout(sizes, scale, importance=importance)
    ordered = blocks.ordered(
        [column.ordered_cells for column in measured.codec.columns],
        [[column.ordered_cells for column in each.codec.columns] for each in events],
    )
    return PersonsNetwork(blocks, layout, starts, ordered, clip)


def _leave_to_the_event_before(
    distance: NDArray[np.float64], table: EventBlocks, shares: Sequence[NDArray[np.float64]]
) -> None:
    """Take off, in place, what the event before explains of the dependence on the one before that.

    If an event repeats the one before with some chance, and depends on nothing else, the distance of each
    lag from independence is that chance's power times the distance of a column from itself.
    """
    for place, share in enumerate(shares):
        own = table.own.start + place
        previous, earlier = table.previous.start + place, table.earlier.start + place
        itself = max(1 - float((share**2).sum()), NO_SPREAD)
        explained = distance[previous, own] ** 2 / itself
        distance[earlier, own] = max(distance[earlier, own] - explained, 0.0)


def _start_shares(
    measured: MeasuredTable, events: Sequence[MeasuredEvents], blocks: Blocks
) -> list[NDArray[np.float64]]:
    """Shares of every column's cells, none of them zero."""
    rows = measured.reference.rows
    person = [
        to_shares(count, START_FLOOR * float(noise.mean()) * rows + 1)
        for count, noise in zip(measured.counts, measured.reference.noise, strict=True)
    ]
    own = [[to_shares(count, START_FLOOR * each.noise + 1) for count in each.counts] for each in events]
    return start_shares(blocks, person, own)


def _balance(
    blocks: Blocks,
    scale: NDArray[np.float64],
    measured: MeasuredTable,
    events: Sequence[MeasuredEvents],
    plan: RunPlan,
) -> tuple[NDArray[np.float64], float]:
    """By what the errors of each column count, and the clip norm of a person.

    Events count less than the person's own columns, so that both are learned with about as much noise: a
    person has several of them.
    """
    squares = 1 + (scale**2).sum(axis=0)
    pairs = scale > 0
    count = len(blocks.person)
    spread = np.array([1 - (share**2).sum() for share in measured.reference.shares])
    of_person = max(float(squares[:count] @ spread), NO_SPREAD)
    person_pairs = max(int(pairs[:, :count].sum()), 1)
    importance = np.zeros(len(squares))
    importance[:count] = 1.0
    total = of_person
    for table, each in zip(blocks.tables, events, strict=True):
        own = np.array([1 - (share**2).sum() for share in each.shares])
        of_event = max(float(squares[table.own] @ own), NO_SPREAD)
        mean = expected_numbers(each.numbers, len(each.numbers))
        event_pairs_ = int(pairs[:, table.own].sum())
        ratio = math.sqrt(of_person / of_event * math.sqrt(event_pairs_ / person_pairs))
        squared = max(ratio / max(mean, FEWEST_EVENTS) ** 1.5, (LEAST_OF_ALL / max(mean, 1.0)) ** 2)
        squared = min(squared, 1.0)
        squared = squared if of_person > NO_SPREAD else 1.0  # there is nothing else to be learned
        importance[table.own] = math.sqrt(squared)
        total += squared * mean * of_event
    factor = CLIP if plan.privacy is not None else UNCLIPPED
    return importance, factor * math.sqrt(total)
