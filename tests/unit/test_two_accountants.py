"""The product's epsilon is never below that of a second accountant, which shares no code and no method."""

import dataclasses
import math

import pytest
from dp_accounting import dp_event

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    compute_epsilon,
    dpsgd_event,
    epsilon_curve,
    gaussian_epsilon,
    max_steps,
    rounding_tolerance,
)
from jupyter_dpsynth.privacy.composition import Spending, total_epsilon
from jupyter_dpsynth.privacy.loss import LEAST_DELTA, distribution_holds, event_epsilon, rounding_delta
from jupyter_dpsynth.privacy.verification import verify_receipt
from tests.support.exact_accountant import Gaussian, Laplace, Sampled, exact_epsilon, exact_log_delta

MIXED = {  # events, delta
    "one training": ([Sampled(250 / 60000, 1.3, 3600)], 1e-5),
    "noise as small as is reported": ([Sampled(0.002, 0.5, 300)], 1e-6),
    "much noise": ([Sampled(0.01, 8.0, 10000)], 1e-5),
    "a count and few steps": ([Gaussian(40.0), Sampled(0.1, 1.0, 4)], 1e-6),
    "most rows in each step": ([Sampled(0.9, 20.0, 200)], 1e-7),
    "a count and a training": ([Gaussian(50.0), Sampled(0.02, 1.5, 500)], 1e-6),
    "many measurements and a training": (
        [Gaussian(20.0, 30), Gaussian(7.0, 3), Sampled(0.01, 1.1, 2000)],
        1e-6,
    ),
    "two trainings": ([Sampled(0.01, 1.2, 800), Sampled(0.03, 2.0, 300)], 1e-6),
    "two runs on one table": (
        [Gaussian(9.0), Sampled(0.011, 1.0, 900), Gaussian(10.0), Sampled(0.0113, 1.0, 900)],
        1e-7,
    ),
    "with Laplace noise": ([Sampled(256 / 30000, 1.0, 2344), Gaussian(20.0, 15), Laplace(50.0, 8)], 1 / 3e5),
    "a large epsilon": ([Gaussian(1.0), Sampled(0.02, 0.8, 200)], 1e-8),
    "a small epsilon": ([Gaussian(80.0), Sampled(0.001, 4.0, 100)], 1e-6),
    "a billion rows": ([Gaussian(100.0), Sampled(0.0005, 0.9, 4000)], 1e-10),
}


def event_of(parts):
    """The same events for the product's accountant."""
    events = []
    for part in parts:
        if isinstance(part, Sampled):
            events.append(dpsgd_event(part.steps, part.probability, part.sigma))
        elif isinstance(part, Gaussian):
            events.append(dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(part.sigma), part.times))
        else:
            events.append(dp_event.SelfComposedDpEvent(dp_event.LaplaceDpEvent(part.scale), part.times))
    return dp_event.ComposedDpEvent(events)


@pytest.mark.parametrize(("mu", "delta"), [(1.0, 1e-5), (0.2, 1e-15), (0.01, 1e-6), (3.0, 1e-60)])
def test_the_second_accountant_is_exact_where_there_is_a_closed_form(mu, delta):
    assert exact_epsilon([Gaussian(1 / mu)], delta) == pytest.approx(gaussian_epsilon(mu, delta), rel=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("name", MIXED)
def test_no_epsilon_is_below_the_exact_one_and_none_is_far_above(name):
    parts, delta = MIXED[name]
    epsilon = compute_epsilon(event_of(parts), delta)
    assert exact_log_delta(parts, epsilon) <= math.log(delta)
    assert exact_log_delta(parts, epsilon * (1 - 2e-3) - 1e-3) > math.log(delta)


@pytest.mark.long
@pytest.mark.parametrize(
    ("training", "delta"),
    [((5000, 0.004, 1.1), delta) for delta in (1e-9, 3e-11, 1e-12, 1e-13, 1e-19)]
    + [((300, 0.02, 1.0), 1e-12)],
)
def test_an_epsilon_at_a_tiny_delta_is_not_below_the_exact_one(training, delta):
    plan = PrivacyPlan((GaussianMeasurement("row count", 50.0),), SampledTraining(*training))
    steps, probability, sigma = training
    parts = [Gaussian(50.0), Sampled(probability, sigma, steps)]
    epsilon = compute_epsilon(plan, delta)
    assert math.isfinite(epsilon)
    for found in (
        epsilon,
        compute_epsilon(plan, delta, "quick"),
        compute_epsilon(plan, delta, "rdp"),
        compute_epsilon(plan.event(), delta),
        epsilon_curve(plan, delta, 2).epsilons[-1],
        total_epsilon([Spending(plan, delta, epsilon)]),
    ):
        assert exact_log_delta(parts, found) <= math.log(delta)
    assert epsilon <= compute_epsilon(plan, delta, "quick")
    assert epsilon <= compute_epsilon(plan, delta, "rdp") * (1 + 1e-9)
    twice = [*parts, *parts]
    both = total_epsilon([Spending(plan, delta, epsilon)] * 2)
    assert exact_log_delta(twice, both) <= math.log(delta)


@pytest.mark.parametrize("delta", [1e-11, 1e-12])
@pytest.mark.parametrize("training", [(8000, 0.002, 1.0), (5000, 0.004, 1.1)])
def test_the_rounding_of_a_long_training_does_not_lower_its_epsilon(training, delta):
    """Whether a transform rounds up or down differs between trainings and machines."""
    steps, probability, sigma = training
    plan = PrivacyPlan((), SampledTraining(*training))
    parts = [Sampled(probability, sigma, steps)]
    assert exact_log_delta(parts, compute_epsilon(plan, delta)) <= math.log(delta)


def test_the_allowance_for_rounding_is_several_times_what_rounding_does():
    from dp_accounting.pld import PLDAccountant

    for steps, probability, sigma in ((5000, 0.004, 1.1), (20000, 0.001, 0.8), (1000, 0.05, 2.0)):
        composed = PLDAccountant(value_discretization_interval=1e-4).compose(
            dpsgd_event(steps, probability, sigma)
        )
        parts = [Sampled(probability, sigma, steps)]
        for delta in (1e-11, 1e-12):
            raw = composed.get_epsilon(delta)
            undershoot = math.exp(exact_log_delta(parts, raw)) - delta
            assert undershoot <= 0.5 * rounding_delta(steps)


def test_the_last_allowed_step_at_a_tiny_delta_keeps_within_epsilon():
    steps = max_steps(2.0, 1e-12, 0.01, 2.5, 0.005, limit=3000)
    assert exact_log_delta([Gaussian(200.0), Sampled(0.01, 2.5, steps)], 2.0) <= math.log(1e-12)
    assert steps > 0


def test_a_delta_below_the_least_one_is_refused_with_the_range():
    plan = PrivacyPlan((GaussianMeasurement("m", 2.0),))
    assert compute_epsilon(plan, 2 * LEAST_DELTA) > compute_epsilon(plan, 1e-15)
    with pytest.raises(ConfigError, match="give a number above 1e-20"):
        compute_epsilon(plan, LEAST_DELTA / 2)
    several = dp_event.SampledWithReplacementDpEvent(100, 5, dp_event.GaussianDpEvent(1.0))
    with pytest.raises(ConfigError, match="give a delta from"):
        event_epsilon(several, 1e-20)


@pytest.mark.parametrize("delta", [1e-5, 2e-10, 1e-11, 1e-13])
def test_an_honest_receipt_is_verified_where_transforms_round_otherwise(delta):
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

    plan = PrivacyPlan((GaussianMeasurement("row count", 50.0),), SampledTraining(5000, 0.004, 1.1))
    epsilon = compute_epsilon(plan, delta)
    receipt = PrivacyReceipt(
        plan, delta, epsilon, 5.0, epsilon, 5000, 5000, "Poisson", "system", True, "native", {}, None, "dp"
    )
    moved = 0.0
    if distribution_holds(5001, delta):  # what rounding did on this machine, and the other way on another
        moved = max(
            abs(event_epsilon(plan.event(), delta + sign * 0.3 * rounding_delta(5001)) - epsilon)
            for sign in (-1, 1)
        )
    assert moved <= epsilon * (1e-4 + rounding_tolerance(plan, delta))
    for stated in (epsilon - moved, epsilon, epsilon + moved):
        other = dataclasses.replace(receipt, epsilon=stated, epsilon_completed_steps=stated)
        assert verify_receipt(other.to_dict()).passed
    wrong = dataclasses.replace(receipt, epsilon=epsilon * 0.99, epsilon_completed_steps=epsilon * 0.99)
    assert not verify_receipt(wrong.to_dict()).passed
