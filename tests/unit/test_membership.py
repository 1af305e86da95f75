"""What an attacker could find out at most is not below what an attacker can find out."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    compute_epsilon,
)
from jupyter_dpsynth.privacy.membership import FALSE_POSITIVE_RATES, MembershipBound, membership_bound
from tests.support.exact_accountant import Gaussian, Sampled, exact_log_delta

ROUNDING = 1 + 1e-9


@pytest.mark.parametrize("mu", [0.05, 1.0, 4.0])
def test_the_rates_of_gaussian_noise_are_those_in_closed_form(mu):
    plan = PrivacyPlan(
        (GaussianMeasurement("a", math.sqrt(2) / mu), GaussianMeasurement("b", math.sqrt(2) / mu))
    )
    bound = membership_bound(plan)
    for false, true in bound.rates:
        assert true == pytest.approx(norm.cdf(norm.ppf(false) + mu), rel=1e-9)
    assert bound.advantage == pytest.approx(2 * norm.cdf(mu / 2) - 1, rel=1e-9)
    assert bound.accuracy == pytest.approx(norm.cdf(mu / 2), rel=1e-9)


@pytest.mark.parametrize(("probability", "sigma"), [(0.3, 1.0), (0.02, 0.6), (0.02, 0.1)])
def test_no_rate_is_below_that_of_the_best_attack_on_one_sampled_step(probability, sigma):
    """The best attack compares the output with a threshold; both directions of 'add or remove'."""
    bound = membership_bound(PrivacyPlan((), SampledTraining(1, probability, sigma)))
    thresholds = np.linspace(-9 * sigma, 1 + 9 * sigma, 20_001)
    without = norm.sf(thresholds / sigma)
    within = (1 - probability) * without + probability * norm.sf((thresholds - 1) / sigma)
    for false, true in bound.rates:
        assert true * ROUNDING >= within[without <= false].max()
        assert true * ROUNDING >= (1 - without)[1 - within <= false].max()
    assert bound.advantage * ROUNDING >= (within - without).max()


@pytest.mark.parametrize(
    ("measured", "training"), [(9.0, (0.02, 1.5, 500)), (50.0, (0.1, 1.0, 4)), (1.0, (0.02, 0.8, 200))]
)
def test_the_rates_of_a_run_are_those_of_an_exact_accountant(measured, training):
    probability, sigma, steps = training
    parts = [Gaussian(measured), Sampled(*training)]
    plan = PrivacyPlan((GaussianMeasurement("a", measured),), SampledTraining(steps, probability, sigma))
    false = 0.01
    found = membership_bound(plan, (false,))

    def line(epsilon):
        return false * math.exp(epsilon) + math.exp(exact_log_delta(parts, epsilon))

    exact = minimize_scalar(
        line, bounds=(0.01, -math.log(false)), method="bounded", options={"xatol": 0.01}
    ).fun
    ((_, true),) = found.rates
    assert exact * (1 - 1e-5) <= true <= exact * 1.002  # the search ends a little above the smallest value
    assert found.advantage == pytest.approx(math.exp(exact_log_delta(parts, 1e-9)), rel=2e-3)
    assert found.advantage * (1 + 1e-6) >= math.exp(exact_log_delta(parts, 1e-9))


def test_the_whole_curve_tells_far_more_than_epsilon_and_delta():
    plan = PrivacyPlan((GaussianMeasurement("count", 40.0),), SampledTraining(400, 0.05, 3.2))
    epsilon, delta = compute_epsilon(plan, 1e-6), 1e-6
    bound = membership_bound(plan)
    for false, true in bound.rates:
        assert false <= true <= math.exp(epsilon) * false + delta
    assert bound.advantage < 0.5 * (math.exp(epsilon) - 1 + 2 * delta) / (math.exp(epsilon) + 1)


def test_what_is_reserved_of_delta_counts_in_full():
    plan = PrivacyPlan((GaussianMeasurement("a", 5.0),), SampledTraining(20, 0.1, 2.0))
    reserved = PrivacyPlan(plan.measurements, plan.training, 0.01, 0.02)
    without, within = membership_bound(plan), membership_bound(reserved)
    assert within.advantage == pytest.approx(without.advantage + 0.03)
    for (_, low), (_, high) in zip(without.rates, within.rates, strict=True):
        assert high == pytest.approx(low + 0.03)


@pytest.mark.parametrize(
    "training",
    [SampledTraining(10**10, 1e-4, 0.5), SampledTraining(10**6, 0.5, 0.31), SampledTraining(3, 0.5, 0.01)],
)
def test_hardly_any_noise_is_answered_at_once_and_gives_the_attacker_everything(training):
    bound = membership_bound(PrivacyPlan((GaussianMeasurement("a", 1e-3),), training))
    assert bound == MembershipBound(tuple((false, 1.0) for false in FALSE_POSITIVE_RATES), 1.0)


def test_a_plan_without_anything_tells_nothing():
    bound = membership_bound(PrivacyPlan(()))
    assert [true for _, true in bound.rates] == pytest.approx(list(FALSE_POSITIVE_RATES))
    assert bound.advantage == 0


@pytest.mark.parametrize("rate", [0.0, 1.0, math.nan])
def test_a_rate_that_is_none_is_refused_with_the_range(rate):
    with pytest.raises(ConfigError, match="above 0 below 1"):
        membership_bound(PrivacyPlan(()), (rate,))
