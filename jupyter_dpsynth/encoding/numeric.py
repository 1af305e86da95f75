"""Codec of numbers, dates and durations: an adaptive histogram whose leaves are merged into bins.

A column's *resolution* is the step in which its values are recorded: 1, 0.01, 1000, a minute. A *point* is a
value counted in such steps, a whole number; in a column without resolution (continuous) it is the float
itself. A leaf is a half-open interval of points with a noisy weight. A bin is a sequence of neighbouring
leaves; the model sees bins.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.building import build_series, with_cells
from jupyter_dpsynth.encoding.patterns import Pattern
from jupyter_dpsynth.encoding.rounding import Rounding
from jupyter_dpsynth.errors import ArtifactError, shown
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta, column_meta_from_dict
from jupyter_dpsynth.sources.dtypes import dtype_of
from jupyter_dpsynth.sources.letters import letters_of, with_letters
from jupyter_dpsynth.sources.values import RESOLUTIONS, WALL_EPOCH, number_values, time_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "STEPS",
    "ExactValues",
    "NumericCodec",
    "extents",
    "from_steps",
    "in_steps",
    "points_of",
    "to_points",
]

# of floats that stand for several whole numbers: these, and a weight of each
ExactValues = dict[float, dict[int, float]]

# Times beyond 2^62 microseconds are cut: float64 carries them to int64 and back without overflow.
LARGEST = 2.0**62
LARGEST_NUMBER = 2.0**1000  # numbers beyond it are cut: what is computed with them must not overflow
# in which numbers are usually recorded, coarsest first; 0 is 'continuous'
STEPS = (1e4, 1e3, 5e2, 1e2, 50.0, 10.0, 5.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 0.0)
NUMBER_RESOLUTIONS = {*STEPS, *(10.0**-places for places in range(10))}  # of declared decimals too
YEAR = np.timedelta64(31_556_952, "s")  # of the calendar, on average
LEAST_YEARS = 2.0  # of durations that are told in years
ONE_DAY = re.compile(r"(?<=^1 )days|(?<=^-1 )days")  # pandas writes '1 days'
SPIKE_WIDTH = 1e-6  # of a value: a leaf so narrow holds one value that comes again and again


def points_of(
    series: pd.Series, meta: ContinuousMeta | DatetimeMeta, resolution: float
) -> NDArray[np.float64]:
    """A column's values as points, float64 `[n]`, NaN where missing.

    Args:
        series: The column.
        meta: Its metadata.
        resolution: The step in which values are recorded, microseconds for times; 0 for a continuous number.
    """
    series = meta.present(series)
    if isinstance(meta, DatetimeMeta):
        moments, missing = time_values(series, duration=meta.is_duration)
        points = to_points(moments, meta, resolution)
        points[missing] = np.nan
        return points
    return to_points(number_values(series), meta, resolution)


def to_points(
    values: NDArray[Any], meta: ContinuousMeta | DatetimeMeta, resolution: float
) -> NDArray[np.float64]:
    """Numbers or microseconds as points, float64 `[n]`; the order of values is kept."""
    if isinstance(meta, DatetimeMeta):
        points: NDArray[np.float64] = (values // int(resolution)).astype(np.float64)
        return points
    if resolution == 0:
        return values
    with np.errstate(over="ignore"):  # what overflows is cut
        multiples: NDArray[np.float64] = np.clip(
            np.rint(in_steps(values, resolution)), -LARGEST_NUMBER, LARGEST_NUMBER
        )
    return multiples


def in_steps(values: Any, resolution: float) -> Any:  # noqa: ANN401 - a number or an array
    """Divide numbers by a resolution. For 10^-d this multiplies by 10^d, which is exact more often."""
    return values * round(1 / resolution) if resolution < 1 else values / resolution


def from_steps(points: Any, resolution: float) -> Any:  # noqa: ANN401 - a number or an array
    """The inverse of `in_steps`: from multiples of the resolution back to numbers."""
    return points / round(1 / resolution) if resolution < 1 else points * resolution


def extents(
    starts: NDArray[np.float64], ends: NDArray[np.float64], pattern: Pattern | None, rounding: Rounding
) -> NDArray[np.float64]:
    """How many rows intervals have beside each other if all points that values may have were equally likely.

    Args:
        starts: First point of each, `[n]`.
        ends: Point after each.
        pattern: Where in a period values lie; None if they lie anywhere, as round as `rounding` says.
        rounding: How round they are where there is no pattern.
    """
    return rounding.extents(starts, ends) if pattern is None else pattern.measure(starts, ends)


@dataclass(frozen=True, eq=False)
class NumericCodec:
    """The bins of one column of numbers or times.

    Attributes:
        meta: The column's metadata.
        resolution: The step in which its values are recorded (see `points_of`).
        starts: First point of each leaf, float64 `[leaves]`, increasing.
        ends: Point after each leaf, float64 `[leaves]`.
        weights: Noisy mass of each leaf, positive float64 `[leaves]`.
        first_leaf: Index of the first leaf of each bin, `[bins]`.
        missing_weights: Noisy rows without a value: those without a code, and those with each code that comes
            back, float64 `[1 + codes]`; `[0]` if none does.
        exact: Which whole numbers stand behind points beyond 2^53, where they are known.
        pattern: How likely the points of a leaf are beside each other; None if all are alike.
        rounding: How round the points of a leaf are.
        digits: With how many digits after the point Decimals are written at least, as 8.90.

    Privacy:
        Everything here is a function of noisy counts and public declarations: post-processing.
    """

    meta: ContinuousMeta | DatetimeMeta
    resolution: float
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    weights: NDArray[np.float64]
    first_leaf: NDArray[np.int64]
    missing_weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    exact: ExactValues = field(default_factory=dict)
    pattern: Pattern | None = None
    rounding: Rounding = field(default_factory=Rounding.even)
    digits: int = 0

    @property
    def kind(self) -> str:
        """'number' or 'datetime'."""
        return self.meta.kind

    @property
    def ordered_cells(self) -> int:
        """How many of the first cells are bins, which have an order."""
        return len(self.first_leaf)

    @property
    def size(self) -> int:
        """Number of cells: the bins, and one for missing values if the dtype allows them."""
        return len(self.first_leaf) + int(self.meta.nullable)

    @property
    def optional_cells(self) -> tuple[int, ...]:
        """Cells that exist whether or not the table has such values: the pool, missing values."""
        return (len(self.first_leaf),) if self.meta.nullable else ()

    @property
    def middle(self) -> tuple[float, float]:
        """The interval that contains the middle nine tenths of the noisy weight: two values."""
        reached = np.cumsum(self.weights) / self.weights.sum()
        low, high = np.searchsorted(reached, (0.05, 0.95))
        scale = self.resolution or 1.0
        return float(self.starts[low] * scale), float(self.ends[min(high, len(self.ends) - 1)] * scale)

    @property
    def median(self) -> float:
        """The value in the middle of the noisy weight, about."""
        reached = np.cumsum(self.weights) / self.weights.sum()
        place = int(np.searchsorted(reached, 0.5))
        return float((self.starts[place] + self.ends[place]) / 2 * (self.resolution or 1.0))

    @property
    def moved_into(self) -> tuple[int, ...]:
        """The bins that hold what is below and above the range, which synthetic values never are."""
        return 0, len(self.first_leaf) - 1

    @property
    def moved_labels(self) -> tuple[str, ...]:
        """The labels of these rows, if they are told apart."""
        low, high = self.starts[0], self._last_points(self.ends[-1])
        return f"below {self._roughly(low)}", f"above {self._roughly(high)}"

    def bin_starts(self) -> NDArray[np.float64]:
        """Where each bin begins, in values (microseconds for times); the first one holds what is below it."""
        return self.starts[self.first_leaf] * (self.resolution or 1.0)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each cell."""
        first = self.first_leaf
        last = np.append(first[1:], len(self.starts)) - 1
        names = [self.interval_text(self.starts[a], self.ends[z]) for a, z in zip(first, last, strict=True)]
        return (*names, "missing") if self.meta.nullable else tuple(names)

    def interval_text(self, start: float, end: float) -> str:
        """Points from one on and before another one, as text."""
        final = self._last_points(end)
        if start == final:
            return self._format(start, exact=True)
        first, last = (self._format(point) for point in (start, final))
        return first if first == last else f"{first} to {last}"

    def _last_points(self, ends: Any) -> Any:  # noqa: ANN401 - a number or an array
        """The last point of leaves with these ends; of a continuous column, where there is none, the end."""
        if self.resolution == 0:
            return ends
        return np.minimum(ends - 1, np.nextafter(ends, -np.inf))  # beyond 2^53, numbers are not 1 apart

    def _format(self, point: float, *, exact: bool = False) -> str:
        value = self.values_of(np.array([point]))[0]
        if isinstance(self.meta, ContinuousMeta):
            if exact:
                return f"{value:.15g}"
            return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"
        text = str(pd.Timedelta(value) if self.meta.is_duration else pd.Timestamp(value))
        return ONE_DAY.sub("day", text.removesuffix(" 00:00:00"))

    def _roughly(self, point: float) -> str:
        """A value where rows end; of a long duration, such as an age, only about how many years it has."""
        if isinstance(self.meta, DatetimeMeta) and self.meta.is_duration:
            years = float(self.values_of(np.array([point]))[0] / YEAR)
            if abs(years) >= LEAST_YEARS:
                return f"{years:.3g} years"
        return self._format(point)

    @property
    def range_text(self) -> str:
        """The range that the bins cover, as text."""
        return self.interval_text(self.starts[0], self.ends[-1])

    def encode(self, series: pd.Series) -> NDArray[np.int32]:
        """Codes `int32 [n]` of a column; values outside the bins get the code of the nearest bin."""
        return self.encode_points(points_of(series, self.meta, self.resolution))

    def encode_apart(self, series: pd.Series) -> NDArray[np.int32]:
        """The same, but values below and above the range have codes of their own, after those of cells."""
        return self.encode_points_apart(points_of(series, self.meta, self.resolution))

    def encode_points(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Codes `int32 [n]` of points."""
        codes = np.searchsorted(self.starts[self.first_leaf[1:]], points, side="right")
        missing = np.isnan(points)
        fallback = len(self.first_leaf) if self.meta.nullable else 0
        return np.where(missing, fallback, codes).astype(np.int32)

    def encode_points_apart(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Codes of points, with codes of their own for those below and above the range."""
        codes = self.encode_points(points)
        codes[points < self.starts[0]] = self.size
        codes[points >= self.ends[-1]] = self.size + 1
        return codes

    def decode(self, codes: NDArray[np.int32], generator: np.random.Generator) -> pd.Series:
        """A column `[n]` of the original dtype: draws a leaf by weight, then a point by its rounding."""
        bins = len(self.first_leaf)
        missing = codes >= bins
        safe = np.where(missing, 0, codes)
        total = np.concatenate([[0.0], np.cumsum(self.weights)])
        low = total[self.first_leaf][safe]
        high = total[np.append(self.first_leaf[1:], len(self.weights))][safe]
        draw = low + generator.random(len(codes)) * (high - low)
        leaf = np.searchsorted(total, draw, side="right") - 1
        last_leaf = np.append(self.first_leaf[1:], len(self.weights))[safe] - 1
        leaf = np.clip(leaf, self.first_leaf[safe], last_leaf)
        start, end = self.starts[leaf], self.ends[leaf]
        inside = generator.random(len(codes))
        points = start + inside * (end - start)
        if self.pattern is not None:
            points = self.pattern.draw(start, end, inside)
        elif not self.rounding.is_even:
            points = self.rounding.draw(start, end, inside, generator)
        elif self.resolution > 0:
            points = np.minimum(np.floor(points), self._last_points(end))
        else:
            exact = self.leaf_points()[leaf]
            points = np.where(np.isnan(exact), np.minimum(points, np.nextafter(end, start)), exact)
        step = min(self.resolution, 10.0**-self.digits) if self.digits else self.resolution
        series = build_series(self.values_of(points, missing), self.meta, step)
        for point, numbers in self.exact.items():
            rows = np.flatnonzero((points == point) & ~missing)
            drawn = generator.choice(len(numbers), len(rows), p=list(numbers.values()))
            exact = np.array(list(numbers), dtype=object)[drawn]
            series = with_cells(series, rows, pd.Series(exact, dtype=series.dtype))
        return series

    def with_codes(self, series: pd.Series, generator: np.random.Generator) -> pd.Series:
        """A decoded column in which missing values have codes as often as in the table.

        Args:
            series: What `decode` returned.
            generator: Draws the codes.
        """
        if not len(self.missing_weights):
            return series
        places = np.flatnonzero(series.isna().to_numpy(bool))
        weights = self.missing_weights
        share = weights / weights.sum() if weights.sum() > 0 else np.eye(len(weights))[0]
        drawn = generator.choice(len(share), len(places), p=share)
        found = series.copy()
        for number, code in enumerate(self.meta.missing, start=1):
            found.iloc[places[drawn == number]] = code
        return with_letters(found, letters_of(self.meta.missing))

    def widths(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely parts of one leaf are beside each other: by the pattern, or how round points are."""
        return extents(starts, ends, self.pattern, self.rounding)

    def leaf_points(self) -> NDArray[np.float64]:
        """The repeated value that each very narrow leaf of a continuous column stands for; else NaN.

        A narrow leaf is narrow because a value is there that comes again and again. If a decimal much shorter
        than others of the leaf is in it, that is the value; if not, one near the leaf's end, which is not
        below the value: ranges that begin at the value then hold it.
        """
        found = np.full(len(self.starts), np.nan)
        scale = np.maximum(np.abs(self.starts), np.abs(self.ends))
        narrow = self.ends - self.starts <= SPIKE_WIDTH * scale
        narrow |= self.ends == np.nextafter(self.starts, np.inf)
        for index in np.flatnonzero(narrow):
            start, end = self.starts[index], self.ends[index]
            width = end - start
            short = _shortest(start, end, math.floor(-math.log10(width)) - 1)
            late = max(start, end - width / 64)
            point = _shortest(late, end, 16) if short is None else short
            found[index] = start if point is None else point
        return found

    def values_of(
        self, points: NDArray[np.float64], missing: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Points as numbers, or as numpy times in local time.

        Args:
            points: The points.
            missing: Which of them stand for a missing value.
        """
        if isinstance(self.meta, DatetimeMeta):
            moments = points.astype(np.int64) * int(self.resolution)
            if self.meta.bounds is not None:
                first, last = self.meta.bounds
                moments = np.clip(moments, first, last)
            times: NDArray[Any] = moments.astype("timedelta64[us]")
            absent: Any = np.timedelta64("NaT", "us")
            if not self.meta.is_duration:
                times, absent = WALL_EPOCH + times, np.datetime64("NaT", "us")
            return times if missing is None else np.where(missing, absent, times)
        values = from_steps(points, self.resolution) if self.resolution > 0 else points
        if self.meta.bounds is not None:
            values = np.clip(values, *self.meta.bounds)
        return values if missing is None else np.where(missing, np.nan, values)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        if len(self.missing_weights):
            arrays["missing_weights"] = self.missing_weights.tolist()
        if self.exact:
            arrays["exact"] = [
                {"point": point, "whole": whole, "weight": weight}
                for point, found in self.exact.items()
                for whole, weight in found.items()
            ]
        if self.pattern is not None:
            arrays["pattern"] = self.pattern.to_dict()
        if not self.rounding.is_even:
            arrays["rounding"] = {
                "steps": self.rounding.steps.tolist(),
                "rates": self.rounding.rates.tolist(),
            }
        if self.digits:
            arrays["digits"] = self.digits
        return {"codec": "numeric", "meta": self.meta.to_dict(), "unit": self.resolution, **arrays}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NumericCodec:
        """Rebuild from `to_dict`."""
        meta = column_meta_from_dict(values["meta"])
        if not isinstance(meta, ContinuousMeta | DatetimeMeta):
            raise TypeError
        arrays: dict[str, Any] = {
            name: np.asarray(values[name], dtype=dtype) for name, dtype in _ARRAYS.items()
        }
        arrays["missing_weights"] = np.asarray(values.get("missing_weights", []), dtype=np.float64)
        exact: ExactValues = {}
        for each in values.get("exact", ()):
            exact.setdefault(float(each["point"]), {})[int(each["whole"])] = float(each["weight"])
        resolution = float(values["unit"])
        pattern = None
        if "pattern" in values:
            if resolution == 0:
                raise ArtifactError(f"column {shown(meta.name)} has a pattern, but no resolution.")
            pattern = Pattern.from_dict(values["pattern"], meta, resolution)
        rounding = Rounding.even()
        if "rounding" in values:
            rounding = Rounding(*(np.asarray(values["rounding"][name], float) for name in ("steps", "rates")))
        rest = {"exact": exact, "pattern": pattern, "rounding": rounding, "digits": values.get("digits", 0)}
        codec = cls(meta, resolution, **arrays, **rest)
        codec._check()
        return codec

    def _check(self) -> None:
        """Raise ArtifactError unless leaves, bins and resolution fit each other and can be decoded."""
        leaves, first = len(self.starts), self.first_leaf
        times = isinstance(self.meta, DatetimeMeta)
        coded = 1 + len(self.meta.missing) if getattr(self.meta, "coded", False) else 0
        allowed = set(RESOLUTIONS) if times else NUMBER_RESOLUTIONS
        sound = (
            len(self.missing_weights) in (0, coded)
            and len(self.ends) == len(self.weights) == leaves
            and (self.starts < self.ends).all()
            and (self.ends[:-1] <= self.starts[1:]).all()
            and first[0] == 0
            and (np.diff(first) > 0).all()
            and first[-1] < leaves
            and self.resolution in allowed
            and np.abs([self.starts[0], self.ends[-1]]).max() <= 2 * LARGEST_NUMBER
            and (not times or np.abs([self.starts[0], self.ends[-1]]).max() * self.resolution <= LARGEST)
            and self.rounding.is_sound
        )
        if self.pattern is not None:
            long = self.ends > np.maximum(self.starts + 1, np.nextafter(self.starts, np.inf))
            sound &= bool((self.widths(self.starts, self.ends) > 0)[long].all())
        if not sound or not np.isfinite(self.weights.sum() + self.ends[-1] - self.starts[0]):
            raise ArtifactError(f"the bins of column {shown(self.meta.name)} contradict each other.")
        for point, found in self.exact.items():
            near = all(float(number) == point and weight >= 0 for number, weight in found.items())
            if (
                not near
                or not np.isclose(sum(found.values()), 1)
                or getattr(self.meta, "decimals", None) != 0
            ):
                raise ArtifactError(f"the whole numbers of column {shown(self.meta.name)} are not its own.")
            pd.Series(list(found), dtype=object).astype(dtype_of(self.meta.dtype))
        last = self._last_points(self.ends)
        build_series(self.values_of(np.append(self.starts, last)), self.meta, self.resolution)


def _shortest(start: float, end: float, most: int) -> float | None:
    """The number with the fewest decimal digits inside a leaf; None if it needs more than `most`."""
    for digits in range(min(most, 16) + 1):
        factor = 10.0**digits
        with np.errstate(over="ignore"):
            point = float(np.ceil(start * factor - 1e-9) / factor)
        if start <= point < end:
            return point
    return None


_ARRAYS: dict[str, type] = {
    "starts": np.float64,
    "ends": np.float64,
    "weights": np.float64,
    "first_leaf": np.int64,
}
