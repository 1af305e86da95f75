"""Epsilon of a run, or of any event of dp_accounting, by its two accountants, with an allowance for rounding.

A composed privacy-loss distribution comes out of a Fourier transform whose rounding grows with the number
of compositions. It can make delta too small, by about 6e-17 per composition: nothing at delta = 1e-6, more
than everything at delta = 1e-13. Four times that is taken off delta before the distribution is asked, and
where delta is not well above it the distribution is not asked at all.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dp_accounting import DpEvent
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

__all__ = [
    "DISCRETIZATION",
    "LEAST_DELTA",
    "distribution_holds",
    "event_epsilon",
    "growing_epsilons",
    "rounding_delta",
    "trainings_epsilon",
]

DISCRETIZATION = 1e-4  # of the privacy loss, in the reported figures
# Normals of numpy end at 12.2 standard deviations: 2e-34 of the mass, and of 1e11 draws 2e-23.
LEAST_DELTA = 1e-20
# Against the same transforms in 80-bit numbers delta came out too small by at most 0.3 of this allowance
ROUNDING_PER_COMPOSITION = 2.0**-52
FURTHER_COMPOSITIONS = 1000  # stands for what does not grow: the step's own distribution, the last sum
WELL_ABOVE = 8.0  # times the allowance: below it rounding would be visible in epsilon
KEPT = 16  # distributions of single releases, each of up to some megabytes


def rounding_delta(compositions: int) -> float:
    """Allowance in delta for the rounding of a composed privacy-loss distribution.

    Args:
        compositions: How many distributions were composed.
    """
    return (compositions + FURTHER_COMPOSITIONS) * ROUNDING_PER_COMPOSITION


def distribution_holds(compositions: int, delta: float) -> bool:
    """Whether delta is so far above the rounding that a privacy-loss distribution gives a sharp bound.

    Args:
        compositions: How many distributions are composed.
        delta: Delta of the bound.
    """
    return delta >= WELL_ABOVE * rounding_delta(compositions)


def event_epsilon(
    event: DpEvent, delta: float, accountant: str = "pld", discretization: float = DISCRETIZATION
) -> float:
    """Upper bound on epsilon of an event.

    Args:
        event: The event.
        delta: Delta of the bound, in (0, 1).
        accountant: 'pld' for the sharper bound; of a delta that its rounding does not allow it gives the
            other one. 'rdp' for the Renyi bound.
        discretization: Step of the distribution's privacy loss; a coarser one errs upwards.

    Raises:
        ConfigError: Delta is too small for a distribution, and the Renyi accountant does not know the event.
    """
    count = compositions_of(event)
    if accountant == "rdp" or not distribution_holds(count, delta):
        return _renyi_epsilon(event, delta, WELL_ABOVE * rounding_delta(count))
    from dp_accounting.pld import PLDAccountant

    composed = PLDAccountant(value_discretization_interval=discretization).compose(event)
    return float(composed.get_epsilon(delta - rounding_delta(count)))


def trainings_epsilon(
    trainings: Sequence[tuple[int, float, float]], base_mu: float, delta: float, discretization: float
) -> float:
    """Upper bound on epsilon of trainings and measurements, by one privacy-loss distribution.

    It is what `event_epsilon` gives for their events. But the distribution of a single step is kept, so
    that the figure for another number of the same steps costs a tenth.

    Args:
        trainings: Steps (1 or more), sampling probability and noise multiplier of each.
        base_mu: Gaussian-DP parameter of the measurements, 0 for none.
        delta: Delta of the bound; `distribution_holds` is true of it and of all steps and measurements.
        discretization: Step of the distribution's privacy loss.
    """
    parts = [_release_distribution(1 / base_mu, 1.0, discretization)] if base_mu else []
    for steps, probability, sigma in trainings:
        if probability == 1:  # Gaussian releases are one with less noise
            parts.append(_release_distribution(sigma / math.sqrt(steps), 1.0, discretization))
        else:
            parts.append(_release_distribution(sigma, probability, discretization).self_compose(steps))
    composed = functools.reduce(lambda one, other: one.compose(other), parts)
    count = sum(steps for steps, _, _ in trainings) + bool(base_mu)
    return float(composed.get_epsilon_for_delta(delta - rounding_delta(count)))


def growing_epsilons(
    steps: Sequence[int],
    probability: float,
    sigma: float,
    base_mu: float,
    delta: float,
    discretization: float,
) -> list[float]:
    """Upper bounds on epsilon after more and more steps of one training, for the cost of a few of them.

    Each distribution is the one before composed with that of the steps in between, of which there are hardly
    two kinds. `trainings_epsilon` gives the same for each but for the tails that are cut off, less than 1e-6
    of it.

    Args:
        steps: Numbers of steps, increasing, from 1.
        probability: Sampling probability, below 1.
        sigma: Noise multiplier.
        base_mu: Gaussian-DP parameter of the measurements, 0 for none.
        delta: Delta of the bounds; `distribution_holds` is true of it and of all steps and measurements.
        discretization: Step of the distribution's privacy loss.
    """
    step = _release_distribution(sigma, probability, discretization)
    several = functools.cache(step.self_compose)
    composed = _release_distribution(1 / base_mu, 1.0, discretization) if base_mu else None
    found = []
    for before, now in itertools.pairwise((0, *steps)):
        more = several(now - before)
        composed = more if composed is None else composed.compose(more)
        allowance = rounding_delta(now + bool(base_mu))
        found.append(float(composed.get_epsilon_for_delta(delta - allowance)))
    return found


@functools.lru_cache(maxsize=KEPT)
def _release_distribution(sigma: float, probability: float, discretization: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        sigma, value_discretization_interval=discretization, sampling_prob=probability
    )


def _renyi_epsilon(event: DpEvent, delta: float, least_delta: float) -> float:
    from dp_accounting.privacy_accountant import UnsupportedEventError
    from dp_accounting.rdp import RdpAccountant

    try:
        epsilon = float(RdpAccountant().compose(event).get_epsilon(delta))
    except UnsupportedEventError:
        epsilon = math.nan
    if math.isnan(epsilon):
        raise ConfigError(
            f"delta = {delta:g} is too small for these events, which only a privacy-loss distribution can "
            f"account for: give a delta from {least_delta:.2g}."
        )
    return epsilon


def compositions_of(event: DpEvent) -> int:
    """How many distributions are composed for an event, at least 1."""
    from dp_accounting import dp_event

    if isinstance(event, dp_event.ComposedDpEvent):
        return max(1, sum(compositions_of(each) for each in event.events))
    if isinstance(event, dp_event.SelfComposedDpEvent):
        return max(1, event.count * compositions_of(event.event))
    inner = getattr(event, "event", None)
    return 1 if inner is None else compositions_of(inner)
