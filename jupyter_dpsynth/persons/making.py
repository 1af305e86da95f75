"""Makes synthetic tables of persons with histories: free, from what was released."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.building import build_series
from jupyter_dpsynth.engine.sampling.tables import plan_table
from jupyter_dpsynth.metadata.columns import DatetimeMeta
from jupyter_dpsynth.persons.drawing import EventMaker, order_series, order_values
from jupyter_dpsynth.persons.histories import is_moment
from jupyter_dpsynth.sources.values import WALL_EPOCH, time_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.drawing import DrawnEvents
    from jupyter_dpsynth.persons.learned import LearnedEvents, LearnedPersons

__all__ = [
    "NOTHING_ASKED",
    "EventsOfSome",
    "Holders",
    "draw_tables",
    "make_persons",
    "make_tables",
    "order_start",
]

NOTHING_ASKED: dict[str, Any] = {"where": {}, "balance": None, "constraints": ()}


def make_tables(
    learned: LearnedPersons, persons: int, generator: np.random.Generator, asked: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """Synthetic tables of so many persons, whose keys fit.

    Args:
        learned: The released state.
        persons: How many persons.
        generator: Source of randomness; it does not concern privacy.
        asked: Conditions and constraints, as `plan_table` takes them.

    Raises:
        ConfigError: Conditions name what is not published, or the model cannot meet them.
    """
    df, codes = make_persons(learned, learned.meta, persons, generator, asked)
    meta = learned.meta
    everybody = Holders(df, codes, learned.codec.sizes, np.arange(persons))
    made: dict[str, pd.DataFrame] = {}
    for each in draw_tables(learned.events, meta, everybody, generator):
        children = each.events.children
        given = {learned.key: df[learned.key].iloc[each.unit]}
        if children.row_key is not None:
            given[children.row_key] = each.above.df[children.row_key].iloc[each.drawn.person]
        made[children.table] = _event_table(each.events, meta, each.drawn, each.values, given)
    if meta.parent is not None:
        made[meta.parent] = df[list(meta.tables[meta.parent].names)]
    return {name: made[name] for name in meta.tables}


@dataclass(frozen=True, eq=False)
class Holders:
    """Those to whom synthetic rows belong: persons, or rows above.

    Attributes:
        df: Their values, the number of rows of each and the first value of the order among them.
        codes: Their codes, and in front of them those of their persons where these are others.
        sizes: Number of cells of each column of `codes`.
        unit: Number of each one's person, increasing.
    """

    df: pd.DataFrame
    codes: NDArray[Any]
    sizes: NDArray[np.int64]
    unit: NDArray[np.int64]

    def given(self, persons: Holders) -> Holders:
        """The same with the codes of their persons in front."""
        return replace(
            self,
            codes=np.concatenate([persons.codes[self.unit], self.codes], axis=1),
            sizes=np.concatenate([persons.sizes, self.sizes]),
        )


class EventsOfSome:
    """The rows of one table that are drawn for those to whom they belong, when they are asked for.

    Args:
        events: What is known of the table.
        above: To whom its rows belong.
        meta: Metadata of all tables.
        generator: Source of randomness.
    """

    def __init__(
        self, events: LearnedEvents, above: Holders, meta: TablesMeta, generator: np.random.Generator
    ) -> None:
        self.events, self.above = events, above
        self._meta, self._generator = meta, generator

    @cached_property
    def drawn(self) -> DrawnEvents:
        """The rows as codes."""
        start = order_start(self.above.df, self._meta, self.events.children)
        number = self.above.df[self.events.children.number].to_numpy(np.int64)
        maker = EventMaker(self.events, self.above.sizes)
        return maker.draw(self.above.codes, number, *start, self._generator)

    @cached_property
    def values(self) -> pd.DataFrame:
        """The rows as values."""
        return _decoded(self.events, self._meta, self.drawn, self._generator)

    @property
    def unit(self) -> NDArray[np.int64]:
        """Number of each row's person."""
        own: NDArray[np.int64] = self.above.unit[self.drawn.person]
        return own


def draw_tables(
    events: Iterable[LearnedEvents],
    meta: TablesMeta,
    everybody: Holders,
    generator: np.random.Generator,
    adjusted: Callable[[LearnedEvents, Holders], LearnedEvents] = lambda events, _: events,
) -> Iterator[EventsOfSome]:
    """The rows of all tables of some persons, rows above first.

    Args:
        events: What is known of each table.
        meta: Metadata of all tables.
        everybody: The persons.
        generator: Source of randomness.
        adjusted: What to draw a table with, once it is known to whom its rows belong.
    """
    holders: dict[str | None, Holders] = {None: everybody}
    for each in sorted(events, key=lambda one: one.children.of is not None):
        above = holders[each.children.above]
        table = EventsOfSome(adjusted(each, above), above, meta, generator)
        yield table
        if meta.below(each.children.table):
            own = Holders(table.values, table.drawn.codes, each.codec.sizes, table.unit)
            holders[each.children.table] = own.given(everybody)


def make_persons(
    learned: Learned,
    meta: TablesMeta,
    persons: int,
    generator: np.random.Generator,
    asked: Mapping[str, Any],
) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Synthetic persons without their events, and their codes `[n, columns]`.

    Args:
        learned: What is known of persons.
        meta: Metadata of all tables.
        persons: How many.
        generator: Source of randomness.
        asked: As `plan_table` takes it.
    """
    maker, portions = plan_table(learned, persons, generator, **asked)
    df = maker.make(portions, generator)
    _complete(df, meta, None, generator)
    return df, learned.codec.encode(df)


def _complete(df: pd.DataFrame, meta: TablesMeta, table: str | None, generator: np.random.Generator) -> None:
    """Give persons, or rows of a table, in place, a first value of an order exactly where there are rows."""
    for each in meta.below(table):
        if each.exactly is not None:
            df[each.number] = each.exactly
        if not each.gapped:
            continue
        some = df[each.number].to_numpy(np.int64) > 0
        first = df[each.first].where(some)  # a first time exactly where there is an event
        lacking = np.flatnonzero(some & first.isna().to_numpy())
        if len(lacking):
            known = first[some & first.notna()]
            order = meta.order_of(each)
            if len(known):
                first.iloc[lacking] = known.iloc[generator.integers(len(known), size=len(lacking))].to_numpy()
            elif _is_length(first):
                first.iloc[lacking] = pd.Timedelta(0)
            elif order is not None:  # of next to no persons
                low = 0.0 if order.bounds is None else float(order.bounds[0])
                first.iloc[lacking] = order_series(np.full(len(lacking), low), order)
        df[each.first] = first


def order_start(
    df: pd.DataFrame, meta: TablesMeta, children: Children
) -> tuple[NDArray[np.float64] | None, float]:
    """First values of the order, increasing, and the largest value that it may have."""
    order = meta.order_of(children)
    if order is None or not children.gapped:
        return None, np.inf
    values = order_values(df[children.first], order)
    low, high = (-np.inf, np.inf) if order.bounds is None else order.bounds
    return (-values, -float(low)) if children.descending else (values, float(high))


def _decoded(
    events: LearnedEvents, meta: TablesMeta, drawn: DrawnEvents, generator: np.random.Generator
) -> pd.DataFrame:
    """The values of drawn events, and how many rows belong to each and when they begin."""
    values = events.codec.decode(np.maximum(drawn.codes, 0).astype(np.int32), generator)
    values = values.reset_index(drop=True)
    _complete(values, meta, events.children.table, generator)
    when = drawn.when
    for each in meta.below(events.children.table):
        order = meta.order_of(each)
        if when is None or order is None or not _is_length(values.get(each.first)) or not is_moment(order):
            continue  # a model that was saved before may have points in time
        lengths, missing = time_values(values[each.first], duration=True)
        moments = (-when if events.children.descending else when).astype(np.int64) + lengths
        if order.bounds is not None:
            low, high = (int(bound) for bound in order.bounds)
            moments = np.clip(moments, low, high)
        found = WALL_EPOCH + moments.astype("timedelta64[us]")
        values[each.first] = np.where(missing, np.datetime64("NaT", "us"), found)
    return values


def _is_length(values: pd.Series | None) -> bool:
    """Whether a column holds lengths of time."""
    return values is not None and pd.api.types.is_timedelta64_dtype(values.dtype)


def _event_table(
    events: LearnedEvents,
    meta: TablesMeta,
    drawn: DrawnEvents,
    values: pd.DataFrame,
    given: Mapping[str, pd.Series],
) -> pd.DataFrame:
    """A table of events with its own columns and types.

    Args:
        events: What is known of them.
        meta: Metadata of all tables.
        drawn: The events.
        values: Their values as they are learned.
        given: The columns that name persons, and rows above, of each event.
    """
    children = events.children
    table, order = meta.tables[children.table], meta.order_of(children)
    when = None if drawn.when is None else (-drawn.when if children.descending else drawn.when)
    columns: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name in given:
            own = given[column.name].reset_index(drop=True)
            columns[column.name] = own.astype(column.dtype) if str(own.dtype) != column.dtype else own
        elif order is not None and when is not None and column.name == order.name:
            columns[column.name] = build_series(order_series(when, order), order)
        elif when is not None and is_moment(column) and is_moment(order):
            if not isinstance(column, DatetimeMeta):
                raise TypeError
            lengths, missing = time_values(values[column.name], duration=True)
            moments = WALL_EPOCH + (when.astype(np.int64) + lengths).astype("timedelta64[us]")
            columns[column.name] = build_series(
                np.where(missing, np.datetime64("NaT", "us"), moments), column
            )
        else:
            columns[column.name] = values[column.name]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(drawn.person)))
