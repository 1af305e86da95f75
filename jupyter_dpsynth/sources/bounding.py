"""Limits the number of rows of each privacy unit (a person), in a table of any size.

One pass over the column of the privacy unit gives 128 bits for each row. They split the rows into buckets of
about a million; which rows of a unit are kept is decided bucket by bucket. Arrays as long as the table are
stored where the source stores such arrays: in memory, or in files without a name.

**Why 128 bits.** Two units with the same bits would be bounded as if they were one, and whether one of them
is there would decide which of the other's rows are kept. Numbers never collide, because the function can be
inverted. For texts it is a keyed hash, under which two of u units have the same bits with a probability of at
most u^2 / 2^129: 2e-23 for 1e8 persons, which is nothing beside delta. With 64 bits it would be 3e-4. The
keys come from the run's own generator, and so from the operating system.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.base import KeptRows, TableChecksum
from jupyter_dpsynth.sources.fingerprint import WORDS, keyed_words, mix, row_hashes
from jupyter_dpsynth.sources.values import factorize, number_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = ["PrivacyUnits", "limit_rows_per_unit", "unit_words"]

BUCKET_ROWS = 2**20  # rows of a bucket, about; one unit may make it larger
AT_ONCE = 2**21  # rows that are decided together, beside those that are kept so far
KEY_BYTES = 16 * WORDS  # one salt for each word of a number, one word for what is missing


@dataclass(frozen=True, eq=False)
class PrivacyUnits:
    """Which rows belong to which privacy unit.

    Attributes:
        starts: Where each unit begins in `rows`, and where the last one ends, int64 `[units + 1]`.
        rows: Numbers of the rows, each unit's together, int64 `[n]`.

    Privacy:
        Not private: exact, and about single rows.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def adjacent(cls, starts: NDArray[np.int64]) -> PrivacyUnits:
        """Units whose rows are already next to each other in the table."""
        return cls(starts, np.arange(starts[-1]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def shard(self, part: slice) -> PrivacyUnits:
        """Some of the units, `part` having a start and a stop."""
        return PrivacyUnits(self.starts[part.start : part.stop + 1], self.rows)

    def of(self, chosen: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row numbers of some units, `[chosen, most]`, and which of them exist.

        Args:
            chosen: Numbers of the units.
            most: Most rows of a unit.
        """
        place = self.starts[chosen][:, None] + np.arange(most)
        exists = place < self.starts[chosen + 1][:, None]
        return np.where(exists, self.rows[np.where(exists, place, 0)], 0), exists


def limit_rows_per_unit(
    source: Source, unit: str, most: int, generator: np.random.Generator
) -> tuple[KeptRows, PrivacyUnits]:
    """Keep at most this many rows of every privacy unit, chosen at random.

    How the table is cut into parts does not matter: with the same generator the same rows are kept.

    Args:
        source: The private table.
        unit: Column that names the unit. Rows in which it is missing are one unit: who they belong to is
            not known.
        most: Most rows of a unit.
        generator: The run's generator.

    Returns:
        The kept rows in the order of the table, and which of them belong together, in an order that says
        nothing.

    Raises:
        DataError: The table is another one than when its fingerprint was taken.

    Privacy:
        Adding or removing one unit adds or removes at most `most` rows and changes no other. Every row draws
        a priority of its own, independently and uniformly, and is kept if fewer than `most` rows of its unit
        have a lower one. So which rows of a unit are kept depends on these rows' own draws alone, and their
        distribution does not depend on which other rows there are. Couple the draws of all rows that two
        neighbouring tables share: then the kept rows of every other unit are the same.
    """
    dealt = _Buckets(source, unit, generator)
    kept = source.empty((dealt.count,), np.dtype(bool))
    kept[:] = False
    starts = source.empty((dealt.count + 1,), np.dtype(np.int64))
    rows, place, units = dealt.rows, 0, 0
    starts[0] = 0
    for words, own in dealt.decided(most, generator):
        begin = _beginnings(words)
        kept[own] = True
        rows[place : place + len(own)] = own  # this bucket and those before it have been read
        starts[units : units + len(begin)] = place + begin
        place, units = place + len(own), units + len(begin)
        source.after_part()
    starts[units] = place
    bounded = KeptRows(source, kept, place)
    if dealt.hashes is not None:
        bounded.checksum = _kept_sums(dealt.hashes, kept)
    del dealt
    return bounded, PrivacyUnits(starts[: units + 1], _renumbered(source, rows[:place], kept))


def _kept_sums(hashes: NDArray[np.uint64], kept: NDArray[np.bool_]) -> TableChecksum:
    """The sums of the rows that are kept."""
    parts = (slice(start, start + AT_ONCE) for start in range(0, len(kept), AT_ONCE))
    return sum((TableChecksum.of(hashes[part][kept[part]]) for part in parts), TableChecksum())


def _renumbered(source: Source, rows: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row numbers of the table as numbers of the kept rows, in place."""
    number, before = source.empty((len(kept),), np.dtype(np.int64)), 0
    for start in range(0, len(kept), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        number[part] = np.cumsum(kept[part]) + (before - 1)
        before += int(np.count_nonzero(kept[part]))
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        rows[part] = number[rows[part]]
    return rows


class _Buckets:
    """The rows of a table, split into buckets by the bits of their unit: private.

    Attributes:
        count: Exact number of rows.
        rows: Their numbers, bucket by bucket, int64 `[count]`.
        hashes: Of a volatile table the hashes of all rows, in their order, to know them again.
    """

    def __init__(self, source: Source, unit: str, generator: np.random.Generator) -> None:
        names = list(source.described.columns) if source.volatile else [unit]
        find = functools.partial(_words, unit=unit, key=generator.bytes(KEY_BYTES), checked=source.volatile)
        words = source.concatenate(source.map(find, names), np.dtype(np.uint64), WORDS + source.volatile)
        self.count = len(words)
        buckets = -(-self.count // BUCKET_ROWS) or 1
        sizes = np.zeros(buckets, np.int64)
        for start in range(0, self.count, AT_ONCE):
            sizes += np.bincount(_bucket(words[start : start + AT_ONCE], buckets), minlength=buckets)
        self.hashes: NDArray[np.uint64] | None = None
        if source.volatile:
            self.hashes = source.empty((self.count,), words.dtype)
            self.hashes[:] = words[:, WORDS]
            source.require(TableChecksum.of(self.hashes))
        self._bounds = np.concatenate([[0], np.cumsum(sizes)])
        self.rows = source.empty((self.count,), np.dtype(np.int64))
        self._words = source.empty((self.count, WORDS), words.dtype)
        self._split_into_buckets(words, source)

    def _split_into_buckets(self, words: NDArray[np.uint64], source: Source) -> None:
        """Put every row into its bucket; within one the order of the table stays."""
        end = self._bounds[:-1].copy()
        for start in range(0, self.count, AT_ONCE):
            part = words[start : start + AT_ONCE]
            bucket = _bucket(part, len(end))
            order = np.argsort(bucket, kind="stable")
            cuts = np.cumsum(np.bincount(bucket, minlength=len(end)))[:-1]
            for number, members in enumerate(np.split(order, cuts)):
                room = slice(end[number], end[number] + len(members))
                self._words[room], self.rows[room] = part[members, :WORDS], start + members
                end[number] = room.stop
            source.after_part()

    def decided(
        self, most: int, generator: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        """The rows that are kept, bucket by bucket, those of each unit together: bits and row numbers.

        A row that has `most` better ones of its unit before it can be forgotten at once, so that of a unit
        that owns nearly all rows never more than `most` are in memory beside those that are looked at.
        """
        for first, end in zip(self._bounds[:-1], self._bounds[1:], strict=True):
            words, rows = self._words[:0], self.rows[:0]
            priority = np.zeros(0, np.uint64)
            for start in range(first, end, AT_ONCE):
                part = slice(start, min(start + AT_ONCE, end))
                drawn = generator.bit_generator.random_raw(part.stop - part.start)
                words, rows = (
                    np.concatenate([words, self._words[part]]),
                    np.concatenate([rows, self.rows[part]]),
                )
                priority = np.concatenate([priority, drawn])
                order = np.lexsort((priority, words[:, 1], words[:, 0]))
                begin = _beginnings(words[order])
                within = np.arange(len(order)) - np.repeat(begin, np.diff(np.append(begin, len(order))))
                order = order[within < most]
                words, rows, priority = words[order], rows[order], priority[order]
            yield words, rows


def _bucket(words: NDArray[np.uint64], buckets: int) -> NDArray[np.intp]:
    """The bucket of each row, by the first 32 of its bits."""
    found: NDArray[np.intp] = ((words[:, 0] >> 32) * buckets >> 32).astype(np.intp)
    return found


def _beginnings(words: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The first row of each unit, in rows sorted by unit."""
    other = (words[1:] != words[:-1]).any(axis=1)
    return np.flatnonzero(np.append(True, other)) if len(words) else np.zeros(0, np.intp)


def _words(df: pd.DataFrame, unit: str, key: bytes, *, checked: bool) -> NDArray[np.uint64]:
    """128 bits for each row's unit and, to check them, the hash of the whole row: uint64 `[n, 2 or 3]`."""
    out = np.empty((len(df), WORDS + checked), np.uint64)
    out[:, :WORDS] = unit_words(df[unit], key)
    if checked:
        out[:, WORDS] = row_hashes(df)
    return out


def unit_words(series: pd.Series, key: bytes) -> NDArray[np.uint64]:
    """128 bits for each value, `[n, 2]`.

    A number has the same ones whatever the dtype: where a value is missing, a part of a Dask DataFrame holds
    floats, and a person who had other bits there would keep rows twice.
    """
    kinds = pd.api.types
    if kinds.is_integer_dtype(series.dtype) or kinds.is_float_dtype(series.dtype):
        return _number_words(series, key)
    codes, values = factorize(series)
    words = np.concatenate([keyed_words(values, key), _salts(key)[1:]])  # -1, missing, is the last
    for dtype in (np.int64, np.uint64, np.float64):
        places = [place for place, value in enumerate(values) if _number_type(value) is dtype]
        if places:
            words[places] = _number_words(pd.Series([values[each] for each in places], dtype=dtype), key)
    return words[codes]


def _number_type(value: object) -> type | None:
    """The dtype that represents a number exactly; None for other values, or if it is too large."""
    if type(value) is float:
        return np.float64
    if type(value) is not int or not -(2**63) <= value < 2**64:
        return None
    return np.int64 if value < 2**63 else np.uint64


def _salts(key: bytes) -> NDArray[np.uint64]:
    """One salt for each word of a number, and below them the words of what is missing."""
    return np.frombuffer(key, "<u8").astype(np.uint64).reshape(2, WORDS)


def _number_words(series: pd.Series, key: bytes) -> NDArray[np.uint64]:
    """128 bits of each number: two different permutations of the 64 bits that it is written with.

    These are an int64's if it is whole and fits, else a uint64's, else a float64's; which of them goes into
    the second word alone. So numbers with the same first word have the same 64 bits, and if the second is
    the same, too, they are written in the same way: they are one number.
    """
    salts, nobody = _salts(key)
    kinds = pd.api.types
    if kinds.is_integer_dtype(series.dtype):
        unsigned = kinds.is_unsigned_integer_dtype(series.dtype)
        absent = series.isna().to_numpy(bool)
        bits = series.to_numpy(np.uint64 if unsigned else np.int64, na_value=0).view(np.uint64)
        written = (bits >> np.uint64(63) if unsigned else np.zeros_like(bits)).astype(np.uint64)
    else:
        numbers = number_values(series) + 0.0  # minus zero is zero
        absent, bits = np.isnan(numbers), numbers.view(np.uint64).copy()
        whole = numbers == np.rint(numbers)
        written = np.full(bits.shape, 2, np.uint64)
        for low, high, dtype, number in (
            (-(2.0**63), 2.0**63, np.int64, 0),
            (2.0**63, 2.0**64, np.uint64, 1),
        ):
            fits = whole & (numbers >= low) & (numbers < high)
            bits[fits], written[fits] = numbers[fits].astype(dtype).view(np.uint64), number
    words = mix(bits[:, None] ^ salts ^ np.stack([np.zeros_like(written), written], axis=1))
    return np.where(absent[:, None], nobody, words)
