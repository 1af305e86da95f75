"""The plan of a run pays for everything, keeps within epsilon, and is fixed before a value is read."""

import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.model.plan import MARGINALS, VALUE_HISTOGRAMS
from jupyter_dpsynth.engine.planning.plan import (
    DEFAULT_STEPS,
    WIDE_STEPS,
    check_feasible,
    measurement_shares,
    plan_run,
    usual_steps,
)
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.noise import NoiseSource
from tests.support.tables import mixed_table


def meta(**declared):
    return MetaExtractor.extract(mixed_table(50), **declared)


#: Rows and batch sizes. A large epsilon takes the accountant seconds: one example has it.
SIZES = [
    *((rows, "auto") for rows in (300, 5_000, 200_000, 5_000_000)),
    *((300, 64), (5_000, 64), (200_000, 1_024)),
]


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([0.05, 0.3, 1.0, 4.0]),
    st.sampled_from(SIZES),
    st.sampled_from([None, 1e-7]),
    st.sampled_from(["auto", 1, 100]),
    st.booleans(),
)
@example(20.0, (5_000_000, 1_024), None, 100, False)
def test_every_plan_keeps_within_epsilon(epsilon, size, delta, steps, public):
    rows, batch = size
    config = HighDimConfig(epsilon=epsilon, delta=delta, steps=steps, batch_size=batch, n_public=public)
    plan = plan_run(config.resolve(), meta(), rows)
    assert 0 < plan.epsilon <= epsilon
    assert plan.epsilon == compute_epsilon(plan.privacy, plan.delta)
    itemised = PLDAccountant(value_discretization_interval=min(2e-4 * epsilon, 1e-3))
    itemised.compose(plan.privacy.event())
    assert itemised.get_epsilon(plan.delta - plan.privacy.reserved_delta) < epsilon * 1.01


def test_the_plan_names_every_measurement_that_is_made():
    plan = plan_run(HighDimConfig().resolve(), meta(), 5000)
    assert [m.name for m in plan.privacy.measurements] == [
        "row count",
        "decimals and time resolutions",
        "value histograms",
        "second look at unlisted names",
        "one-way marginals",
        "pair dependence",
    ]
    # a release draws the noise that the accountant was told of
    for measurement, release in zip(plan.privacy.measurements, plan.releases, strict=True):
        assert release.measurement is measurement
        assert release.sensitivity == (10**0.5 if measurement.name == "pair dependence" else 1)
        assert release.noise(Fraction(1, 5)) == pytest.approx(
            5**0.5 * release.sensitivity * measurement.sigma
        )


def test_orderings_of_columns_are_paid_for():
    comparable = MetaExtractor.extract(pd.DataFrame({name: [1.0, 2.0] for name in "abcdef"}))
    for columns, ordered in ((comparable, 8), (MetaExtractor.extract(mixed_table(9)[["age", "income"]]), 0)):
        plan = plan_run(HighDimConfig().resolve(), columns, 5000)
        told = {m.name: m.sigma for m in plan.privacy.measurements}
        if ordered:  # 15 pairs could be compared, 8 of them are
            noise = plan.noise_of("orderings of columns", Fraction(1, ordered))
            assert noise / ordered**0.5 == pytest.approx(told["orderings of columns"])
        else:
            assert "orderings of columns" not in told


def test_a_private_row_count_leaves_a_part_of_delta_unused():
    def unused(rows, **parameters):
        plan = plan_run(HighDimConfig(**parameters).resolve(), meta(), rows)
        return plan.privacy.count_delta / plan.delta

    assert unused(5000, n_public=True) == 0
    assert unused(5000, delta=1e-6) == pytest.approx(0.01)
    assert unused(300) > unused(5000) > unused(1e6) > 0.01
    assert unused(20, epsilon=0.1) <= 0.2


def test_what_is_infeasible_is_told_with_the_noise_that_would_do():
    # every row in every step: the accountant has a closed form
    parameters = {"epsilon": 1.0, "n_public": True, "delta": 1e-5, "batch_size": 2000, "steps": 5}
    with pytest.raises(ConfigError, match="a larger epsilon, a smaller batch_size, or None") as raised:
        check_feasible(HighDimConfig(noise_multiplier=2.0, **parameters).resolve(), meta(), 2000)
    enough = float(re.search(r"Use noise_multiplier >= ([\d.]+)", str(raised.value))[1])
    plan = plan_run(HighDimConfig(noise_multiplier=enough * 1.005, **parameters).resolve(), meta(), 2000)
    assert plan.steps == 5
    less = plan_run(HighDimConfig(noise_multiplier=enough * 0.98, **parameters).resolve(), meta(), 2000)
    assert less.steps < 5


def test_a_steps_noise_pays_for_the_gradient_and_the_loss_together():
    for groups, sensitivity in ((None, 1.0), (8, 2.0)):
        config = HighDimConfig(num_microbatches=groups, batch_size=64)
        plan = plan_run(config.resolve(), meta(), 5000)
        told = plan.privacy.training.noise_multiplier
        releases = plan.training_releases(0.7, 9.0, NoiseSource())
        assert releases.gradient_noise == pytest.approx(plan.noise_multiplier * 0.7)
        both = (sensitivity * 0.7 / releases.gradient_noise) ** 2 + (9.0 / releases.loss_noise) ** 2
        assert both == pytest.approx(1 / told**2)


def test_declared_domains_leave_more_for_training():
    declared = meta(
        bounds={"age": (18, 90), "income": (0, 10_000), "day": ("2021-01-01", "2022-01-01")},
        categories={"group": ["north", "south", "west"]},
        decimals={"income": 2},
    )
    config = HighDimConfig().resolve()
    open_plan, declared_plan = plan_run(config, meta(), 5000), plan_run(config, declared, 5000)
    assert declared_plan.noise_multiplier < open_plan.noise_multiplier


def test_delta_is_reserved_only_where_single_values_may_be_published():
    df = pd.DataFrame({"age": [18, 40], "sick": [True, False], "income": [10.5, 7.25]})
    bounds = {"age": (18, 90), "income": (0, 10_000)}
    for columns, reserved in ((["age", "sick"], False), (["income", "sick"], True)):
        declared = MetaExtractor.extract(df[columns], bounds={name: bounds[name] for name in columns[:1]})
        plan = plan_run(HighDimConfig().resolve(), declared, 5000)
        assert (plan.privacy.selection_delta > 0) == reserved


def test_rows_are_clipped_most_where_noise_decides_and_hardly_where_it_does_not():
    many, few = np.full(15, 14), np.full(16, 2)
    weak, strong = (
        plan_run(HighDimConfig(epsilon=epsilon).resolve(), meta(), 40_000, "quick") for epsilon in (1.0, 10.0)
    )
    assert weak.clip_factor_of(many) == 0.6
    assert strong.clip_factor_of(many) < 0.75
    assert 0.9 < weak.clip_factor_of(few) < 1.1
    assert strong.clip_factor_of(few) == 1.5
    exact = plan_run(HighDimConfig(differential_privacy=False).resolve(), meta(), 40_000)
    assert exact.clip_factor_of(many) == 1.5  # without noise there is nothing to gain


def test_epochs_are_expected_passes_over_the_table():
    plan = plan_run(HighDimConfig(epochs=3, batch_size=100).resolve(), meta(), 10_000)
    assert plan.steps == 300


@pytest.mark.long
def test_what_is_infeasible_for_every_row_count_is_refused_without_one():
    config = HighDimConfig(epsilon=0.1, noise_multiplier=0.2).resolve()
    with pytest.raises(ConfigError, match="a single step would cost more"):
        check_feasible(config, meta(), None)
    check_feasible(HighDimConfig(epsilon=1, noise_multiplier=5.0).resolve(), meta(), None)


def test_one_column_needs_no_pairs():
    one = MetaExtractor.extract(pd.DataFrame({"x": [1, 2]}))
    names = [m.name for m in plan_run(HighDimConfig().resolve(), one, 5000).privacy.measurements]
    assert names == [
        "row count",
        "decimals and time resolutions",
        "value histograms",
        "second look at unlisted names",
        "one-way marginals",
    ]


def test_more_columns_than_the_network_can_hold_are_refused_before_anything_is_counted():
    from jupyter_dpsynth.engine.planning.forecast import assumed_metadata, forecast
    from jupyter_dpsynth.engine.planning.plan import MAX_COLUMNS

    config, many = HighDimConfig().resolve(), assumed_metadata(MAX_COLUMNS + 1)
    for refused in (lambda: check_feasible(config, many, None), lambda: forecast(config, many, 1e6, "quick")):
        with pytest.raises(ConfigError, match=r"at most 1,024 are possible.*ignore"):
            refused()
    check_feasible(config, assumed_metadata(MAX_COLUMNS), None)


def test_columns_of_wide_tables_depend_on_few_others_and_on_more_with_more_signal():
    from jupyter_dpsynth.engine.planning.forecast import assumed_metadata

    config = HighDimConfig(epsilon=1.0).resolve()

    def parents(columns, rows):
        return plan_run(config, assumed_metadata(columns), rows, "quick").parents

    assert parents(24, 50_000.0) is None
    assert parents(25, 50_000.0) == parents(300, 50_000.0) == 8
    assert parents(60, 5_000.0) == 4
    assert 8 < parents(60, 200_000.0) < parents(60, 500_000.0) < 59
    assert parents(300, 20_000_000.0) == 16
    assert parents(30, 20_000_000.0) is None


@pytest.mark.parametrize("declared", [False, True])
def test_the_fewer_rows_the_more_goes_into_histograms_and_something_is_left(declared):
    df = pd.DataFrame({"a": np.arange(100.0), "b": list("ab") * 50})
    known = {"bounds": {"a": (0, 99)}, "categories": {"b": ["a", "b"]}} if declared else {}
    df_meta = MetaExtractor.extract(df, **known)
    found = []
    for snr in (10.0, 1.0, 0.1, 0.01):
        shares = {name: share for name, (share, _) in measurement_shares(df_meta, snr, 0).items()}
        found.append(shares[VALUE_HISTOGRAMS] + shares[MARGINALS])
        assert sum(shares.values()) < 0.75
        assert (shares[VALUE_HISTOGRAMS] > shares[MARGINALS]) == (not declared)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(0.575)


def test_a_wide_table_has_fewer_steps_and_larger_batches_unless_steps_are_asked_for():
    columns = pd.DataFrame(np.zeros((3, 300), bool)).rename(columns="x{}".format)
    wide = MetaExtractor.extract(columns)
    usual = plan_run(HighDimConfig().resolve(), wide, 50_000.0, "quick")
    asked = plan_run(HighDimConfig(steps=400).resolve(), wide, 50_000.0, "quick")
    assert (usual.steps, asked.steps) == (WIDE_STEPS, 400)
    assert usual.batch_size == pytest.approx(asked.batch_size * (400 / usual.steps) ** 0.5)


def test_where_no_step_towards_the_tape_follows_twice_as_many_steps_are_made():
    def steps(columns=15, **changes):
        return usual_steps(HighDimConfig(**changes).resolve(), columns)

    assert steps() == steps(privacy_unit="person", max_rows_per_unit=1) == DEFAULT_STEPS
    assert steps(privacy_unit="person") == steps(num_microbatches=64) == 2 * DEFAULT_STEPS
    assert steps(300) == steps(100) == WIDE_STEPS < steps(99)
