"""Everything that is measured of one table of events, in the order in which it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.measure import LEAST_COUNT, drop_absent_cells
from jupyter_dpsynth.engine.model.evidence import certainty
from jupyter_dpsynth.engine.model.plan import MARGINALS, PAIRS
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.metadata.columns import CategoricalMeta
from jupyter_dpsynth.persons.blocks import (
    TIMES_LEFT,
    Blocks,
    previous_codes,
    state_codes,
)
from jupyter_dpsynth.persons.histories import event_meta, person_meta
from jupyter_dpsynth.persons.measuring import (
    counting_cap,
    expected_numbers,
    measure_event_pairs,
    measure_shares,
    terminal_cells,
)
from jupyter_dpsynth.persons.planning import FOLLOWED
from jupyter_dpsynth.sources.base import FrameSource

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.measure import MeasuredTable
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.histories import Events
    from jupyter_dpsynth.privacy.releases import Releases

__all__ = [
    "OF_A_COLUMN",
    "MeasuredEvents",
    "empty_blocks",
    "event_pairs",
    "is_windowed",
    "measure_events",
    "numbers_of",
]

MOST_ENDS_NAMED = 5
OF_A_COLUMN = Fraction(1, 4)  # what the time that is left in a window gets of a column's histogram


@dataclass(frozen=True, eq=False)
class MeasuredEvents:
    """What a run has of one table of events before training.

    Attributes:
        children: Which rows belong to a person.
        codec: Cells of every column.
        codes: Codes of all rows, `[R, columns]`, -1 for the gap of a first one: private.
        state: What `state_codes` gave: private.
        windowed: Whether the time that is left in a window is known.
        counts: Noisy capped counts of each cell, for each column.
        noise: Standard deviation of each one's noise, in rows.
        shares: Noisy shares of each cell, for each column.
        dependence: Noisy distance from independence of each pair of `event_pairs`.
        numbers: Noisy share of persons with 0, 1, ... events.
        cap: As how many rows a person's rows count at most.
        terminal: Cells after which no event comes, bool `[all cells]`.
        ends: These, in words.
    """

    children: Children
    codec: TableCodec
    codes: NDArray[np.int64]
    state: NDArray[np.int64]
    windowed: bool
    counts: list[NDArray[np.float64]]
    noise: float
    shares: list[NDArray[np.float64]]
    dependence: NDArray[np.float64]
    numbers: NDArray[np.float64]
    cap: int
    terminal: NDArray[np.bool_]
    ends: tuple[str, ...]


def empty_blocks(meta: TablesMeta, key: str) -> Blocks:
    """The columns of the network, as if each had one cell: what is known before anything is measured."""
    person = (1,) * len(person_meta(meta, key).learned)
    own = tuple((1,) * len(event_meta(meta, each, key).learned) for each in meta.children)
    return Blocks(person, own, tuple(is_windowed(meta, each) for each in meta.children))


def is_windowed(meta: TablesMeta, children: Children) -> bool:
    """Whether the first and last value of the order are public."""
    order = meta.order_of(children)
    return order is not None and order.bounds is not None


def event_pairs(blocks: Blocks, place: int) -> list[tuple[int, int]]:
    """The pairs of columns of which the second one is a column of these events."""
    pairs, own = blocks.pairs(), blocks.tables[place].own
    return [(int(i), j) for j in range(own.start, own.stop) for i in np.flatnonzero(pairs[:, j])]


def measure_events(
    events: Events,
    meta: TablesMeta,
    children: Children,
    key: str,
    persons: MeasuredTable,
    plan: RunPlan,
    releases: Releases,
    report: Callable[[str], None],
) -> MeasuredEvents:
    """Measure values, shares, dependences and ends of histories of one table of events.

    Args:
        events: The private rows.
        meta: Metadata of all tables.
        children: Which rows belong to a person.
        key: The column that names the person.
        persons: What was measured of persons.
        plan: Sizes of this table.
        releases: What is planned of this table.
        report: Called with what comes next, in words; may raise to stop.

    Privacy:
        Values are found in one row of each person; in all else a person's rows are capped together.
    """
    from dataclasses import replace

    numbers = numbers_of(persons, children)
    some = max(plan.rows * float(numbers[1:].sum()), 2.0)
    codec = discover_table(
        FrameSource(_one_row_each(events, children)),
        event_meta(meta, children, key),
        releases,
        replace(plan, rows=some),
        lambda name: report(f"measuring column {name!r} of {children.table!r}"),
    ).codec
    report(f"measuring {children.table!r}")
    windowed, cap = is_windowed(meta, children), counting_cap(numbers)
    codes = codec.encode(events.df).astype(np.int64)
    if children.order is not None:
        codes[events.position == 0, 0] = -1
    state = state_codes(events.position, events.number[events.person], _left(events, meta, children))
    columns = len(codec.columns)
    # how much of a window is left has few cells, and is only an input
    whole = Fraction(columns) + (OF_A_COLUMN if windowed else 0)
    allowance = releases.allowance(MARGINALS, 1 / whole)
    noise = cap * allowance.noise
    counts, shares = [], []
    sure = certainty(sum(len(each.optional_cells) for each in codec.columns))
    for column, each in enumerate(codec.columns):
        found = cap * measure_shares(codes[:, column], events.person, each.size, cap, allowance)
        variance = np.full(each.size, noise**2)
        share, optional = to_shares(found, LEAST_COUNT), list(each.optional_cells)
        drop_absent_cells(optional, share, found, variance, sure)
        if column == 0 and children.order is not None:  # a gap is not missing where it counts
            found[optional], share[optional] = 0.0, 0.0
            share /= share.sum()
        counts.append(found)
        shares.append(share)
    left = None
    if windowed:
        size = len(TIMES_LEFT) + 1
        little = releases.allowance(MARGINALS, OF_A_COLUMN / whole)
        left = to_shares(cap * measure_shares(state[:, 2], events.person, size, cap, little), 1.0)
    report(f"measuring pairs of columns of {children.table!r}")
    blocks = Blocks(tuple(persons.codec.sizes.tolist()), (tuple(codec.sizes.tolist()),), (windowed,))
    dependence = _dependence(
        events, blocks, persons, (codes, state), shares, left, numbers, cap, plan, children, releases
    )
    terminal, ends = _terminal(events, codec, codes, releases)
    return MeasuredEvents(
        children,
        codec,
        codes,
        state,
        windowed,
        counts,
        noise,
        shares,
        dependence,
        numbers,
        cap,
        terminal,
        ends,
    )


def numbers_of(persons: MeasuredTable | Learned, children: Children) -> NDArray[np.float64]:
    """Noisy share of persons with 0, 1, ... events, `[most + 1]`; what is declared of it is public.

    Args:
        persons: What was measured, or learned, of persons.
        children: Whose events.
    """
    if children.exactly is not None:
        return np.append(np.zeros(children.most), 1.0)
    place = persons.codec.names.index(children.number)
    codec, share = persons.codec.columns[place], persons.reference.shares[place]
    if not isinstance(codec, NumericCodec):
        raise TypeError
    out = np.zeros(children.most + 1)
    last = np.append(codec.first_leaf[1:], len(codec.starts))
    for own, first, end in zip(share, codec.first_leaf, last, strict=False):
        weights = codec.weights[first:end] / codec.weights[first:end].sum()
        for leaf, weight in zip(range(first, end), weights, strict=True):
            inside = np.arange(max(int(codec.starts[leaf]), 0), min(int(codec.ends[leaf]), children.most + 1))
            out[inside] += own * weight / max(len(inside), 1)
    shares: NDArray[np.float64] = out / out.sum()
    return shares


def _one_row_each(events: Events, children: Children) -> pd.DataFrame:
    """One row of each person that has any; its gap is that of one of the person's later rows."""
    df = events.df.iloc[events.chosen].reset_index(drop=True)
    if children.order is not None:
        of = np.full(len(events.number), -1)
        of[events.person[events.later]] = events.later
        row = of[events.person[events.chosen]]
        gaps = events.df[children.gap].iloc[np.maximum(row, 0)].reset_index(drop=True)
        df[children.gap] = gaps.mask(row < 0) if len(gaps) else gaps
    return df


def _left(events: Events, meta: TablesMeta, children: Children) -> NDArray[np.float64] | None:
    """Share of the window that is left after the event before (of a first event, after itself)."""
    order = meta.order_of(children)
    if order is None or order.bounds is None or events.when is None:
        return None
    low, high = (float(bound) for bound in order.bounds)
    end = -low if children.descending else high
    before = np.append(events.when[:1], events.when[:-1])[: len(events.when)].astype(np.float64)
    before = np.where(events.position == 0, events.when, before)
    left: NDArray[np.float64] = (end - before) / max(high - low, 1e-300)
    return left


def _dependence(
    events: Events,
    blocks: Blocks,
    persons: MeasuredTable,
    coded: tuple[NDArray[np.int64], NDArray[np.int64]],
    shares: list[NDArray[np.float64]],
    left: NDArray[np.float64] | None,
    numbers: NDArray[np.float64],
    cap: int,
    plan: RunPlan,
    children: Children,
    releases: Releases,
) -> NDArray[np.float64]:
    """Noisy distances of pairs of columns from independence."""
    codes, state = coded
    pairs = event_pairs(blocks, 0)
    rows = np.concatenate(
        [
            persons.codes[events.person].astype(np.int64),
            state,
            previous_codes(codes, events.position, 1),
            previous_codes(codes, events.position, 2),
            codes,
        ],
        axis=1,
    )
    people = len(blocks.person)
    of = blocks.tables[0]
    whole = expected_numbers(numbers, len(numbers))
    places = [
        expected_numbers(numbers, 1),
        expected_numbers(numbers, 1, 1),
        expected_numbers(numbers, len(numbers), 2),
    ]
    at = to_shares(np.array(places) / max(whole, 1e-9), 1e-6)
    known = [*persons.reference.shares, at, at, *([] if left is None else [left]), *shares, *shares, *shares]
    counted = []
    for first, second in pairs:
        without = 1 if second == of.own.start and children.order is not None else 0
        without = max(without, 1 if of.previous.start <= first < of.previous.stop else 0)
        without = max(without, 2 if of.earlier.start <= first < of.earlier.stop else 0)
        timed = children.order is not None and first in (of.previous.start, of.own.start)
        without = max(without, 2 if timed and first == of.previous.start else 1 if timed else 0)
        counted.append(max(plan.rows * expected_numbers(numbers, cap, without), 1.0))
    allowance = releases.allowance(PAIRS, sensitivity=len(pairs) ** 0.5)
    shifted = [(first - people, second - people) for first, second in pairs]
    return measure_event_pairs(rows, events.person, shifted, known, counted, float(cap), allowance)


def _terminal(
    events: Events,
    codec: TableCodec,
    codes: NDArray[np.int64],
    releases: Releases,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which cells end a history, and these in words; only categories may."""
    named = [place for place, each in enumerate(codec.columns) if isinstance(each, CategoryCodec)]
    terminal = [np.zeros(each.size, dtype=bool) for each in codec.columns]
    ends: list[str] = []
    learned = sum(isinstance(meta, CategoricalMeta) for meta in codec.df_meta.learned)
    if not named:
        return np.concatenate(terminal), ()
    allowance = releases.allowance(FOLLOWED, Fraction(1, learned))
    ends_here = events.position + 1 == events.number[events.person]
    sure = certainty(int(sum(codec.columns[place].size for place in named)))
    for place in named:
        size = codec.columns[place].size
        own = codes[:, place] + size * ends_here  # cells of rows with a next one, and then of last ones
        both = measure_shares(own, events.person, 2 * size, 1.0, allowance)
        terminal[place] = terminal_cells(both[:size], both[size:], allowance.noise, sure)
        labels = codec.columns[place].labels
        ends += [
            f"{codec.columns[place].meta.name!r} = {labels[cell]!r}"
            for cell in np.flatnonzero(terminal[place])
        ]
    return np.concatenate(terminal), tuple(ends[:MOST_ENDS_NAMED])
