"""Draws the events of synthetic persons, one after the other: free, from what was released."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.persons.blocks import state_codes, state_sizes
from jupyter_dpsynth.persons.measuring import capped_counts
from jupyter_dpsynth.sources.values import WALL_EPOCH, number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.persons.learned import LearnedEvents

__all__ = ["DrawnEvents", "EventMaker", "calibrated", "even_points", "first_values"]

NEVER = np.float32(-60.0)  # added to the logit of a cell that must not be drawn
ROUNDS = 6
LARGEST_MOVE = 1.0  # nats, of a bias in one round
LEAST_SHARE = 1e-4
GOLDEN = (math.sqrt(5) - 1) / 2
DRAWS = 16  # of a gap, until one is within the window


class DrawnEvents:
    """Events of synthetic persons.

    Attributes:
        person: Number of each event's person, `[R]`.
        position: Place in its history.
        codes: Cells of its columns, `[R, columns]`; -1 for the gap of a first event.
        when: Value of the order, increasing within a person; None without an order.
        state: In which state each event was drawn, as `state_codes` tells it.
    """

    def __init__(
        self, parts: Sequence[tuple[NDArray[Any], ...]], columns: int, states: int, *, ordered: bool
    ) -> None:
        none = np.zeros(0, np.int64)
        empty = (none, none, np.zeros((0, columns), np.int64), np.zeros(0), np.zeros((0, states), np.int64))
        person, position, codes, when, state = (
            np.concatenate(each) for each in zip(*(parts or [empty]), strict=True)
        )
        order = np.lexsort((position, person))
        self.person, self.position, self.codes = person[order], position[order], codes[order]
        self.when = when[order] if ordered else None
        self.state = state[order]


class EventMaker:
    """Draws the events of one table.

    Args:
        learned: What is known of them.
        given_sizes: Number of cells of each column of a person, and of the row above where there is one.
    """

    def __init__(self, learned: LearnedEvents, given_sizes: NDArray[np.int64]) -> None:
        self.learned, codec = learned, learned.codec
        own, children = codec.sizes, learned.children
        self.gap = None
        if children.gapped:
            gap = codec.columns[0]
            if not isinstance(gap, NumericCodec):
                raise TypeError
            self.gap = gap
        limits = None if self.gap is None else self.gap.meta.bounds
        self._span = None if limits is None else float(limits[1])
        self._sizes = own
        self._own = np.concatenate([[0], np.cumsum(own)])
        self._times = None if children.times is None else children.ordered_times
        times = None if self._times is None else len(self._times)
        state = state_sizes(windowed=self._span is not None, times=times)
        self._inputs = np.concatenate([[0], np.cumsum([*given_sizes, *state, *own, *own, *own])])
        self._given, self._state = len(given_sizes), len(state)
        self._forbidden = np.where(np.concatenate(learned.shares) <= 0, NEVER, np.float32(0))

    def draw(
        self,
        given_codes: NDArray[Any],
        number: NDArray[np.int64],
        first: NDArray[np.float64] | None,
        end: float,
        generator: np.random.Generator,
    ) -> DrawnEvents:
        """The events of some persons, or of some rows above.

        Args:
            given_codes: Cells of the persons, and of the rows above where there are some, `[n, columns]`.
            number: How many events each has.
            first: Value of the order of the first one, increasing; None without an order.
            end: The largest value; infinite without a window.
            generator: Source of randomness; it does not concern privacy.
        """
        learned, columns = self.learned, len(self._sizes)
        given = np.repeat(learned.bias[None] + self._forbidden, len(number), axis=0)
        for column in range(self._given):
            self._add(given, column, given_codes[:, column])
        now = np.zeros(len(number)) if first is None else np.where(number > 0, first, 0.0)
        before = np.full((len(number), columns), -1, np.int64)
        earlier = before.copy()
        _, kinds = np.unique(given_codes[:, : self._given], axis=0, return_inverse=True)
        kinds = kinds.reshape(-1)  # the shape differs between versions of numpy
        parts: list[tuple[NDArray[Any], ...]] = []
        for position in range(int(number.max(initial=0))):
            who = np.flatnonzero(number > position)
            logits = given[who]
            left = None if self._span is None else (end - now[who]) / max(self._span, 1e-300)
            timed = self._times is not None
            state = state_codes(np.full(len(who), position), number[who], left, timed=timed)
            if self._times is not None:
                now[who] = self._times[position]
            at = self._given
            for column in range(self._state):
                logits += learned.weights[self._inputs[at + column] + state[:, column]]
            at += self._state
            for block in (before[who], earlier[who]):
                for column in range(columns):
                    self._add(logits, at + column, block[:, column])
                at += columns
            logits[number[who] > position + 1] += np.where(learned.terminal, NEVER, np.float32(0))
            codes = np.full((len(who), columns), -1, np.int64)
            for column in range(columns):
                known = kinds[who], codes[:, column - 1] * (column > 0), before[who, column]
                points = even_points(known, generator)
                if column == 0 and self.gap is not None:
                    if position:
                        codes[:, 0] = self._choose(logits, 0, points, self._reached(now[who], end))
                        now[who] += self._gaps(codes[:, 0], end - now[who], generator)
                else:
                    codes[:, column] = self._choose(logits, column, points)
                self._add(logits, at + column, codes[:, column])
            earlier[who], before[who] = before[who], codes
            parts.append((who, np.full(len(who), position), codes, now[who].copy(), state))
        ordered = self.gap is not None or self._times is not None
        return DrawnEvents(parts, columns, self._state, ordered=ordered)

    def _add(self, logits: NDArray[np.float32], block: int, codes: NDArray[np.int64]) -> None:
        """Add what the cells of a column say, where there is one."""
        there = codes >= 0
        if there.all():
            logits += self.learned.weights[self._inputs[block] + codes]
        elif there.any():
            logits[there] += self.learned.weights[self._inputs[block] + codes[there]]

    def _choose(
        self,
        logits: NDArray[np.float32],
        column: int,
        points: NDArray[np.float64],
        allowed: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """A cell of a column for each row, the one in which its point in [0, 1) is."""
        own = logits[:, self._own[column] : self._own[column + 1]]
        if allowed is not None:
            own = np.where(allowed, own, NEVER)
        reached = np.exp(own - own.max(axis=1, keepdims=True)).cumsum(axis=1)
        drawn = (reached < points[:, None] * reached[:, -1:]).sum(axis=1)
        codes: NDArray[np.int64] = np.minimum(drawn, self._sizes[column] - 1)
        return codes

    def _reached(self, now: NDArray[np.float64], end: float) -> NDArray[np.bool_]:
        """Which gaps do not lead out of the window; that to the same moment never does."""
        gap = self.gap
        if gap is None:
            raise TypeError
        starts = np.full(gap.size, -np.inf)
        starts[: gap.ordered_cells] = gap.bin_starts()
        starts[0] = -np.inf
        starts[gap.ordered_cells :] = np.inf  # a later event has a gap
        reached: NDArray[np.bool_] = starts[None] <= (end - now)[:, None]
        reached[:, gap.ordered_cells :] = False
        return reached

    def _gaps(
        self, codes: NDArray[np.int64], left: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Lengths of gaps, never negative, and never more than what is left.

        One that leads out of the window is drawn again: cut, it would put many events at the window's end.
        """
        gap = self.gap
        if gap is None:
            raise TypeError
        found, beyond = np.full(len(codes), np.inf), np.arange(len(codes))
        for _ in range(DRAWS):
            found[beyond] = order_values(gap.decode(codes[beyond].astype(np.int32), generator), gap.meta)
            beyond = np.flatnonzero(found > left)
            if not len(beyond):
                break
        within: NDArray[np.float64] = np.clip(found, 0.0, left)
        return within


def even_points(known: tuple[NDArray[np.int64], ...], generator: np.random.Generator) -> NDArray[np.float64]:
    """A point in [0, 1) for each row, uniform, `[n]`; rows that are alike have points far from each other.

    Rows of which the same is known follow each other in steps of the golden ratio. Each cell then comes about
    as often as the model expects, also beside the cells of what is known: independent points would miss that
    by chance.

    Args:
        known: What is known of the rows, the most important last, `[n]` each.
        generator: Source of randomness.

    Source:
        Kuipers and Niederreiter 1974, 'Uniform distribution of sequences': multiples of an irrational number.
    """
    rows = len(known[0])
    out = np.empty(rows)
    order = np.lexsort((generator.permutation(rows), *known))
    out[order] = (generator.random() + GOLDEN * np.arange(rows)) % 1.0
    return out


def order_values(series: pd.Series, meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.float64]:
    """Numbers, or microseconds, as float64 `[n]`; zero where there is none."""
    if isinstance(meta, DatetimeMeta):
        values, missing = time_values(series, duration=meta.is_duration)
        return np.where(missing, 0, values).astype(np.float64)
    return np.nan_to_num(number_values(series))


def order_series(values: NDArray[np.float64], meta: ContinuousMeta | DatetimeMeta) -> Any:  # noqa: ANN401
    """The inverse: an array for `build_series`."""
    if not isinstance(meta, DatetimeMeta):
        return values if meta.decimals is None else np.round(values, meta.decimals)
    lengths = np.rint(values).astype(np.int64).astype("timedelta64[us]")
    return lengths if meta.is_duration else WALL_EPOCH + lengths


def first_values(
    series: pd.Series, meta: ContinuousMeta | DatetimeMeta, *, descending: bool
) -> NDArray[np.float64]:
    """First values of the order of persons, increasing, `[n]`."""
    values = order_values(series, meta)
    return -values if descending else values


def calibrated(
    learned: LearnedEvents,
    given_sizes: NDArray[np.int64],
    given_codes: NDArray[Any],
    number: NDArray[np.int64],
    first: NDArray[np.float64] | None,
    end: float,
    units: NDArray[np.int64],
    cap: float,
    generator: np.random.Generator,
) -> LearnedEvents:
    """The same with biases with which drawn persons, counted as the private ones were, have the same shares.

    Args:
        learned: What was learned.
        given_sizes: As for `EventMaker`.
        given_codes: Cells of synthetic persons, and of rows above where there are some.
        number: How many events each has.
        first: As for `EventMaker.draw`.
        end: As for `EventMaker.draw`.
        units: Number of each one's person.
        cap: As how many rows a person's rows counted at most.
        generator: Source of randomness; it does not concern privacy.

    Privacy:
        Post-processing of the model and of measurements.
    """
    sizes = learned.codec.sizes
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for place in range(ROUNDS):
        maker = EventMaker(learned, given_sizes)
        drawn = maker.draw(given_codes, number, first, end, generator)
        bias = learned.bias.copy()
        for column, share in enumerate(learned.shares):
            counts = capped_counts(drawn.codes[:, column], units[drawn.person], len(share), cap).astype(
                np.float64
            )
            made = counts / max(counts.sum(), 1.0)
            move = np.log((share + LEAST_SHARE) / (made + LEAST_SHARE)) / (1 + 0.6 * place)
            bias[starts[column] : starts[column + 1]] += np.clip(move, -LARGEST_MOVE, LARGEST_MOVE)
        learned = replace(learned, bias=bias)
    return learned
