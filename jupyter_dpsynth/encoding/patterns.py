"""Where in a period a column's values lie: the last two digits of numbers, the day of the month of dates.

Prices end in .99, a month written as 202403 ends in 01 to 12, contracts begin on the first of a month. A
*part* of a point is such a figure: its last two digits, its minute, its day of the month. A pattern weighs
the points inside a leaf by their parts; without one all points of a leaf are equally likely.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.metadata.columns import DatetimeMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ContinuousMeta

__all__ = ["FORMS", "PARTS", "Form", "Pattern", "PointParts", "valid_share"]

# How many values each part has. The days of a month are 1 to 30, and 0 for its last day.
PARTS = {
    "last digits": 100,
    "digits before": 100,
    "second": 60,
    "minute": 60,
    "hour": 24,
    "weekday": 7,
    "day of month": 32,
    "month": 12,
}
DAYS = {"weekday": 7, "day of month": 31, "month": 366}  # after which they repeat themselves
DIGITS = 100  # values of two digits
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000  # microseconds
CENTURIES = 146_097  # days of 400 years, after which the calendar repeats itself
FARTHEST = 8 * 366 + 1  # days between two that have a weight: 29 February
LARGEST_POINT = 2.0**53  # beyond it float64 does not hold the last digits of a point
LARGEST_WEIGHT = 1e9  # that a saved model may have
FORM_PERIOD = 10_000  # numbers after which those of a form repeat themselves
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Form:
    """How dates or times are written as whole numbers.

    Attributes:
        name: Its name.
        around: Between which powers of two all such numbers are.
        first: The first of them.
        last: The last of them.
    """

    name: str
    around: tuple[float, float]
    first: float
    last: float

    def holds(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which whole numbers are of this form."""
        places = valid_places(self.name, 1.0)
        inside = (numbers >= self.first) & (numbers <= self.last)
        found: NDArray[np.bool_] = (
            inside & places[np.where(inside, numbers % FORM_PERIOD, 0).astype(np.int64)]
        )
        return found


#: Forms by name. Of 29 February it is not told here in which years there is one.
FORMS = {
    form.name: form
    for form in (
        Form("yyyymmdd", (2.0**24, 2.0**25), 17000101, 22991231),
        Form("yyyymm", (2.0**17, 2.0**18), 170001, 229912),
        Form("hhmm", (0.0, 2.0**12), 0, 2359),
        Form("hhmm in quarters", (0.0, 2.0**12), 0, 2345),
        Form("hhmmss", (2.0**12, 2.0**18), 0, 235959),
    )
}


@functools.cache
def valid_places(form: str, resolution: float) -> NDArray[np.bool_]:
    """Of which points, up to `FORM_PERIOD`, the last four digits are of a form, `[FORM_PERIOD]`.

    >>> int(valid_places("yyyymmdd", 1.0).sum()), int(valid_places("hhmm", 5.0)[:480].sum())
    (366, 288)
    """
    before, last = np.divmod(np.arange(FORM_PERIOD) * int(resolution) % FORM_PERIOD, DIGITS)
    if form == "yyyymmdd":
        days = np.append(np.array((0, *MONTH_DAYS)), np.zeros(DIGITS - 13, np.int64))
        return np.asarray((last >= 1) & (last <= days[before]))
    if form == "yyyymm":
        return (last >= 1) & (last <= 12)
    if form == "hhmmss":
        return (last < 60) & (before < 60)
    step = 15 if form == "hhmm in quarters" else 1
    found: NDArray[np.bool_] = (last < 60) & (before < 24) & (last % step == 0)
    return found


@dataclass(frozen=True)
class PointParts:
    """The parts that points of one column have.

    A point consists of an inner place (digits; seconds of a day) that counts `grain` points, and an outer one
    (a day of 400 years); both repeat themselves.

    Attributes:
        inner: Names of the parts of the inner place, the one that changes fastest first.
        outer: Names of those of the outer place.
        grain: Points of one inner place.
        mirrored: Whether a negative point has the parts of the positive one.
        form: One of `FORMS` that all values have; empty if none is known.
        resolution: The step of values that have a form.
    """

    inner: tuple[str, ...]
    outer: tuple[str, ...]
    grain: int
    mirrored: bool
    form: str = ""
    resolution: float = 1.0

    @classmethod
    def of(cls, meta: ContinuousMeta | DatetimeMeta, resolution: float, form: str = "") -> PointParts:
        """Those of a column.

        Args:
            meta: The column's metadata.
            resolution: The step in which its values are recorded; above 0.
            form: One of `FORMS`, if all of its values have one.
        """
        if not isinstance(meta, DatetimeMeta):
            digits = ("last digits", "digits before")
            return cls(digits, (), 1, mirrored=True, form=form, resolution=resolution)
        steps = {"second": SECOND, "minute": MINUTE, "hour": HOUR}
        inner = tuple(name for name, step in steps.items() if resolution <= step)
        if meta.is_duration:
            return cls(inner, (), max(SECOND // int(resolution), 1), mirrored=True)
        grain = max(SECOND // int(resolution), 1)
        return cls(inner, ("weekday", "day of month", "month"), grain, mirrored=False)

    @property
    def names(self) -> tuple[str, ...]:
        """All parts."""
        return (*self.inner, *self.outer)

    @property
    def inner_places(self) -> int:
        """How many inner places there are."""
        return int(np.prod([PARTS[name] for name in self.inner], dtype=np.int64))

    def of_inner(self, name: str) -> NDArray[np.int64]:
        """A part of every inner place, `[inner_places]`."""
        places = np.arange(self.inner_places)
        for part in self.inner:
            if part == name:
                return places % PARTS[name]
            places = places // PARTS[part]
        raise KeyError(name)

    def period(self, name: str) -> float:
        """After how many points a part repeats itself, about."""
        if name in self.inner:
            faster = self.inner[: self.inner.index(name) + 1]
            return float(self.grain * np.prod([PARTS[part] for part in faster], dtype=np.int64))
        return self.grain * self.inner_places * DAYS[name]

    def of_points(self, name: str, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """A part of each point, `[n]`."""
        own = np.abs(points) if self.mirrored else points
        places = np.floor(own / self.grain)
        if name in self.inner:
            return self.of_inner(name)[(places % self.inner_places).astype(np.int64)]
        return _of_days(name)[(np.floor(places / self.inner_places) % CENTURIES).astype(np.int64)]


@functools.cache
def _of_days(name: str) -> NDArray[np.int64]:
    """A part of each day of 400 years from 1970 on, `[CENTURIES]`."""
    days = np.datetime64("1970-01-01") + np.arange(CENTURIES + 1)
    months = days.astype("datetime64[M]")
    if name == "weekday":  # that day was a Thursday; Monday is 0
        return (np.arange(CENTURIES) + 3) % 7
    if name == "month":
        return months[:-1].astype(np.int64) % 12
    day = (days - months).astype(np.int64) + 1
    return np.where(day[1:] == 1, 0, day[:-1])


def _by_part(
    weights: NDArray[np.float64], values: NDArray[np.int64], places: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each of some places its own weight, and that of all places before it, by a part's values.

    Args:
        weights: The weight of each place, `[places]`.
        values: The part's value of each, `[places]`.
        places: Which ones, `[n]`.
        size: How many values there are.

    Returns:
        Both, `[n, size]`, and the weight of all places, `[size]`.
    """
    edges, of_edge = np.unique(places, return_inverse=True)
    stretch = np.searchsorted(edges, np.arange(len(weights)), side="right")
    by_stretch = np.bincount(stretch * size + values, weights, minlength=(len(edges) + 1) * size)
    reached = by_stretch.reshape(-1, size).cumsum(axis=0)
    own = np.where(values[places, None] == np.arange(size), weights[places, None], 0.0)
    return own, reached[of_edge], reached[-1]


def valid_share(form: str, resolution: float) -> float:
    """Which share of the points between the first and the last number of a form is of it, about."""
    return float(valid_places(form, resolution)[: int(FORMS[form].last // resolution) + 1].mean())


def _no_leap_days(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which dates as numbers are 29 February of a year that has none."""
    years = numbers // FORM_PERIOD
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    found: NDArray[np.bool_] = (numbers % FORM_PERIOD == 229) & ~leap
    return found


def _beyond(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which leaves are where float64 does not hold points one by one."""
    return (starts >= LARGEST_POINT) | (ends <= -LARGEST_POINT)


@dataclass(frozen=True, eq=False)
class Pattern:
    """How likely points are beside others of their leaf, by their parts.

    Attributes:
        parts: Which parts points have.
        weights: The weight of each value of a part, float64 `[PARTS[name]]`, at least 0. A point's weight is
            the product of those of its parts.
        within: Values of 'last digits' for which 'digits before' counts; for other points it does not.

    Privacy:
        Everything here is a function of noisy counts: post-processing.
    """

    parts: PointParts
    weights: dict[str, NDArray[np.float64]]
    within: tuple[int, ...] = ()
    _inner: NDArray[np.float64] = field(init=False, repr=False)
    _outer: NDArray[np.float64] = field(init=False, repr=False)
    _before: tuple[NDArray[np.float64], NDArray[np.float64]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        inner = np.ones(self.parts.inner_places)
        if self.parts.form:
            inner *= valid_places(self.parts.form, self.parts.resolution)
        for name in self.parts.inner:
            if name in self.weights:
                own = self.weights[name][self.parts.of_inner(name)]
                if name == "digits before":
                    own = np.where(np.isin(self.parts.of_inner("last digits"), self.within), own, 1.0)
                inner *= own
        outer = np.ones(CENTURIES if self.parts.outer else 1)
        for name in self.parts.outer:
            if name in self.weights:
                outer *= self.weights[name][_of_days(name)]
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_outer", outer)
        before = tuple(np.append(0.0, np.cumsum(each)) for each in (inner, outer))
        object.__setattr__(self, "_before", before)

    def below(self, points: NDArray[np.float64], part: str | None = None) -> NDArray[np.float64]:
        """The weight of all points from 0 up to each of some points, which does not count itself, `[n]`.

        It is negative for points below 0. Beyond `LARGEST_POINT` all points are alike.

        Args:
            points: The points, float64 `[n]`.
            part: By the values of which part, if the weight is to be told apart, `[n, PARTS[part]]`: of
                points up to `LARGEST_POINT`.
        """
        whole = np.clip(np.ceil(points), -LARGEST_POINT, LARGEST_POINT)
        if part is None and (np.abs(points) > LARGEST_POINT).any():
            places = self.parts.grain * len(self._inner) * len(self._outer)
            all_of_them = float(self._below(np.array([float(places)]), None)[0])
            farther = np.where(np.abs(points) > LARGEST_POINT, points - whole, 0.0)
            found: NDArray[np.float64] = self.below(whole) + farther * (all_of_them / places)
            return found
        if not self.parts.mirrored or (whole >= 0).all():
            return self._below(whole, part)
        negative = self._below(np.ones(1), part) - self._below(1 - np.minimum(whole, 1), part)
        chosen = whole >= 0 if part is None else (whole >= 0)[:, None]
        return np.where(chosen, self._below(np.maximum(whole, 0), part), negative)

    def _below(self, points: NDArray[np.float64], part: str | None) -> NDArray[np.float64]:
        places, grain = np.floor(points / self.parts.grain), self.parts.grain
        days = np.floor(places / self.parts.inner_places)
        rounds = np.floor(days / len(self._outer))
        inner = (places - days * self.parts.inner_places).astype(np.int64)
        outer = (days - rounds * len(self._outer)).astype(np.int64)
        rest = points - places * grain
        here, before, whole = self._inner[inner], self._before[0][inner], self._before[0][-1]
        today, earlier, era = self._outer[outer], self._before[1][outer], self._before[1][-1]
        if part in self.parts.inner:
            here, before, whole = _by_part(self._inner, self.parts.of_inner(part), inner, PARTS[part])
            today, earlier, rounds, rest = (each[:, None] for each in (today, earlier, rounds, rest))
        elif part is not None:
            today, earlier, era = _by_part(self._outer, _of_days(part), outer, PARTS[part])
            here, before, rounds, rest = (each[:, None] for each in (here, before, rounds, rest))
        found: NDArray[np.float64] = (rounds * era + earlier) * whole * grain + today * (
            before * grain + here * rest
        )
        return found

    def measure(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], part: str | None = None
    ) -> NDArray[np.float64]:
        """The weight of all points of each leaf, `[n]`; by the values of a part, `[n, PARTS[part]]`."""
        return np.maximum(self.below(ends, part) - self.below(starts, part), 0.0)

    def draw(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], drawn: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A point of each leaf, by weight, `[n]`.

        Args:
            starts: First point of each, `[n]`.
            ends: Point after each; some point in between has a weight.
            drawn: Numbers from 0 to below 1, `[n]`.
        """
        low, high = self.below(starts), self.below(ends)
        found = self._first_above(
            np.minimum(low + drawn * (high - low), np.nextafter(high, low)), starts, ends
        )
        if self.parts.form == "yyyymmdd":
            found -= _no_leap_days(found * self.parts.resolution)
        even = np.minimum(starts + drawn * (ends - starts), np.nextafter(ends, starts))
        return np.where(_beyond(starts, ends), np.floor(even), found)

    def trimmed(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Leaves that begin and end with points that have a weight. Each has such points.

        Args:
            starts: First point of each, `[n]`.
            ends: Point after each, `[n]`.
        """
        first = self._first_above(self.below(starts), starts, ends)
        last = self._first_above(np.nextafter(self.below(ends), -np.inf), starts, ends)
        beyond = _beyond(starts, ends)
        return np.where(beyond, starts, first), np.where(beyond, ends, last + 1)

    def around(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The last point with a weight up to each of some points, and the first one from it on, `[n]`."""
        far = float(self.parts.grain * self.parts.inner_places * FARTHEST)
        before = self._first_above(np.nextafter(self.below(points + 1), -np.inf), points - far, points + 1)
        after = self._first_above(self.below(points), points, points + far)
        beyond = _beyond(points, points)
        return np.where(beyond, points, before), np.where(beyond, points, after)

    def _first_above(
        self, reached: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The first point of each leaf with more than so much weight up to it; of none `_beyond`."""
        first = np.maximum(np.ceil(starts), -LARGEST_POINT)
        last = np.minimum(np.ceil(ends) - 1, LARGEST_POINT)
        while (open_ := first < last).any():
            middle = first + np.floor((last - first) / 2)  # their sum may be no float
            above = self.below(middle + 1) > reached
            last = np.where(open_ & above, middle, last)
            first = np.where(open_ & ~above, middle + 1, first)
        return first

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models."""
        weights = {name: own.tolist() for name, own in self.weights.items()}
        within = {"within": list(self.within)} if self.within else {}
        return {"weights": weights, **within, **({"form": self.parts.form} if self.parts.form else {})}

    @classmethod
    def from_dict(
        cls, values: dict[str, Any], meta: ContinuousMeta | DatetimeMeta, resolution: float
    ) -> Pattern:
        """Rebuild from `to_dict`."""
        form = str(values.get("form", ""))
        parts = PointParts.of(meta, resolution, form)
        weights = {name: np.asarray(own, dtype=np.float64) for name, own in values["weights"].items()}
        sound = all(
            name in (*parts.inner, *parts.outer)
            and len(own) == PARTS[name]
            and (own >= 0).all()
            and own.max() <= LARGEST_WEIGHT
            and own.any()
            for name, own in weights.items()
        )
        within = tuple(int(digits) for digits in values.get("within", ()))
        sound &= bool(parts.form in FORMS and resolution.is_integer() if form else weights)
        if not sound or not all(0 <= digits < DIGITS for digits in within):
            raise ArtifactError("a column's pattern of digits or of the calendar contradicts its metadata.")
        return cls(parts, weights, within)
