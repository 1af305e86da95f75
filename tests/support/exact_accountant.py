"""A second accountant, which shares no code with dp_accounting and no method either.

It has no grid of privacy losses, no truncated tail and no Renyi conversion. Delta at an epsilon is a line
integral over the moment generating function of the privacy loss, M(s) = E[exp(s L)], of which compositions
are products:

    delta(epsilon) = 1 / (2 pi i) * integral over Re(s) = c > 0 of exp(-s epsilon) M(s) / (s (s + 1)) ds.

On the line through the saddle point nothing cancels, so that a delta of 1e-200 comes out with as many right
digits as one of 1e-2. M of one Poisson-sampled Gaussian step is an integral over its output, which the
trapezoidal rule gives to the last digit: the integrand is analytic and falls like a Gaussian.

Both directions of add and remove are computed; what counts is the worse one.

Source:
    The integral: Zhu, Dong and Wang 2022, 'Optimal accounting of differential privacy via characteristic
    function', with the contour moved to the saddle point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

FALLS_BELOW = -45.0  # the logarithm at which the integrand no longer counts
OUTPUTS_PER_SIGMA = 24  # points of the integral over a step's output
POINTS = 800  # of the line
AT_ONCE = 500_000  # numbers in memory
LEAST_TILT, LARGEST_TILT = 1e-2, 5000.0


@dataclass(frozen=True)
class Gaussian:
    """One release with Gaussian noise, standard deviation over sensitivity."""

    sigma: float
    times: int = 1

    def log_moments(self, s, *, removed):
        """Logarithm of M at each complex number."""
        return self.times * s * (s + 1) / (2 * self.sigma**2)


@dataclass(frozen=True)
class Laplace:
    """One release with Laplace noise, scale over sensitivity; beside something whose loss is smooth."""

    scale: float
    times: int = 1

    def log_moments(self, s, *, removed):
        """Logarithm of M at each complex number."""
        e = 1 / self.scale
        lowest = np.exp(-(2 * s + 1) * e)
        return self.times * (s * e + np.log((1 + lowest + (1 - lowest) / (2 * s + 1)) / 2))


@dataclass(frozen=True)
class Sampled:
    """Steps, each with Gaussian noise on a Poisson sample."""

    probability: float
    sigma: float
    steps: int

    def log_moments(self, s, *, removed):
        """Logarithm of M at each complex number; `removed` says which of the tables has the row."""
        q, sigma = self.probability, self.sigma
        power = s + 1 if removed else -s
        tilt = max(float(np.max(np.abs(power.real))), 1.0)
        waves = float(np.max(np.abs(power.imag))) / (3 * sigma**2)  # three points in a radian and more
        x = np.arange(-14 * sigma, tilt + 1 + 14 * sigma, 1 / (OUTPUTS_PER_SIGMA / sigma + waves))
        loss = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * sigma**2))
        density = -(x**2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi) / (x[1] - x[0]))
        found = []
        for part in np.array_split(power, math.ceil(len(power) * len(x) / AT_ONCE)):
            exponent = part[:, None] * loss + density
            top = exponent.real.max(axis=1)
            found.append(np.log(np.exp(exponent - top[:, None]).sum(axis=1)) + top)
        return self.steps * np.concatenate(found)


def exact_log_delta(events, epsilon):
    """Logarithm of the smallest delta for which a composition of events is (epsilon, delta)-DP."""
    found = _log_delta(events, epsilon, removed=True)
    return max(found, _log_delta(events, epsilon, removed=False, least=found))


def exact_epsilon(events, delta):
    """Smallest epsilon for which a composition of events is (epsilon, delta)-DP."""
    high = 0.5
    while exact_log_delta(events, high) > math.log(delta):
        high *= 2
    low = high / 2
    while exact_log_delta(events, low) < math.log(delta):
        low /= 2
    return brentq(lambda epsilon: exact_log_delta(events, epsilon) - math.log(delta), low, high, xtol=1e-9)


def _log_delta(events, epsilon, removed, least=-math.inf):
    """The integral for one direction; a bound on it, at most `least`, if it need not be known."""

    def exponent(s):
        s = np.atleast_1d(np.asarray(s, dtype=complex))
        moments = sum(event.log_moments(s, removed=removed) for event in events)
        return moments - s * epsilon - np.log(s) - np.log(s + 1)

    saddle = minimize_scalar(
        lambda log_c: float(exponent(math.exp(log_c))[0].real),
        bounds=(math.log(LEAST_TILT), math.log(LARGEST_TILT)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    c = math.exp(saddle.x)
    if c > 0.9 * LARGEST_TILT:  # no saddle: the loss is never that large
        return -math.inf
    top = float(exponent(c)[0].real)
    if top + math.log(c * (c + 1)) < least:  # Chernoff's bound
        return least
    reach = 1.0
    while float(exponent(c + 1j * c * math.sinh(reach))[0].real) - top > FALLS_BELOW:
        reach += 0.5
    u = np.linspace(0, reach, POINTS + 1)  # dense at the pole, wide further out
    heights = np.concatenate([exponent(c + 1j * c * np.sinh(part)) for part in np.array_split(u, 20)])
    values = np.exp(heights - top).real * np.cosh(u)
    values[0] /= 2
    return math.log(float(values.sum()) * c * reach / POINTS / math.pi) + top
