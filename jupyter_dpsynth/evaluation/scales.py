"""The scale of an axis: linear, or logarithmic for amounts of money and what is distributed like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.evaluation.axes import MOST_DAYS, YEAR, quantiles_of_shares, value_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.axes import CellAxis, Unit

__all__ = ["SPIKE", "Scale", "round_values", "scale_of"]

SKEWED = 4.0  # a tail that reaches so many times farther above the median than below it
LONG = 20.0  # or an end at so many times the value below which 95 % lie
SHORT = 5.0  # and may reach below 0 by so many times less than above
STEPS = 20.0  # about how many steps the heights of a linear axis refer to
LEAST_TICKS, MOST_TICKS = 3, 6
MOST_MOMENTS = 10_000  # years, months, days, hours or minutes among which marks are chosen
ROUNDING = 1e-6
SPIKE = 0.008  # of the axis: a bar that is narrower is drawn as wide as this, and cut if it is high
SECONDS = (
    ("years", YEAR),
    ("days", 86_400.0),
    ("hours", 3600.0),
    ("minutes", 60.0),
    ("seconds", 1.0),
)
CALENDAR = (
    ("Y", (2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)),
    ("M", (6, 3, 2, 1)),
    ("D", (14, 7, 2, 1)),
    ("h", (12, 6, 3, 1)),
    ("m", (30, 10, 5, 1)),
)
PERIODS = (
    ("minute", 60.0),
    ("hour", 3600.0),
    ("day", 86_400.0),
    ("week", 7 * 86_400.0),
    ("month", 30.4375 * 86_400.0),
    ("quarter", 91.3125 * 86_400.0),
    ("year", YEAR),
    ("5 years", 5 * YEAR),
    ("decade", 3652.5 * 86_400.0),
)


@dataclass(frozen=True)
class Scale:
    """A scale.

    Attributes:
        unit: What the values are.
        least: Below it, on both sides of 0, a logarithmic axis is linear; 0 for a linear axis.
        step: Length, in places, that a height is the share of rows of.
        words: What stands below the axis.
        whole: Marks are at multiples of it; anywhere if it is 0.
    """

    unit: Unit
    least: float
    step: float
    words: str
    whole: float = 0.0

    @property
    def linear(self) -> bool:
        """Whether equal differences are equally long."""
        return self.least == 0

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values lie."""
        if self.linear:
            return values
        return np.asarray(np.sign(values) * np.log10(1 + np.abs(values) / self.least))

    def ticks(self, low: float, high: float) -> tuple[list[float], list[str]]:
        """Places and labels of the marks between two places."""
        if not self.linear:
            return self._decades(low, high)
        if self.unit == "date":
            return _dates(low, high)
        factor = 1.0 if self.unit == "number" else _seconds(high - low)[1]
        values = round_values(low / factor, high / factor)
        if self.whole:  # of few values, none lies between them
            values = [value for value in values if abs(value / self.whole % 1) < ROUNDING]
        span = (high - low) / factor
        return [value * factor for value in values], [_shortened(value, span) for value in values]

    def _decades(self, low: float, high: float) -> tuple[list[float], list[str]]:
        highest = int(np.ceil(np.log10(self.least * 10 ** max(abs(low), abs(high)))))
        lowest = int(np.ceil(np.log10(self.least) + 0.3))
        powers = 10.0 ** np.arange(lowest, highest + 1)
        powers = powers[:: -(-len(powers) // MOST_TICKS)]
        for marks in ((1,), (1, 3), (1, 2, 5)):  # of little more than a decade
            ones = np.sort(np.outer(powers, marks).ravel())
            values = np.concatenate([-ones[::-1], [0.0], ones])
            places = self.place(values)
            inside = (places >= low) & (places <= high)
            if inside.sum() >= LEAST_TICKS:
                break
            powers = np.append(powers[0] / 10, powers) if powers[0] / 10 > self.least else powers
        return places[inside].tolist(), [_shortened(value, 0.0) for value in values[inside].tolist()]


def scale_of(axis: CellAxis, *shares: NDArray[np.float64]) -> Scale:
    """The scale on which a column's cells are seen best.

    Args:
        axis: Where the cells lie.
        shares: Of the cells, in each table that is drawn.
    """
    low, high = float(axis.starts[0]), float(axis.ends[-1])
    span = max(high - low, 1e-300)
    least = _least(axis, np.sum(shares, axis=0)) if axis.unit == "number" else 0.0
    if least:
        return Scale(axis.unit, least, 1.0, "logarithmic axis")
    widths = axis.ends - axis.starts
    wide = widths > SPIKE * span  # narrower ones are cut
    heights = (np.max(shares, axis=0)[: len(widths)] / np.maximum(widths, SPIKE * span))[wide | ~wide.any()]
    dense = float(heights.max())  # of a step, no height is above 1
    if axis.unit == "number":
        step = _power(span / STEPS)
        step = max(step, 1.0) if float(axis.starts[0]).is_integer() and span > 2 * STEPS else step
        while dense * step > 1:
            step /= 10
        step = max(step, axis.step)  # a share of less than one value says nothing
        whole = axis.step if span < STEPS * axis.step else 0.0
        return Scale(axis.unit, 0.0, step, f"share of rows per {step:,.10g}", whole)
    if axis.unit == "date":
        fitting = [period for period in PERIODS if dense * period[1] <= 1] or [PERIODS[0]]
        name, step = min(fitting, key=lambda period: abs(np.log(period[1] * STEPS / span)))
        return Scale(axis.unit, 0.0, step, f"share of rows per {name}")
    name, factor = _seconds(span)
    step = factor * _power(span / factor / STEPS)
    since = f" from {axis.since}" if axis.since else ""
    return Scale(axis.unit, 0.0, step, f"{name}{since}; share of rows per {step / factor:g}")


def _least(axis: CellAxis, shares: NDArray[np.float64]) -> float:
    """Up to which value a logarithmic axis is linear; 0 if the axis is to be linear."""
    shares = shares[: len(axis.starts)].copy()
    shares[(axis.starts == 0) & (axis.ends <= 1)] = 0.0  # an amount of zero is none
    positive, end = axis.starts >= 0, float(axis.ends[-1])
    few = shares[positive].sum() >= 0.9 * shares.sum()
    if not (few or -float(axis.starts[0]) * SHORT < end):  # refunds, or a code such as -9 for missing values
        return 0.0
    shares[~positive] = 0.0
    if shares.sum() <= 0:
        return 0.0
    values = quantiles_of_shares(axis, shares, shares, None)
    low, middle, high = (values[place].reference for place in (0, 2, 4))
    skewed = high - middle > SKEWED * max(middle - low, 0.0) or end > LONG * high
    if not skewed or low <= 0 or end / low < 30:
        return 0.0
    return low / 2


def _power(value: float) -> float:
    """The power of ten that is nearest."""
    return float(10.0 ** np.round(np.log10(value)))


def _seconds(span: float) -> tuple[str, float]:
    least = {"years": MOST_DAYS}  # what is shorter is told in days
    return next((each for each in SECONDS if span >= least.get(each[0], 2 * each[1])), SECONDS[-1])


def round_values(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Round values in an interval, at most so many.

    >>> round_values(0, 0.37, 4)
    [0.0, 0.1, 0.2, 0.3]
    """
    size = 10.0 ** np.floor(np.log10(max(high - low, 1e-300) / most))
    step = next(
        size * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (size * factor) <= MOST_TICKS
    )
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(value), 12) + 0.0 for value in np.arange(first, last + 1) * step]  # never -0


def _shortened(value: float, span: float) -> str:
    """A number that has room below an axis.

    >>> _shortened(250_000, 1e6), _shortened(2_000_000, 1e6), _shortened(36.5, 10)
    ('250k', '2M', '36.5')
    """
    if span >= 1e4 or span == 0:
        for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:.4g}{name}"
    return value_text(value, "number", span or abs(value))


def _dates(low: float, high: float) -> tuple[list[float], list[str]]:
    """Years, months, days or hours in an interval of seconds since 1970."""
    ends = np.array([low, high]).astype("M8[s]")
    for unit, sizes in CALENDAR:
        first, last = ends.astype(f"M8[{unit}]").astype(np.int64)
        if last - first > MOST_MOMENTS:  # nor do smaller units fit
            break
        numbers = np.arange(first, last + 1)
        for size in sizes:
            chosen = numbers[(numbers + (1970 if unit == "Y" else 0)) % size == 0]
            moments = chosen.astype(f"M8[{unit}]")
            seconds = moments.astype("M8[s]").astype(np.float64)
            inside = (seconds >= low) & (seconds <= high)
            if LEAST_TICKS <= inside.sum() < MOST_TICKS:
                return seconds[inside].tolist(), [_moment_text(str(each), unit) for each in moments[inside]]
    return [low, high], [value_text(edge, "date", high - low) for edge in (low, high)]


def _moment_text(text: str, unit: str) -> str:
    return text[11:16] if unit in ("h", "m") else text
