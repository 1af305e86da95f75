"""Finds, with noise, where in a period a column's values lie: last digits, minutes, days of the month.

A histogram of a part of the values shows whether they are somewhere in particular. What it shows is measured
again, with one more cell for all rows that are elsewhere: they are kept. What is counted in private rows
leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.patterns import LARGEST_POINT, LARGEST_WEIGHT, PARTS, Pattern, PointParts
from jupyter_dpsynth.engine.measuring.cells import weighed
from jupyter_dpsynth.engine.measuring.presence import SURE
from jupyter_dpsynth.engine.measuring.shrinkage import CLEAR, onto_sum
from jupyter_dpsynth.engine.measuring.weighing import weighed_counts
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.rounding import Rounding
    from jupyter_dpsynth.engine.measuring.cells import Cells
    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = ["LEAST_MOVED", "FoundPattern", "find_pattern"]

# Parts that are looked at only if another one shows something.
AFTER = {"digits before": "last digits", "minute": "second", "month": "day of month"}
FEWEST_PERIODS = 2  # that the cells of values must be long: else the tree tells their points apart
LEAST_MOVED = 0.05  # of the rows: where fewer are not where an even spread has them, nothing is gained
# By how much, in squared standard deviations, values in few places must explain a histogram better than an
# even spread does. One of 300 sets of places does so by noise in fewer than one of 10,000 histograms: the
# gain of a set that is d deviations away from an even spread is normal around -d^2, with deviation 2 d.
LEAST_GAIN = 27.0
FALSE_PATTERNS = 1e-4  # of columns whose published values are random
# Places that are looked at together because each alone may not stand out: first and last digits of quarters,
# months, hours, minutes, days and weeks; and months, of which January is 0, of quarters and half years.
RANGES = ((0, 3), (1, 4), (0, 11), (1, 12), (0, 23), (0, 59), (1, 31), (1, 53))
MONTHS = ((0, 3, 6, 9), (2, 5, 8, 11), (1, 4, 7, 10), (0, 6), (5, 11))


@dataclass(frozen=True, eq=False)
class FoundPattern:
    """What a column's values have in common.

    Attributes:
        pattern: The pattern; None if nothing was found.
        told: Whether a test rejects that `RARE_BREAKS` of the rows are elsewhere, and are not made.
        used: Share of the allowance that was used up.
    """

    pattern: Pattern | None
    told: bool
    used: Fraction


def find_pattern(
    values: ColumnValues,
    parts: PointParts,
    cells: Cells,
    known: NDArray[np.float64],
    allowance: Allowance,
    share: Fraction,
    *,
    left: Fraction,
    rows: float,
    rounding: Rounding,
) -> FoundPattern:
    """The pattern of a column's values.

    Where next to all of them are known, or nothing is left of the allowance, it is that of those.

    Args:
        values: The column's points: private.
        parts: Their parts.
        cells: Where they are, with noisy counts.
        known: Single values that are known and left out of the counts, float64 `[values]`, increasing.
        allowance: For the whole column.
        share: Of it, for all that is looked at first; so much again is used up if something is found.
        left: Of it, what is left.
        rows: Noisy number of rows that have a value.
        rounding: How round the values are known to be: what follows from that is no pattern.

    Privacy:
        One histogram for each part that is looked at first, one row of which counts in at most one cell; and
        if something is found, another one for each part in which it was, and for each that follows from it.
    """
    search = _Search(values, parts, cells, known)
    if search.rows <= SURE * np.sqrt(search.variance) or left < 3 * share:
        few = search.rows + certainty(1) * np.sqrt(search.variance) <= RARE_BREAKS * rows
        pattern = _pattern_of_known(known, parts, cells)
        return FoundPattern(pattern, told=pattern is None or bool(few), used=Fraction(0))
    first = [name for name in parts.names if search.repeats(name)]
    first = [name for name in first if AFTER.get(name) not in first]
    if not first:
        return FoundPattern(None, told=True, used=Fraction(0))
    own = allowance.part(share / len(first))
    shown: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    for name in first:
        counts = own.counts(search.exact(name), values.row)
        expected = search.even(name) if rounding.is_even else search.rounded(name, rounding)
        places = _places(counts, own.noise, expected, search.variance, name)
        if places is not None:
            shown[name] = counts, places
    if not shown:
        return FoundPattern(None, told=True, used=share)
    later = [name for name in parts.names if AFTER.get(name) in shown and search.repeats(name)]
    again = allowance.part(share / (len(shown) + len(later)))
    told = True
    for name, (counts, places) in shown.items():
        exact = search.exact(name)
        apart = again.counts(np.append(exact[places], exact[~places].sum()), values.row)
        told &= search.add(name, counts, own.noise, places, (apart, again.noise))
    for name in later:
        counts = again.counts(search.exact(name), values.row)
        places = _places(counts, again.noise, search.even(name), search.variance, name)
        if places is not None:
            told &= search.add(name, counts, again.noise, places)
    pattern = Pattern(parts, search.weights, search.within)
    return FoundPattern(pattern, told, 2 * share)


def _pattern_of_known(known: NDArray[np.float64], parts: PointParts, cells: Cells) -> Pattern | None:
    """What published values have in common, for the few others; None if they may be anywhere.

    The others are taken to be in the places of published values.

    Args:
        known: The values that are published, float64 `[values]`, increasing.
        parts: Their parts.
        cells: Where other rows are.
    """
    if not len(known) or np.abs(known).max() > LARGEST_POINT:
        return None
    length = max(float((cells.ends - cells.starts).sum()), known[-1] - known[0])
    weights: dict[str, NDArray[np.float64]] = {}
    within: tuple[int, ...] = ()
    for name in parts.names:
        if (name in AFTER and AFTER[name] not in weights) or length < FEWEST_PERIODS * parts.period(name):
            continue
        places = _places_of_known(parts.of_points(name, known), name)
        if places is not None:
            weights[name] = places.astype(np.float64)
            within = tuple(np.flatnonzero(places).tolist()) if name == "last digits" else within
    return Pattern(parts, weights, within) if weights else None


def _places_of_known(values: NDArray[np.int64], name: str) -> NDArray[np.bool_] | None:
    """In which places some values of a part are; None if so many random ones may be in as few.

    Args:
        values: Of each published value, `[n]`.
        name: The part.
    """
    size = PARTS[name]
    held = np.isin(np.arange(size), values)
    taken = np.eye(1, size + 1)[0]  # chance that random values are in so many places
    more = 1 - np.arange(size + 1) / size
    for _ in values:
        taken = taken * (1 - more) + np.append(0.0, (taken * more)[:-1])
    if taken[: held.sum() + 1].sum() < FALSE_PATTERNS:
        return held
    sets = [members for _, members in _sets(name)]
    around = [members for members in sets if (members | ~held).all()]
    least = min(around, key=np.count_nonzero)
    return least if len(sets) * least.mean() ** len(values) < FALSE_PATTERNS else None


class _Search:
    """Counts the parts of a column's values, and collects what they weigh."""

    def __init__(
        self, values: ColumnValues, parts: PointParts, cells: Cells, known: NDArray[np.float64]
    ) -> None:
        self.values, self.parts, self.cells, self.known = values, parts, cells, known
        self.rows, self.variance = max(float(cells.raw.sum()), 1.0), float(cells.variances.sum())
        self.length = float((cells.ends - cells.starts).sum())
        self.exactly = bool(len(cells.raw)) and bool(
            max(abs(cells.starts[0]), abs(cells.ends[-1])) <= LARGEST_POINT
        )
        self.weights: dict[str, NDArray[np.float64]] = {}
        self.within: tuple[int, ...] = ()

    def repeats(self, name: str) -> bool:
        """Whether a part repeats itself where the values are."""
        return self.exactly and FEWEST_PERIODS * self.parts.period(name) <= self.length

    def exact(self, name: str) -> NDArray[np.int64]:
        """Rows by a part of their values, `[PARTS[name]]`, in parts where rows are weighed: private."""
        found = np.zeros(PARTS[name], np.int64)
        for points, weights in self.values.weighed:
            place = np.maximum(np.searchsorted(self.cells.starts, points, side="right") - 1, 0)
            inside = (points >= self.cells.starts[place]) & (points < self.cells.ends[place])
            if len(self.known):
                inside &= ~np.isin(points, self.known)
            if name == "digits before":
                inside &= np.isin(self.parts.of_points("last digits", points), self.within)
            own = None if weights is None else weights[inside]
            found += weighed_counts(self.parts.of_points(name, points[inside]), own, len(found))
        return found

    def even(self, name: str) -> NDArray[np.float64]:
        """Rows with each value of a part if nothing were special about it, `[PARTS[name]]`."""
        weights = dict(self.weights)
        if name == "digits before":  # only those whose last digits are somewhere in particular
            among = np.isin(np.arange(PARTS["last digits"]), self.within)
            weights["last digits"] = np.where(among, weights["last digits"], 0.0)
        ends, mass = (self.cells.starts, self.cells.ends), np.maximum(self.cells.shrunk, 0.0)
        by_value = Pattern(self.parts, weights, self.within).measure(*ends, name)
        whole = Pattern(self.parts, self.weights, self.within).measure(*ends)
        share = by_value / np.maximum(whole, 1e-300)[:, None]
        found: NDArray[np.float64] = self.rows * (mass @ share) / max(float(mass.sum()), 1e-300)
        return found

    def rounded(self, name: str, rounding: Rounding) -> NDArray[np.float64]:
        """Rows with each value of a part if nothing but how round they are were special, `[PARTS[name]]`."""
        found = np.zeros(PARTS[name])
        for step, rate in zip(rounding.steps.tolist(), rounding.rates.tolist(), strict=True):
            own = self.parts.of_points(name, step * np.arange(len(found), dtype=np.float64))
            found += rate / step * np.bincount(own, minlength=len(found))
        return self.rows * found / found.sum()

    def add(
        self,
        name: str,
        counts: NDArray[np.float64],
        noise: float,
        places: NDArray[np.bool_],
        again: tuple[NDArray[np.float64], float] | None = None,
    ) -> bool:
        """Weigh a part by its noisy counts.

        Args:
            name: The part.
            counts: Noisy rows with each value of it, `[PARTS[name]]`.
            noise: Standard deviation of their noise.
            places: Where rows are.
            again: Another count of each of these places, and of all others together, with its noise.

        Returns:
            Whether a test rejects that `RARE_BREAKS` of the rows are elsewhere, and are not made.
        """
        expected = self.even(name)
        own, variance = counts[places], noise**2
        others, of_others = float(counts[~places].sum()), noise**2 * np.count_nonzero(~places)
        if again is not None:
            own, variance = weighed(own, variance, again[0][:-1], again[1] ** 2)
            others, of_others = weighed(others, of_others, float(again[0][-1]), again[1] ** 2)
        told, elsewhere = True, 0.0
        if not places.all():
            elsewhere = others if others > CLEAR * np.sqrt(of_others) else 0.0
            most = others - elsewhere + certainty(1) * np.sqrt(of_others)
            told = bool(elsewhere > 0 or most <= RARE_BREAKS * self.rows)
        rows, total = np.empty(len(counts)), expected.sum() - elsewhere
        total, _ = weighed(total, self.variance + of_others, own.sum(), variance * len(own))
        rows[places] = _spread(own, np.sqrt(variance), expected[places], total)
        rows[~places] = elsewhere * expected[~places] / max(float(expected[~places].sum()), 1e-300)
        weights = np.where(expected > 0, rows / np.maximum(expected, 1e-300), 0.0)
        self.weights[name] = np.minimum(weights, LARGEST_WEIGHT)
        if name == "last digits":
            self.within = tuple(np.flatnonzero(places).tolist())
        return told


def _places(
    counts: NDArray[np.float64],
    noise: float,
    expected: NDArray[np.float64],
    of_total: float,
    name: str,
) -> NDArray[np.bool_] | None:
    """Where the values are, if that is not everywhere alike; None if noise may explain it.

    Args:
        counts: Noisy rows with each value of a part, `[PARTS[name]]`.
        noise: Standard deviation of their noise.
        expected: The same if nothing were special about it.
        of_total: Variance of the noise of its sum.
        name: The part.
    """
    total, _ = weighed(float(expected.sum()), of_total, float(counts.sum()), noise**2 * len(counts))
    expected = expected * max(total, 1.0) / max(float(expected.sum()), 1e-300)
    variances = noise**2 + np.maximum(expected, 1.0)  # of the rows themselves, too
    seen = counts - expected > np.sqrt(SURE**2 + 2 * np.log(len(counts))) * np.sqrt(variances)
    left, of_left = total - float(counts[seen].sum()), of_total + noise**2 * seen.sum()
    left, of_left = weighed(left, of_left, float(counts[~seen].sum()), noise**2 * (~seen).sum())
    if left < CLEAR * np.sqrt(of_left):
        left = 0.0
    best, chosen, fitted, unexplained = np.inf, seen, np.where(seen, counts, 0.0), 0.0
    for penalty, members in _sets(name):
        among = members & ~seen if left else np.zeros_like(seen)
        share = expected[among].sum()
        if left and not share:
            continue
        model = np.where(seen, counts, 0.0)
        model[among] = left * expected[among] / max(float(share), 1e-300)
        error = float(((counts - model) ** 2 / variances)[~seen].sum())
        if error + penalty < best:
            best, chosen, fitted, unexplained = error + penalty, seen | among, model, error
    gain = float(((counts - expected) ** 2 / variances).sum()) - unexplained - 2 * seen.sum()
    moved = np.abs(fitted - expected).sum() / 2
    return chosen if gain > LEAST_GAIN and moved > LEAST_MOVED * total else None


def _sets(name: str) -> Iterator[tuple[float, NDArray[np.bool_]]]:
    """Sets of values of a part, and by how much each must be better than all of them."""
    size = PARTS[name]
    values = np.arange(size)
    yield 0.0, np.ones(size, dtype=bool)
    if name in {"weekday", "day of month"}:
        yield LEAST_GAIN, values < 5 if name == "weekday" else values == 0
        return
    for step in range(2, size // 2 + 1):
        if size % step == 0:
            for offset in range(step):
                yield LEAST_GAIN, values % step == offset
    if name == "hour":
        ranges = [(first, last) for first in range(size) for last in range(first, size)]
    elif name == "month":
        for months in MONTHS:
            yield LEAST_GAIN, np.isin(values, months)
        return
    else:
        ranges = [each for each in RANGES if each[1] < size]
    for first, last in ranges:
        yield LEAST_GAIN, (values >= first) & (values <= last)
        if size == PARTS["last digits"] and last < 10:
            yield LEAST_GAIN, (values % 10 >= first) & (values % 10 <= last)


def _spread(
    counts: NDArray[np.float64], noise: float, expected: NDArray[np.float64], total: float
) -> NDArray[np.float64]:
    """Rows in each of some places, drawn to an even spread as far as noise explains that they differ.

    Source:
        James and Stein 1961 (positive part), applied to the deviations from an even spread.
    """
    even = expected * total / max(float(expected.sum()), 1e-300)
    deviations = counts - even
    spread = max(float((deviations**2).sum()), 1e-9)
    keep = max(0.0, 1 - noise**2 * len(counts) / spread)
    return onto_sum(even + keep * deviations, max(total, 0.0))
