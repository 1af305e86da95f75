"""Gaussian differential privacy in closed form: delta, epsilon and mu from one another."""

from __future__ import annotations

import functools
import math

from jupyter_dpsynth.errors import ConfigError, shown

__all__ = ["check_range", "gaussian_delta", "gaussian_epsilon", "gaussian_mu"]


def check_range(name: str, value: float, low: float, high: float, *, closed: bool = True) -> None:
    """Raise ConfigError unless low < value < high (<= high if closed)."""
    below = value <= high if closed else value < high
    if not (value > low and below):
        end = "to" if closed else "below"
        raise ConfigError(
            f"{name} = {shown(value)} is not allowed: give a number above {low:g} {end} {high:g}."
        )


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Delta at which a mu-Gaussian-DP mechanism is (epsilon, delta)-DP.

    Source:
        Balle and Wang 2018, theorem 8; Dong, Roth and Su 2022, corollary 2.13.

    >>> round(gaussian_delta(1.0, 1.0), 4)
    0.1269
    """
    from scipy.stats import norm

    tail = math.exp(epsilon + float(norm.logcdf(-epsilon / mu - mu / 2)))
    return float(norm.cdf(-epsilon / mu + mu / 2)) - tail


@functools.lru_cache(maxsize=256)
def gaussian_mu(epsilon: float, delta: float) -> float:
    """Largest mu for which mu-Gaussian-DP implies (epsilon, delta)-DP.

    >>> round(gaussian_mu(4.3772, 1e-5), 4)
    1.0
    """
    from scipy.optimize import brentq

    check_range("epsilon", epsilon, 0, math.inf, closed=False)
    check_range("delta", delta, 0, 1, closed=False)
    high = 1.0
    while gaussian_delta(high, epsilon) < delta:
        high *= 2
    low = high
    while gaussian_delta(low, epsilon) > delta:
        low /= 2
    return float(brentq(lambda mu: gaussian_delta(mu, epsilon) - delta, low / 2, high, xtol=1e-12))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Smallest epsilon for which mu-Gaussian-DP implies (epsilon, delta)-DP.

    >>> round(gaussian_epsilon(1.0, 1e-5), 4)
    4.3772
    """
    from scipy.optimize import brentq

    if gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while gaussian_delta(mu, high) > delta:
        high *= 2
    return float(brentq(lambda epsilon: gaussian_delta(mu, epsilon) - delta, 0.0, high, xtol=1e-10))
