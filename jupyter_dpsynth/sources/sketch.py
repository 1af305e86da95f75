"""A sample of a table's rows by which another version of the table is known, whatever its columns are called.

Cleaning changes a table without making it one about other people: columns are dropped, added, renamed or
converted, rows are left out. So no whole row is compared, but the values of some columns at a time, without
names and in no order. Of each such set of columns, the smallest hashes of all rows are kept: two tables with
the same rows keep the same ones, and of a part of the rows those that are left.

Only columns that together tell nearly all rows apart say anything: tables about other people have such
values in common by chance at most about twice as often as rows of one table have.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.privacy.ledger.likeness import KEPT
from jupyter_dpsynth.sources.fingerprint import hash_columns, mix, value_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    PartSketch = dict[tuple[int, ...], NDArray[np.uint64]]  # by the positions of the columns

__all__ = ["RowSketch", "hashes_and_sketch"]

COLUMNS = 6
TOGETHER = 3, 5  # three survive much cleaning; five tell rows apart where no column does by itself
FEWEST = 2
DISTINCT = 0.9  # least share of different values in a set of columns
LOOKED_AT = round(KEPT / DISTINCT)
SAMPLED = 4096  # rows of a part that say which columns are distinctive
COMMONEST = 0.9  # a column in which one value is more frequent than this tells no rows apart


def hashes_and_sketch(df: pd.DataFrame) -> tuple[NDArray[np.uint64], PartSketch]:
    """One hash per row, and the part's sketch for a `RowSketch`.

    Args:
        df: All rows of a part of a table.
    """
    sample = df.iloc[:: max(1, len(df) // SAMPLED)]
    chosen = _distinctive([value_hashes(sample.iloc[:, place]) for place in range(df.shape[1])])
    rows, columns = hash_columns(df, chosen)
    return rows, _part_sketch(columns)


def _distinctive(columns: Sequence[NDArray[np.uint64]]) -> list[int]:
    """Positions of the columns with the most different values, at most `COLUMNS`, in their order.

    Args:
        columns: Value hashes of some rows, by column.
    """
    found = []
    for position, hashes in enumerate(columns):
        counts = np.unique(hashes, return_counts=True)[1]
        if len(hashes) and counts.max() <= COMMONEST * len(hashes):
            found.append((-len(counts), position))
    return sorted(position for _, position in sorted(found)[:COLUMNS])


def _part_sketch(columns: Mapping[int, NDArray[np.uint64]]) -> PartSketch:
    """The smallest hashes of each set of columns of a part, with repetitions.

    Args:
        columns: Value hashes of all rows of the part, by position of the column.
    """
    mixed = {position: mix(hashes) for position, hashes in columns.items()}
    found = {}
    for together in {min(most, len(mixed)) for most in TOGETHER}:
        for chosen in itertools.combinations(sorted(mixed), together) if together >= FEWEST else ():
            found[chosen] = _smallest(mix(sum((mixed[each] for each in chosen[1:]), mixed[chosen[0]])))
    return found


def _smallest(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    if len(hashes) > LOOKED_AT:
        hashes = np.partition(hashes, LOOKED_AT - 1)[:LOOKED_AT]
    return np.sort(hashes)


class RowSketch:
    """Puts the sketches of a table's parts together. Private: a function of the exact rows."""

    def __init__(self) -> None:
        self._found: PartSketch = {}

    def add(self, part: PartSketch) -> None:
        """Take in what `hashes_and_sketch` found in a part."""
        for chosen, hashes in part.items():
            before = self._found.get(chosen)
            self._found[chosen] = hashes if before is None else _smallest(np.concatenate([before, hashes]))

    def packed(self) -> bytes:
        """The smallest different hashes of each set of columns that tells rows apart, for `read_sketch`."""
        lines = []
        for hashes in self._found.values():
            different = np.unique(hashes)
            if len(different) >= DISTINCT * len(hashes):
                line = np.full(KEPT, np.iinfo(np.uint64).max, dtype="<u8")
                line[: len(different)] = different[:KEPT]
                lines.append(line.tobytes())
        return b"".join(lines)
