"""Makes synthetic tables of persons with histories: free, from what was released."""

from __future__ import annotations

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
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.drawing import DrawnEvents
    from jupyter_dpsynth.persons.learned import LearnedEvents, LearnedPersons

__all__ = ["NOTHING_ASKED", "make_persons", "make_tables", "order_start"]

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
    keys = df[learned.key]
    meta, sizes = learned.meta, learned.codec.sizes
    made = {}
    for events in learned.events:
        start = order_start(df, meta, events.children)
        maker = EventMaker(events, sizes)
        drawn = maker.draw(codes, df[events.children.number].to_numpy(np.int64), *start, generator)
        made[events.children.table] = _event_table(events, meta, drawn, keys, generator)
    if meta.parent is not None:
        made[meta.parent] = df[list(meta.tables[meta.parent].names)]
    return {name: made[name] for name in meta.tables}


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
    for each in meta.children:
        if each.exactly is not None:
            df[each.number] = each.exactly
        if each.column is None:
            continue
        some = df[each.number].to_numpy(np.int64) > 0
        first = df[each.first].where(some)  # a first time exactly where there is an event
        lacking = np.flatnonzero(some & first.isna().to_numpy())
        if len(lacking):
            known = first[some & first.notna()]
            order = meta.order_of(each)
            if len(known):
                first.iloc[lacking] = known.iloc[generator.integers(len(known), size=len(lacking))].to_numpy()
            elif order is not None:  # of next to no persons
                low = 0.0 if order.bounds is None else float(order.bounds[0])
                first.iloc[lacking] = order_series(np.full(len(lacking), low), order)
        df[each.first] = first
    return df, learned.codec.encode(df)


def order_start(
    df: pd.DataFrame, meta: TablesMeta, children: Children
) -> tuple[NDArray[np.float64] | None, float]:
    """First values of the order, increasing, and the largest value that it may have."""
    order = meta.order_of(children)
    if order is None:
        return None, np.inf
    values = order_values(df[children.first], order)
    low, high = (-np.inf, np.inf) if order.bounds is None else order.bounds
    return (-values, -float(low)) if children.descending else (values, float(high))


def _event_table(
    events: LearnedEvents,
    meta: TablesMeta,
    drawn: DrawnEvents,
    keys: pd.Series,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """A table of events with its own columns and types."""
    children, codec = events.children, events.codec
    table, order = meta.tables[children.table], meta.order_of(children)
    learned = codec.decode(np.maximum(drawn.codes, 0).astype(np.int32), generator)
    when = None if drawn.when is None else (-drawn.when if children.descending else drawn.when)
    columns: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name == keys.name:
            own = keys.iloc[drawn.person].reset_index(drop=True)
            columns[column.name] = own.astype(column.dtype) if str(own.dtype) != column.dtype else own
        elif order is not None and when is not None and column.name == order.name:
            columns[column.name] = build_series(order_series(when, order), order)
        elif when is not None and is_moment(column) and is_moment(order):
            if not isinstance(column, DatetimeMeta):
                raise TypeError
            lengths, missing = time_values(learned[column.name], duration=True)
            moments = WALL_EPOCH + (when.astype(np.int64) + lengths).astype("timedelta64[us]")
            columns[column.name] = build_series(
                np.where(missing, np.datetime64("NaT", "us"), moments), column
            )
        else:
            columns[column.name] = learned[column.name]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(drawn.person)))
