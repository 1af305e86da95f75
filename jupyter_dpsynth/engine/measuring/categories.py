"""Private discovery of a categorical column: which categories it has, and how many rows each.

What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import OTHER, CategoryCodec
from jupyter_dpsynth.engine.measuring.discovered import Discovered
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW, weighed_counts
from jupyter_dpsynth.privacy.releases import partition_threshold
from jupyter_dpsynth.sources.fingerprint import WORDS, keyed_words
from jupyter_dpsynth.sources.objects import as_text, key_of
from jupyter_dpsynth.sources.values import factorize, levels_of

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.metadata.columns import CategoricalMeta
    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source

__all__ = ["CategorySearch", "GroupSearch", "measure_declared"]

RARE_SHARE = 0.002
KNOWN_VALUES = 20_000  # of a part, and about of a table, that are kept beside their hashes
KEY_BYTES = 32
KNOWN_LETTERS = 64  # of a value, on average
CLEAR_GROUP = 3.0  # standard deviations of noise by which what is left of a group must stand out
MUCH_UNDECLARED = 0.005  # of the rows: with fewer of other categories no second measurement is worth it


class CategorySearch:
    """Measures the categories of one column if they are not declared.

    Every measurement counts all its values and is joined, by precision, with those before. A value is
    published if its joined count passes a threshold that a single privacy unit's values pass with a chance
    of at most the measurement's part of delta.

    Args:
        source: The private table.
        meta: Metadata of the column.
        cells: Most cells of the column; the most frequent values are published.
        weights: How much each row counts.
        counted: As how many rows those of one privacy unit count at most.
        unit_rows: Most rows of one privacy unit.
        level: Of each value its group at this level counts; the value itself if this is 0.

    Privacy:
        One histogram for each measurement. What is published after it depends on a value that no other row
        has only through that value's own noise, also when earlier measurements decided whether there is
        another: then the value was not published, and all that was is independent of its noise.

    Source:
        Desfontaines, Voss, Gipson, Mandayam, 'Differentially private partition selection', PoPETs 2022.
    """

    def __init__(
        self,
        source: Source,
        meta: CategoricalMeta,
        cells: int,
        weights: RowWeights = EVERY_ROW,
        counted: float = 1.0,
        unit_rows: int = 1,
        level: int = 0,
    ) -> None:
        self.meta, self.cells = meta, cells
        self._unit, self._row = (counted, unit_rows), weights.row
        self._values = DistinctValues(source, meta, weights, level)
        self._exact = np.append(self._values.counts, self._values.missing)
        self._noisy = np.zeros(len(self._exact))
        self._precision = 0.0
        self._published = np.zeros(len(self._values.counts), dtype=bool)
        # the order of an ordered categorical's values is metadata, and is used for published values only
        self._order = levels_of(source.described[meta.name].cat.categories) if meta.ordered else []

    def measure(self, allowance: Allowance, delta: float) -> None:
        """Measure the count of every value, and publish the values that stand out from the noise.

        Args:
            allowance: For one histogram.
            delta: Chance that may be spent on publishing a value that one row brought in.
        """
        again, sigma = allowance.counts(self._exact, self._row), allowance.noise
        if sigma == 0:
            self._noisy, self._precision = again, np.inf
            self._published[:] = True
            return
        total = self._precision + 1 / sigma**2
        self._noisy = (self._precision * self._noisy + again / sigma**2) / total
        self._precision = total
        self._published |= self._noisy[:-1] > partition_threshold(self.sigma, delta, *self._unit)

    @property
    def sigma(self) -> float:
        """Noise of the combined counts."""
        return 0.0 if self._precision == np.inf else float(self._precision**-0.5)

    def undeclared(self, rows: float) -> float:
        """About how many rows have an unpublished value; 0 if there may be none.

        Args:
            rows: Noisy number of rows.
        """
        found = float(self._noisy[:-1][self._published].sum() + self._noisy[-1])
        noise = self.sigma * np.sqrt(self._published.sum() + 1)
        left = rows - found
        return left if left > max(MUCH_UNDECLARED * rows, 3 * noise) else 0.0

    @property
    def published(self) -> dict[Any, float]:
        """The values that are published, in an order that no row decides, and the noisy count of each."""
        places = np.flatnonzero(self._published)
        named = zip(self._values.at(places), self._noisy[places].tolist(), strict=True)
        return dict(sorted(named, key=_text_of_pair))

    def finish(self) -> Discovered:
        """The column's codec of what was published."""
        noisy, most = self._noisy, self.cells - 2
        published = np.flatnonzero(self._published)
        if len(published) > most:  # the values of others are not asked for
            published = published[noisy[published] >= np.partition(noisy[published], -most)[-most]]
        named = sorted(zip(self._values.at(published), published, strict=True), key=_text_of_pair)
        # noisy counts may tie: the order of rows, which no noise covers, must not decide between them
        named = sorted(sorted(named, key=lambda each: -noisy[each[1]])[:most], key=_text_of_pair)
        values, chosen = tuple(value for value, _ in named), [place for _, place in named]
        return self._found(values, noisy[chosen], np.full(len(values), self.sigma**2))

    def _found(
        self, values: tuple[Any, ...], counts: NDArray[np.float64], variances: NDArray[np.float64]
    ) -> Discovered:
        """The column's codec of these values, with their noisy counts.

        Args:
            values: What is published.
            counts: Noisy count of each, `[values]`.
            variances: Variance of the noise of each.
        """
        text = all(isinstance(value, str) for value in values) or not values
        # a table may have such a category of its own, which is not what was not listed
        others = OTHER if OTHER not in values else f"{OTHER}, not listed"
        pool: tuple[Any, ...] = (others,) if text else values
        weights = np.ones(1) if text else np.maximum(counts, 1.0)
        among = set(values)
        codec = CategoryCodec(self.meta, values, pool, weights, tuple(v for v in self._order if v in among))
        counts = np.append(counts, np.zeros(1))
        variance = np.append(variances, np.inf)  # the pool was not measured: it depends on what was published
        if self.meta.nullable:
            counts, variance = np.append(counts, self._noisy[-1]), np.append(variance, self.sigma**2)
        return Discovered(codec, counts, variance)


class GroupSearch(CategorySearch):
    """Measures codes and their groups: a code that is not published becomes its narrowest group that is.

    Args:
        source: The private table.
        meta: Metadata of the column, with the lengths of the groups' codes.
        cells: Most cells of the column.
        weights: How much each row counts.
        counted: As how many rows those of one privacy unit count at most.
        unit_rows: Most rows of one privacy unit.

    Privacy:
        For each measurement one histogram of the codes and one for each level of groups, on equal shares of
        the allowance and of delta.
    """

    def __init__(
        self,
        source: Source,
        meta: CategoricalMeta,
        cells: int,
        weights: RowWeights = EVERY_ROW,
        counted: float = 1.0,
        unit_rows: int = 1,
    ) -> None:
        own = source, meta, cells, weights, counted, unit_rows
        super().__init__(*own)
        # narrowest first
        self._groups = [CategorySearch(*own, level) for level in range(meta.levels, 0, -1)]

    def measure(self, allowance: Allowance, delta: float) -> None:
        """Measure the count of every code and of every group."""
        levels = len(self._groups) + 1
        super().measure(allowance.part(Fraction(1, levels)), delta / levels)
        for group in self._groups:
            group.measure(allowance.part(Fraction(1, levels)), delta / levels)

    def finish(self) -> Discovered:
        """The column's codec of codes, and of groups for what is left of these.

        A group stays only if what is left of it, beside its members that are published, stands out from the
        noise. Where more are left than there is room for, those with most rows stay.
        """
        cells = {value: (count, self.sigma**2) for value, count in self.published.items()}
        for group in self._groups:
            for name, count in group.published.items():
                members = [own for own in cells if name in self.meta.groups_of(own)]
                left = count - sum(cells[own][0] for own in members)
                variance = group.sigma**2 + sum(cells[own][1] for own in members)
                if left > CLEAR_GROUP * np.sqrt(variance):
                    cells[name] = left, variance
        while len(cells) > self.cells - 2:
            least = min(cells, key=lambda value: (cells[value][0], as_text(value)))
            count, variance = cells.pop(least)
            for name in self.meta.groups_of(least):
                if name in cells:
                    cells[name] = cells[name][0] + count, cells[name][1] + variance
                    break
        values = tuple(sorted(cells, key=as_text))
        counts, variances = np.array([cells[value] for value in values]).reshape(-1, 2).T
        return self._found(values, counts, variances)


def _text_of_pair(named: tuple[Any, Any]) -> tuple[str, str]:
    """A sort key for values that does not depend on the order of rows."""
    return as_text(named[0]), type(named[0]).__name__


class DistinctValues:
    """Distinct values of a categorical column with their exact counts: private.

    Of a table in parts only a hash of each value is kept where there are many: a column of free text has as
    many values as rows. The few that are published are looked up again.

    The hashes have 128 bits and a key that is drawn anew for each column. Otherwise somebody could write a
    value that is taken for another one, whose text would then be published if it comes first.

    Args:
        source: The private table.
        meta: Metadata of the column.
        weights: How much each row counts.
        level: Of each value its group at this level counts; the value itself if this is 0.

    Attributes:
        counts: Rows with each value, in parts where rows are weighed, int64 `[values]`, in the order of the
            values' first rows.
        missing: Rows without a value, in the same parts.
    """

    def __init__(
        self, source: Source, meta: CategoricalMeta, weights: RowWeights = EVERY_ROW, level: int = 0
    ) -> None:
        self._source, self._meta, self._level = source, meta, level
        self._words: NDArray[np.uint64] | None = None
        self._known: dict[Any, Any] = {}
        self._key = secrets.token_bytes(KEY_BYTES) if source.partitioned else None
        find = functools.partial(_find_places, meta=meta, key=self._key, level=level)
        words, exact, missing, seen = [], [], 0, 0
        for part in source.map(find, [meta.name]):
            own = weights.own(seen, len(part.places))
            seen += len(part.places)
            counts = weighed_counts(part.places + 1, own, 1 + part.size)
            missing += int(counts[0]) * meta.nullable
            if self._key is None:
                self._known, self.counts, self.missing = dict(enumerate(part.found)), counts[1:], missing
                return
            words.append(part.words)
            exact.append(counts[1:])
            if _are_few(self._known.values()):  # many small parts may have as many as a large one
                # of the same values the first one is known
                self._known = dict(zip(_told_apart(part.words), part.found, strict=False)) | self._known
        self.missing = missing
        together, counts = np.concatenate(words), np.concatenate(exact)
        del words, exact
        first, place = _distinct(together)
        self._words = together[first]
        # whole numbers below 2^53 are exact in float64
        self.counts = np.bincount(place, counts, minlength=len(first)).astype(np.int64)

    def at(self, places: NDArray[np.int64]) -> list[Any]:
        """The values at these positions of `counts`."""
        keys = places.tolist() if self._words is None else _told_apart(self._words[places])
        if self._key is not None and (unknown := set(keys) - self._known.keys()):
            find = functools.partial(
                _find_values, meta=self._meta, key=self._key, wanted=unknown, level=self._level
            )
            for found in self._source.map(find, [self._meta.name]):
                self._known = found | self._known
        return [self._known[key] for key in keys]


def _told_apart(words: NDArray[np.uint64]) -> list[tuple[int, ...]]:
    """Keyed hashes as keys of a dict."""
    return list(map(tuple, words.tolist()))


def _distinct(words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each of some keyed hashes `[n, 2]` stands first, in that order, and the number of each one."""
    order = np.lexsort(words.T)  # of the same ones the first comes first
    begins = np.append(True, (words[order[1:]] != words[order[:-1]]).any(axis=1))[: len(order)]
    first = order[begins]
    number = np.empty(len(first), np.intp)
    number[np.argsort(first)] = np.arange(len(first))
    place = np.empty(len(order), np.intp)
    place[order] = number[np.cumsum(begins) - 1]
    return np.sort(first), place


@dataclass(frozen=True, eq=False)
class _Places:
    """Distinct values of a column in one part of the table, and which of them each row has.

    Attributes:
        found: The values; none if they are many.
        words: Their hashes; none of the one part of a table in memory.
        size: How many values there are.
        places: Place of each row's value, `[rows]`, -1 where it is missing.
    """

    found: list[Any]
    words: NDArray[np.uint64]
    size: int
    places: NDArray[np.int64]


def _factorized(df: pd.DataFrame, meta: CategoricalMeta, level: int) -> tuple[NDArray[np.int64], list[Any]]:
    """Codes and distinct values of a column, or of their groups at a level."""
    codes, values = factorize(meta.present(df[meta.name]))
    if not level:
        return codes, values
    shortened = [meta.group_at(value, level) for value in values]
    # 1 and True are one key of a dict, whose spelling the first row would decide
    groups = {key_of(value): value for value in shortened}
    number = {key: place for place, key in enumerate(groups)}
    table = [number[key_of(value)] for value in shortened]
    return np.array([*table, -1])[codes], list(groups.values())


def _find_places(df: pd.DataFrame, meta: CategoricalMeta, key: bytes | None, level: int = 0) -> _Places:
    """Distinct values of a part, and which of them each row has: private.

    Args:
        df: A part of the table.
        meta: Metadata of the column.
        key: Of the hashes; None if there is one part, whose values are given back however many they are.
        level: Of each value its group at this level counts; the value itself if this is 0.
    """
    codes, values = _factorized(df, meta, level)
    if key is None:
        return _Places(values, np.zeros((0, WORDS), np.uint64), len(values), codes)
    return _Places(values if _are_few(values) else [], keyed_words(values, key), len(values), codes)


def _are_few(values: Collection[Any]) -> bool:
    """Whether the values are few and short enough to be kept in memory."""
    letters = sum(len(value) for value in values if isinstance(value, str))
    return len(values) <= KNOWN_VALUES and letters <= KNOWN_LETTERS * KNOWN_VALUES


def _find_values(
    df: pd.DataFrame, meta: CategoricalMeta, key: bytes, wanted: set[tuple[int, ...]], level: int
) -> dict[tuple[int, ...], Any]:
    """The values of a part that have one of these keyed hashes."""
    _, values = _factorized(df, meta, level)
    found = _told_apart(keyed_words(values, key))
    return {each: value for each, value in zip(found, values, strict=True) if each in wanted}


def measure_declared(
    source: Source,
    meta: CategoricalMeta,
    allowance: Allowance,
    weights: RowWeights,
    *,
    rows: float,
    cells: int,
) -> Discovered:
    """Measure every declared category and all undeclared ones together; pool the rare ones.

    Args:
        source: The private table.
        meta: Metadata of the column.
        allowance: For one histogram.
        weights: How much each row counts.
        rows: Noisy number of rows.
        cells: Most cells of the column.

    Privacy:
        One histogram, in which one row counts in one cell.
    """
    declared = list(meta.categories or ())
    place = functools.partial(_declared_cells, meta=meta, declared=declared)
    noisy = weights.release(source, place, [meta.name], len(declared) + 2, allowance)
    sigma = allowance.noise
    own, undeclared = noisy[: len(declared)], noisy[len(declared)]
    floor = max(3 * sigma, RARE_SHARE * rows)
    keep = own > floor
    keep[np.argsort(-own)[cells - 2 :]] = False
    keep[np.argmax(own)] = True  # where none stands out, cells of their own would be nothing but noise
    if (~keep).sum() == 1:
        keep = np.ones(len(declared), dtype=bool)
        keep[cells - 2 :] = False
    pool = tuple(v for v, k in zip(declared, keep, strict=True) if not k)
    likely = _shrink_to_mean(own[~keep], sigma)
    pooled_cells = int((~keep).sum()) + 1
    if not pool:  # nothing declared is rare: an undeclared value decodes to any declared one
        pool, likely = tuple(declared), np.maximum(own, 1.0)
    kept = tuple(v for v, k in zip(declared, keep, strict=True) if k)
    codec = CategoryCodec(meta, kept, pool, likely, tuple(declared) if meta.ordered else ())
    pool_count = own[~keep].sum() + undeclared
    counts = np.concatenate([own[keep], [pool_count], noisy[-1:] if meta.nullable else []])
    variance = np.full(codec.size, sigma**2)
    variance[len(kept)] *= pooled_cells
    return Discovered(codec, counts, variance, (float(undeclared),), sigma)


def _declared_cells(df: pd.DataFrame, meta: CategoricalMeta, declared: list[Any]) -> NDArray[np.int64]:
    """The cell of each row of a part: its declared category, that of all others, or what is missing."""
    codes, values = _factorized(df, meta, 0)
    place = {value: i for i, value in enumerate(declared)}
    cells = [place.get(value, len(declared)) for value in values]
    return np.array([*cells, len(declared) + 1], np.int64)[codes]


def _shrink_to_mean(counts: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Draw counts towards their mean as far as noise explains their spread (James-Stein)."""
    if len(counts) == 0:
        return counts
    mean = max(float(counts.mean()), 1e-3)
    spread = max(float(((counts - mean) ** 2).sum()), 1e-9)
    keep = max(0.0, 1 - sigma**2 * len(counts) / spread)
    return np.maximum(mean + keep * (counts - mean), 1e-3)
