"""The accountant reproduces the reference epsilons and never promises too much."""

import math

import pytest

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    calibrate_noise_multiplier,
    compute_epsilon,
    dpsgd_event,
    epsilon_curve,
    gaussian_delta,
    gaussian_mu,
    max_steps,
)
from jupyter_dpsynth.privacy.loss import event_epsilon, growing_epsilons, trainings_epsilon

# sampling probability, noise multiplier, steps, delta, epsilon by RDP, epsilon by PLD
REFERENCE = [
    (250 / 60000, 1.3, 3600, 1e-5, 0.9422, 0.8530),
    (256 / 60000, 1.1, 14063, 1e-5, 2.5967, 2.3818),
    (0.01, 4, 10000, 1e-5, 1.0355, 0.9470),
    (0.01, 8, 10000, 1e-5, 0.4808, 0.4375),
    (256 / 30000, 1, 1172, 1 / 3e5, 2.0749, 1.7926),
    (256 / 30000, 1, 2344, 1 / 3e5, 2.7811, 2.5184),
    (256 / 30000, 2, 2344, 1 / 3e5, 0.9642, 0.8849),
    (1024 / 30000, 2, 1000, 1 / 3e5, 2.7788, 2.5628),
]
LAST_DIGIT = 1.01e-4


@pytest.mark.parametrize(("probability", "sigma", "steps", "delta", "rdp", "pld"), REFERENCE)
def test_dp_sgd_costs_what_the_reference_says(probability, sigma, steps, delta, rdp, pld):
    plan = PrivacyPlan((), SampledTraining(steps, probability, sigma))
    assert compute_epsilon(plan, delta, "rdp") == pytest.approx(rdp, abs=LAST_DIGIT)
    assert compute_epsilon(plan, delta) == pytest.approx(pld, abs=LAST_DIGIT)


def test_one_gaussian_costs_what_the_analytic_formula_says():
    plan = PrivacyPlan((GaussianMeasurement("one", 1.0),))
    assert compute_epsilon(plan, 1e-5) == pytest.approx(4.3772, abs=LAST_DIGIT)
    assert compute_epsilon(plan, 1e-5, "rdp") == pytest.approx(4.7285, abs=LAST_DIGIT)


def test_any_event_can_be_accounted():
    from dp_accounting import dp_event as events

    laplace = events.SelfComposedDpEvent(events.LaplaceDpEvent(10), 10)
    assert compute_epsilon(laplace, 1e-6) == pytest.approx(0.9990, abs=LAST_DIGIT)
    mixed = events.ComposedDpEvent(
        [
            dpsgd_event(2344, 256 / 30000, 1.0),
            events.SelfComposedDpEvent(events.GaussianDpEvent(20), 15),
            events.SelfComposedDpEvent(events.LaplaceDpEvent(50), 8),
        ]
    )
    # the reference was computed on a grid ten times coarser than ours, which errs upwards
    assert event_epsilon(mixed, 1 / 3e5, "pld", 1e-3) == pytest.approx(2.6709, abs=LAST_DIGIT)
    assert compute_epsilon(mixed, 1 / 3e5) == pytest.approx(2.6694, abs=LAST_DIGIT)
    assert compute_epsilon(mixed, 1 / 3e5, "rdp") == pytest.approx(2.9334, abs=LAST_DIGIT)


@pytest.mark.parametrize(("epsilon", "sigma"), [(1, 1.8219), (2, 1.1336), (4, 0.8154), (8, 0.6409)])
def test_calibration_finds_the_reference_noise_and_never_less(epsilon, sigma):
    found = calibrate_noise_multiplier(epsilon, 1 / 3e5, 2344, 256 / 30000)
    assert sigma - 1e-4 <= found <= sigma * 1.002
    plan = PrivacyPlan((), SampledTraining(2344, 256 / 30000, found))
    assert compute_epsilon(plan, 1 / 3e5) <= epsilon


@pytest.mark.parametrize(
    ("accountant", "sigmas"),
    [("pld", (1.8219, 1.1336, 0.8154, 0.6409)), ("rdp", (1.9432, 1.1936, 0.8542, 0.6675))],
)
def test_the_reference_noise_is_right_in_its_last_digit(accountant, sigmas):
    def cost(sigma):  # on the reference's own grid
        return event_epsilon(dpsgd_event(2344, 256 / 30000, sigma), 1 / 3e5, accountant, 1e-3)

    for epsilon, sigma in zip((1, 2, 4, 8), sigmas, strict=True):
        assert cost(sigma + 1.5e-4) <= epsilon <= cost(sigma - 1.5e-4)


@pytest.mark.parametrize(
    ("probability", "sigma", "steps", "published"),
    [(250 / 60000, 1.3, 3600, 1.1799), (0.01, 4, 10000, 1.2586)],
)
def test_published_figures_differ_by_an_older_conversion_only(probability, sigma, steps, published):
    """Mironov 2017, proposition 3, where the accountant of today uses a tighter one."""
    from dp_accounting.rdp import RdpAccountant

    orders = [1 + x / 10 for x in range(1, 100)] + list(range(11, 64))
    accountant = RdpAccountant(orders).compose(dpsgd_event(steps, probability, sigma))
    old = min(rdp + math.log(1e5) / (order - 1) for order, rdp in zip(orders, accountant._rdp, strict=True))
    assert old == pytest.approx(published, abs=LAST_DIGIT)


def test_measurements_compose_as_one_gaussian():
    measurements = tuple(GaussianMeasurement(str(i), 3.0 + i) for i in range(6))
    plan = PrivacyPlan(measurements, SampledTraining(100, 0.02, 1.5))
    together = compute_epsilon(plan, 1e-6)
    itemised = compute_epsilon(plan.event(), 1e-6)
    assert together == pytest.approx(itemised, abs=2e-3)
    assert plan.base_mu == pytest.approx(math.sqrt(sum(1 / (3.0 + i) ** 2 for i in range(6))))


def test_training_without_sampling_is_a_gaussian():
    plan = PrivacyPlan((), SampledTraining(25, 1.0, 10.0))
    one = PrivacyPlan((GaussianMeasurement("equal", 2.0),))
    assert compute_epsilon(plan, 1e-5) == pytest.approx(compute_epsilon(one, 1e-5), abs=1e-6)


def test_what_selection_needs_is_taken_off_delta():
    plain = PrivacyPlan((GaussianMeasurement("m", 2.0),))
    selecting = PrivacyPlan(plain.measurements, None, selection_delta=5e-6)
    assert compute_epsilon(selecting, 1e-5) == compute_epsilon(plain, 5e-6)
    with pytest.raises(ConfigError, match="delta"):
        compute_epsilon(PrivacyPlan(plain.measurements, None, 1e-5), 1e-5)


@pytest.mark.long
def test_the_last_allowed_step_is_exact():
    steps = max_steps(1.0, 2.5e-6, 0.02, 2.0, 0.1, limit=5000)
    base = (GaussianMeasurement("base", 10.0),)

    def cost(count):
        return compute_epsilon(PrivacyPlan(base, SampledTraining(count, 0.02, 2.0)), 2.5e-6)

    assert cost(steps) <= 1.0 < cost(steps + 1)
    assert max_steps(1.0, 2.5e-6, 0.02, 2.0, 0.1, limit=10) == 10
    assert max_steps(0.01, 2.5e-6, 0.5, 0.5, limit=10) == 0


def test_the_curve_never_falls_is_never_too_low_and_ends_at_the_reported_figure():
    plan = PrivacyPlan((GaussianMeasurement("m", 8.0),), SampledTraining(200, 0.03, 2.0), 1e-7)
    curve = epsilon_curve(plan, 2e-6)
    values = [curve.at(step) for step in range(201)]
    assert values == sorted(values)
    assert values[-1] == compute_epsilon(plan, 2e-6)
    for step in (0, 1, 37, 100, 199):
        assert curve.at(step) >= compute_epsilon(plan.with_steps(step), 2e-6) - 1e-9


@pytest.mark.parametrize(("steps", "probability", "sigma", "mu"), [(100, 0.1, 4.0, 0.2), (37, 0.3, 0.8, 0.0)])
def test_a_growing_composition_agrees_with_every_one_by_itself(steps, probability, sigma, mu):
    asked = [1, 5, 10, 11, steps]
    grown = growing_epsilons(asked, probability, sigma, mu, 1e-6, 1e-3)
    alone = [trainings_epsilon(((each, probability, sigma),), mu, 1e-6, 1e-3) for each in asked]
    assert grown == pytest.approx(alone, rel=1e-6)


def test_a_calibration_that_the_measurements_have_used_up_is_refused():
    with pytest.raises(ConfigError, match="used up by the measurements"):
        calibrate_noise_multiplier(0.5, 1e-6, 100, 0.01, base_mu=1.0)


def test_gaussian_dp_and_its_inverse_agree():
    for epsilon in (0.01, 0.5, 1, 10, 90):
        mu = gaussian_mu(epsilon, 1e-6)
        assert gaussian_delta(mu, epsilon) == pytest.approx(1e-6, rel=1e-4)


def test_noise_so_small_that_the_distribution_explodes_still_gives_a_bound():
    plan = PrivacyPlan((), SampledTraining(50, 0.01, 0.1))
    assert compute_epsilon(plan, 1e-6) > 100


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SampledTraining(10, 0.0, 1.0),
        lambda: SampledTraining(10, 1.1, 1.0),
        lambda: SampledTraining(-1, 0.1, 1.0),
        lambda: SampledTraining(10, 0.1, float("nan")),
        lambda: GaussianMeasurement("m", 0.0),
        lambda: compute_epsilon(PrivacyPlan(()), 1.0),
        lambda: gaussian_mu(float("nan"), 1e-6),
    ],
)
def test_figures_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="is not allowed"):
        wrong()


def test_a_plan_survives_a_round_trip():
    plan = PrivacyPlan((GaussianMeasurement("m", 8.0, "x"),), SampledTraining(200, 0.03, 2.0), 1e-7)
    assert PrivacyPlan.from_dict(plan.to_dict()) == plan
