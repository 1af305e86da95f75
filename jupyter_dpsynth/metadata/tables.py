"""What is public about several tables of the same persons, and how their rows belong together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
)
from jupyter_dpsynth.metadata.ends import check_end_columns, check_ends
from jupyter_dpsynth.sources.forms import PANDAS
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta

__all__ = [
    "MOST_CHILDREN",
    "NO_UNIT",
    "Children",
    "TablesMeta",
    "check_children",
    "public_times",
    "tables_meta",
]

MOST_CHILDREN = 12  # of a person in one table, unless declared
LARGEST_MOST = 64  # the pairs of a person's rows are compared in every step
LARGEST_WHOLE = 144  # rows of a person in a table whose rows belong to rows of another one
NO_UNIT = (
    "privacy_unit is None, and several tables are learned: set it to the column that names the person in "
    'every table, such as "patient_id".'
)
LOOKUP = (
    "A public table of codes (a lookup table) is left out: declare its codes as categories, and merge it "
    "with the synthetic tables."
)
#: How columns are called that name rows: visit_id, visitId, 'Visit No', visit_key.
KEY_LIKE = re.compile(r"(?:^|[_\s.-])(?:id|key|uuid|guid|no|nr|number)$|[a-z](?:Id|ID|Key|No|Nr)$", re.ASCII)


@dataclass(frozen=True)
class Children:
    """A table in which a person has any number of rows: visits, payments, members of a household.

    Attributes:
        table: Its name.
        order: The column by which a person's rows are in order, '-' before it for the largest first; None if
            they have no order.
        most: Most rows of one person that are used: the first ones. It is public.
        window: Public first and last value of the order; what is outside is moved to the nearest of both.
        exactly: How many rows every person has, where that is public, as in a panel: it then costs nothing,
            and every synthetic person has so many. `most` is the same number.
        times: The public values of the order at which everybody is observed, once each, as in the waves of a
            survey: synthetic persons have a row at each of them, and it costs nothing when that was. Rows at
            other times are not learned.
        of: Another table of children and the column that names its rows, ("members", "member_id"): the rows
            belong to these, and `most` of them to each one. Both tables have the column; a name counts within
            its person.
        ends: Public values by column after which a person has no further row, {"outcome": ["died"]}: no
            synthetic history goes on after one.
    """

    table: str
    order: str | None = None
    most: int = MOST_CHILDREN
    window: Sequence[Any] | None = None
    exactly: int | None = None
    times: Sequence[Any] | None = None
    of: Sequence[str] | None = None
    ends: Mapping[str, Sequence[Any]] | None = None

    @property
    def column(self) -> str | None:
        """The column that gives the order."""
        return None if self.order is None else self.order.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return self.order is not None and self.order.startswith("-")

    @property
    def gapped(self) -> bool:
        """Whether the distance to the previous row is the first column of a row as it is learned."""
        return self.order is not None and self.times is None

    @property
    def ordered_times(self) -> NDArray[np.float64]:
        """The fixed times as numbers, or microseconds, in the order of a history: increasing."""
        times = np.array(self.times or (), np.float64)
        return -times[::-1] if self.descending else times

    @property
    def above(self) -> str | None:
        """The table to whose rows the rows belong; None if they belong to persons."""
        return None if self.of is None else self.of[0]

    @property
    def row_key(self) -> str | None:
        """The column that names the row above; None if the rows belong to persons."""
        return None if self.of is None else self.of[1]

    @property
    def number(self) -> str:
        """Name of a person's number of rows, as a column of the person."""
        return f"{self.table}.number"

    @property
    def first(self) -> str:
        """Name of the first value of the order, as a column of the person."""
        return f"{self.table}.first {self.column}"

    @property
    def gap(self) -> str:
        """Name of the distance to the previous value of the order, as a column of a row."""
        return f"{self.column} since the previous"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models: without the window, which the columns have."""
        values: dict[str, Any] = {"table": self.table, "order": self.order, "most": self.most}
        if self.exactly is not None:
            values["exactly"] = self.exactly
        if self.times is not None:
            values["times"] = list(self.times)
        if self.of is not None:
            values["of"] = list(self.of)
        if self.ends is not None:
            values["ends"] = {column: list(each) for column, each in self.ends.items()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Children:
        """The inverse of `to_dict`."""
        of = values.get("of")
        return cls(
            values["table"],
            values["order"],
            values["most"],
            exactly=values.get("exactly"),
            times=None if values.get("times") is None else tuple(values["times"]),
            of=None if of is None else tuple(of),
            ends=values.get("ends"),
        )


@dataclass(frozen=True)
class TablesMeta:
    """The public metadata of several tables of the same persons.

    Attributes:
        tables: Metadata by name of the table.
        children: The tables in which a person has any number of rows.
        parent: Name of the table that has one row for each person; None if there is none.
    """

    tables: Mapping[str, DataFrameMeta]
    children: tuple[Children, ...]
    parent: str | None

    def order_of(self, children: Children) -> ContinuousMeta | DatetimeMeta | None:
        """Metadata of the column that gives the order of a table's rows; None if they have none."""
        if children.column is None:
            return None
        meta = self.tables[children.table][children.column]
        if not isinstance(meta, ContinuousMeta | DatetimeMeta):
            raise TypeError
        return meta

    def place(self, table: str) -> int:
        """Which of the tables of children one is."""
        return [each.table for each in self.children].index(table)

    def above(self, children: Children) -> Children | None:
        """The table to whose rows the rows of one belong; None if they belong to persons."""
        return None if children.above is None else self.children[self.place(children.above)]

    def below(self, table: str | None) -> tuple[Children, ...]:
        """The tables whose rows belong to rows of a table of children; for None, to persons."""
        return tuple(each for each in self.children if each.above == table)

    def to_list(self) -> list[Any]:
        """JSON-ready form: all that is public about the tables, which are told apart by it."""
        tables = {name: meta.to_list() for name, meta in self.tables.items()}
        return [tables, [each.to_dict() for each in self.children]]

    def with_id(self, name: str) -> TablesMeta:
        """The same with the column that names the person as an identifier in every table.

        Raises:
            MetadataError: A table has no such column, or it holds neither numbers nor text; or rows of two
                tables belong to each other; or orders are declared that are not kept.
        """
        if not name:
            raise MetadataError(NO_UNIT)
        found = {}
        for table, meta in self.tables.items():
            if name not in meta.names:
                hint = did_you_mean(name, meta.names)
                raise MetadataError(
                    f"table {table!r} has no column {name!r}, which names the person: every table must have "
                    f"it. Add it to {table!r} (with a merge), or set privacy_unit to a column that all "
                    f"tables have.{hint} {LOOKUP}"
                )
            found[table] = meta.with_id(name)
        for each in self.children:
            if each.column == name:
                raise MetadataError(f"order of {each.table!r} is {name!r}, which names the person.")
            for named in (each.table, each.above):
                if each.row_key is not None and named is not None:
                    found[named] = found[named].with_id(each.row_key)
            if each.row_key == name:
                raise MetadataError(f"of = {shown(each.of)}: {name!r} names the person, and not its rows.")
        self._refuse_third_level(name)
        self._refuse_orders_of_rows()
        return TablesMeta(found, self.children, self.parent)

    def _refuse_third_level(self, key: str) -> None:
        """Raise MetadataError if rows of a table belong to single rows of another one, as names tell.

        What is public decides: names of columns, and what is declared of them.
        """
        for first, second in itertools.combinations(self.children, 2):
            if {first.above, second.above} & {first.table, second.table}:
                continue  # how they belong together is declared
            shared = {first.row_key} if first.of == second.of else set()
            one, two = self.tables[first.table], self.tables[second.table]
            for name in one.names:
                if (
                    name not in {key, *shared}
                    and name in two.names
                    and _names_rows(one[name])
                    and _names_rows(two[name])
                ):
                    raise MetadataError(
                        f"{name!r} is in {first.table!r} and in {second.table!r}, as if rows of one belonged "
                        "to single rows of the other: synthetic rows would not fit each other. Say so with "
                        f"Children({second.table!r}, of=({first.table!r}, {name!r})), or the other way "
                        f"round; or drop {name!r} from one of them; or declare its categories if it names "
                        "something public, such as a hospital."
                    )

    def _refuse_orders_of_rows(self) -> None:
        """Raise MetadataError if an order of columns is declared that synthetic rows would not keep."""
        for each in self.children:
            if self.tables[each.table].orders:
                low, high = self.tables[each.table].orders[0]
                raise MetadataError(
                    f"at_least says that {low!r} is never above {high!r} in {each.table!r}: that is kept in "
                    "the table of persons only. Leave it out, and learn the difference of both as a column "
                    "instead (a date is learned as its distance from the order's, without a declaration)."
                )


def _names_rows(column: ColumnMeta) -> bool:
    """Whether a column names rows: it is declared to, or is called so and has no declared categories."""
    if isinstance(column, IdMeta):
        return True
    declared = isinstance(column, CategoricalMeta) and column.categories is not None
    learned_as_name = isinstance(column, ContinuousMeta | CategoricalMeta) and not declared
    return learned_as_name and bool(KEY_LIKE.search(column.name))


def check_children(tables: object, children: Iterable[object]) -> tuple[list[Children], str | None]:
    """The children of some tables, and the name of the one table that is left, if there is one.

    Raises:
        MetadataError: They do not fit the tables, or each other.
    """
    if not isinstance(tables, Mapping) or not all(isinstance(name, str) for name in tables):
        raise MetadataError(
            'children are given, but df is not a dict of tables: pass {"patients": patients, "visits": '
            "visits}, also if there is only one."
        )
    found = list(children)
    names = [each.table for each in found if isinstance(each, Children)]
    if not found or len(names) < len(found):
        raise MetadataError('children: give a list of Children, such as [Children("visits", order="date")].')
    for each in found:
        if not isinstance(each, Children):
            raise TypeError
        if each.table not in tables:
            hint = did_you_mean(str(each.table), list(tables))
            raise MetadataError(f"children name the table {shown(each.table)}, which is not given.{hint}")
        _check_numbers(each)
        for name, value in (("window", each.window), ("times", each.times), ("ends", each.ends)):
            if value is not None and each.order is None:
                raise MetadataError(f"{name} of {each.table!r} is given without an order: name its column.")
        check_ends(each.table, each.ends, fixed=each.exactly is not None or each.times is not None)
    if len(set(names)) < len(names):
        raise MetadataError("children name a table twice.")
    rest = [name for name in tables if name not in names]
    if len(rest) > 1:
        raise MetadataError(
            f"{rest[0]!r} and {rest[1]!r} would both have one row for each person: only one table can. Join "
            f"them, or add the others to children. {LOOKUP}"
        )
    checked = [each for each in found if isinstance(each, Children)]
    checked = [each if each.times is None else replace(each, exactly=len(each.times)) for each in checked]
    checked = [each if each.exactly is None else replace(each, most=each.exactly) for each in checked]
    _check_levels(checked)
    return checked, rest[0] if rest else None


def _check_numbers(children: Children) -> None:
    """Raise MetadataError unless the numbers of rows of a person are whole numbers that fit each other."""
    exactly = children.exactly
    if children.times is not None:
        _check_times(children)
    for name, value in (("most", children.most), ("exactly", 1 if exactly is None else exactly)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_MOST:
            raise MetadataError(
                f"{name} = {shown(value)} of {children.table!r} is not allowed: give a whole number from 1 "
                f"to {LARGEST_MOST}."
            )
    if exactly is not None and children.most not in (MOST_CHILDREN, exactly):
        raise MetadataError(
            f"most = {children.most} and exactly = {exactly} of {children.table!r} are both given: give one."
        )


def _check_times(children: Children) -> None:
    """Raise MetadataError unless fixed times are a list that stands alone."""
    times = children.times
    if times is None or isinstance(times, str | bytes) or not hasattr(times, "__iter__"):
        raise MetadataError(
            f"times = {shown(times)} of {children.table!r} is no list of values of the order."
        )
    count = len(list(times))
    if not 1 <= count <= LARGEST_MOST:
        raise MetadataError(f"times of {children.table!r} are {count}: give 1 to {LARGEST_MOST} of them.")
    if children.window is not None:
        raise MetadataError(f"times and window of {children.table!r} are both given: times are enough.")
    if children.exactly not in (None, count) or children.most not in (MOST_CHILDREN, count):
        raise MetadataError(
            f"times of {children.table!r} are {count}, so everybody has {count} rows: leave most and exactly "
            "out."
        )


def public_times(table: object, children: Children, read: Callable[..., ColumnMeta]) -> Children:
    """The same with fixed times as numbers, or microseconds, smallest first.

    Args:
        table: The table.
        children: What is declared of it.
        read: Gives the metadata of a column with declared bounds: `column_meta`.

    Raises:
        MetadataError: One is no value of the column, or there twice.
    """
    name, found = children.column or "", []
    source = open_source(table)  # it stays open: what a cell names is learned next
    if name not in source.described.columns:
        hint = did_you_mean(name, map(str, source.described.columns))
        raise MetadataError(f"order of {children.table!r} is {name!r}, which is not in the table.{hint}")
    for time in children.times or ():
        meta = read(source, name, {"bounds": {name: (time, time)}})
        if not isinstance(meta, ContinuousMeta | DatetimeMeta) or meta.bounds is None:
            raise TypeError
        found.append(float(meta.bounds[0]))
    if len(set(found)) < len(found):
        raise MetadataError(f"times of {children.table!r} name one twice.")
    return replace(children, times=tuple(sorted(found)))


def _check_levels(children: Sequence[Children]) -> None:
    """Raise MetadataError unless rows belong to persons, or to rows that do."""
    by_name = {each.table: each for each in children}
    for each in children:
        if each.of is None:
            continue
        form = isinstance(each.of, list | tuple) and len(each.of) == len(("table", "column"))
        if not form or not all(isinstance(part, str) for part in each.of):
            raise MetadataError(
                f"of = {shown(each.of)} of {each.table!r} is not allowed: give another table of children and "
                'the column that names its rows, such as ("members", "member_id").'
            )
        if each.above not in by_name or each.above == each.table:
            hint = did_you_mean(str(each.above), [name for name in by_name if name != each.table])
            raise MetadataError(
                f"of = {shown(each.of)} of {each.table!r} names a table that is not among the other children."
                f"{hint}"
            )
        above = by_name[each.above or ""]
        if above.of is not None:
            raise MetadataError(
                f"{each.table!r} belongs to rows of {above.table!r}, and these to rows of {above.above!r}: a "
                "fourth level is not learned. Join two of the tables, or leave one out."
            )
        if above.most * each.most > LARGEST_WHOLE:
            raise MetadataError(
                f"a person may have {above.most} x {each.most} rows in {each.table!r}: at most "
                f"{LARGEST_WHOLE} can be learned. Set a smaller most of one of them."
            )


def tables_meta(
    metas: Mapping[str, DataFrameMeta], children: Sequence[Children], parent: str | None
) -> TablesMeta:
    """The metadata of several tables, checked.

    Raises:
        MetadataError: An order is not a column of numbers or times, or names collide.
    """
    for each in children:
        for named in (each.table, each.above):
            if each.row_key is not None and named is not None and each.row_key not in metas[named].names:
                hint = did_you_mean(each.row_key, metas[named].names)
                raise MetadataError(f"of = {shown(each.of)}: {named!r} has no column {each.row_key!r}.{hint}")
        check_end_columns(each.table, each.ends, metas[each.table])
        if each.column is None:
            continue
        meta = metas[each.table][each.column]
        if not isinstance(meta, ContinuousMeta | DatetimeMeta):
            raise MetadataError(
                f"order of {each.table!r} is the column {each.column!r}, which holds no numbers or times: "
                "convert it, or leave the order out."
            )
        holder = each.above or parent
        made = {each.number, each.first} & set(metas[holder].names if holder else ())
        made |= {each.gap} & set(metas[each.table].names)
        if made:
            raise MetadataError(f"a column is called {min(made)!r}, a name that is needed: rename it.")
    for name, table in metas.items():
        if table.form != PANDAS:
            raise MetadataError(
                f"table {name!r} is not a pandas DataFrame: several tables must be. Convert it (to_pandas())."
            )
    return TablesMeta(dict(metas), tuple(children), parent)
