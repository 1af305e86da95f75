"""What an attack can prove about epsilon from draws of a mechanism's releases.

An audit compares draws with and without a row (the canary). Whatever rule tells the two apart, its hit
rate H and its false-alarm rate F obey `H <= exp(epsilon) F + delta(epsilon)` for every epsilon if the
claim is true. Rates that break this, beyond chance, prove that it is false; rates that do not prove
nothing: an audit finds bugs, it cannot show that there are none.

Source:
    Jagielski, Ullman and Oprea 2020, 'Auditing differentially private machine learning'; Nasr et al. 2023,
    'Tight auditing of differentially private machine learning'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.privacy.accounting import COARSEST, gaussian_delta
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan

PILOT_SHARE = 0.125  # of the draws, which fix the thresholds and are not counted
LEVELS = (0.002, 0.01, 0.03, 0.08, 0.2, 0.4, 0.6, 0.8, 0.92, 0.97, 0.99, 0.998)  # of each pilot


@dataclass(frozen=True)
class CanaryAudit:
    """Outcome of an audit.

    Attributes:
        statistic: Name of the statistic that proves most.
        delta: Delta at which it does.
        bound: Lower confidence bound on epsilon at that delta; 0 if nothing is proved.
        claim: The epsilon that is claimed there.
        confidence: Of the bound, over all statistics, thresholds and deltas together.
    """

    statistic: str
    delta: float
    bound: float
    claim: float
    confidence: float

    @property
    def holds(self) -> bool:
        """Whether the claim has not been refuted."""
        return self.bound <= self.claim


def privacy_profile(plan: PrivacyPlan, epsilons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper bound on delta of everything in a plan at each epsilon: the claim that an audit attacks.

    Args:
        plan: The plan; what it reserves of delta is not counted.
        epsilons: Increasing, `[points]`.

    Source:
        Balle, Barthe and Gaboardi 2018, 'Privacy amplification by subsampling'.
    """
    training = plan.training
    if training is None or training.sampling_probability == 1:  # one Gaussian: exact in closed form
        steps = 0.0 if training is None else math.sqrt(training.steps) / training.noise_multiplier
        mu = math.hypot(plan.base_mu, steps)
        return np.array([gaussian_delta(mu, float(epsilon)) for epsilon in epsilons])
    from dp_accounting.pld import PLDAccountant

    # a coarse distribution errs upwards, so that the claim is a little weaker than the truth
    accountant = PLDAccountant(value_discretization_interval=COARSEST).compose(plan.event())
    return np.array(accountant.get_delta(epsilons))  # all at once: one by one would take thirty times as long


def rate_bounds(
    hits: NDArray[np.int64], draws: int, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper confidence bounds on probabilities, each wrong with chance at most alpha.

    Args:
        hits: How often each event was seen, `[events]`.
        draws: In how many independent draws.
        alpha: Chance of error of each single bound.

    Source:
        Clopper and Pearson 1934.

    >>> [round(float(bound), 4) for bound in rate_bounds(0, 100, 0.05)]
    [0.0, 0.0295]
    """
    from scipy.stats import beta

    hits = np.asarray(hits)
    lower = np.where(hits > 0, beta.ppf(alpha, np.maximum(hits, 1), draws - hits + 1), 0.0)
    upper = np.where(hits < draws, beta.isf(alpha, hits + 1, np.maximum(draws - hits, 1)), 1.0)
    return lower, upper


def audit_canary(
    without: NDArray[np.float64],
    canary: NDArray[np.float64],
    names: Sequence[str],
    profile: tuple[NDArray[np.float64], NDArray[np.float64]],
    alpha: float = CANARY_ALPHA,
) -> CanaryAudit:
    """Look for a threshold on a statistic that tells two tables apart better than the claim allows.

    The first draws fix the thresholds, the others are counted; a Bonferroni correction covers all
    statistics, thresholds and directions, so the bound is valid for any distribution of the draws.

    Args:
        without: Independent draws of the statistics without the canary, float64 `[draws, statistics]`.
        canary: The same with it.
        names: Name of each statistic.
        profile: The claim: some positive epsilons and the delta that is claimed at each.
        alpha: Chance that a true claim is refuted.
    """
    pilots = [max(2, round(PILOT_SHARE * len(draws))) for draws in (without, canary)]
    epsilons, deltas = profile
    error = alpha / (4 * len(names) * 2 * len(LEVELS))
    best = (-math.inf, 0, 0)  # the bound relative to the claim, the statistic, the delta
    for place in range(len(names)):
        columns = without[:, place], canary[:, place]
        cuts = np.concatenate(
            [np.quantile(column[:pilot], LEVELS) for column, pilot in zip(columns, pilots, strict=True)]
        )
        bounds = []
        for column, pilot in zip(columns, pilots, strict=True):
            counted = np.sort(column[pilot:])
            above = len(counted) - np.searchsorted(counted, cuts, side="left")
            bounds.append(rate_bounds(above, len(counted), error))
        for one, other in (bounds, reversed(bounds)):
            # an alarm above the threshold, and an alarm below it
            for hit, false_alarm in ((other[0], one[1]), (1 - other[1], 1 - one[0])):
                with np.errstate(divide="ignore"):
                    proved = np.log(np.maximum(hit[:, None] - deltas, 0) / false_alarm[:, None])
                ratio = proved.max(axis=0) / epsilons
                best = max(best, (float(ratio.max()), place, int(ratio.argmax())))
    ratio, place, at = best
    claim = float(epsilons[at])
    return CanaryAudit(names[place], float(deltas[at]), max(ratio * claim, 0.0), claim, 1 - alpha)


def fit_shift(without: NDArray[np.float64], canary: NDArray[np.float64]) -> tuple[float, float]:
    """The parameter mu of Gaussian differential privacy, fitted to a statistic, and its standard error.

    Args:
        without: Draws without the canary, `[draws]`, taken to be normal.
        canary: As many with it, of the same spread.

    Source:
        Nasr et al. 2023, section 5: Gaussian differential privacy is the tight family for this mechanism.
    """
    draws = min(len(without), len(canary))
    spread = math.sqrt((float(without.var(ddof=1)) + float(canary.var(ddof=1))) / 2)
    mu = abs(float(canary.mean() - without.mean())) / spread
    return mu, math.sqrt((2 + mu**2 / 4) / draws)
