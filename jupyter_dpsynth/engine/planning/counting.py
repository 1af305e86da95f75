"""How many rows there are, and as how many of them a person counts at most.

Where a person may have several rows, all counts before training would need noise for as many. Fewer count:
those of each person as at most a cap, which is chosen from noisy figures alone, so that noise and what the
other rows would have told weigh about as much.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.model.plan import ROW_COUNT, unit_caps
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, gaussian_mu
from jupyter_dpsynth.privacy.releases import PlannedRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dpsynth.config import ResolvedConfig

__all__ = [
    "COUNT_SHARE",
    "NOMINAL_DELTA",
    "chosen_cap",
    "least_rows",
    "planned_count",
    "share_sigma",
    "usual_capped",
]

# Below this product of noisy rows and mu, the noise of one count is over a fiftieth of the table; the row
# count's own noise is a tenth of that, so a handful of rows passes by chance once in a million runs (where a
# person may have five rows, and rows are counted under three caps, once in four hundred).
MIN_SIGNAL = 50.0
COUNT_SHARE = 0.01
NOMINAL_DELTA = 1e-6  # where delta depends on a row count that is not known yet
USUAL_CELLS = 15  # of a column
DIFFERENT = 0.1  # change of a column's shares if rows do not count, over the share of these


def planned_count(config: ResolvedConfig) -> PlannedRelease | None:
    """The measurement of the row count, for 1 % of the squared budget; None if it is public.

    Where a privacy unit may have several rows, it also tells how many rows count under each of `unit_caps`.

    Privacy:
        One privacy unit changes each figure by at most the cap, so in its own measure by at most 1.
        Depends on the config only, since it is needed before anything is known of the table.
    """
    if config.n_public or not config.differential_privacy:
        return None
    mu = gaussian_mu(config.epsilon, config.delta or NOMINAL_DELTA)
    caps = unit_caps(config.rows_per_unit)
    detail = "" if len(caps) == 1 else f"each person as at most {', '.join(f'{cap:g}' for cap in caps)} rows"
    measurement = GaussianMeasurement(ROW_COUNT, share_sigma(COUNT_SHARE, mu), detail)
    return PlannedRelease(measurement, math.sqrt(len(caps)), config.rows_per_unit)


def least_rows(config: ResolvedConfig, rows: float) -> float:
    """How many rows a table needs for its counts to stand out from the noise, if all of a person's count.

    Args:
        config: The frozen parameters.
        rows: Noisy row count, for the default delta.
    """
    mu = gaussian_mu(config.epsilon, config.delta or min(1 / (10 * rows), NOMINAL_DELTA))
    return MIN_SIGNAL * config.rows_per_unit / mu


def _countings(config: ResolvedConfig, rows: float, capped: Sequence[float]) -> list[tuple[float, float]]:
    """Each of `unit_caps`, and as how many rows of the row count a person then counts at most."""
    caps = unit_caps(config.rows_per_unit)
    each = [*capped[:-1], rows] if capped else [cap / caps[-1] * rows for cap in caps]
    return [(cap, cap * rows / min(max(own, 1.0), rows)) for cap, own in zip(caps, each, strict=True)]


def usual_capped(config: ResolvedConfig, rows: float) -> list[float]:
    """About how many rows count under each of `unit_caps`, where nobody has counted.

    Persons are taken to have one row, two, and so on up to the most, each number as often.

    Args:
        config: The frozen parameters.
        rows: Assumed number of rows.
    """
    numbers = range(1, config.rows_per_unit + 1)
    return [
        rows * sum(min(number, cap) for number in numbers) / sum(numbers)
        for cap in unit_caps(config.rows_per_unit)
    ]


def chosen_cap(
    config: ResolvedConfig, rows: float, capped: Sequence[float], sigma_of: Callable[[float], float]
) -> tuple[float, float, float]:
    """As how many rows a person counts at most, the same in rows of the row count, and if it counts once.

    The lower the cap, the less noise, and the more a table is one of persons instead of rows. What the rows
    that do not count make of a column's shares is a small part of them: .02 to .07 in four invented tables
    in which persons with many rows differ from others as patients do, .1 to .2 where they are others
    altogether.

    Args:
        config: The frozen parameters.
        rows: Noisy row count.
        capped: Noisy number of rows that count under each of `unit_caps`.
        sigma_of: Noise of a column's histograms over their sensitivity, if a person counts as so many of the
            rows that are counted.
    """

    def error(counting: tuple[float, float]) -> float:
        cap, counted = counting
        noise = USUAL_CELLS * counted * sigma_of(counted) / (math.sqrt(2 * math.pi) * rows)
        return math.hypot(noise, DIFFERENT * (1 - cap / counted))

    countings = _countings(config, rows, capped)
    return *min(countings, key=error), countings[0][1]


def share_sigma(share: float, mu: float) -> float:
    """Noise divided by sensitivity of a measurement that gets this share of the squared budget."""
    return 1 / (math.sqrt(share) * mu)
