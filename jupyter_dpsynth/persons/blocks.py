"""The columns of the network that learns persons with histories, and the rows of a person as their codes.

One person is one row of its own, and one row for each of its events. The network has these columns:

| block | in the person's row | in an event's row |
|---|---|---|
| person: its columns, its numbers of events, their first times | predicted, in this order | - |
| of each table of events: | | |
| given: the person's columns again | - | given |
| state: place in the history, events still to come, time left in the window | - | given |
| previous: the columns of the event before; for a first event none | - | given |
| earlier: those of the event before that, each of which tells about its own column only | - | given |
| own: the gap to the event before (for a first event none), and its columns | - | predicted, in this order |

What a row does not have has the code -1: it is neither predicted nor tells about others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.sources.bounding import PrivacyUnits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.persons.histories import Events

__all__ = [
    "POSITIONS",
    "TIMES_LEFT",
    "Blocks",
    "EventBlocks",
    "network_rows",
    "previous_codes",
    "state_codes",
]

POSITIONS = 3  # cells of a place in a history: first, second, later; and of how many come: 0, 1, more
TIMES_LEFT = (1 / 36, 1 / 12, 1 / 6, 1 / 3, 2 / 3)  # of the window: where the time that is left is cut


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
        windowed: Of each table, whether the time that is left in a window is known.
    """

    person: tuple[int, ...]
    own: tuple[tuple[int, ...], ...]
    windowed: tuple[bool, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of cells of every column, `[m]`."""
        sizes = list(self.person)
        for own, windowed in zip(self.own, self.windowed, strict=True):
            state = (POSITIONS, POSITIONS, *([len(TIMES_LEFT) + 1] * windowed))
            sizes += [*self.person, *state, *own, *own, *own]
        return np.array(sizes, np.int64)

    @property
    def tables(self) -> tuple[EventBlocks, ...]:
        """Places of the columns of each table of events."""
        found, at = [], len(self.person)
        for own, windowed in zip(self.own, self.windowed, strict=True):
            parts = []
            for size in (len(self.person), 2 + windowed, len(own), len(own), len(own)):
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
        for each, windowed in zip(own, self.windowed, strict=True):
            state = [POSITIONS, POSITIONS, *([len(TIMES_LEFT) + 1] * windowed)]
            out += [*person, *state, *each, *each, *each]
        return out


def state_codes(
    position: NDArray[np.int64], number: NDArray[np.int64], left: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Codes of the state in which events are, `[R, 2 or 3]`.

    Args:
        position: Place of each event in its history, from 0.
        number: How many events its person has.
        left: Share of the window that is left after the event before; None without a window.
    """
    last = POSITIONS - 1
    columns = [np.minimum(position, last), np.minimum(number - 1 - position, last)]
    if left is not None:
        columns.append(np.digitize(left, TIMES_LEFT))
    return np.stack(columns, axis=1)


def previous_codes(codes: NDArray[np.int64], position: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """Codes of the event so many places before, `[R, columns]`; -1 where there is none."""
    out = np.full_like(codes, -1)
    if len(codes) > steps:
        out[steps:] = codes[:-steps]
    out[position < steps] = -1
    return out


def network_rows(
    blocks: Blocks,
    person_codes: NDArray[Any],
    events: Sequence[Events],
    own_codes: Sequence[NDArray[np.int64]],
    states: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.int16], PrivacyUnits]:
    """All rows of all persons, a person's together: codes `[n + all R, m]`, and whose they are.

    Args:
        blocks: The columns.
        person_codes: Codes of the persons, `[n, person columns]`.
        events: Of each table, which person each row belongs to.
        own_codes: Of each table, codes of the rows, `[R, columns]`, -1 for what they have not.
        states: Of each table what `state_codes` gave.
    """
    counts = 1 + sum(each.number for each in events)
    counts = np.broadcast_to(counts, (len(person_codes),))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    out = np.full((int(starts[-1]), len(blocks.sizes)), -1, np.int16)
    out[starts[:-1], : len(blocks.person)] = person_codes
    used = starts[:-1] + 1
    for table, each, own, state in zip(blocks.tables, events, own_codes, states, strict=True):
        rows = used[each.person] + each.position
        out[rows, table.given] = person_codes[each.person]
        out[rows, table.state] = state
        out[rows, table.previous] = previous_codes(own, each.position, 1)
        out[rows, table.earlier] = previous_codes(own, each.position, 2)
        out[rows, table.own] = own
        used = used + each.number
    return out, PrivacyUnits.adjacent(starts)
