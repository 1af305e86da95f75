"""Everything that is measured of one table of events, in the order in which it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.measure import LEAST_COUNT, drop_absent_cells
from jupyter_dpsynth.engine.model.evidence import certainty
from jupyter_dpsynth.engine.model.plan import MARGINALS, PAIRS
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.metadata.columns import CategoricalMeta
from jupyter_dpsynth.metadata.ends import is_end
from jupyter_dpsynth.persons.blocks import (
    TIMES_LEFT,
    Blocks,
    previous_codes,
    state_codes,
    state_sizes,
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
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.measure import MeasuredTable
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.histories import Events
    from jupyter_dpsynth.privacy.releases import Releases

__all__ = [
    "OF_A_COLUMN",
    "MeasuredEvents",
    "blocks_of",
    "empty_blocks",
    "event_pairs",
    "is_windowed",
    "measure_events",
    "numbers_of",
    "whole_numbers",
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
        counts: Noisy capped counts of each cell, for each column.
        noise: Standard deviation of each one's noise, in rows.
        shares: Noisy shares of each cell, for each column.
        dependence: Noisy distance from independence of each pair of `event_pairs`.
        numbers: Noisy share of persons with 0, 1, ... events, whatever these belong to.
        cap: As how many rows a person's rows count at most.
        terminal: Cells after which no event comes, bool `[all cells]`.
        ends: These, in words.
    """

    children: Children
    codec: TableCodec
    codes: NDArray[np.int16]
    state: NDArray[np.int64]
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
    return blocks_of(meta, person, own)


def blocks_of(meta: TablesMeta, person: tuple[int, ...], own: tuple[tuple[int, ...], ...]) -> Blocks:
    """The columns of the network.

    Args:
        meta: Metadata of all tables.
        person: Number of cells of each of the person's columns.
        own: Number of cells of each column of an event, by table.
    """
    states = tuple(
        state_sizes(windowed=is_windowed(meta, each), times=None if each.times is None else len(each.times))
        for each in meta.children
    )
    above = tuple(None if each.above is None else meta.place(each.above) for each in meta.children)
    return Blocks(person, own, states, above)


def is_windowed(meta: TablesMeta, children: Children) -> bool:
    """Whether the first and last value of the order are public, and gaps lead from one to the other."""
    order = meta.order_of(children)
    return children.gapped and order is not None and order.bounds is not None


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
    above: MeasuredEvents | None,
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
        above: What was measured of the rows to which the rows belong; None if they belong to persons.
        plan: Sizes of this table.
        releases: What is planned of this table.
        report: Called with what comes next, in words; may raise to stop.

    Privacy:
        Values are found in one row of each person; in all else a person's rows are capped together.
    """
    from dataclasses import replace

    if above is None:
        numbers = numbers_of(persons.codec, persons.reference.shares, children)
    else:
        numbers = whole_numbers(above.numbers, numbers_of(above.codec, above.shares, children))
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
    # of fewer cells than int16 holds: as in the rows of the network
    codes = np.concatenate([codec.encode(df).astype(np.int16) for df in events.frames()])
    if children.gapped:
        codes[events.position == 0, 0] = -1
    left_of = _left(events, meta, children)
    timed = children.times is not None
    state = state_codes(events.place, events.number[events.person], left_of, timed=timed)
    columns = len(codec.columns)
    # how much of a window is left has few cells, and is only an input
    whole = Fraction(columns) + (OF_A_COLUMN if windowed else 0)
    allowance = releases.allowance(MARGINALS, 1 / whole)
    noise = cap * allowance.noise
    counts, shares = [], []
    sure = certainty(sum(len(each.optional_cells) for each in codec.columns))
    for column, each in enumerate(codec.columns):
        found = cap * measure_shares(
            codes[:, column].astype(np.int64), events.unit, each.size, cap, allowance
        )
        variance = np.full(each.size, noise**2)
        share, optional = to_shares(found, LEAST_COUNT), list(each.optional_cells)
        drop_absent_cells(optional, share, found, variance, sure)
        if column == 0 and children.gapped:  # a gap is not missing where it counts
            found[optional], share[optional] = 0.0, 0.0
            share /= share.sum()
        counts.append(found)
        shares.append(share)
    left = None
    if windowed:
        size = len(TIMES_LEFT) + 1
        little = releases.allowance(MARGINALS, OF_A_COLUMN / whole)
        left = to_shares(cap * measure_shares(state[:, 2], events.unit, size, cap, little), 1.0)
    report(f"measuring pairs of columns of {children.table!r}")
    dependence = _dependence(
        events, persons, above, (codes, state), shares, left, numbers, cap, plan, children, releases
    )
    terminal, ends = _terminal(events, children, codec, codes, releases)
    return MeasuredEvents(
        children,
        codec,
        codes,
        state,
        counts,
        noise,
        shares,
        dependence,
        numbers,
        cap,
        terminal,
        ends,
    )


def whole_numbers(above: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of persons with 0, 1, ... rows below, where these numbers do not depend on each other.

    Args:
        above: Share of persons with 0, 1, ... rows above.
        numbers: Share of rows above with 0, 1, ... rows below.
    """
    out = np.zeros((len(above) - 1) * (len(numbers) - 1) + 1)
    some = np.ones(1)
    for share in above:
        out[: len(some)] += share * some
        some = np.convolve(some, numbers)
    return out


def numbers_of(
    holder: TableCodec, shares: Sequence[NDArray[np.float64]], children: Children
) -> NDArray[np.float64]:
    """Noisy share of persons (or rows above) with 0, 1, ... rows, `[most + 1]`; what is declared is public.

    Args:
        holder: Cells of the columns of persons, or of the rows above.
        shares: Their noisy shares.
        children: Whose rows.
    """
    if children.exactly is not None:
        return np.append(np.zeros(children.most), 1.0)
    place = holder.names.index(children.number)
    codec, share = holder.columns[place], shares[place]
    if not isinstance(codec, NumericCodec):
        raise TypeError
    out = np.zeros(children.most + 1)
    last = np.append(codec.first_leaf[1:], len(codec.starts))
    for own, first, end in zip(share, codec.first_leaf, last, strict=False):
        weights = codec.weights[first:end] / codec.weights[first:end].sum()
        for leaf, weight in zip(range(first, end), weights, strict=True):
            inside = np.arange(max(int(codec.starts[leaf]), 0), min(int(codec.ends[leaf]), children.most + 1))
            out[inside] += own * weight / max(len(inside), 1)
    found: NDArray[np.float64] = out / out.sum()
    return found


def _one_row_each(events: Events, children: Children) -> pd.DataFrame:
    """One row of each person that has any; its gap is that of one of the person's later rows."""
    df = events.take(events.chosen)
    if children.gapped:
        of = np.full(int(events.unit.max(initial=-1)) + 1, -1)
        of[events.unit[events.later]] = events.later
        row = of[events.unit[events.chosen]]
        gaps = events.take(np.maximum(row, 0))[children.gap] if len(row) else df[children.gap]
        df[children.gap] = gaps.mask(row < 0) if len(gaps) else gaps
    return df


def _left(events: Events, meta: TablesMeta, children: Children) -> NDArray[np.float64] | None:
    """Share of the window that is left after the event before (of a first event, after itself)."""
    order = meta.order_of(children)
    if order is None or order.bounds is None or events.when is None or not children.gapped:
        return None
    low, high = (float(bound) for bound in order.bounds)
    end = -low if children.descending else high
    before = np.append(events.when[:1], events.when[:-1])[: len(events.when)].astype(np.float64)
    before = np.where(events.position == 0, events.when, before)
    left: NDArray[np.float64] = (end - before) / max(high - low, 1e-300)
    return left


def _dependence(
    events: Events,
    persons: MeasuredTable,
    above: MeasuredEvents | None,
    coded: tuple[NDArray[np.int16], NDArray[np.int64]],
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
    person, own = tuple(persons.codec.sizes.tolist()), tuple(map(len, shares))
    states = state_sizes(
        windowed=left is not None, times=None if children.times is None else len(children.times)
    )
    upper = () if above is None else tuple(above.codec.sizes.tolist())
    blocks = Blocks((*person, *upper), (own,), (states,), (None,))  # as if what is above were the person's
    pairs = event_pairs(blocks, 0)
    columns = _Columns(persons.codes, events, above, codes, state)
    of, first_state = blocks.tables[0], _state_shares(children, numbers, states, left)
    known = [
        *persons.reference.shares,
        *(() if above is None else above.shares),
        *first_state,
        *shares,
        *shares,
        *shares,
    ]
    # of rows that belong to rows above, about as many have one before them as if all were one history
    counted = []
    for first, second in pairs:
        without = 1 if second == of.own.start and children.gapped else 0
        without = max(without, 1 if of.previous.start <= first < of.previous.stop else 0)
        without = max(without, 2 if of.earlier.start <= first < of.earlier.stop else 0)
        timed = children.gapped and first in (of.previous.start, of.own.start)
        without = max(without, 2 if timed and first == of.previous.start else 1 if timed else 0)
        counted.append(max(plan.rows * expected_numbers(numbers, cap, without), 1.0))
    allowance = releases.allowance(PAIRS, sensitivity=len(pairs) ** 0.5)
    people = len(blocks.person)
    shifted = [(first - people, second - people) for first, second in pairs]
    return measure_event_pairs(columns, events.unit, shifted, known, counted, float(cap), allowance)


class _Columns:
    """The columns of the network in the rows of events, each made when it is needed: private.

    Args:
        persons: Codes of the persons.
        events: The rows.
        above: What was measured of the rows above; None if there are none.
        codes: Codes of the rows.
        state: What `state_codes` gave.
    """

    def __init__(
        self,
        persons: NDArray[Any],
        events: Events,
        above: MeasuredEvents | None,
        codes: NDArray[np.int16],
        state: NDArray[np.int64],
    ) -> None:
        self._position = events.position
        self._blocks: list[tuple[NDArray[Any], NDArray[np.int64] | int | None]] = [(persons, events.unit)]
        if above is not None:
            self._blocks.append((above.codes, events.person))
        self._blocks += [(state, None), (codes, 1), (codes, 2), (codes, None)]

    def __call__(self, column: int) -> NDArray[np.int64]:
        """Codes of one of them, `[R]`, -1 where a row has none."""
        for values, of in self._blocks:
            if column < values.shape[1]:
                own = values[:, column]
                if isinstance(of, int):
                    own = previous_codes(own, self._position, of)
                return (own[of] if isinstance(of, np.ndarray) else own).astype(np.int64)
            column -= values.shape[1]
        raise IndexError


def _state_shares(
    children: Children,
    numbers: NDArray[np.float64],
    states: tuple[int, ...],
    left: NDArray[np.float64] | None,
) -> list[NDArray[np.float64]]:
    """About the shares of the state's cells, by what is known of the number of events."""
    if children.times is not None:
        return [np.full(states[0], 1 / states[0])]
    whole = expected_numbers(numbers, len(numbers))
    places = [
        expected_numbers(numbers, 1),
        expected_numbers(numbers, 1, 1),
        expected_numbers(numbers, len(numbers), 2),
    ]
    at = to_shares(np.array(places) / max(whole, 1e-9), 1e-6)
    return [at, at, *([] if left is None else [left])]


def _terminal(
    events: Events,
    children: Children,
    codec: TableCodec,
    codes: NDArray[np.int16],
    releases: Releases,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which cells end a history, and these in words; only categories, where its length is not fixed.

    What is declared ends it in any case, and costs nothing; what noisy counts tell is added.
    """
    named = [place for place, each in enumerate(codec.columns) if isinstance(each, CategoryCodec)]
    terminal = [np.zeros(each.size, dtype=bool) for each in codec.columns]
    ends: list[str] = []
    learned = sum(isinstance(meta, CategoricalMeta) for meta in codec.df_meta.learned)
    if not named or children.exactly is not None:
        return np.concatenate(terminal), ()
    allowance = releases.allowance(FOLLOWED, Fraction(1, learned))
    ends_here = events.position + 1 == events.number[events.person]
    sure = certainty(int(sum(codec.columns[place].size for place in named)))
    for place in named:
        size = codec.columns[place].size
        own = (
            codes[:, place].astype(np.int64) + size * ends_here
        )  # cells of rows with a next one, and then of last ones
        both = measure_shares(own, events.unit, 2 * size, 1.0, allowance)
        terminal[place] = terminal_cells(both[:size], both[size:], allowance.noise, sure)
        column = codec.columns[place]
        if isinstance(column, CategoryCodec):
            declared = [is_end(children.ends, column.meta.name, value) for value in column.published]
            terminal[place][: len(declared)] |= np.array(declared, dtype=bool)
        labels = column.labels
        ends += [
            f"{codec.columns[place].meta.name!r} = {labels[cell]!r}"
            for cell in np.flatnonzero(terminal[place])
        ]
    return np.concatenate(terminal), tuple(ends[:MOST_ENDS_NAMED])
