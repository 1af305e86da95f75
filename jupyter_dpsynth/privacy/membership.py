"""How well an attacker could tell, from all that a run released, whether one privacy unit was in the table.

Epsilon and delta are one point of a curve: for every epsilon there is a delta. The whole curve bounds every
attacker's rates. For a set S of releases that makes the attacker say 'was there', and every epsilon from 0,

    P(S | there) <= exp(epsilon) P(S | not there) + delta(epsilon), and
    1 - P(S | there) >= exp(-epsilon) (1 - P(S | not there) - delta(epsilon)),

so the smallest right side over all epsilons bounds the true-positive rate at a given false-positive rate.
A minimum over fewer epsilons is a bound, too: whatever is left out here errs in the attacker's favour.

Source:
    Dong, Roth and Su 2022, 'Gaussian differential privacy', proposition 2.5 (the trade-off function from the
    curve) and corollary 2.13 (of Gaussian noise).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.privacy.accounting import COARSEST, LEAST_SIGMA
from jupyter_dpsynth.privacy.gaussian import check_range
from jupyter_dpsynth.privacy.loss import DISCRETIZATION, compositions_of, rounding_delta
from jupyter_dpsynth.privacy.renyi import quick_epsilon

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining

    Points: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

__all__ = [
    "FALSE_POSITIVE_RATES",
    "RATES",
    "TITLE",
    "MembershipBound",
    "in_words",
    "membership_bound",
    "rates_in_words",
]

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05, 0.1)
POINTS = 1400  # of the curve: more of them lower the bound by less than a thousandth
LARGEST_EPSILON = 60.0  # beyond it the distribution is large and every rate is near 1
NOMINAL_DELTA = 1e-6  # of the epsilon that tells how large the distribution is
DELTAS = 10.0 ** -np.arange(0.25, 6, 0.25)  # of the points that stand for the curve

TITLE = "What an attacker could find out"
RATES = ("Wrongly suspected, of 1,000 who were not in the table", "Recognised at most, of 1,000 who were")
TOLD = 0.01  # the false-positive rate of the sentence


@dataclass(frozen=True)
class MembershipBound:
    """The best that any attacker can do, with whatever knowledge of all other rows.

    Attributes:
        rates: False-positive rates, and for each the largest true-positive rate.
        advantage: Largest difference of the two rates; 0 for an attacker who learns nothing, 1 for
            certainty.
    """

    rates: tuple[tuple[float, float], ...]
    advantage: float

    @property
    def accuracy(self) -> float:
        """How often the best guess is right if 'there' and 'not there' are equally likely beforehand."""
        return (1 + self.advantage) / 2


@functools.lru_cache(maxsize=64)
def membership_bound(plan: PrivacyPlan, rates: tuple[float, ...] = FALSE_POSITIVE_RATES) -> MembershipBound:
    """Bound what all releases of a plan together tell about one privacy unit.

    What is reserved of delta counts as the probability of a release that tells everything. As for epsilon,
    the plan is taken as if the noisy row count had been known beforehand.

    Args:
        plan: What was released.
        rates: False-positive rates, each above 0 and below 1.

    Raises:
        ConfigError: A rate is out of range.
    """
    for rate in rates:
        check_range("a false-positive rate", rate, 0, 1, closed=False)
    false = np.array(rates)
    bounds = [_of_gaussian(plan, false)]
    if plan.training is not None and plan.training.steps and plan.training.sampling_probability < 1:
        bounds.append(_of_points(*_quick_points(plan, plan.training), false))
        if plan.training.noise_multiplier >= LEAST_SIGMA:
            bounds.append(_of_points(*_curve(plan, plan.training, min(rates)), false))
    # the smallest of several bounds is one
    best = np.minimum.reduce([np.append(true, advantage) for true, advantage in bounds])
    best = np.minimum(best + plan.reserved_delta, 1.0)
    return MembershipBound(tuple(zip(rates, map(float, best[:-1]), strict=True)), float(best[-1]))


def _of_gaussian(plan: PrivacyPlan, false: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Rates and advantage in closed form; a training's sampling, which only helps, is forgotten."""
    from scipy.stats import norm

    training = plan.training
    squared = plan.base_mu**2
    if training is not None:
        squared += training.steps / training.noise_multiplier**2
    mu = math.sqrt(squared)
    return norm.cdf(norm.ppf(false) + mu), float(2 * norm.cdf(mu / 2) - 1)


def _quick_points(plan: PrivacyPlan, training: SampledTraining) -> Points:
    """A few points on or above the curve, for where the curve itself would take too long."""
    return np.array([_quick(plan, training, delta) for delta in DELTAS]), DELTAS


def _quick(plan: PrivacyPlan, training: SampledTraining, delta: float) -> float:
    steps, probability, sigma = training.steps, training.sampling_probability, training.noise_multiplier
    return quick_epsilon(steps, probability, sigma, plan.base_mu, delta)


def _curve(plan: PrivacyPlan, training: SampledTraining, least_rate: float) -> Points:
    """The curve of everything in a plan, by its privacy-loss distribution; no points if it is too large."""
    from dp_accounting.pld import PLDAccountant

    scale = _quick(plan, training, NOMINAL_DELTA)
    if scale > LARGEST_EPSILON:
        return np.array([]), np.array([])
    # where its slope, exp(epsilon), is above 1 / rate, a line is above 1 at this rate
    epsilons = np.linspace(0, -math.log(least_rate), POINTS)
    step = min(max(1e-3 * scale, DISCRETIZATION), COARSEST)  # a coarse one errs upwards
    event = plan.event()
    composed = PLDAccountant(value_discretization_interval=step).compose(event)
    deltas = np.asarray(composed.get_delta(epsilons))  # all at once: one by one it takes 15 s
    return epsilons, deltas + rounding_delta(compositions_of(event))


def _of_points(
    epsilons: NDArray[np.float64], deltas: NDArray[np.float64], false: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Rates and advantage from points on or above the curve.

    Args:
        epsilons: Epsilons, `[points]`.
        deltas: The delta of each, `[points]`.
        false: False-positive rates, `[rates]`.
    """
    factors = np.exp(np.minimum(epsilons, 700.0))[:, None]  # at most a finite number
    first = factors * false + deltas[:, None]
    second = 1 - (1 - false - deltas[:, None]) / factors
    # an attacker with advantage a at any rates has a <= ((e - 1) + 2 delta) / (e + 1), e = exp(epsilon)
    advantages = 1 - 2 * (1 - deltas) / (factors[:, 0] + 1)
    smallest = np.minimum(first, second).min(axis=0, initial=1.0)
    return smallest, float(advantages.min(initial=1.0))


def in_words(bound: MembershipBound, unit: str) -> str:
    """What an attacker could find out, for readers who know nothing of statistics.

    Args:
        bound: The bound, with the rate of `TOLD` among its rates.
        unit: Whose privacy is protected.
    """
    true = dict(bound.rates)[TOLD]
    rows = unit == ONE_ROW
    known = "every row of the table but one" if rows else "everything in the table but the rows of one person"
    limit = (
        "A person with several rows is easier to recognise than this says."
        if rows
        else f"A person is here {unit}: somebody with several such values is easier to recognise."
    )
    return (
        f"Suppose that somebody knows {known}, sees all that was released, and wants to find out whether "
        f"this one person was in the table. If they wrongly suspect {_of_thousand(TOLD)} of 1,000 people who "
        f"were not in it, they recognise at most {_of_thousand(true)} of 1,000 people who were; if nothing "
        f"had been released, it would be {_of_thousand(TOLD)}. Where 'was in it' and 'was not' are equally "
        f"likely beforehand, their best guess is right in at most {_rounded_up(100 * bound.accuracy)} of 100 "
        f"cases; a tossed coin is right in 50. {limit} Other releases from the same data add to it."
    )


def rates_in_words(bound: MembershipBound) -> list[tuple[str, str]]:
    """For each false-positive rate, both rates as whole people of 1,000."""
    return [(_of_thousand(false), _of_thousand(true)) for false, true in bound.rates]


def _of_thousand(rate: float) -> str:
    return f"{_rounded_up(1000 * rate):,}"


def _rounded_up(figure: float) -> int:
    return math.ceil(round(figure, 6))  # 10.000000001 is 10
