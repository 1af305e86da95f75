"""Finds, with noise, whether whole numbers are dates or times that are written so, or multiples of a step.

20240131 and 1435 are days and minutes; durations of whole days in seconds are multiples of 86,400. Each test
is a histogram over a few kinds of values: that next to no row has a value of another kind must stand out of
the noise. What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.patterns import DIGITS, FORMS, LARGEST_POINT, valid_share
from jupyter_dpsynth.engine.measuring.cells import weighed
from jupyter_dpsynth.engine.measuring.weighing import weighed_counts
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = ["FoundForm", "find_form", "find_step"]

# Of a column's allowance, for one histogram: at most, and so much that noise looks like so few of the rows.
MOST_SHARE, FEW_BY_NOISE = Fraction(1, 25), 0.03
SURE = 2.5  # standard deviations of noise
FEW = 0.01  # of the rows: so many may have a value of another kind
CLEAR = 4.5  # times as many rows as few are would have another value if values were anywhere
LEAST_PARITY = 0.1  # of the rows: have an even or an odd number of hundreds; years 1940 to 1959 are no times
QUARTER = 15  # minutes
NEARLY_ALL = 0.9  # of the rows must be where numbers of a form are
# Powers of two and three are told up to these; of the primes from 5 to 97 the largest that divides a value.
TWOS, THREES = 5, 3
PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
LEAST_LEFT = Fraction(1, 4)  # of the allowance, for the tree


@dataclass(frozen=True)
class FoundForm:
    """What whole numbers are.

    Attributes:
        form: One of `FORMS`, or empty.
        step: Of which they are multiples, in points.
        told: Whether a test rejects that `RARE_BREAKS` of the rows are something else, and are not made.
        used: Share of the allowance that was used up.
    """

    form: str = ""
    step: int = 1
    told: bool = True
    used: Fraction = Fraction(0)


class _Counting:
    """Counts the rows of a column, without those of known single values, by a kind of their points."""

    def __init__(self, values: ColumnValues, known: NDArray[np.float64], rows: float) -> None:
        self.values, self.known, self.rows = values, known, rows

    def noisy(
        self, allowance: Allowance, kind: Callable[[NDArray[np.float64]], NDArray[np.int64]], size: int
    ) -> NDArray[np.float64]:
        """Noisy rows of each kind, `[size]`."""
        exact = np.zeros(size, np.int64)
        for points, weights in self.values.weighed:
            other = ~np.isin(points, self.known)
            own = None if weights is None else weights[other]
            exact += weighed_counts(kind(points[other]), own, size)
        return allowance.counts(exact, self.values.row)

    def others(
        self, noisy: NDArray[np.float64], fits: NDArray[np.bool_], noise: float, expected: float
    ) -> tuple[bool, bool]:
        """Whether next to no rows are of other kinds than some; and whether more than rare ones are excluded.

        Args:
            noisy: Noisy rows of each kind, `[kinds]`.
            fits: Which kinds these are; there are others.
            noise: Standard deviation of the noise of each.
            expected: Share of the rows that would be of other kinds if values were anywhere.
        """
        apart, together = float(noisy[~fits].sum()), self.rows - float(noisy[fits].sum())
        rows, variance = weighed(apart, noise**2 * (~fits).sum(), together, noise**2 * fits.sum())
        few = max(FEW * self.rows, SURE * np.sqrt(variance))
        told = rows + certainty(1) * np.sqrt(variance) <= RARE_BREAKS * self.rows
        return bool(rows <= few and expected * self.rows >= CLEAR * few), bool(told)


def _share(allowance: Allowance, rows: float) -> Fraction:
    """Of a column's allowance, for one histogram: the more rows there are, the less is needed."""
    least = (SURE * allowance.noise / (FEW_BY_NOISE * rows)) ** 2
    return min(MOST_SHARE, Fraction(max(least, 1e-4)).limit_denominator(10_000))


def find_form(
    values: ColumnValues,
    known: NDArray[np.float64],
    rows: float,
    resolution: float,
    within: Callable[[float, float], float],
    allowance: Allowance,
) -> FoundForm:
    """Whether a column's whole numbers are dates or times.

    Args:
        values: The column's points: private.
        known: Single values that are known, and not counted, increasing.
        rows: Noisy number of other rows.
        resolution: The column's, a whole number.
        within: The noisy share of these rows between two values.
        allowance: For the whole column.

    Privacy:
        At most one histogram, in which one row counts in at most one cell. Whether there is one follows from
        what is known of where rows are.
    """
    share = _share(allowance, rows)
    own = allowance.part(share)
    invalid = {name: 1 - valid_share(name, resolution) for name in FORMS}
    fitting = [
        name
        for name, form in FORMS.items()
        if name != "hhmm in quarters"
        and within(*form.around) > NEARLY_ALL
        and invalid[name] * rows >= CLEAR * SURE * own.noise
    ]
    if not fitting:
        return FoundForm()
    form = fitting[0]

    def kind(points: NDArray[np.float64]) -> NDArray[np.int64]:
        numbers = points * resolution
        odd, between = numbers // DIGITS % 2 == 1, numbers % DIGITS % QUARTER != 0
        return np.where(FORMS[form].holds(numbers), odd + 2 * (between & (form == "hhmm")), 4).astype(
            np.int64
        )

    counting, place = _Counting(values, known, rows), np.arange(5)
    noisy = counting.noisy(own, kind, 5)
    few, told = counting.others(noisy, place < 4, own.noise, invalid[form])
    parity = noisy[:4].reshape(2, 2).sum(axis=0)
    if not few or parity.min() < max(LEAST_PARITY * rows, SURE * np.sqrt(2) * own.noise):
        return FoundForm(used=share)
    if form == "hhmm":
        few, told_quarters = counting.others(noisy, place < 2, own.noise, 1 - resolution / QUARTER)
        form, told = ("hhmm in quarters", told_quarters) if few else (form, told)
    return FoundForm(form, told=told, used=share)


def find_step(
    values: ColumnValues, known: NDArray[np.float64], rows: float, allowance: Allowance, left: Fraction
) -> FoundForm:
    """The step of which a column's points are multiples: a product of powers of two and three, and of primes.

    Args:
        values: The column's points: private.
        known: Single values that are known, and not counted, increasing.
        rows: Noisy number of other rows.
        allowance: For the whole column.
        left: Of it, what is left.

    Privacy:
        Two histograms, in each of which one row counts in at most one cell; and another one of the same
        kind as long as the last one showed something, and one that confirms it.
    """
    counting, step, used = _Counting(values, known, rows), 1, Fraction(0)
    share = _share(allowance, rows)
    own = allowance.part(share)
    if rows < CLEAR * SURE * own.noise:  # nothing would stand out
        return FoundForm()
    steps = []
    for find in (_smooth_step, _prime_step):
        found = 0
        while found != 1 and left - used >= LEAST_LEFT:
            found = find(counting, step, own)
            step, used = step * found, used + share
        steps.append(step)
    if step == 1 or left - used < LEAST_LEFT:
        return FoundForm(used=used)
    step, told = _confirmed(counting, steps, own)
    return FoundForm(step=step, told=told, used=used + share)


def _confirmed(counting: _Counting, steps: list[int], allowance: Allowance) -> tuple[int, bool]:
    """Which of a step and a multiple of it nearly all points are multiples of, and whether that is clear."""

    def kind(points: NDArray[np.float64]) -> NDArray[np.int64]:
        return sum(
            (_multiples(points, step)[1].astype(np.int64) for step in steps), np.zeros(len(points), int)
        )

    noisy = counting.noisy(allowance, kind, 3)
    for least, step in ((2, steps[1]), (1, steps[0])):
        few, told = counting.others(noisy, np.arange(3) >= least, allowance.noise, 1 - 1 / step)
        if few:
            return step, told
    return 1, True


def _multiples(points: NDArray[np.float64], step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Points in steps, at least 0, or 1 for what is no multiple; and which ones are.

    Of numbers that float64 does not hold as they are nobody can tell.
    """
    size = np.abs(points)
    told = (size <= LARGEST_POINT) & (size % step == 0)
    return np.where(told, size // step, 1).astype(np.int64), told


def _smooth_step(counting: _Counting, step: int, allowance: Allowance) -> int:
    """The powers of two and three that divide nearly all multiples of a step, by their cells; or 1."""

    def kind(points: NDArray[np.float64]) -> NDArray[np.int64]:
        numbers, place = _multiples(points, step)[0], np.zeros(len(points), np.int64)
        for base, size, each in ((2, TWOS, THREES), (3, THREES, 1)):
            for power in range(1, size):
                place += each * (numbers % base**power == 0)
        return place

    noisy = counting.noisy(allowance, kind, TWOS * THREES)
    two, three = np.divmod(np.arange(TWOS * THREES), THREES)
    for place in np.argsort(2**two * 3**three)[:0:-1].tolist():
        found = int(2 ** two[place] * 3 ** three[place])
        fits = (two >= two[place]) & (three >= three[place])
        if counting.others(noisy, fits, allowance.noise, 1 - 1 / found)[0]:
            return found
    return 1


def _prime_step(counting: _Counting, step: int, allowance: Allowance) -> int:
    """The largest prime that divides nearly all multiples of a step, by their cells; or 1.

    Rows are counted by the largest prime that divides their value: of multiples of 7 some are such of 11,
    too, but none has a smaller one. Numbers that are anywhere have.
    """

    def kind(points: NDArray[np.float64]) -> NDArray[np.int64]:
        numbers, place = _multiples(points, step)[0], np.zeros(len(points), np.int64)
        for index, prime in enumerate(PRIMES, start=1):
            place[numbers % prime == 0] = index
        return place

    noisy = counting.noisy(allowance, kind, len(PRIMES) + 1)
    smaller = np.cumprod(1 - 1 / np.array(PRIMES[::-1]))[::-1]  # chance that none from this one on divides
    for index in range(len(PRIMES), 0, -1):
        fits = np.arange(len(noisy)) >= index
        if counting.others(noisy, fits, allowance.noise, float(smaller[index - 1]))[0]:
            return PRIMES[index - 1]
    return 1
