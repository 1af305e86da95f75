"""Several private tables as persons, each with the rows that belong to it.

This is what the promise to a person rests on: everything of a person is a function of that person's own rows
in all tables, and of lots that its rows draw by themselves. Who else is in the tables changes nothing of it.

What does not fit a person is left out without a word: rows that name nobody, or nobody in the table of
persons; second rows of a person there; rows without a place in the order; rows beyond the most that are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.metadata.columns import ContinuousMeta, DataFrameMeta, DatetimeMeta, IdMeta
from jupyter_dpsynth.sources.bounding import unit_words
from jupyter_dpsynth.sources.values import WALL_EPOCH, missing_values, number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta

__all__ = ["Events", "Histories", "counts_from_above", "event_meta", "person_meta", "read_histories"]


@dataclass(frozen=True, eq=False)
class Events:
    """The rows of one table that are used, person by person, in order: private.

    Attributes:
        df: Their columns as they are learned, `[R]`: the gap to the previous row, where there is an order of
            numbers or times, and the table's own columns but for the key and the order. Points in time are
            distances to the time of the row. Of tables that are read part by part, `StoredRows`.
        rows: Which rows of the table they are, `[R]`.
        person: Number of each row's person, `[R]`, increasing; where rows belong to those of another table,
            number of that row among the ones that are used.
        unit: Number of each row's person in any case, `[R]`, increasing.
        position: Place of each row in its history, from 0, `[R]`.
        place: Which of the fixed times it is, `[R]`; without fixed times the same as the position.
        number: How many rows each person (or row above) has, `[n]`.
        when: Value of the order, increasing within a person, as microseconds or numbers `[R]`; None without.
        chosen: One row of each person that has any, by its own lot, `[persons with rows]`.
        later: One row of each person that has one with a row before it, by its own lot.
    """

    df: Any
    rows: NDArray[np.int64]
    person: NDArray[np.int64]
    unit: NDArray[np.int64]
    position: NDArray[np.int64]
    place: NDArray[np.int64]
    number: NDArray[np.int64]
    when: NDArray[Any] | None
    chosen: NDArray[np.int64]
    later: NDArray[np.int64]

    def frames(self) -> Iterator[pd.DataFrame]:
        """The columns of rows, some rows at a time."""
        if isinstance(self.df, pd.DataFrame):
            yield self.df
        else:
            yield from self.df.frames()

    def take(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        """The columns of some rows."""
        if isinstance(self.df, pd.DataFrame):
            return self.df.iloc[rows].reset_index(drop=True)
        taken: pd.DataFrame = self.df.take(rows)
        return taken


@dataclass(frozen=True, eq=False)
class Histories:
    """All persons: private.

    Attributes:
        df: One row for each person, `[n]`: the columns of the table of persons, and for each other table the
            number of rows and the first value of the order.
        events: The rows of each other table.
    """

    df: pd.DataFrame
    events: tuple[Events, ...]


def person_meta(meta: TablesMeta, key: str) -> DataFrameMeta:
    """Metadata of what is learned of each person, `Histories.df`; identifiers of its table included."""
    table = meta.tables[meta.parent or meta.children[0].table]
    columns: list[ColumnMeta] = list(table.columns) if meta.parent is not None else [table[key]]
    learned = [*columns, *_numbers_and_firsts(meta, None)]
    if all(isinstance(each, IdMeta) for each in learned):  # everything is public: one cell stands for it
        first = meta.below(None)[0]
        whole = (first.most, first.most)
        learned.append(ContinuousMeta(first.number, "int64", nullable=False, bounds=whole, decimals=0))
    return DataFrameMeta(tuple(learned))


def _numbers_and_firsts(meta: TablesMeta, table: str | None) -> list[ColumnMeta]:
    """What is learned with each person, or each row of a table, of the rows that belong to it."""
    columns: list[ColumnMeta] = []
    for each in meta.below(table):
        if each.exactly is None:
            columns.append(
                ContinuousMeta(each.number, "int64", nullable=False, bounds=(0, each.most), decimals=0)
            )
        order = meta.order_of(each) if each.gapped else None
        if counts_from_above(meta, each):
            columns.append(DatetimeMeta(each.first, "timedelta64[us]", is_duration=True))
        elif isinstance(order, DatetimeMeta):
            dtype = "timedelta64[us]" if order.is_duration else "datetime64[us]"
            columns.append(
                DatetimeMeta(each.first, dtype, bounds=order.bounds, is_duration=order.is_duration)
            )
        elif order is not None:
            columns.append(
                ContinuousMeta(each.first, "float64", bounds=order.bounds, decimals=order.decimals)
            )
    return columns


def counts_from_above(meta: TablesMeta, children: Children) -> bool:
    """Whether the first time among the rows of a row above is learned as the distance to that row's time."""
    above = meta.above(children)
    return above is not None and is_moment(meta.order_of(children)) and is_moment(meta.order_of(above))


def event_meta(meta: TablesMeta, children: Children, key: str) -> DataFrameMeta:
    """Metadata of what is learned of each row of a table, `Events.df`; identifiers of it included."""
    order = meta.order_of(children)
    columns: list[ColumnMeta] = []
    length = None if order is None or order.bounds is None else order.bounds[1] - order.bounds[0]
    if not children.gapped:
        length = None
    elif isinstance(order, DatetimeMeta):
        span = None if length is None else (0, int(length))
        columns.append(DatetimeMeta(children.gap, "timedelta64[us]", bounds=span, is_duration=True))
    elif order is not None:
        limits = None if length is None else (0.0, float(length))
        columns.append(ContinuousMeta(children.gap, "float64", bounds=limits, decimals=order.decimals))
    others = (each for each in meta.tables[children.table].columns if each.name not in (key, children.column))
    own = (_learned_as(each, order) for each in others)
    return DataFrameMeta((*columns, *own, *_numbers_and_firsts(meta, children.table)))


def _learned_as(column: ColumnMeta, order: ColumnMeta | None) -> ColumnMeta:
    """A point in time is learned as the distance to the time of its row."""
    if is_moment(column) and is_moment(order):
        return DatetimeMeta(column.name, "timedelta64[us]", column.nullable, is_duration=True)
    return column


def is_moment(column: ColumnMeta | None) -> bool:
    """Whether a column holds points in time."""
    return isinstance(column, DatetimeMeta) and not column.is_duration


def read_histories(
    tables: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str, generator: np.random.Generator
) -> Histories:
    """The persons of several tables.

    Args:
        tables: The private tables by name.
        meta: Their metadata.
        key: The column that names the person, in every table.
        generator: Draws the lots of rows, and the secret by which persons are told apart.

    Privacy:
        Adding or removing all rows of one person adds or removes this person and changes no other one: every
        row's lot is drawn independently, and couples with the same row's in the other tables.
    """
    secret = generator.bytes(32)
    words = {name: _named(df[key], secret) for name, df in tables.items()}
    names = [meta.parent] if meta.parent is not None else [each.table for each in meta.below(None)]
    known, first = _distinct(np.concatenate([words[name][0] for name in names]))
    persons = len(known)
    columns: dict[str, Any] = {}
    if meta.parent is not None:
        present = words[meta.parent][1]
        own = tables[meta.parent].iloc[present[first]].reset_index(drop=True)
        columns = {each.name: own[each.name] for each in meta.tables[meta.parent].columns}
    made: dict[str, Events] = {}
    for each in sorted(meta.children, key=lambda one: one.of is not None):  # rows above first
        found, present = words[each.table]
        unit = _places(found, known)
        rows, unit = present[unit >= 0], unit[unit >= 0]
        holders, owner, units = columns, unit, np.arange(persons)
        above: Events | None = None
        if each.above is not None:
            above = made[each.above]
            named = [_named(tables[name][each.row_key], secret) for name in (each.above, each.table)]
            owner = _rows_above(named[0], above.rows, above.unit, named[1], rows, unit)
            rows, owner = rows[owner >= 0], owner[owner >= 0]
            holders, units = above.df, above.unit
        own, firsts = _events(tables[each.table], meta, each, key, (rows, owner), units, generator)
        made[each.table] = own
        holders[each.number] = pd.Series(own.number)
        if (
            firsts is not None
            and above is not None
            and above.when is not None
            and counts_from_above(meta, each)
        ):
            sign = -1 if meta.children[meta.place(each.above or "")].descending else 1
            firsts = firsts - (WALL_EPOCH + (sign * above.when).astype("timedelta64[us]"))
        if firsts is not None:
            holders[each.first] = firsts
    df = pd.DataFrame(columns, index=pd.RangeIndex(persons))
    return Histories(df, tuple(made[each.table] for each in meta.children))


def _rows_above(
    above: tuple[NDArray[Any], NDArray[np.int64]],
    used: NDArray[np.int64],
    units: NDArray[np.int64],
    below: tuple[NDArray[Any], NDArray[np.int64]],
    rows: NDArray[np.int64],
    unit: NDArray[np.int64],
) -> NDArray[np.int64]:
    """To which of the used rows above each row below belongs, by person and name; -1 if to none.

    Args:
        above: Names of rows above, and which rows of their table have them.
        used: Which rows of their table are used.
        units: Whose these are.
        below: The same as `above` of the rows below.
        rows: Rows of the table below.
        unit: Whose these are.

    Privacy:
        A name counts within its person only: who else has it changes nothing. Of two rows above with one name
        the first one in the history has what belongs to it.
    """
    upper, there = _words_of(above, used)
    lower, here = _words_of(below, rows)
    split = int(there.sum())
    _, codes = np.unique(np.concatenate([upper[there], lower[here]]), return_inverse=True)
    size = int(codes.max(initial=0)) + 1
    known, first = np.unique(units[there] * size + codes[:split], return_index=True)
    wanted = unit[here] * size + codes[split:]
    place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    out = np.full(len(rows), -1)
    if len(known):
        out[here] = np.where(known[place] == wanted, np.flatnonzero(there)[first[place]], -1)
    return out


def _words_of(
    named: tuple[NDArray[Any], NDArray[np.int64]], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The names of some rows of a table, and which of these have one."""
    words, present = named
    if not len(present):
        return np.zeros(len(rows), words.dtype), np.zeros(len(rows), dtype=bool)
    place = np.minimum(np.searchsorted(present, rows), len(present) - 1)
    return words[place], present[place] == rows


def _named(column: pd.Series, secret: bytes) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Whom rows name, as 128 bits that can be sorted, and which rows these are: all that name somebody."""
    present = np.flatnonzero(~missing_values(column))
    words = np.ascontiguousarray(unit_words(column, secret)[present])
    return words.view([("one", np.uint64), ("two", np.uint64)])[:, 0], present


def _distinct(words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct words in the order of their first places, and these."""
    found, first = np.unique(words, return_index=True)
    order = np.argsort(first)
    return found[order], first[order]


def _places(words: NDArray[Any], known: NDArray[Any]) -> NDArray[np.int64]:
    """Where each word is among the known ones, which are distinct; -1 if it is not there."""
    if not len(known):
        return np.full(len(words), -1)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, words, sorter=order), len(known) - 1)
    found: NDArray[np.int64] = order[place]
    return np.where(known[found] == words, found, -1)


def _events(
    df: pd.DataFrame,
    meta: TablesMeta,
    children: Children,
    key: str,
    named: tuple[NDArray[np.int64], NDArray[np.int64]],
    units: NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[Events, pd.Series | None]:
    """The rows of one table, and the first value of the order of each person (or row above).

    Args:
        df: The table.
        meta: Metadata of all tables.
        children: How its rows belong to persons.
        key: The column that names the person.
        named: The rows that name a person (or a row above), and that one.
        units: Which person each person is (or whose each row above is), increasing.
        generator: Draws lots.
    """
    lots = generator.random(len(df))
    order = meta.order_of(children)
    (rows, person), values, persons = named, None, len(units)
    if order is None:
        sequence = np.lexsort((lots[rows], person))
    else:
        every, missing = _order_values(df[order.name], order)
        known = ~missing[rows]
        rows, person = rows[known], person[known]
        oriented = -every if children.descending else every
        sequence = np.lexsort((rows, oriented[rows], person))  # ties by their own order in the table
        values = oriented
    rows, person = rows[sequence], person[sequence]
    place = None
    if values is not None and children.times is not None:
        rows, person, place = _at_times(rows, person, values, children)
    position = _positions(person, persons)
    kept = position < children.most
    rows, person, position = rows[kept], person[kept], position[kept]
    number = np.bincount(person, minlength=persons).astype(np.int64)
    when = None if values is None else values[rows]
    learned = event_meta(meta, children, key)
    events = Events(
        _event_frame(df.iloc[rows].reset_index(drop=True), meta, children, learned, when, position),
        rows,
        person,
        units[person],
        position,
        position if place is None else place,
        number,
        when,
        _one_each(units[person], lots[rows], np.ones(len(rows), dtype=bool)),
        _one_each(units[person], lots[rows], position > 0),
    )
    return events, _firsts(events, children, order, persons)


def _order_values(
    column: pd.Series, order: ContinuousMeta | DatetimeMeta
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values by which rows are in order, inside the window, and which are missing."""
    series = order.present(column)
    values: NDArray[Any]
    if isinstance(order, DatetimeMeta):
        values, missing = time_values(series, duration=order.is_duration)
    else:
        numbers = number_values(series)
        missing = np.isnan(numbers)
        values = np.where(missing, 0.0, numbers)
    return (values if order.bounds is None else np.clip(values, *order.bounds)), missing


def _at_times(
    rows: NDArray[np.int64], person: NDArray[np.int64], values: NDArray[Any], children: Children
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows at the fixed times, one of each person at each, whose they are, and which time it is.

    Args:
        rows: Rows of the table, person by person, in order.
        person: Whose they are.
        values: Of all rows of the table, increasing within a person.
        children: What is declared of them.
    """
    times = children.ordered_times
    place = np.minimum(np.searchsorted(times, values[rows]), len(times) - 1)
    kept = times[place] == values[rows]
    rows, person, place = rows[kept], person[kept], place[kept]
    again = (np.diff(person, prepend=-1) == 0) & (np.diff(place, prepend=-1) == 0)
    return rows[~again], person[~again], place[~again]


def _positions(person: NDArray[np.int64], persons: int) -> NDArray[np.int64]:
    """Place of each row among those of its person, of which all are together."""
    counts = np.bincount(person, minlength=persons)
    place: NDArray[np.int64] = np.arange(len(person)) - (np.cumsum(counts) - counts)[person]
    return place


def _one_each(
    person: NDArray[np.int64], lots: NDArray[np.float64], among: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The row with the lowest lot of each person that has one among some rows."""
    rows = np.flatnonzero(among)
    rows = rows[np.lexsort((lots[rows], person[rows]))]
    begins = np.append(True, person[rows][1:] != person[rows][:-1])[: len(rows)]
    chosen: NDArray[np.int64] = rows[begins]
    return chosen


def _firsts(
    events: Events, children: Children, order: ContinuousMeta | DatetimeMeta | None, persons: int
) -> pd.Series | None:
    """The first value of the order of each person, missing where there is no row."""
    if order is None or events.when is None or not children.gapped:
        return None
    begins = events.position == 0
    sign = -1 if children.descending else 1
    if isinstance(order, ContinuousMeta):
        numbers = np.full(persons, np.nan)
        numbers[events.person[begins]] = sign * events.when[begins]
        return pd.Series(numbers)
    lengths = np.full(persons, np.timedelta64("NaT", "us"))
    lengths[events.person[begins]] = (sign * events.when[begins]).astype("timedelta64[us]")
    return pd.Series(lengths if order.is_duration else WALL_EPOCH + lengths)


def _event_frame(
    df: pd.DataFrame,
    meta: TablesMeta,
    children: Children,
    learned: DataFrameMeta,
    when: NDArray[Any] | None,
    position: NDArray[np.int64],
) -> pd.DataFrame:
    """The columns of rows as they are learned; the gap of a first row is missing."""
    columns: dict[str, Any] = {}
    sign = -1 if children.descending else 1
    below = {name for each in meta.below(children.table) for name in (each.number, each.first)}
    for column in learned.columns:
        if column.name in below:
            continue
        if column.name == children.gap and when is not None:
            gap, first = np.diff(when, prepend=when[:1]), position == 0
            if isinstance(column, DatetimeMeta):
                columns[column.name] = pd.Series(gap.astype("timedelta64[us]")).mask(first)
            else:
                columns[column.name] = pd.Series(gap.astype(np.float64)).mask(first)
            continue
        own = meta.tables[children.table][column.name]
        if when is not None and is_moment(own) and is_moment(meta.order_of(children)):
            moments, missing = time_values(own.present(df[own.name]), duration=False)
            apart = pd.Series((moments - sign * when).astype("timedelta64[us]"))
            columns[column.name] = apart.mask(missing)
        elif not isinstance(own, IdMeta):
            columns[column.name] = df[own.name]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(df)))
