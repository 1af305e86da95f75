"""The audit refutes every planted bug, never the training loop as it is; -rP shows the table."""

import math
import sys

import numpy as np
import pytest
from scipy.stats import norm

from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining, compute_epsilon, gaussian_delta
from jupyter_dpsynth.privacy.audit import shift_bound
from tests.support.canary_audit import audit_canary, fit_shift, privacy_profile, rate_bounds

EPSILONS = np.linspace(0.2, 6, 30)
SEED = 5  # repeatable: a test that fails once in a thousand runs is no test of a change


def gaussian_claim(mu):
    return EPSILONS, np.array([gaussian_delta(mu, epsilon) for epsilon in EPSILONS])


def test_rate_bounds_cover_the_true_rate():
    generator = np.random.default_rng(SEED)
    for rate in (0.001, 0.1, 0.7, 1.0):
        lower, upper = rate_bounds(generator.binomial(500, rate, 4000), 500, 0.01)
        assert (lower > rate).mean() <= 0.015
        assert (upper < rate).mean() <= 0.015


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_the_bound_stays_below_a_true_claim_and_comes_near_it(mu):
    generator = np.random.default_rng(SEED)
    ratios = []
    for _ in range(40):
        audit = audit_canary(
            generator.normal(0, 1, (20_000, 1)),
            generator.normal(mu, 1, (20_000, 1)),
            ["x"],
            gaussian_claim(mu),
        )
        assert audit.holds
        ratios.append(audit.bound / audit.claim)
    assert np.mean(ratios) > (0.25 if mu < 1 else 0.75)


def test_a_claim_that_is_a_tenth_too_low_is_refuted():
    generator = np.random.default_rng(SEED)
    draws = generator.normal(0, 1, (40_000, 1)), generator.normal(1.11, 1, (40_000, 1))
    assert not audit_canary(*draws, ["x"], gaussian_claim(1.0)).holds
    mu, error = fit_shift(draws[0][:, 0], draws[1][:, 0])
    assert 1.0 < mu - 3.1 * error < 1.11 < mu + 3.1 * error


def test_no_normal_distribution_is_assumed():
    """Laplace noise of scale 1 is exactly epsilon = 1: the bound comes near, for any distribution."""
    generator = np.random.default_rng(SEED)
    draws = generator.laplace(0, 1, (40_000, 1)), generator.laplace(1, 1, (40_000, 1))
    true = EPSILONS, np.maximum(0, 1 - np.exp((EPSILONS - 1) / 2))
    assert audit_canary(*draws, ["x"], true).holds
    low = EPSILONS, np.maximum(0, 1 - np.exp((EPSILONS - 0.85) / 2))
    assert not audit_canary(*draws, ["x"], low).holds


def test_a_bound_on_a_mean_needs_two_runs_and_covers_it():
    assert shift_bound(np.array([3.0]), 0.95) == 0
    generator = np.random.default_rng(SEED)
    bounds = [shift_bound(generator.normal(1, 1, 12), 0.95) for _ in range(2000)]
    assert 0.03 < np.mean(np.array(bounds) > 1) < 0.07


def test_the_profile_of_a_plan_agrees_with_its_epsilon():
    for plan in (
        PrivacyPlan((), SampledTraining(4, 1.0, 2.0)),
        PrivacyPlan((), SampledTraining(20, 0.1, 1.0)),
    ):
        (delta,) = privacy_profile(plan, np.array([1.5]))
        assert compute_epsilon(plan, float(delta)) == pytest.approx(1.5, abs=0.02)


@pytest.fixture(scope="module")
def found():
    pytest.importorskip("tensorflow")
    from tests.support.planted_bugs import findings

    return {finding.name: finding for finding in findings(SEED)}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_real_training_loop_is_not_refuted(found):
    from tests.support.planted_bugs import CORRECT

    for name, _ in CORRECT:
        assert not found[name].caught, found[name].row()
    step = found[CORRECT[0][0]]
    assert step.audit.bound > 0.6 * step.audit.claim  # the audit sees nearly all that there is
    assert step.fitted_mu == pytest.approx(step.claimed_mu, abs=0.05)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
def test_every_planted_bug_is_caught(found):
    from tests.support.planted_bugs import BUGS

    sys.stdout.writelines(f"{finding.row()}\n" for finding in found.values())
    missed = [bug.name for bug in BUGS if not found[bug.name].caught]
    assert missed == []
    assert len(BUGS) == 8


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_bound_is_never_above_the_claim_in_twenty_runs():
    pytest.importorskip("tensorflow")
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from tests.support.planted_bugs import Setting, examine, nothing

    runs = [examine(str(seed), Setting(600), nothing, noise=NoiseSource(seed)) for seed in range(20)]
    assert not any(run.caught for run in runs)
    assert max(run.audit.bound for run in runs) > 0


@pytest.mark.tensorflow
def test_a_canary_reaches_the_clip_norm_and_meets_the_planned_noise():
    pytest.importorskip("tensorflow")
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from tests.support.canary_runs import canary_draws
    from tests.support.planted_bugs import Setting, table_of, training_of

    setting = Setting(3_000, noise=2.0)
    without, canary = canary_draws(training_of(setting, NoiseSource(SEED)), *table_of(setting), setting.draws)
    mu, error = fit_shift(without[:, 0], canary[:, 0])
    assert abs(mu - 0.5) < norm.isf(1e-4) * error + 0.01  # 0.01: the canary's loss is below its bound
    assert without[:, 0].std() == pytest.approx(1, abs=5 / math.sqrt(2 * setting.draws))


@pytest.mark.tensorflow
def test_a_run_releases_as_often_as_is_accounted_for_and_not_once_more():
    pytest.importorskip("tensorflow")
    from jupyter_dpsynth.reports import StopReason
    from tests.support.planted_bugs import Setting, table_of, trainer_of, training_of

    training = training_of(Setting(1, steps=7, probability=0.5))
    trainer = trainer_of(training)
    made, real = [], trainer.release.release

    def release(*arguments):
        made.append(arguments)
        return real(*arguments)

    trainer.release.release = release
    releases = training.parts.releases
    outcome = trainer.train(table_of(Setting(1))[0], releases, lambda *_: None, lambda: False)
    assert len(made) == training.plan.privacy.training.steps == len(outcome.losses) == 7
    assert releases.left == 0
    assert outcome.stop_reason is StopReason.FINISHED


def test_a_choice_costs_what_is_planned_and_planted_mistakes_are_caught():
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from tests.support.planted_choices import PLAN, WithoutNoise, audit_choice, scores_of, twice_the_scores

    as_it_is, mu = audit_choice(NoiseSource(SEED), scores_of)
    assert as_it_is.holds
    assert mu == pytest.approx(PLAN.base_mu, abs=0.2)  # this canary makes the most of what is promised
    assert not audit_choice(NoiseSource(SEED), twice_the_scores)[0].holds
    assert not audit_choice(WithoutNoise(SEED), scores_of)[0].holds
