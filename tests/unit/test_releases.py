"""Nothing leaves the private side that the plan does not have, and all that leaves has the planned noise."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import jupyter_dpsynth
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.learning import run as run_module
from jupyter_dpsynth.engine.learning import training as training_module
from jupyter_dpsynth.engine.measuring import measure as measure_module
from jupyter_dpsynth.engine.model.plan import MARGINALS, PAIRS, ROW_COUNT, STRENGTHS, VALUE_HISTOGRAMS
from jupyter_dpsynth.engine.planning.counting import planned_count
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import UnplannedReleaseError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, SampledTraining
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import (
    GRADIENT_NOISE,
    LOSS_NOISE,
    PlannedRelease,
    Releases,
    StepSensitivity,
    TrainingReleases,
    choice_noise,
)
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import mixed_table

SIZES = np.full(5, 1e-3)  # of one whole number
COUNTS = np.array([5, 0, 7])
COUNT = PlannedRelease(GaussianMeasurement("count", 3.0))
PLAN = (COUNT, PlannedRelease(GaussianMeasurement("sums", 2.0), math.sqrt(3), unit_rows=4))
SENSITIVITY = StepSensitivity(0.5, 9.0)


class NoNoise(NoiseSource):
    """Nothing may be drawn from it."""

    def whole(self, scales):
        raise AssertionError("noise was drawn")

    gumbel = whole


def admitted(noise=None):
    releases = Releases(noise or NoNoise())
    releases.admit(PLAN)
    return releases


def training(steps=2, noise=None, **options):
    return TrainingReleases(
        SampledTraining(steps, 0.5, 1.5), SENSITIVITY, noise or NoiseSource(test_only_seed=1), **options
    )


def test_what_is_not_in_the_plan_cannot_be_released():
    with pytest.raises(UnplannedReleaseError, match=r"'medians' was asked for .* 'count', 'sums'"):
        admitted().allowance("medians")


def test_only_the_row_count_can_be_released_before_the_plan_is_admitted():
    releases = Releases(NoiseSource(test_only_seed=1), [COUNT])
    releases.allowance("count").counts(COUNTS)
    with pytest.raises(UnplannedReleaseError, match="'sums' was asked for and is not planned"):
        releases.allowance("sums", sensitivity=math.sqrt(3))


def test_one_release_too_many_of_a_measurement_is_refused_before_noise_is_drawn():
    releases = Releases(NoiseSource(test_only_seed=1))
    releases.admit(PLAN)
    allowance = releases.allowance("count")
    allowance.counts(COUNTS)
    releases._noise = NoNoise()
    with pytest.raises(UnplannedReleaseError, match="of which only 0 is left"):
        allowance.counts(COUNTS)


@pytest.mark.parametrize("share", [Fraction(1, 3), Fraction(1, 7), Fraction(2, 49)])
def test_shares_of_a_measurement_never_add_up_to_more_than_the_whole(share):
    releases = Releases(NoiseSource(test_only_seed=1))
    releases.admit(PLAN)
    part = releases.allowance("count", share)
    for _ in range(math.floor(1 / share)):
        part.counts(COUNTS)
    with pytest.raises(UnplannedReleaseError, match="is left"):
        part.counts(COUNTS)


@pytest.mark.parametrize("share", [Fraction(0), Fraction(-1, 2), Fraction(3, 2)])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UnplannedReleaseError):
        admitted().allowance("count", share).counts(COUNTS)


def test_another_sensitivity_than_the_planned_one_is_refused():
    for sensitivity in (1.0, 1.7, 2.0):
        with pytest.raises(UnplannedReleaseError, match=r"sensitivity .* it is planned with 1\.73"):
            admitted().allowance("sums", sensitivity=sensitivity)


def test_a_plan_in_which_a_released_measurement_has_other_noise_is_refused():
    for plan in ((), (replace(COUNT, unit_rows=2),), (PlannedRelease(GaussianMeasurement("count", 4.0)),)):
        releases = Releases(NoiseSource(test_only_seed=1), [COUNT])
        releases.allowance("count").counts(COUNTS)
        with pytest.raises(UnplannedReleaseError, match="'count' was released as"):
            releases.admit(plan)


def test_a_second_plan_and_a_measurement_that_is_planned_twice_are_refused():
    releases = admitted()
    with pytest.raises(UnplannedReleaseError, match="has one already"):
        releases.admit(PLAN)
    with pytest.raises(UnplannedReleaseError, match="planned twice"):
        Releases(NoNoise(), [COUNT, replace(COUNT, unit_rows=2)])


def test_every_share_has_the_noise_that_makes_all_of_them_cost_what_is_planned():
    releases = admitted()
    whole = releases.allowance("sums", sensitivity=math.sqrt(3))
    assert whole.noise == pytest.approx(4 * 2.0 * math.sqrt(3))
    assert whole.part(Fraction(1, 9)).noise == pytest.approx(3 * whole.noise)


def test_what_is_joined_uses_up_both_measurements():
    releases = Releases(NoiseSource(test_only_seed=1))
    second = PlannedRelease(GaussianMeasurement("again", 5.0))
    releases.admit((COUNT, second))
    both = releases.allowance("count").joined(releases.allowance("again", Fraction(1, 2)))
    assert both.noise == pytest.approx((3.0**-2 + (math.sqrt(2) * 5.0) ** -2) ** -0.5)  # precisions add up
    both.counts(COUNTS)
    with pytest.raises(UnplannedReleaseError, match="'count'"):
        releases.allowance("count", Fraction(1, 9)).counts(COUNTS)
    releases.allowance("again", Fraction(1, 2)).counts(COUNTS)
    with pytest.raises(UnplannedReleaseError, match="'again'"):
        releases.allowance("again", Fraction(1, 9)).counts(COUNTS)


def test_measurements_of_different_sensitivity_cannot_be_joined():
    releases = admitted()
    with pytest.raises(UnplannedReleaseError, match="sensitivit"):
        releases.allowance("count").joined(releases.allowance("sums", sensitivity=math.sqrt(3))).counts(
            COUNTS
        )


def test_counts_in_parts_of_a_row_have_the_noise_in_rows():
    releases = Releases(NoiseSource(test_only_seed=1))
    releases.admit(PLAN)
    many = np.full(50_000, 256 * 10)
    found = releases.allowance("count").counts(many, 256)
    assert found.mean() == pytest.approx(10, abs=0.1)
    assert found.std() == pytest.approx(3.0, rel=0.02)
    assert (found * 256 == np.round(found * 256)).all()


def test_without_differential_privacy_everything_leaves_as_it_is_and_no_noise_is_drawn():
    releases = Releases(NoNoise(), exact=True)
    allowance = releases.allowance("anything", Fraction(1, 3), sensitivity=7.0)
    assert allowance.noise == 0
    for _ in range(5):
        assert allowance.counts(COUNTS).tolist() == COUNTS.tolist()


def test_a_training_step_too_many_is_refused():
    releases = training(steps=2)
    for left in (2, 1):
        assert releases.left == left
        releases.sample(9).noise(SIZES, SENSITIVITY)
    with pytest.raises(UnplannedReleaseError, match="step 3; 2 are planned"):
        releases.sample(9)


def test_a_step_that_was_sampled_before_the_last_one_was_released_does_not_add_one():
    releases = training(steps=1)
    first, second = releases.sample(9), releases.sample(9)
    first.noise(SIZES, SENSITIVITY)
    with pytest.raises(UnplannedReleaseError, match="1 are planned"):
        second.noise(SIZES, SENSITIVITY)


def test_a_resumed_training_makes_only_the_steps_that_are_left():
    assert training(steps=5, made=3).left == 2
    with pytest.raises(UnplannedReleaseError, match="step 6; 5 are planned"):
        training(steps=5, made=5).sample(9)


def test_a_second_release_of_one_sample_is_refused():
    sample = training(steps=5).sample(9)
    sample.noise(SIZES, SENSITIVITY)
    with pytest.raises(UnplannedReleaseError, match="a second time"):
        sample.noise(SIZES, SENSITIVITY)


@pytest.mark.parametrize("other", [StepSensitivity(1.0, 9.0), StepSensitivity(0.5, 18.0)])
def test_a_step_of_another_sensitivity_is_refused_before_noise_is_drawn(other):
    releases = training(noise=NoNoise())
    with pytest.raises(UnplannedReleaseError, match=r"planned with 0\.5 of the gradient and 9 of the loss"):
        releases.sample(9).noise(SIZES, other)
    assert releases.left == 2


def test_a_steps_noise_is_that_of_the_joint_vector_and_the_workers_shares_add_up_to_it():
    steps, size = 400, 50
    for share in (1.0, 0.25):
        releases = training(steps, share=share)
        sizes = np.append(np.geomspace(1e-3, 1e-5, size), 1e-2)
        whole = np.array([releases.sample(1).noise(sizes, SENSITIVITY) for _ in range(steps)])
        assert (whole == np.round(whole)).all()
        noise = whole * sizes
        expected = math.sqrt(share) * 1.5 * np.array([GRADIENT_NOISE * 0.5, LOSS_NOISE * 9.0])
        assert noise[:, :-1].std() == pytest.approx(expected[0], rel=0.03)
        assert noise[:, -1].std() == pytest.approx(expected[1], rel=0.15)
    # gradient and loss together cost one release of the accountant's noise multiplier
    squares = (0.5 / releases.gradient_noise) ** 2 + (9.0 / releases.loss_noise) ** 2
    assert squares == pytest.approx(1 / 1.5**2)


def test_a_choice_uses_up_its_share_and_none_is_made_twice():
    releases = Releases(NoiseSource(test_only_seed=1))
    releases.admit(PLAN)
    one = releases.allowance("count", Fraction(1, 2))
    assert {one.choose(np.array([0, 10**6, 5])) for _ in range(2)} == {1}
    with pytest.raises(UnplannedReleaseError, match="of which only 0 is left"):
        one.choose(COUNTS)


def test_a_choice_has_the_chances_of_the_exponential_mechanism():
    """With the noise that makes it as hard to tell apart as was planned, for a unit's rows together."""
    planned, found = PlannedRelease(GaussianMeasurement("choice", 0.8), unit_rows=3), []
    noise = NoiseSource(test_only_seed=2)
    scores = 256 * np.array([0, 2, 6])
    for _ in range(4000):
        releases = Releases(noise)
        releases.admit([planned])
        found.append(releases.allowance("choice").choose(scores, 256))
    mu = 1 / 0.8
    e = 2 * (norm.logcdf(mu / 2) - norm.logcdf(-mu / 2))
    expected = np.exp(e * np.array([0, 2, 6]) / (2 * 3))
    assert np.bincount(found) / 4000 == pytest.approx(expected / expected.sum(), abs=0.03)


@pytest.mark.parametrize("mu", [0.01, 0.3, 1.0, 4.0])
def test_no_choice_of_bounded_range_is_easier_to_tell_apart_than_planned(mu):
    """Of the two outcomes of every worst pair: distances of normals that are as hard to tell apart."""
    e = 2 / choice_noise(mu)
    ratios = np.linspace(0, e, 2001)[1:-1]
    rare = (1 - np.exp(ratios - e)) / (np.exp(ratios) - np.exp(ratios - e))
    needed = norm.ppf(np.exp(ratios) * rare) - norm.ppf(rare)
    assert needed.max() == pytest.approx(mu, rel=1e-6)


def test_without_differential_privacy_the_highest_is_chosen_and_no_noise_is_drawn():
    assert Releases(NoNoise(), exact=True).allowance("anything").choose(np.array([3, 9, 4])) == 1


def test_steps_that_are_handed_over_are_left_in_one_place_only():
    releases, louder = training(steps=5, share=0.25), StepSensitivity(0.7, 9.0)
    for _ in range(2):
        releases.sample(9).noise(SIZES, SENSITIVITY)
    waiting = releases.sample(9)
    after = releases.handed_over(louder)
    assert (releases.left, after.left) == (0, 3)
    assert after.gradient_noise == pytest.approx(releases.gradient_noise * 0.7 / 0.5)
    with pytest.raises(UnplannedReleaseError, match="5 are planned"):
        waiting.noise(SIZES, SENSITIVITY)
    with pytest.raises(UnplannedReleaseError, match=r"planned with 0\.7"):
        after.sample(9).noise(SIZES, SENSITIVITY)
    whole = after.sample(9).noise(np.full(4000, 1e-4), louder) * 1e-4
    assert whole[:-1].std() == pytest.approx(0.5 * after.gradient_noise, rel=0.1)


def learn(tmp_path, **parameters):
    df = mixed_table(700)
    config = HighDimConfig(**{"epsilon": 5.0, "steps": 3, **parameters})
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    synthesizer.learn(df, lambda _: None, ledger=PrivacyLedger(tmp_path / "ledger"))
    return synthesizer


@pytest.mark.parametrize("name", ["quantiles", VALUE_HISTOGRAMS, MARGINALS, PAIRS, ROW_COUNT])
def test_a_run_that_releases_something_once_more_is_refused(name, tmp_path, monkeypatch):
    """A double of the real code measures again what it has measured, or what nobody planned."""
    real = measure_module.measure_table

    def curious(source, df_meta, plan, releases, *others):
        found = real(source, df_meta, plan, releases, *others)
        sensitivity = math.sqrt(plan.pairs) if name == PAIRS else 1.0
        releases.allowance(name, Fraction(1, 50), sensitivity=sensitivity).counts(COUNTS)
        return found

    monkeypatch.setattr(run_module, "measure_table", curious)
    with pytest.raises(UnplannedReleaseError, match=name):
        learn(tmp_path)


@pytest.mark.long
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "parameters",
    [{}, {"num_microbatches": 8}, {"n_public": True, "l2_norm_clip": 0.3}, {"epsilon": 20.0, "steps": 60}],
)
def test_what_a_whole_run_draws_is_what_the_accountant_composed(parameters, tmp_path, monkeypatch):
    """The draws of a real run are recorded, and their Gaussian-DP parameter computed from them alone."""
    drawn, steps = [], []

    class Recording(Releases):
        def release_counts(self, allowance, exact, parts):
            # one row changes every distance by one, or one cell by one
            changed = len(exact) if {PAIRS, STRENGTHS} & set(dict(allowance.shares)) else 1
            drawn.append((allowance.shares, changed / allowance.noise**2))
            return super().release_counts(allowance, exact, parts)

        def release_choice(self, allowance, exact, parts):
            drawn.append((allowance.shares, 1 / allowance.noise**2))  # the chances are tested above
            return super().release_choice(allowance, exact, parts)

    def noise_of_a_step(self, sizes, sensitivity):
        made = step(self, sizes, sensitivity)
        squares = (sensitivity.gradient / self.gradient_noise) ** 2 + (
            sensitivity.loss / self.loss_noise
        ) ** 2
        steps.append(math.sqrt(1 / squares))
        return made

    step = TrainingReleases.noise_of_a_step
    monkeypatch.setattr(run_module, "Releases", Recording)
    monkeypatch.setattr(training_module, "Releases", Recording)
    monkeypatch.setattr(TrainingReleases, "noise_of_a_step", noise_of_a_step)
    synthesizer = learn(tmp_path, **parameters)
    plan = synthesizer.receipt.plan
    for measurement in plan.measurements:
        parts = [(dict(shares), mu) for shares, mu in drawn if measurement.name in dict(shares)]
        used_up = sum(each[measurement.name] for each, _ in parts)
        assert 0 < used_up <= 1, measurement
    total = sum(mu for _, mu in drawn)
    assert total <= plan.base_mu**2 * (1 + 1e-9)
    assert total == pytest.approx(plan.base_mu**2, rel=0.05)  # all that was paid for was used, but orderings
    assert len(steps) == plan.training.steps == parameters.get("steps", 3)
    assert steps == pytest.approx([plan.training.noise_multiplier] * len(steps))


def test_noise_is_drawn_in_privacy_and_nowhere_else():
    root = Path(jupyter_dpsynth.__file__).parent
    calls = re.compile(r"\.(normal|whole|gumbel)\(|standard_normal|random\.normal|poisson_sample\(")
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "privacy" and calls.search(path.read_text(encoding="utf-8"))
    }
    # tables that are made up; noise as it might have been, from which the width of intervals follows
    assert found == {"datasets.py", "inference/asking.py", "inference/weighting.py"}


def test_the_row_count_is_planned_as_it_will_be_released():
    df_meta = MetaExtractor.extract(mixed_table(50))
    for parameters in ({}, {"delta": 1e-6, "epsilon": 3.0}):
        config = HighDimConfig(**parameters).resolve()
        assert planned_count(config) in plan_run(config, df_meta, 5000, "quick").releases
    assert planned_count(HighDimConfig(n_public=True).resolve()) is None
