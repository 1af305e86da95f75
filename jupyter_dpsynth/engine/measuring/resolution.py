"""In which resolution a column's values are recorded: thousands, digits after the point, minutes, days.

What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.numeric import STEPS, from_steps, in_steps
from jupyter_dpsynth.encoding.rounding import is_multiple
from jupyter_dpsynth.engine.measuring.grids import is_flat
from jupyter_dpsynth.engine.measuring.long import WHOLE_NUMBERS
from jupyter_dpsynth.engine.measuring.presence import SURE
from jupyter_dpsynth.engine.measuring.rounding import Levels
from jupyter_dpsynth.engine.measuring.weighing import weighed_counts
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import RESOLUTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = [
    "Resolution",
    "declared_resolution",
    "has_digits",
    "is_resolved",
    "measure_digits",
    "measure_resolution",
    "needs_resolution",
]

SEEN = 2.0  # standard deviations of noise below which nobody is taken to need a resolution
# Of a number, what computing it may have rounded off; and the most that may be off, in steps: 0.99 is a
# hundredth from 1, and no whole number.
ROUNDING, CLOSE = 2e-15, 0.004
MOST_DIGITS = 9  # after the point
EVIDENT = 10.0  # times as many rows as may be rounded must be seen in a resolution above 1


@dataclass(frozen=True)
class Resolution:
    """In which steps a column's values are taken to be recorded.

    Attributes:
        step: Microseconds for times; one of `STEPS` for numbers.
        told: Whether a test rejects that `RARE_BREAKS` of the rows are recorded more finely, and are rounded.
        levels: How round the values are beyond that.
    """

    step: float
    told: bool
    levels: Levels


def needs_resolution(meta: object) -> bool:
    """Whether it is measured how round a column's values are: of times, and of numbers.

    Whole numbers may be recorded in tens or thousands, decimals mostly be whole numbers. Where few values are
    possible, each is a cell, and nothing is gained.
    """
    if not isinstance(meta, ContinuousMeta):
        return isinstance(meta, DatetimeMeta)
    return meta.decimals is None or not is_flat(meta, declared_resolution(meta))


def is_resolved(meta: object) -> bool:
    """Whether a column's resolution is that of declared digits, so that only how round values are is open."""
    return isinstance(meta, ContinuousMeta) and bool(meta.decimals)


def declared_resolution(meta: ContinuousMeta | DatetimeMeta) -> float:
    """The resolution of a column of which none is learned: what the declared decimals say."""
    return 10.0 ** -(meta.decimals or 0) if isinstance(meta, ContinuousMeta) else 1.0


def measure_resolution(
    values: ColumnValues, meta: ContinuousMeta | DatetimeMeta, allowance: Allowance, rows: float
) -> Resolution:
    """The resolution of a column's values, and how round they are, from a noisy histogram of both.

    It is the coarsest one in which all but a few can be written, or that of declared digits.

    Args:
        values: The column's values.
        meta: Its metadata.
        allowance: For one histogram.
        rows: Noisy number of rows.

    Privacy:
        One histogram, in which one row counts in at most one cell.
    """
    if isinstance(meta, DatetimeMeta):
        candidates = [float(step) for step in reversed(RESOLUTIONS)]  # coarsest first, as for numbers
        level = _level_of_moments
    else:
        finest = 0.0 if meta.decimals is None else declared_resolution(meta)
        candidates = [step for step in STEPS if step > finest * (1 + 1e-9)] + [finest]
        level = functools.partial(_level_of_numbers, candidates=candidates)
    exact = np.zeros(len(candidates), np.int64)
    for part, weights in values.weighed:
        exact += weighed_counts(level(part), weights, 1 + len(candidates))[1:]
    noisy, noise = allowance.counts(exact, values.row), allowance.noise
    if is_resolved(meta):  # nothing is rounded
        step, told = declared_resolution(meta), True
    else:
        step, told = _coarsest(candidates, noisy, noise, rows, whole=isinstance(meta, ContinuousMeta))
    return Resolution(step, told, Levels.of(candidates, step, noisy, noise))


def has_digits(meta: object) -> bool:
    """Whether it is measured with how many digits a column's numbers are written: of Python's Decimals."""
    return isinstance(meta, ContinuousMeta) and meta.value_type == "Decimal" and meta.decimals is None


def measure_digits(values: ColumnValues, allowance: Allowance, rows: float) -> int:
    """With how many digits after the point all but a few of a column's decimal numbers are written at most.

    Args:
        values: Their digits: private.
        allowance: For one histogram.
        rows: Noisy number of rows.

    Privacy:
        One histogram, in which one row counts in at most one cell.
    """
    exact = np.zeros(1 + MOST_DIGITS, np.int64)
    for part, weights in values.weighed:
        exact += weighed_counts(np.minimum(part, MOST_DIGITS).astype(np.int64), weights, len(exact))
    noisy = allowance.counts(exact, values.row)
    steps = [10.0**-digits for digits in range(1 + MOST_DIGITS)]
    return steps.index(_coarsest(steps, noisy, allowance.noise, rows, whole=False)[0])


def _coarsest(
    candidates: list[float], noisy: NDArray[np.float64], noise: float, rows: float, *, whole: bool
) -> tuple[float, bool]:
    """The coarsest resolution in which all but a few rows can be written, and whether these are few for sure.

    Args:
        candidates: Resolutions, coarsest first.
        noisy: Noisy rows of which each is the coarsest that fits, `[candidates]`.
        noise: Standard deviation of the noise of each.
        rows: Noisy number of rows.
        whole: Whether a resolution above 1 must be evident.
    """
    counts = np.where(noisy < SEEN * noise, 0.0, noisy)
    if SURE * noise > rows / 2:  # nothing stands out, and the likeliest is what most rows seem to need
        counts = np.where(noisy == noisy.max(), noisy, 0.0)
    slack = max(min(SURE * noise, rows / 2), 0.01 * rows)
    for resolution in candidates:
        fits = np.array([resolution == 0 or is_multiple(other, resolution) for other in candidates])
        evident = not whole or resolution <= 1 or counts[fits].sum() >= EVIDENT * slack
        # several finer ones, each of which stands out by chance, are not more evidence than one
        finer = max(int(np.count_nonzero(counts[~fits])), 1)
        if counts[~fits].sum() <= max(slack, min(SURE * noise * np.sqrt(finer), rows / 2)) and evident:
            most = noisy[~fits].sum() + certainty(1) * noise * np.sqrt((~fits).sum())
            return resolution, bool(most <= RARE_BREAKS * rows)
    return candidates[-1], True


def _level_of_moments(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """How finely each moment is recorded, the coarsest first, from 1."""
    level = np.zeros(len(moments), dtype=np.int64)
    for index, step in enumerate(RESOLUTIONS):
        level[moments % step == 0] = index
    return len(RESOLUTIONS) - level


def _level_of_numbers(values: NDArray[np.float64], candidates: list[float]) -> NDArray[np.int64]:
    """Which is the coarsest resolution of each number, from 1; 0 for zero, which is a multiple of any.

    A number far below a step is no multiple of it. Of one that is so large that float64 holds only whole
    numbers of steps nobody can tell whether it was recorded in them.
    """
    level = np.where(values == 0, 0, len(candidates))
    for index in reversed(range(len(candidates))):
        step = candidates[index]
        if step == 0:
            continue
        with np.errstate(over="ignore"):  # 1e308 in small steps overflows, and is then not close
            rounded = from_steps(np.rint(in_steps(values, step)), step)
        close = np.minimum(1e-9 + ROUNDING * np.abs(values), CLOSE * step)
        told = (rounded != 0) & (np.abs(values) <= WHOLE_NUMBERS * step)
        level[told & (np.abs(rounded - values) <= close)] = 1 + index
    return level
