"""Persons of tables that are read part by part: a person's rows may be in any part of any table.

One pass over each table deals its rows into private files, by a keyed hash of whom they name, so that all
rows of a person in all tables are in files of the same number. Each of these groups of persons is then put in
order by itself, as `read_histories` does with whole tables: everything of a person is a function of its own
rows. What is learned of rows is stored again until it is encoded. In memory are one group at a time, one row
of each person, and some numbers of each row.
"""

from __future__ import annotations

import functools
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.persons.histories import Events, Histories, read_histories
from jupyter_dpsynth.sources.base import TableChecksum
from jupyter_dpsynth.sources.bounding import unit_words
from jupyter_dpsynth.sources.fingerprint import row_hashes
from jupyter_dpsynth.sources.sample import joined
from jupyter_dpsynth.sources.scratch import PrivateFolder
from jupyter_dpsynth.sources.values import missing_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["StoredRows", "read_tables"]

GROUP_ROWS = 2**18  # rows of all tables together that are put in order at once, about
MOST_GROUPS = 256  # files of a table that are open at once


class StoredRows:
    """The columns of rows as they are learned, in private files: one frame for each group of persons.

    Args:
        folder: Where they are; it is removed with the last one who has it.
        name: Of the table.
    """

    def __init__(self, folder: PrivateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self._lengths: list[int] = []

    def add(self, df: pd.DataFrame) -> None:
        """Store the rows of one more group."""
        with self._folder.create(f"rows-{self._name}-{len(self._lengths)}") as file:
            pickle.dump(df, file, protocol=5)
        self._lengths.append(len(df))

    def __len__(self) -> int:
        return sum(self._lengths)

    def frames(self) -> Iterator[pd.DataFrame]:
        """The rows of each group."""
        for number in range(len(self._lengths)):
            (df,) = _frames(self._folder.path / f"rows-{self._name}-{number}")
            yield df

    def take(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        """Some rows by their numbers, in the given order, `[rows]`."""
        order, found, start = np.argsort(rows, kind="stable"), [], 0
        ordered = rows[order]
        for df in self.frames():
            low, high = np.searchsorted(ordered, (start, start + len(df)))
            found.append(df.iloc[ordered[low:high] - start])
            start += len(df)
        whole = joined([each.reset_index(drop=True) for each in found], found[0])
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return whole.iloc[back].reset_index(drop=True)


def read_tables(
    tables: Mapping[str, Source], meta: TablesMeta, key: str, generator: np.random.Generator
) -> Histories:
    """The persons of several tables, however these are read.

    Args:
        tables: Opened private tables by name.
        meta: Their metadata.
        key: The column that names the person, in every table.
        generator: Draws the lots of rows, and the secrets by which persons are told apart.

    Raises:
        DataError: A table has changed since it was opened, or the disk has not enough room.

    Privacy:
        As of `read_histories`. In which group a person is follows from its key and a secret alone.
    """
    if not any(each.partitioned for each in tables.values()):
        return read_histories({name: each.described for name, each in tables.items()}, meta, key, generator)
    rows = sum(each.rows for each in tables.values())
    groups = int(min(max(-(-rows // GROUP_ROWS), 1), MOST_GROUPS))
    folder, secret = PrivateFolder(), generator.bytes(32)
    for place, source in enumerate(tables.values()):
        _deal(source, key, secret, groups, folder, place)
    stored = [StoredRows(folder, str(place)) for place in range(len(meta.children))]
    persons: list[pd.DataFrame] = []
    parts: list[list[Events]] = [[] for _ in meta.children]
    for group in range(groups):
        given = {
            name: _group(folder.path / f"{place}-{group}", source)
            for place, (name, source) in enumerate(tables.items())
        }
        found = read_histories(given, meta, key, generator)
        persons.append(found.df)
        for own, rows_of, listed in zip(found.events, stored, parts, strict=True):
            rows_of.add(own.df)
            listed.append(replace(own, df=own.df.iloc[:0]))
    above = [None if each.above is None else meta.place(each.above) for each in meta.children]
    units = [len(df) for df in persons]
    events = []
    for listed, rows_of, upper in zip(parts, stored, above, strict=True):
        owners = units if upper is None else [len(each.person) for each in parts[upper]]
        events.append(_together(listed, rows_of, owners, units))
    return Histories(joined(persons, persons[0]), tuple(events))


def _deal(source: Source, key: str, secret: bytes, groups: int, folder: PrivateFolder, place: int) -> None:
    """Deal the rows of a table into the files of the groups; those that name nobody are left out."""
    files = [folder.create(f"{place}-{group}") for group in range(groups)]
    sums = TableChecksum()
    try:
        dealt = functools.partial(_dealt, key=key, secret=secret, groups=groups, hashed=source.volatile)
        for pieces, added in source.map(dealt, list(source.described.columns)):
            for group, df in pieces:
                pickle.dump(df, files[group], protocol=5)
            sums += added
            source.after_part()
    finally:
        for file in files:
            file.close()
    if source.volatile:
        source.require(sums)


def _dealt(
    df: pd.DataFrame, key: str, secret: bytes, groups: int, *, hashed: bool
) -> tuple[list[tuple[int, pd.DataFrame]], TableChecksum]:
    """The rows of a part by their groups, in their order, and the sums of the part's hashes."""
    named = np.flatnonzero(~missing_values(df[key]))
    words = np.ascontiguousarray(unit_words(df[key], secret)[named])
    group = (words[:, 0] % np.uint64(groups)).astype(np.int64)
    pieces = [(each, df.iloc[named[group == each]]) for each in np.unique(group).tolist()]
    return pieces, TableChecksum.of(row_hashes(df)) if hashed else TableChecksum()


def _group(path: Path, source: Source) -> pd.DataFrame:
    """The rows of a group of persons in one table."""
    frames = list(_frames(path))
    path.unlink()
    return joined(frames, source.described) if frames else source.described.iloc[:0]


def _frames(path: Path) -> Iterator[pd.DataFrame]:
    """The frames in a file of ours."""
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301 - nobody else can write there
            except EOFError:
                return


def _together(parts: list[Events], stored: StoredRows, owners: list[int], units: list[int]) -> Events:
    """The rows of all groups as those of one table.

    Args:
        parts: The rows of each group, without their values.
        stored: Their values.
        owners: How many there are in each group to whom they belong.
        units: How many persons there are in each group.
    """

    def moved(name: str, by: list[int]) -> NDArray[np.int64]:
        starts = np.concatenate([[0], np.cumsum(by)])
        return np.concatenate(
            [getattr(each, name) + start for each, start in zip(parts, starts, strict=False)]
        )

    own = [len(each.person) for each in parts]
    when: Any = None
    if parts[0].when is not None:
        when = np.concatenate([each.when for each in parts])
    same = [0] * len(parts)
    return Events(
        stored,
        np.arange(sum(own)),
        moved("person", owners),
        moved("unit", units),
        moved("position", same),
        moved("place", same),
        moved("number", same),
        when,
        moved("chosen", own),
        moved("later", own),
    )
