"""The forecast and its quick bound: never below the accountant, and equal to what a run then plans."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.forecast import FAR, _refining_seconds, assumed_metadata, forecast
from jupyter_dpsynth.engine.planning.forecast_words import forecast_text
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    compute_epsilon,
)
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.renyi import quick_epsilon
from tests.support.tables import mixed_table

REFERENCE = [  # q, sigma, steps, delta: the reference table of the accountants
    (250 / 60000, 1.3, 3600, 1e-5),
    (0.01, 8, 10000, 1e-5),
    (256 / 30000, 1, 1172, 1 / 3e5),
    (1024 / 30000, 2, 1000, 1 / 3e5),
    (0.17, 2.17, 400, 1e-6),
    (1.0, 20.0, 400, 1e-6),
]


@pytest.mark.parametrize(("probability", "sigma", "steps", "delta"), REFERENCE)
@pytest.mark.parametrize("base_mu", [0.0, 0.3])
def test_the_quick_bound_is_above_the_accountant_and_near_the_renyi_accountant(
    probability, sigma, steps, delta, base_mu
):
    measured = (GaussianMeasurement("all", 1 / base_mu),) if base_mu else ()
    plan = PrivacyPlan(measured, SampledTraining(steps, probability, sigma))
    quick = compute_epsilon(plan, delta, "quick")
    assert compute_epsilon(plan, delta) <= quick
    slow = compute_epsilon(plan, delta, "rdp")
    assert slow * (1 - 1e-9) <= quick <= slow * 1.02


@given(
    steps=st.integers(1, 2000),
    probability=st.floats(1e-4, 1.0),
    sigma=st.floats(0.4, 50.0),
    delta=st.floats(1e-9, 1e-3),
)
@settings(max_examples=60, deadline=None)
def test_the_quick_bound_grows_with_steps_and_falls_with_noise_and_delta(steps, probability, sigma, delta):
    here = quick_epsilon(steps, probability, sigma, 0.1, delta)
    assert here <= quick_epsilon(steps + 1, probability, sigma, 0.1, delta)
    assert here >= quick_epsilon(steps, probability, sigma * 1.1, 0.1, delta)
    assert here >= quick_epsilon(steps, probability, sigma, 0.1, delta * 2)
    assert here <= quick_epsilon(steps, probability, sigma, 0.2, delta)


def test_a_forecast_plans_what_a_run_of_that_size_plans():
    meta, config = MetaExtractor.extract(mixed_table(50)), HighDimConfig(epsilon=0.7).resolve()
    assert forecast(config, meta, 5000.0).plan == plan_run(config, meta, 5000.0)


def test_the_curve_starts_with_the_measurements_never_falls_and_ends_with_the_plan():
    config = HighDimConfig(epsilon=1).resolve()
    for accountant in ("quick", "pld"):
        found = forecast(config, assumed_metadata(), 20_000.0, accountant)
        assert found.curve is not None
        assert list(found.curve.epsilons) == sorted(found.curve.epsilons)
        assert 0 < found.curve.epsilons[0] < found.curve.epsilons[-1] == found.plan.epsilon <= 1
        assert found.curve.steps[-1] == found.plan.steps == found.lasts


def test_with_too_little_noise_the_budget_ends_before_the_steps_and_the_curve_shows_where():
    config = HighDimConfig(noise_multiplier=2.0, steps=500).resolve()
    found = forecast(config, assumed_metadata(), 20_000.0, "quick")
    assert found.ends_early
    assert found.wanted_steps == 500
    assert found.plan.steps < 500
    assert found.curve is not None
    assert found.plan.epsilon <= 1 < found.curve.epsilons[-1]


def test_with_more_noise_than_needed_it_says_how_long_the_budget_would_last():
    config = HighDimConfig(noise_multiplier=9.0, batch_size=1000).resolve()
    found = forecast(config, assumed_metadata(), 20_000.0, "quick")
    assert not found.ends_early
    assert found.plan.steps < found.lasts < FAR * found.plan.steps
    training = found.plan.privacy.training
    at_end = found.plan.privacy.with_steps(found.lasts)
    assert compute_epsilon(at_end, found.plan.delta, "quick") <= 1
    assert training is not None


def test_noise_that_cannot_keep_within_epsilon_is_refused_with_the_noise_that_could():
    config = HighDimConfig(noise_multiplier=0.01).resolve()
    with pytest.raises(ConfigError, match=r"noise_multiplier = 0\.01 .* Use noise_multiplier >= \d"):
        forecast(config, assumed_metadata(), 20_000.0, "quick")


def test_more_rows_and_a_larger_epsilon_mean_a_smaller_error():
    schema = assumed_metadata()

    def error(epsilon, rows):
        return forecast(HighDimConfig(epsilon=epsilon).resolve(), schema, rows, "quick").column_error

    assert error(1, 1e4) > error(1, 1e5) > error(4, 1e5)


def test_too_few_rows_and_too_large_a_delta_are_warned_about():
    few = forecast(HighDimConfig(epsilon=0.3).resolve(), assumed_metadata(), 400.0, "quick")
    assert any("too few" in warning for warning in few.warnings)
    loose = forecast(HighDimConfig(delta=0.01).resolve(), assumed_metadata(), 20_000.0, "quick")
    assert any("not below 1" in warning for warning in loose.warnings)
    assert not forecast(HighDimConfig().resolve(), assumed_metadata(), 20_000.0, "quick").warnings


def test_without_privacy_the_forecast_says_that_there_is_no_guarantee():
    config = HighDimConfig(differential_privacy=False).resolve()
    found = forecast(config, assumed_metadata(), 20_000.0)
    assert found.curve is None
    assert found.target == float("inf")
    assert "NO privacy guarantee" in found.warnings[0]


@pytest.mark.tensorflow
@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_the_predicted_error_of_a_column_is_about_what_a_run_measures(epsilon):
    import numpy as np

    from jupyter_dpsynth import HighDimSynthesizer
    from jupyter_dpsynth.datasets import load_census_sample

    df = load_census_sample()
    config = HighDimConfig(epsilon=epsilon, steps=5)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    synthesizer.learn(df, lambda _: None, noise=NoiseSource(test_only_seed=1))
    codes = synthesizer.codec.encode(df)
    errors = [
        abs(np.bincount(codes[:, j], minlength=size) / len(df) - synthesizer.reference.shares[j]).sum() / 2
        for j, size in enumerate(synthesizer.codec.sizes)
    ]
    predicted = forecast(config.resolve(), synthesizer.df_meta, float(len(df)), "quick").column_error
    assert predicted / 1.7 < np.mean(errors) < predicted * 1.7


@pytest.mark.tensorflow
def test_a_timed_forecast_measures_steps_and_a_slow_backend_has_no_figure_without():
    import jupyter_dpsynth.engine.training.trainer  # noqa: F401 - without it nothing can be timed

    schema = assumed_metadata(4)
    config = HighDimConfig(batch_size=64).resolve()
    assert 0 < forecast(config, schema, 2_000.0, "quick", timed=True).seconds < 600
    slow = HighDimConfig(dp_backend="tensorflow_privacy").resolve()
    assert forecast(slow, schema, 2_000.0, "quick").seconds is None


def test_without_tensorflow_nothing_is_timed_and_nothing_heavy_is_imported():
    import subprocess
    import sys

    code = (
        "import sys; from jupyter_dpsynth.config import HighDimConfig;"
        "from jupyter_dpsynth.engine.planning.forecast import assumed_metadata, forecast;"
        "f = forecast(HighDimConfig().resolve(), assumed_metadata(), 1e4, 'quick', timed=True);"
        "print(f.seconds > 0, f.starting_seconds > 0, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def test_the_most_cells_are_told_where_names_may_have_many_values():
    df = mixed_table(50)
    config = HighDimConfig().resolve()
    plan = forecast(config, MetaExtractor.extract(df), 1e5, "quick")
    assert plan.width < plan.most_width <= plan.width + plan.plan.cells
    declared = MetaExtractor.extract(df, categories={"group": ["north", "south", "west"]})
    plan = forecast(config, declared, 1e5, "quick")
    assert plan.most_width == plan.width


def test_a_table_in_parts_needs_temporary_files_and_memory_that_stops_growing_but_for_them():
    config, meta = HighDimConfig().resolve(), MetaExtractor.extract(mixed_table(50))
    small, large = (forecast(config, meta, rows, "quick", partitioned=True) for rows in (1e7, 1e8))
    assert large.disk_megabytes == pytest.approx(10 * small.disk_megabytes)
    grown = large.megabytes - small.megabytes
    assert grown == pytest.approx(large.disk_megabytes - small.disk_megabytes, rel=0.5)
    assert forecast(config, meta, 1e8, "quick").disk_megabytes == 0


def test_the_private_copy_of_csv_is_counted_among_the_temporary_files():
    config, meta = HighDimConfig().resolve(), MetaExtractor.extract(mixed_table(50))
    plain, copied = (
        forecast(config, meta, 1e7, "quick", partitioned=True, copied=each) for each in (False, True)
    )
    assert copied.disk_megabytes == pytest.approx(plain.disk_megabytes + 8e7 * len(meta.learned) / 1e6)
    assert copied.megabytes == plain.megabytes  # it is read, not mapped


def test_who_owns_which_row_is_planned_for_in_files_and_in_memory():
    import numpy as np

    meta = MetaExtractor.extract(mixed_table(50).assign(person=np.arange(50)))
    rows, person = HighDimConfig().resolve(), HighDimConfig(privacy_unit="person").resolve()
    for partitioned in (True, False):
        plain, bounded = (
            forecast(each, meta, 1e8, "quick", partitioned=partitioned) for each in (rows, person)
        )
        assert bounded.megabytes > plain.megabytes
        # a table of few columns needs most room while the rows are chosen
        assert bounded.disk_megabytes == (56e8 / 1e6 if partitioned else 0)
        assert bounded.seconds is not None


def test_persons_are_planned_with_fewer_rows_than_they_may_have_and_it_says_so():
    import numpy as np

    meta = MetaExtractor.extract(mixed_table(50).assign(person=np.arange(50)))
    config = HighDimConfig(epsilon=0.3, privacy_unit="person", max_rows_per_unit=8).resolve()
    planned = forecast(config, meta, 20_000, "quick")
    assert planned.plan.cap < planned.plan.counted < 8  # as many as all may have would be 8
    assert "1 to 8, each number as often" in forecast_text(planned, "")
    alone = forecast(HighDimConfig().resolve(), meta, 20_000, "quick")
    assert "each number as often" not in forecast_text(alone, "")


def test_the_step_after_training_takes_time():
    meta = MetaExtractor.extract(mixed_table(50))
    plan = forecast(HighDimConfig().resolve(), meta, 20_000, "quick").plan
    assert 0 < _refining_seconds(plan, 100) < _refining_seconds(plan, 200)
    assert _refining_seconds(plan, 10_000) == 0.0  # of so large a network none is made
