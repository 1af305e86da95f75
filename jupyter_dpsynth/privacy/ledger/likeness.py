"""Whether one table is a version of another: by the names of the columns, or by a sample of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["KEPT", "MOST", "column_key", "column_share", "read_sketch", "row_share"]

KEPT = 128  # hashes of each line of a sketch
MOST = 0.5  # of a table's columns, or of the sampled rows of the smaller table
FEWEST_ROWS = 8  # of the smaller table's sample: fewer say nothing
NOTHING = np.uint64(np.iinfo(np.uint64).max)  # fills a line of a table with few rows


def column_key(name: object) -> str:
    """What stays of a column's name when it is tidied up.

    >>> column_key("Marital Status"), column_key("marital_status")
    ('maritalstatus', 'maritalstatus')
    """
    text = str(name)
    kept = "".join(sign for sign in text.casefold() if sign.isalnum())
    return kept or text.encode("utf-8", "backslashreplace").hex() or "0"


def column_share(table: Iterable[str], known: Iterable[str]) -> float:
    """Which part of a table's columns a known table has.

    Args:
        table: `column_key` of each column.
        known: The same of the known table.
    """
    wanted = set(table)
    return len(wanted & set(known)) / len(wanted) if wanted else 0.0


def read_sketch(packed: bytes) -> list[NDArray[np.uint64]]:
    """The lines of a sketch of rows, each of different hashes in rising order; private."""
    whole = len(packed) - len(packed) % (8 * KEPT)
    lines = np.frombuffer(packed[:whole], dtype="<u8").astype(np.uint64).reshape(-1, KEPT)
    return [line[line < NOTHING] for line in lines]


def row_share(one: list[NDArray[np.uint64]], other: list[NDArray[np.uint64]]) -> float:
    """Which part of the rows of the smaller table is in the other, by the columns that agree best; or 0.

    Args:
        one: A sketch.
        other: Another one.
    """
    if not one or not other:
        return 0.0
    everything = np.concatenate(other)
    return max(
        (
            _common(line, known)
            for line in one
            if np.isin(line, everything).sum() >= FEWEST_ROWS * MOST
            for known in other
        ),
        default=0.0,
    )


def _common(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Part of the hashes of the smaller sample that is in the other, where both are complete."""
    full = [line[-1] for line in (one, other) if len(line) == KEPT]
    if full:  # a full line ends where the table has more
        one, other = (line[line <= min(full)] for line in (one, other))
    fewest = min(len(one), len(other))
    return len(np.intersect1d(one, other)) / fewest if fewest >= FEWEST_ROWS else 0.0
