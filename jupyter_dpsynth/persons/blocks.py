"""The columns of the network that learns persons with histories, and the rows of a person as their codes.

One person is one row of its own, and one row for each of its events, of all levels. The network has these
columns:

| block | in the person's row | in an event's row |
|---|---|---|
| person: its columns, its numbers of events, their first times | predicted, in this order | - |
| of each table of events: | | |
| given: the person's columns again, and those of the row above, where there is one | - | given |
| state: place in the history, how many come, time left in the window; or which fixed time it is | - | given |
| previous: the columns of the event before; for a first event none | - | given |
| earlier: those of the event before that, each of which tells about its own column only | - | given |
| own: the gap to the event before (for a first event none), and its columns | - | predicted, in this order |

What a row does not have has the code -1: it is neither predicted nor tells about others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jupyter_dpsynth.sources.bounding import PrivacyUnits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "POSITIONS",
    "TIMES_LEFT",
    "Belonging",
    "Blocks",
    "EventBlocks",
    "given_codes",
    "network_rows",
    "previous_codes",
    "start_shares",
    "state_codes",
    "state_sizes",
]

AT_ONCE = 2**18  # events whose rows are filled in together
POSITIONS = 3  # cells of a place in a history: first, second, later; and of how many come: 0, 1, more
TIMES_LEFT = (1 / 36, 1 / 12, 1 / 6, 1 / 3, 2 / 3)  # of the window: where the time that is left is cut


class Belonging(Protocol):
    """To whom rows belong: those of a table, or drawn ones."""

    @property
    def unit(self) -> NDArray[np.int64]:
        """Number of each row's person, increasing."""

    @property
    def person(self) -> NDArray[np.int64]:
        """Number of each row's person, or of the row above, increasing."""

    @property
    def position(self) -> NDArray[np.int64]:
        """Place of each row in its history."""


@dataclass(frozen=True)
class EventBlocks:
    """Which columns of the network belong to one table of events."""

    given: slice
    state: slice
    previous: slice
    earlier: slice
    own: slice


@dataclass(frozen=True, eq=False)
class Blocks:
    """The columns of the network.

    Attributes:
        person: Number of cells of each of the person's columns.
        own: Number of cells of each column of an event, by table.
        states: Number of cells of each column of the state in which an event is, by table.
        above: Of each table, the place of the table to whose rows its rows belong; None if to persons.
    """

    person: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    states: tuple[tuple[int, ...], ...]
    above: tuple[int | None, ...]

    def given(self, place: int) -> tuple[int, ...]:
        """Number of cells of each column that is given with an event of a table, but for its history."""
        above = self.above[place]
        return self.person if above is None else (*self.person, *self.own[above])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of cells of every column, `[m]`."""
        sizes = list(self.person)
        for place, (own, state) in enumerate(zip(self.own, self.states, strict=True)):
            sizes += [*self.given(place), *state, *own, *own, *own]
        return np.array(sizes, np.int64)

    @property
    def tables(self) -> tuple[EventBlocks, ...]:
        """Places of the columns of each table of events."""
        found, at = [], len(self.person)
        for place, (own, state) in enumerate(zip(self.own, self.states, strict=True)):
            parts = []
            for size in (len(self.given(place)), len(state), len(own), len(own), len(own)):
                parts.append(slice(at, at + size))
                at += size
            found.append(EventBlocks(*parts))
        return tuple(found)

    def pairs(self) -> NDArray[np.bool_]:
        """Which column tells about which later one, `[m, m]`."""
        count, person = len(self.sizes), len(self.person)
        found = np.zeros((count, count), dtype=bool)
        found[:person, :person] = np.triu(np.ones((person, person), dtype=bool), 1)
        for table in self.tables:
            for place, target in enumerate(range(table.own.start, table.own.stop)):
                found[table.given.start : table.previous.stop, target] = True
                found[table.earlier.start + place, target] = True
                found[table.own.start : target, target] = True
        return found

    def ordered(self, person: Sequence[int], own: Sequence[Sequence[int]]) -> list[int]:
        """How many leading cells of each column are neighbours, given that of the columns by themselves."""
        out = list(person)
        for each, state, above in zip(own, self.states, self.above, strict=True):
            out += [*person, *(() if above is None else own[above]), *state, *each, *each, *each]
        return out


def start_shares(
    blocks: Blocks, person: Sequence[NDArray[np.float64]], own: Sequence[Sequence[NDArray[np.float64]]]
) -> list[NDArray[np.float64]]:
    """Shares of the cells of every column of the network.

    Args:
        blocks: The columns.
        person: Shares of the cells of each of the person's columns.
        own: The same of each column of an event, by table.
    """
    found = list(person)
    for each, state, above in zip(own, blocks.states, blocks.above, strict=True):
        upper = () if above is None else own[above]
        found += [*person, *upper, *(np.full(size, 1 / size) for size in state), *each, *each, *each]
    return found


def state_sizes(*, windowed: bool, times: int | None) -> tuple[int, ...]:
    """Number of cells of each column of the state in which events are.

    Args:
        windowed: Whether the time that is left in a window is known.
        times: How many fixed times there are; None without.
    """
    if times is not None:
        return (times,)
    return (POSITIONS, POSITIONS, *([len(TIMES_LEFT) + 1] * windowed))


def state_codes(
    position: NDArray[np.int64],
    number: NDArray[np.int64],
    left: NDArray[np.float64] | None,
    *,
    timed: bool = False,
) -> NDArray[np.int64]:
    """Codes of the state in which events are, `[R, columns of state_sizes]`.

    Args:
        position: Place of each event in its history, from 0; or which fixed time it is.
        number: How many events its person has.
        left: Share of the window that is left after the event before; None without a window.
        timed: Whether there are fixed times: which one it is says all.
    """
    if timed:
        return position[:, None]
    last = POSITIONS - 1
    columns = [np.minimum(position, last), np.minimum(number - 1 - position, last)]
    if left is not None:
        columns.append(np.digitize(left, TIMES_LEFT))
    return np.stack(columns, axis=1)


def previous_codes(codes: NDArray[Any], position: NDArray[np.int64], steps: int) -> NDArray[Any]:
    """Codes of the event so many places before, `[R]` or `[R, columns]`; -1 where there is none."""
    out = np.full_like(codes, -1)
    if len(codes) > steps:
        out[steps:] = codes[:-steps]
    out[position < steps] = -1
    return out


def given_codes(
    person_codes: NDArray[Any],
    unit: NDArray[np.int64],
    person: NDArray[np.int64],
    above: NDArray[Any] | None,
) -> NDArray[np.int64]:
    """Codes of what is given with each event, but for its history: of its person, and of the row above it.

    Args:
        person_codes: Codes of the persons, `[n, person columns]`.
        unit: Which person each event belongs to.
        person: Which row above each event belongs to.
        above: Codes of the rows above; None if there are none.
    """
    given = person_codes[unit].astype(np.int64)
    return given if above is None else np.concatenate([given, above[person]], axis=1)


def network_rows(
    blocks: Blocks,
    person_codes: NDArray[Any],
    events: Sequence[Belonging],
    own_codes: Sequence[NDArray[Any]],
    states: Sequence[NDArray[np.int64]],
    empty: Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]] | None = None,
) -> tuple[NDArray[np.int16], PrivacyUnits]:
    """All rows of all persons, a person's together: codes `[n + all R, m]`, and whose they are.

    Args:
        blocks: The columns.
        person_codes: Codes of the persons, `[n, person columns]`.
        events: Of each table, which person each row belongs to.
        own_codes: Of each table, codes of the rows, `[R, columns]`, -1 for what they have not.
        states: Of each table what `state_codes` gave.
        empty: Makes an array, outside the process's own memory if necessary; by default in memory.
    """
    persons = len(person_codes)
    numbers = [np.bincount(each.unit, minlength=persons) for each in events]
    counts = sum(numbers, np.ones(persons, np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    out = (empty or np.empty)((int(starts[-1]), len(blocks.sizes)), np.dtype(np.int16))
    out[:] = -1
    out[starts[:-1], : len(blocks.person)] = person_codes
    used = starts[:-1] + 1
    places = zip(blocks.tables, blocks.above, events, own_codes, states, numbers, strict=True)
    for table, above, each, own, state, number in places:
        first = np.cumsum(number) - number
        upper = None if above is None else own_codes[above]
        previous = [(table.previous, 1), (table.earlier, 2)]
        for start in range(0, len(each.unit), AT_ONCE):  # not all at once: temporary arrays are large
            part = slice(start, start + AT_ONCE)
            unit = each.unit[part]
            rows = used[unit] + np.arange(start, start + len(unit)) - first[unit]
            out[rows, table.given] = given_codes(person_codes, unit, each.person[part], upper)
            out[rows, table.state] = state[part]
            out[rows, table.own] = own[part]
            for block, steps in previous:
                there = np.flatnonzero(each.position[part] >= steps)
                out[rows[there], block] = own[start + there - steps]
        used = used + number
    return out, PrivacyUnits.adjacent(starts)
