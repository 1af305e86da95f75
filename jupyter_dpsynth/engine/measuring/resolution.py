"""In which steps a column's values are recorded: thousands, digits after the point, minutes, days.

Private rows are read only through `Histograms.measure`, as in `discovery`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.numeric import STEPS, from_units, in_units
from jupyter_dpsynth.engine.measuring.grids import FLAT_SPAN
from jupyter_dpsynth.engine.measuring.presence import SURE
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import RESOLUTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.discovered import Settings
    from jupyter_dpsynth.engine.measuring.numbers import Line
    from jupyter_dpsynth.privacy.releases import Histograms

__all__ = ["needs_unit", "observe_units"]

SEEN = 2.0  # standard deviations of noise below which nobody is taken to need a step
EVIDENT = 10.0  # times as many rows as may be rounded must be seen in a step above 1


def needs_unit(meta: object) -> bool:
    """Whether the step between a column's values is to be learned: a time, or a number of unknown digits.

    Whole numbers may be recorded in tens or thousands. Where few of them are possible nothing is gained.
    """
    if not isinstance(meta, ContinuousMeta):
        return isinstance(meta, DatetimeMeta)
    if meta.decimals is None:
        return True
    few = meta.bounds is not None and meta.bounds[1] - meta.bounds[0] < FLAT_SPAN
    return meta.decimals == 0 and not few


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
        level = _resolution
    else:
        units = [step for step in STEPS if step >= 1 or meta.decimals is None]
        level = functools.partial(_step, steps=units)
    exact = np.zeros(len(units), np.int64)
    for part in line.parts:
        exact += np.bincount(level(part), minlength=len(units))
    counts = histograms.measure(exact, settings.sigma)
    counts[counts < SEEN * settings.sigma] = 0
    # what most rows need is followed however large the noise is
    slack = max(min(SURE * settings.sigma, settings.rows / 2), 0.01 * settings.rows)
    for unit in units:
        fits = np.array([_divides(unit, step) for step in units])
        evident = isinstance(meta, DatetimeMeta) or unit <= 1 or counts[fits].sum() >= EVIDENT * slack
        if counts[~fits].sum() <= slack and evident:
            return unit
    return units[-1]


def _divides(unit: float, step: float) -> bool:
    """Whether what is recorded in this step is a whole number of units."""
    if unit == 0 or step == 0:
        return unit == 0
    return abs(step / unit - round(step / unit)) < 1e-6 and step >= unit


def _resolution(moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """How finely each moment is recorded, the coarsest first."""
    level = np.zeros(len(moments), dtype=np.int64)
    for index, step in enumerate(RESOLUTIONS):
        level[moments % step == 0] = index
    return len(RESOLUTIONS) - 1 - level


def _step(values: NDArray[np.float64], steps: list[float]) -> NDArray[np.int64]:
    """Which is the coarsest step that each number is a multiple of; of zero, which is one of any, nothing."""
    values = values[values != 0]
    level = np.full(len(values), len(steps) - 1)
    for index in reversed(range(len(steps))):
        step = steps[index]
        if step == 0:
            continue
        with np.errstate(over="ignore"):  # 1e308 in small steps overflows, and is then not close
            rounded = from_units(np.rint(in_units(values, step)), step)
        close = np.minimum(1e-9 + 1e-12 * np.abs(values), 0.01 * step)
        level[np.abs(rounded - values) <= close] = index
    return level
