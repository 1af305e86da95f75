"""A table's content as one digest that does not depend on the order of rows or columns.

The ledger recognises a table by it, whatever the variable is called. The digest is computed from private rows
and must not get out: it is only stored, keyed with a local secret, in the owner's ledger.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.base import AT_ONCE, TableChecksum
from jupyter_dpsynth.sources.objects import as_text, key_of
from jupyter_dpsynth.sources.values import DAYS, factorize, number_values, stored_times

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = [
    "WORDS",
    "RowHashes",
    "hash_columns",
    "keyed_words",
    "mix",
    "row_hashes",
    "rows_digest",
    "table_digest",
    "table_fingerprint",
    "text_hashes",
    "value_hashes",
]

WORDS = 2  # of 64 bits, that tell values apart
MISSING = np.uint64(0x9E3779B97F4A7C15)


def table_fingerprint(source: Source, *, ordered: bool = False) -> bytes:
    """SHA-256 of a table's rows in sorted order.

    Column names count, their order, the index and the dtype of numbers do not; infinite numbers and what
    does not fit its column count as missing, as they do in learning. Nothing here raises because of a
    value.

    Args:
        source: The table; how it is cut into parts does not count.
        ordered: Whether the order of the rows counts as well.

    Raises:
        DataError: The table is another one than when a fingerprint was taken before.

    Privacy:
        A function of the exact rows: never shown, never logged, and stored only as its HMAC.
    """
    return table_digest(source, source.map(row_hashes, list(source.described.columns)), ordered=ordered)


def table_digest(source: Source, hashes: Iterable[NDArray[np.uint64]], *, ordered: bool = False) -> bytes:
    """The same as `table_fingerprint`, of row hashes that a pass has found.

    Args:
        source: The table.
        hashes: Its row hashes, part by part.
        ordered: Whether the order of the rows counts as well.

    Raises:
        DataError: As `table_fingerprint`.
    """
    rows = source.concatenate(hashes, np.dtype(np.uint64))
    if source.volatile:
        found = TableChecksum.of(rows)
        source.require(found)
        source.checksum = found
    if not ordered:
        rows.sort()
    return rows_digest(rows)


def rows_digest(rows: NDArray[np.uint64]) -> bytes:
    """SHA-256 of rows in their order.

    Args:
        rows: What `row_hashes` returned.
    """
    content = hashlib.sha256(b"jupyter_dpsynth table 1")
    for start in range(0, len(rows), AT_ONCE):
        content.update(rows[start : start + AT_ONCE].astype("<u8").tobytes())
    return content.digest()


def row_hashes(df: pd.DataFrame) -> NDArray[np.uint64]:
    """One hash per row, uint64 `[n]`."""
    return hash_columns(df, ())[0]


def hash_columns(
    df: pd.DataFrame, wanted: Collection[int]
) -> tuple[NDArray[np.uint64], dict[int, NDArray[np.uint64]]]:
    """One hash per row, and those of single values in some columns.

    Args:
        df: The rows.
        wanted: Positions of these columns.
    """
    rows = np.zeros(len(df), dtype=np.uint64)
    kept = {}
    for position, name in enumerate(text_hashes([str(name) for name in df.columns])):
        places, values = _distinct_hashes(df.iloc[:, position])
        # mixed with the name before it is added: columns may change places, values may not
        mixed = mix(values ^ name)
        rows += mixed if places is None else mixed[places]
        if position in wanted:
            kept[position] = values if places is None else values[places]
    return rows, kept


class RowHashes:
    """Hashes of rows that are added up while the columns are made, of values that repeat a few distinct ones.

    Args:
        rows: How many rows.

    Attributes:
        rows: What `row_hashes` gives of the columns that were added, uint64 `[n]`.
        names: Names of these columns.
    """

    def __init__(self, rows: int) -> None:
        self.rows: NDArray[np.uint64] = np.zeros(rows, np.uint64)
        self.names: list[str] = []
        self._adding = threading.Lock()

    def add(self, name: str, distinct: pd.Series, places: NDArray[np.int64]) -> None:
        """Add a column; columns may be added in several threads.

        Args:
            name: Its name.
            distinct: Its distinct values, as long as the column's dtype keeps them.
            places: Whose value each row has, `[n]`.
        """
        mixed = mix(value_hashes(distinct) ^ text_hashes([name])).take(places)
        with self._adding:
            self.rows += mixed
            self.names.append(name)


def value_hashes(series: pd.Series) -> NDArray[np.uint64]:
    """One hash per value, uint64 `[n]`; equal values have equal hashes."""
    places, hashes = _distinct_hashes(series)
    return hashes if places is None else hashes[places]


def _distinct_hashes(series: pd.Series) -> tuple[NDArray[np.int64] | None, NDArray[np.uint64]]:
    """Hashes of the distinct values, and whose each row has, `[n]`; or None, and the hash of every row."""
    if pd.api.types.is_numeric_dtype(series.dtype):
        numbers = number_values(series) + 0.0  # minus zero is zero
        return None, np.where(np.isnan(numbers), MISSING, mix(numbers.view(np.uint64)))
    if series.dtype.kind in "mM" or str(getattr(series.dtype, "pyarrow_dtype", "")) in DAYS:
        moments, missing = stored_times(series)
        return None, np.where(missing, MISSING, mix(moments.view(np.uint64)))
    codes, values = factorize(series)
    # code -1, a missing value, is the last one
    return codes, np.append(text_hashes([as_text(value) for value in values]), MISSING)


def text_hashes(texts: list[str]) -> NDArray[np.uint64]:
    """64 bits of each text's hash, whatever characters it contains."""
    encoded = (text.encode("utf-8", "backslashreplace") for text in texts)
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def keyed_words(values: list[Any], key: bytes) -> NDArray[np.uint64]:
    """128 bits of each value's keyed hash, `[values, 2]`; values that are written differently differ.

    Two of n values have the same bits with a probability of at most n^2 / 2^129, and nobody can choose two
    that do without the key.

    Args:
        values: What `factorize` found.
        key: Random bytes of this run, at most 64.
    """
    digests = (hashlib.blake2b(_written(each), digest_size=8 * WORDS, key=key).digest() for each in values)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(len(values), WORDS)


def _written(value: Any) -> bytes:  # noqa: ANN401 - any value that `factorize` finds
    """What tells a value from all others.

    >>> _written("7"), _written(7)
    (b'text 7', b'int 0x7')
    """
    found = key_of(value)
    kind, content = ("text", found) if isinstance(found, str) else found
    if isinstance(content, int):
        content = hex(content)  # one of thousands of digits has no decimal text
    text = content.hex() if isinstance(content, bytes) else content
    return f"{kind} {text}".encode("utf-8", "surrogatepass")


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix every bit into the whole 64-bit word.

    Source:
        Steele, Lea and Flood 2014, 'Fast splittable pseudorandom number generators': the finaliser.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
