"""In which steps a column's values are recorded: quarters, digits after the point, minutes, days.

Private rows are read only through `Histograms.measure`, as in `discovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.presence import SURE
from jupyter_dpsynth.encoding.series import RESOLUTIONS
from jupyter_dpsynth.metadata import ContinuousMeta, DatetimeMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.discovery import Line
    from jupyter_dpsynth.encoding.histograms import Histograms, Settings

__all__ = ["STEPS", "needs_unit", "observe_units"]

# of numbers, coarsest first; 0 is 'continuous'
STEPS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 0.0)
SEEN = 2.0  # standard deviations of noise below which nobody is taken to need a step


def needs_unit(meta: object) -> bool:
    """Whether the step between a column's values (decimals, time resolution) is to be learned."""
    return isinstance(meta, DatetimeMeta) or (isinstance(meta, ContinuousMeta) and meta.decimals is None)


def observe_units(
    line: Line, meta: ContinuousMeta | DatetimeMeta, histograms: Histograms, settings: Settings
) -> float:
    """The unit of a column's values, from a noisy histogram of how finely each is recorded.

    It is the coarsest one in which all but a few can be written.

    Args:
        line: The column's values.
        meta: Its schema.
        histograms: The door to private counts.
        settings: Noise and sizes.

    Returns:
        Microseconds for times; one of `STEPS` for numbers.

    Privacy:
        One histogram with noise `settings.sigma`.
    """
    if isinstance(meta, DatetimeMeta):
        units = [float(step) for step in reversed(RESOLUTIONS)]  # coarsest first, as for numbers
        levels = map(_resolutions, line.parts)
    else:
        units = list(STEPS)
        levels = map(_steps, line.parts)
    exact = sum(
        (np.bincount(level, minlength=len(units)) for level in levels), np.zeros(len(units), np.int64)
    )
    counts = histograms.measure(exact, settings.sigma)
    counts[counts < SEEN * settings.sigma] = 0
    # what most rows need is followed however large the noise is
    slack = max(min(SURE * settings.sigma, settings.rows / 2), 0.01 * settings.rows)
    for unit in units:
        needed = sum(count for step, count in zip(units, counts, strict=True) if not _divides(unit, step))
        if needed <= slack:
            return unit
    return units[-1]


def _divides(unit: float, step: float) -> bool:
    """Whether what is recorded in this step is a whole number of units."""
    if unit == 0 or step == 0:
        return unit == 0
    return abs(step / unit - round(step / unit)) < 1e-6 and step >= unit


def _resolutions(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """How finely each moment is recorded, the coarsest first."""
    level = np.zeros(len(moments), dtype=np.int64)
    for index, step in enumerate(RESOLUTIONS):
        level[moments % step == 0] = index
    return len(RESOLUTIONS) - 1 - level


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which is the coarsest of `STEPS` that each number is a multiple of."""
    level = np.full(len(values), len(STEPS) - 1)
    for index in reversed(range(len(STEPS) - 1)):
        units = round(1 / STEPS[index])
        with np.errstate(over="ignore"):  # 1e308 in units overflows, and is then not close
            rounded = np.rint(values * units) / units
        level[np.abs(rounded - values) <= 1e-9 + 1e-12 * np.abs(values)] = index
    return level
