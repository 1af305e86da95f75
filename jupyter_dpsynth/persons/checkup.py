"""The check-up of several tables of the same persons: for the owner's eyes only."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.planning.columns import ExaminedColumn
from jupyter_dpsynth.engine.planning.findings import Finding, Place, gathered
from jupyter_dpsynth.metadata.columns import DatetimeMeta, IdMeta
from jupyter_dpsynth.metadata.ends import is_end
from jupyter_dpsynth.sources.values import missing_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_dpsynth.metadata.tables import Children, TablesMeta

__all__ = ["examine_histories"]

NEVER_CHANGES = 0.99  # of the persons with several rows
NAMES, NAMED = (
    0.99,
    0.95,
)  # of rows: have a value of their own within a person; have a value that is one of these
FEWEST_ROWS = 20  # that tell it
BY_PERSON = ("several rows", "constant")  # kinds that mean something else where persons have several rows
BY_TABLE = ("ids", "missing", "hierarchy")  # what a cell of several tables declares by table


def examine_histories(
    tables: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str, *, without: str | None = None
) -> list[Finding]:
    """What of the tables will not be learned, or not well.

    Args:
        tables: The private tables by name.
        meta: Their metadata.
        key: The column that names the person.
        without: A table of which single columns are looked at elsewhere.

    Privacy:
        Not covered by epsilon: exact figures, for the owner.
    """
    meta = meta.with_id(key)
    found: list[Finding] = []
    persons = None
    if meta.parent is not None:
        keys = tables[meta.parent][key]
        known = keys[~missing_values(keys)]
        persons = pd.Index(known).unique()
        _add(
            found,
            "repeated",
            meta.parent,
            f"{meta.parent!r} has rows of a {key!r} that it has already: only the first one is learned.",
            "Keep one row for each person, or learn the table as one of children.",
            len(known) - len(persons),
        )
        _add(
            found,
            "unnamed",
            meta.parent,
            f"{meta.parent!r} has rows without {key!r}: they are not learned.",
            "Give them a key if they are persons.",
            len(keys) - len(known),
        )
    for each in meta.children:
        found += _of_events(tables, meta, each, key, persons)
    for one, other in itertools.permutations(meta.children, 2):
        if other.above != one.table:
            found += _links(tables, meta, one.table, other.table, key)
    named = {each.column for each in found if each.kind == "link"}
    for name, df in tables.items():
        if name != without:
            found += _of_columns(name, df, meta, {key, *named})
    return found


def _of_columns(table: str, df: pd.DataFrame, meta: TablesMeta, known: set[str]) -> list[Finding]:
    """What is said of the single columns of a table by itself, with the words of a cell of several tables."""
    keys = {each.row_key for each in meta.children if table in (each.table, each.above)}
    columns = [each for each in meta.tables[table].columns if each.name not in known | keys]
    found = [
        each
        for column in columns
        for each in ExaminedColumn(df[column.name], column).findings()
        if each.kind not in BY_PERSON
    ]
    return [_in_table(table, each) for each in gathered(found)]


def _in_table(table: str, finding: Finding) -> Finding:
    """A finding in a column of one of several tables: declarations go by table there."""
    advice, remedy = finding.advice, finding.remedy
    if remedy is not None and remedy.name == "convert":
        advice += f" In pandas: {remedy.written(Place(table))}"
    elif remedy is not None and remedy.name in BY_TABLE:
        given = list(remedy.columns) if remedy.name == "ids" else remedy.value
        advice += f" The line in the cell: {remedy.name} = {{{table!r}: {given!r}}}"
    told = finding.in_terminal or finding.advice
    if remedy is not None and remedy.name == "ids":
        told += f" The option: {' '.join(f'--id {table}.{name}' for name in remedy.columns)}"
    elif remedy is not None and remedy.name == "missing":
        told += f" The option: --missing {table}.COLUMN=VALUE"
    text = f"In {table!r}: {finding.text}"
    return replace(finding, text=text, advice=advice, remedy=None, in_terminal=told)


def _links(
    tables: Mapping[str, pd.DataFrame], meta: TablesMeta, above: str, below: str, key: str
) -> list[Finding]:
    """Columns by which rows of one table may belong to single rows of another one, which nobody declared."""
    upper, lower = tables[above], tables[below]
    for name, other in itertools.product(_names(meta, above, key), _names(meta, below, key)):
        known = upper.loc[upper[name].notna(), [key, name]]
        asked = lower.loc[lower[other].notna(), [key, other]]
        alike = upper[name].dtype == lower[other].dtype
        if not alike or min(len(known), len(asked)) < FEWEST_ROWS or known.duplicated().mean() > 1 - NAMES:
            continue
        there = pd.MultiIndex.from_frame(asked).isin(pd.MultiIndex.from_frame(known))
        if there.mean() >= NAMED:
            text = f"{other!r} in {below!r} is nearly always a {name!r} of the same person in {above!r}."
            advice = (
                f"If it names that row, call both columns alike and declare it: Children({below!r}, "
                f"of=({above!r}, {name!r})). As it is, rows are learned as if they did not belong together."
            )
            return [Finding("link", "care", other, text, advice)]
    return []


def _names(meta: TablesMeta, table: str, key: str) -> list[str]:
    """Columns of a table that may name rows."""
    order = {each.column for each in meta.children if each.table == table}
    return [
        each.name
        for each in meta.tables[table].columns
        if each.name not in {key, *order} and not isinstance(each, DatetimeMeta)
    ]


def _add(found: list[Finding], kind: str, table: str, text: str, advice: str, rows: int) -> None:
    if rows:
        found.append(Finding(kind, "care", table, text, advice, rows=rows))


def _of_events(
    tables: Mapping[str, pd.DataFrame],
    meta: TablesMeta,
    children: Children,
    key: str,
    persons: pd.Index | None,
) -> list[Finding]:
    """Findings in one table of events."""
    found: list[Finding] = []
    name, df = children.table, tables[children.table]
    keys = df[key]
    nobody = missing_values(keys)
    _add(
        found,
        "unnamed",
        name,
        f"{name!r} has rows without {key!r}: they are not learned.",
        "Fill in the key where it is known.",
        int(nobody.sum()),
    )
    kept = ~nobody
    if persons is not None:
        orphans = kept & ~keys.isin(persons).to_numpy(bool)
        _add(
            found,
            "orphans",
            name,
            f"{name!r} has rows of persons who are not in {meta.parent!r}: they are not learned.",
            f"Add these persons to {meta.parent!r}, if they belong there.",
            int(orphans.sum()),
        )
        kept &= ~orphans
    whose = [key]
    if children.above is not None and children.row_key is not None:
        whose = [key, children.row_key]
        above = pd.MultiIndex.from_frame(tables[children.above][whose].dropna())
        lost = kept & ~pd.MultiIndex.from_frame(df[whose]).isin(above)
        _add(
            found,
            "orphans",
            name,
            f"{name!r} has rows of which {children.above!r} has no row with the same {key!r} and "
            f"{children.row_key!r}: they are not learned.",
            f"Add these rows to {children.above!r}, if they belong there.",
            int(lost.sum()),
        )
        kept &= ~lost
    if children.column is not None:
        values = df[children.column]
        undated = kept & missing_values(values)
        _add(
            found,
            "unordered",
            name,
            f"{name!r} has rows without {children.column!r}: they have no place in the order, and are not "
            "learned.",
            "Fill it in where it is known.",
            int(undated.sum()),
        )
        kept &= ~undated
        _add(
            found,
            "after the end",
            name,
            f"{name!r} has rows after one that ends a history, as declared: synthetic ones do not go on.",
            "Correct the rows or their order, if they are wrong.",
            _after_ends(df[kept], children, whose),
        )
        ties = df.loc[kept, [*whose, children.column]].duplicated()
        _add(
            found,
            "ties",
            name,
            f"{name!r} has rows of one person with the same {children.column!r}: they keep the order that "
            "they have in the table.",
            "Nothing, if that is right; else sort the table first.",
            int(ties.sum()),
        )
    sizes = df.loc[kept, whose].value_counts()
    beyond = int((sizes - children.most).clip(lower=0).sum())
    _add(
        found,
        "beyond",
        name,
        f"{'persons' if children.of is None else f'rows of {children.above!r}'} have more than "
        f"{children.most} rows in {name!r}: the ones after these are not learned.",
        "Set a larger most_children, if it is public that persons can have so many.",
        beyond,
    )
    if persons is not None and children.of is None and len(persons) > len(sizes):
        text = f"{len(persons) - len(sizes):,} persons have no row in {name!r}: that is learned, too."
        found.append(Finding("without", "hint", name, text, "Nothing is to be done.", rows=0))
    return found + _constant(df[kept], meta, children, key)


def _constant(df: pd.DataFrame, meta: TablesMeta, children: Children, key: str) -> list[Finding]:
    """Columns that do not change within a person."""
    if meta.parent is None:
        return []
    several = df[df[key].duplicated(keep=False)]
    persons = several[key].nunique()
    found: list[Finding] = []
    for column in meta.tables[children.table].columns:
        if (
            column.name in (key, children.column, children.row_key)
            or isinstance(column, IdMeta)
            or not persons
        ):
            continue
        changes = several.groupby(key)[column.name].nunique(dropna=False)
        if float(np.mean(changes == 1)) >= NEVER_CHANGES:
            text = f"{column.name!r} in {children.table!r} is the same in all rows of nearly every person."
            advice = f"Move it to {meta.parent!r}: synthetic persons then keep it, and it costs less noise."
            found.append(Finding("constant", "care", column.name, text, advice))
    return found


def _after_ends(df: pd.DataFrame, children: Children, whose: list[str]) -> int:
    """How many rows come after one that is declared to be the last."""
    if not children.ends or children.column is None:
        return 0
    df = df.sort_values(children.column, ascending=not children.descending, kind="stable")
    ends = np.zeros(len(df), dtype=bool)
    for column in children.ends:
        last = [value for value in df[column].dropna().unique() if is_end(children.ends, column, value)]
        ends |= df[column].isin(last).to_numpy(bool)
    reached = pd.Series(ends, df.index).groupby([df[each] for each in whose]).cumsum()
    return int((reached.to_numpy() > ends).sum())
