"""Several runs on one table: what they cost together, and whether a cap allows one more.

Two questions, two answers. The figure that is shown is the privacy-loss-distribution bound of one composition
of all runs' events. It takes the runs' parameters as given; if the parameters of a run are chosen after
seeing the results of an earlier one, a privacy filter is needed, which exact composition is not. A cap is
therefore enforced by a Renyi filter of one order, which holds whatever the later choices depended on, and
also for runs that go on at the same time.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.privacy.accounting import (
    COARSEST,
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    composed_epsilon,
    compute_epsilon,
    dpsgd_event,
    gaussian_epsilon,
    gaussian_mu,
)
from jupyter_dpsynth.privacy.loss import DISCRETIZATION

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "RenyiFilter",
    "Spending",
    "filter_order",
    "provisional_spending",
    "total_delta",
    "total_epsilon",
]

PROVISIONAL = "everything, until the row count is known"
# A planned run's Renyi divergence over that of the Gaussian that stands for it before the row count is
# known: 0.95 to 1.00 for 1,000 to 1,000,000 rows and epsilon 0.1 to 8, and 1.08 at the most extreme.
PROVISIONAL_MARGIN = 1.1
ORDERS = (1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
MANY, MANY_GRID = 16, 0.01  # trainings that are composed as they are; the grid of the logarithms of more
TINY_DELTA = 1e-300


@dataclass(frozen=True)
class Spending:
    """What one run may release of its table.

    Attributes:
        plan: Its events; None if it has no guarantee at all.
        delta: Delta of its own guarantee.
        epsilon: Epsilon of its own guarantee at that delta; infinite without one.
        provisional: Whether the plan is still the Gaussian that stands for the whole budget.
    """

    plan: PrivacyPlan | None
    delta: float
    epsilon: float
    provisional: bool = False

    @property
    def accountant_delta(self) -> float:
        """Delta without the part reserved for publishing undeclared categories."""
        return self.delta if self.plan is None else self.delta - self.plan.reserved_delta


def provisional_spending(epsilon: float, delta: float, unit: str = ONE_ROW) -> Spending:
    """The whole budget of a run whose plan is not fixed yet, as one Gaussian measurement.

    Args:
        epsilon: The budget; infinite for a run without a guarantee.
        delta: Its delta, in (0, 1).
        unit: Whose privacy it protects.
    """
    if math.isinf(epsilon):
        return Spending(None, 0.0, math.inf)
    measurement = GaussianMeasurement(PROVISIONAL, 1 / gaussian_mu(epsilon, delta))
    return Spending(PrivacyPlan((measurement,), unit=unit), delta, epsilon, provisional=True)


def total_delta(spendings: Sequence[Spending]) -> float:
    """Delta at which `total_epsilon` holds.

    The composition of all events is evaluated at the largest delta of the runs; what partition selection
    reserved in each run is added, because each run's selection may fail by itself.
    """
    plans = [spending.plan for spending in spendings if spending.plan is not None]
    if not plans:
        return 0.0
    return max(each.accountant_delta for each in spendings) + sum(plan.reserved_delta for plan in plans)


def total_epsilon(spendings: Sequence[Spending]) -> float:
    """Upper bound on epsilon of several runs on one table, at `total_delta`.

    Infinite if one of them has no guarantee, or if they protect different units: a promise about single
    rows is none about persons. For a single run it is that run's own epsilon.
    """
    if not spendings:
        return 0.0
    plans = [spending.plan for spending in spendings if spending.plan is not None]
    if len(plans) < len(spendings) or len({plan.unit for plan in plans}) > 1:
        return math.inf
    if len(spendings) == 1:
        (one,) = spendings
        return one.epsilon if one.provisional else compute_epsilon(plans[0], one.delta)
    delta = max(spending.accountant_delta for spending in spendings)
    mu = math.sqrt(sum(plan.base_mu**2 for plan in plans))
    trainings = _merged(plans)
    largest = max(spending.epsilon for spending in spendings)
    return composed_epsilon(trainings, mu, delta, min(max(1e-3 * largest, DISCRETIZATION), COARSEST))


def _merged(plans: Sequence[PrivacyPlan]) -> tuple[tuple[int, float, float], ...]:
    """Trainings as (steps, probability, noise); the steps of equal ones are added.

    Runs on one table differ by the noise in its row count alone. Where there are many, their probabilities
    are rounded up and their noise down by at most 1 %, which can only raise epsilon: a distribution per
    training takes 50 ms.
    """
    trainings = [plan.training for plan in plans if plan.training is not None and plan.training.steps]
    grid = MANY_GRID if len(trainings) > MANY else 0.0
    steps: dict[tuple[float, float], int] = {}
    for training in trainings:
        probability, sigma = training.sampling_probability, training.noise_multiplier
        if grid:
            probability = min(math.exp(grid * math.ceil(math.log(probability) / grid)), 1.0)
            sigma = math.exp(grid * math.floor(math.log(sigma) / grid))
        steps[probability, sigma] = steps.get((probability, sigma), 0) + training.steps
    return tuple((count, *key) for key, count in steps.items())


@functools.lru_cache(maxsize=4096)
def _training_divergence(training: SampledTraining, order: float) -> float:
    """Renyi divergence of a training of one order."""
    if training.steps == 0:
        return 0.0
    from dp_accounting.rdp import RdpAccountant

    event = dpsgd_event(training.steps, training.sampling_probability, training.noise_multiplier)
    accountant = RdpAccountant(orders=[order]).compose(event)
    # the accountant states epsilon only, of which the conversion from one order is a known part
    return float(accountant.get_epsilon(TINY_DELTA)) - _conversion(order, TINY_DELTA)


def _conversion(order: float, delta: float) -> float:
    """What is added to a Renyi divergence of this order to get epsilon at delta.

    Source:
        Canonne, Kamath and Steinke 2020, proposition 12.
    """
    return math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def _divergence(spending: Spending, order: float) -> float:
    """Renyi divergence of one order of everything that a run may release."""
    plan = spending.plan
    if plan is None:
        return math.inf
    trained = 0.0 if plan.training is None else _training_divergence(plan.training, order)
    margin = PROVISIONAL_MARGIN if spending.provisional else 1.0
    return margin * (order * plan.base_mu**2 / 2 + trained)


def filter_order(cap: float, first: Spending) -> float:
    """The Renyi order at which a cap allows most runs like a given one.

    Args:
        cap: Largest total epsilon.
        first: What the first run reserved: nothing that depends on data.
    """
    most, best = -math.inf, ORDERS[0]
    for order in ORDERS:
        allowance = cap - _conversion(order, first.accountant_delta)
        divergence = _divergence(first, order)
        runs = allowance / divergence if divergence else allowance / order
        if runs > most:
            most, best = runs, order
    return best


class RenyiFilter:
    """Decides whether a cap allows one more run, however that run was chosen.

    A run may go ahead if the Renyi divergences of all runs, it included, add up to no more than what the
    cap allows at one order. That order and delta are fixed before any result could influence them: with
    an order picked afterwards the theorem would not hold. The first run itself follows nothing, so that its
    own exact epsilon may decide as well.

    Args:
        cap: Largest total epsilon.
        order: The order, as `filter_order` finds it.
        delta: Delta at which the cap holds whatever is chosen. Where all runs have smaller ones, the
            smaller ones count, so that the total that is shown keeps within the cap too.

    Source:
        Feldman and Zrnic 2021, 'Individual privacy accounting via a Renyi filter'; Lecuyer 2021,
        'Practical privacy filters and odometers with Renyi differential privacy'. Runs at the same
        time: Haney et al. 2023, 'Concurrent composition for interactive differential privacy with adaptive
        privacy-loss parameters'.
    """

    def __init__(self, cap: float, order: float, delta: float) -> None:
        self.cap, self.order, self.delta = cap, order, delta

    def _allowance(self, spendings: Sequence[Spending]) -> float:
        """Largest sum of divergences."""
        planned = [each.accountant_delta for each in spendings if not each.provisional]
        delta = min(self.delta, max(planned, default=self.delta))
        return self.cap - _conversion(self.order, delta)

    def allows(self, earlier: Sequence[Spending], further: Spending) -> bool:
        """Whether a run may go ahead.

        Args:
            earlier: All runs on the table so far, whether they have ended or not.
            further: The run.
        """
        if further.plan is None:
            return False
        if not earlier:
            return further.epsilon <= self.cap
        if any(each.plan is None or each.plan.unit != further.plan.unit for each in earlier):
            return False
        together = [*earlier, further]
        return self._spent(together) <= self._allowance(together)

    def room(self, earlier: Sequence[Spending], delta: float) -> float:
        """Largest epsilon of a further run that would be allowed, rounded down to three digits.

        Args:
            earlier: All runs on the table so far.
            delta: Delta of the further run.
        """
        if not earlier:
            return self.cap
        left = self._allowance(earlier) - self._spent(earlier)
        if not left > 0:
            return 0.0
        fits = gaussian_epsilon(math.sqrt(2 * left / (self.order * PROVISIONAL_MARGIN)), delta)
        if fits <= 0:
            return 0.0
        digit = 10.0 ** (math.floor(math.log10(fits)) - 2)
        return math.floor(fits / digit * (1 - 1e-9)) * digit

    def _spent(self, spendings: Sequence[Spending]) -> float:
        return sum(_divergence(spending, self.order) for spending in spendings)
