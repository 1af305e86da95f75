"""A private report: what it measures is bounded, paid for, recorded and near the truth."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import BudgetExhaustedError, ConfigError, DataError
from jupyter_dpsynth.evaluation.metrics import cell_counts, prediction_counter
from jupyter_dpsynth.evaluation.private import PrivateEvaluation, evaluate_privately
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import ROW_PARTS
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import mixed_table

ROWS = 3000


@pytest.fixture(scope="module")
def synthesizer():
    return untrained(mixed_table(ROWS))


@pytest.fixture
def ledger(tmp_path):
    return PrivacyLedger(tmp_path / "ledger.db")


def with_unit(synthesizer, most):
    config = HighDimConfig(epsilon=2.0, privacy_unit="group", max_rows_per_unit=most)
    return HighDimSynthesizer.restore(config, synthesizer.learned)


def exact(evaluation, codes, rows):
    """Everything that noise is added to, in parts of a row or in rows."""
    own, joint = evaluation.whole_distances, evaluation.joint_counts(codes)
    single = [cell_counts(codes, evaluation.sizes, columns) for columns in evaluation.columns]
    return (
        own(single, evaluation.synthetic, evaluation.columns, rows),
        own(joint, evaluation.synthetic, evaluation.pairs, rows),
        own(joint, evaluation.independent, evaluation.pairs, rows),
        evaluation._predict(codes),
    )


@pytest.mark.parametrize("removed", [0, 17, 2999])
def test_one_row_changes_every_measured_figure_by_no_more_than_the_plan_pays_for(synthesizer, removed):
    pytest.importorskip("sklearn")
    df = mixed_table(ROWS)
    evaluation = PrivateEvaluation(synthesizer, synthesizer.synthesize(2000, seed=1), 1.0, "group")
    neighbour = df.drop(index=removed).reset_index(drop=True)
    tables = [evaluation.cells.encode_apart(table) for table in (df, neighbour)]
    first, second = (exact(evaluation, codes, 2987.0) for codes in tables)
    for one, other in zip(first[:3], second[:3], strict=True):
        assert 0 < np.abs(one - other).max() <= ROW_PARTS
    assert abs(first[3] - second[3]) <= 1


class Noted(NoiseSource):
    """Noise that notes how often and how large it was drawn."""

    def __init__(self, seed):
        super().__init__(seed)
        self.drawn = []

    def whole(self, scales):
        self.drawn.append((len(scales), scales[0] / ROW_PARTS))
        return super().whole(scales)


def test_the_noise_of_a_group_is_that_of_its_whole_sensitivity(synthesizer):
    noise = Noted(3)
    evaluation = PrivateEvaluation(synthesizer, synthesizer.synthesize(500), 1.0, None, noise)
    evaluation.measure(FrameSource(mixed_table(ROWS)))
    sigmas = {each.name: each.sigma for each in evaluation.plan.measurements}
    columns, pairs = len(evaluation.columns), len(evaluation.pairs)
    assert noise.drawn[-3:] == [
        (columns, pytest.approx(sigmas["columns"] * math.sqrt(columns))),
        (pairs, pytest.approx(sigmas["pairs"] * math.sqrt(pairs))),
        (1, pytest.approx(sigmas["independent pairs"] * pairs)),
    ]


def test_the_noise_grows_with_the_rows_of_a_unit(synthesizer):
    df_synth = synthesizer.synthesize(500)
    one, many = (
        PrivateEvaluation(with_unit(synthesizer, most), df_synth, 1.0, None, NoiseSource(0))
        for most in (1, 7)
    )
    (single,), (sevenfold,) = (
        [each.noise() for each in evaluation.releases if each.measurement.name == "pairs"]
        for evaluation in (one, many)
    )
    assert sevenfold == pytest.approx(7 * single)
    assert "at most 7 rows" in many.plan.unit
    assert "row count" in [each.name for each in many.plan.measurements]


def test_the_row_count_of_another_table_is_measured_with_noise_though_that_of_the_learned_one_is_public(
    synthesizer,
):
    public = HighDimSynthesizer.restore(HighDimConfig(epsilon=2.0, n_public=True), synthesizer.learned)
    others = FrameSource(mixed_table(ROWS, seed=5))
    evaluation = PrivateEvaluation(public, public.synthesize(500), 0.5, None)
    assert "row count" in [each.name for each in evaluation.plan.measurements]
    counts = {evaluation.measure(others).rows for _ in range(6)}
    assert len(counts) > 1
    assert evaluation.measure(others).rows_error > 1


def test_a_table_so_large_that_delta_would_publish_whole_rows_is_warned_of(synthesizer, caplog):
    evaluation = PrivateEvaluation(synthesizer, synthesizer.synthesize(500), 1.0, None, NoiseSource(0))
    evaluation.measure(FrameSource(mixed_table(ROWS)))
    assert "delta" not in caplog.text
    evaluation.measure(FrameSource(mixed_table(int(1.2 / evaluation.delta))))
    assert "is not below 1 / number of rows" in caplog.text


def test_no_more_rows_of_a_unit_are_read_than_the_noise_is_for(synthesizer):
    df = mixed_table(ROWS)
    evaluation = PrivateEvaluation(with_unit(synthesizer, 400), synthesizer.synthesize(500), 1e4, None)
    report = evaluation.measure(FrameSource(df))  # three groups of at least 400 rows
    assert report.rows == pytest.approx(1200, abs=100)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("target", [None, "group"])
def test_the_whole_plan_costs_what_was_asked_for_and_no_more(synthesizer, epsilon, target):
    evaluation = PrivateEvaluation(synthesizer, synthesizer.synthesize(500), epsilon, target)
    cost = compute_epsilon(evaluation.plan, evaluation.delta)
    assert 0.99 * epsilon < cost <= epsilon
    assert evaluation.epsilon == cost


@pytest.mark.long
def test_figures_are_near_the_exact_ones_when_there_is_hardly_any_noise(synthesizer):
    pytest.importorskip("sklearn")
    df, df_synth = mixed_table(ROWS), synthesizer.synthesize(2000, seed=1)
    evaluation = PrivateEvaluation(synthesizer, df_synth, 1e5, "group")
    report = evaluation.measure(FrameSource(df))
    # rows whose value no synthetic row has count as lost
    real, made = (synthesizer.codec.encode_apart(table) for table in (df, df_synth))
    sizes = [int(size) for size in synthesizer.codec.sizes_apart]
    found = {each.name: each.value for each in (*report.columns, *report.pairs)}
    names = synthesizer.codec.names
    for columns in [(0,), (1,), (0, 1), (2, 3)]:
        shares = [cell_counts(codes, sizes, columns) / len(codes) for codes in (real, made)]
        distance = 0.5 * np.abs(shares[0] - shares[1]).sum()
        assert found[" and ".join(names[c] for c in columns)] == pytest.approx(distance, abs=0.005)
    whole = [synthesizer.codec.joined(codes) for codes in (made, real)]
    right = prediction_counter(whole[0], names.index("group"))(whole[1])
    assert report.prediction[0] == pytest.approx(right / ROWS, abs=0.01)


def test_the_error_bars_say_how_far_off_the_figures_are(synthesizer):
    df, df_synth = mixed_table(ROWS), synthesizer.synthesize(2000, seed=1)
    quiet = PrivateEvaluation(synthesizer, df_synth, 1e5, None).measure(FrameSource(df))
    truth = {each.name: each.value for each in (*quiet.columns, *quiet.pairs)}
    off = []
    for seed in range(60):
        report = PrivateEvaluation(synthesizer, df_synth, 1.0, None, NoiseSource(seed)).measure(
            FrameSource(df)
        )
        off += [(e.value - truth[e.name]) / e.error for e in (*report.columns, *report.pairs)]
    assert 0.5 < np.std(off) < 1.1  # at most: the row count's error counts in full


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("unit", [None, "person"])
def test_files_and_dask_dataframes_give_the_figures_of_the_table_in_memory(
    tmp_path, ledger, monkeypatch, unit
):
    dask = pytest.importorskip("dask")
    dd = pytest.importorskip("dask.dataframe")
    pytest.importorskip("sklearn")
    monkeypatch.setattr("jupyter_dpsynth.evaluation.private.AT_ONCE", 400)
    df = mixed_table(ROWS, seed=31).assign(person=np.arange(ROWS) // 3)
    df["later"] = df["day"] + pd.to_timedelta(df["age"], unit="D")
    df.to_parquet(tmp_path / "table.parquet", row_group_size=700)
    df = pd.read_parquet(tmp_path / "table.parquet")
    config = HighDimConfig(epsilon=2.0, privacy_unit=unit, max_rows_per_unit=2)
    learned = HighDimSynthesizer.restore(config, untrained(df, ids=["person"]).learned)
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_pandas(df, npartitions=4, sort=False)
    df_synth = learned.synthesize(1000, seed=1)
    reports = [
        evaluate_privately(
            learned,
            table,
            df_synth,
            epsilon=9.0,
            target="group",
            ledger=ledger,
            noise=NoiseSource(test_only_seed=3),
        )
        for table in (df, tmp_path / "*.parquet", ddf)
    ]
    figures = [(r.columns, r.pairs, r.independent, r.orders, r.prediction, r.rows) for r in reports]
    assert figures[0] == figures[1] == figures[2]
    assert abs(reports[0].rows - (ROWS if unit is None else ROWS * 2 / 3)) < 200
    runs = ledger.to_frame()
    assert len(runs) == 3
    assert len(set(runs["dataset"])) == 1  # the ledger knows the table again


def test_a_good_table_scores_above_one_without_dependence(synthesizer):
    df = mixed_table(8000)
    good = evaluate_overall(synthesizer, df, mixed_table(8000, seed=5))
    shuffled = df.copy()
    for place, name in enumerate(df.columns):
        shuffled[name] = df[name].sample(frac=1, random_state=place).to_numpy()
    poor = evaluate_overall(synthesizer, df, shuffled)
    assert good.score > 99
    assert poor.score < good.score - 2
    assert poor.score == pytest.approx(good.apart, abs=2 * good.error)


def stays(rows, broken, seed):
    """Admissions and discharges, two pressures that hold one order, and a share of rows that break both."""
    generator = np.random.default_rng(seed)
    admitted = pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 300, rows), unit="D")
    length = pd.to_timedelta(generator.integers(1, 90, rows), unit="D")
    upper = generator.normal(125, 15, rows).round().astype(int)
    below = generator.integers(10, 60, rows)
    wrong = generator.random(rows) < broken
    return pd.DataFrame(
        {
            "admitted": admitted,
            "discharged": admitted + np.where(wrong, -length, length),
            "systolic": upper,
            "diastolic": upper - np.where(wrong, -below, below),
        }
    )


@pytest.fixture(scope="module")
def of_stays():
    return untrained(stays(ROWS, 0.0, 0))


def orders_of(synthesizer, df, df_synth, epsilon=50.0, seed=1):
    evaluation = PrivateEvaluation(synthesizer, df_synth, epsilon, None, NoiseSource(seed))
    return evaluation.measure(FrameSource(df))


def test_an_order_that_the_private_table_keeps_and_the_synthetic_one_breaks_is_shown(of_stays):
    report = orders_of(of_stays, stays(ROWS, 0.0, 1), stays(2000, 0.15, 2))
    assert {each.name for each in report.orders} == {
        "'admitted' is never above 'discharged'",
        "'diastolic' is never above 'systolic'",
    }
    for each in report.orders:
        assert each.value == pytest.approx(0.15, abs=0.03)
        assert each.good == pytest.approx(0, abs=4 * each.error)
    (worst,) = (each for each in report.table if each.name == "order broken")
    assert worst.value == report.orders[0].value
    assert escape(report.orders[0].name) in report.to_html()
    assert report.orders[0].name in report.summary()


def test_an_order_that_the_private_table_breaks_is_no_loss(of_stays):
    report = orders_of(of_stays, stays(ROWS, 0.2, 1), stays(2000, 0.15, 2))
    assert [each.good for each in report.orders] == pytest.approx([0.2, 0.2], abs=0.03)
    assert "order broken" not in [each.name for each in report.table]


def test_one_row_changes_one_count_of_each_order_by_one_and_the_noise_is_for_that(of_stays):
    df = stays(ROWS, 0.0, 1)
    evaluation = PrivateEvaluation(of_stays, stays(500, 0.1, 2), 1.0, None)
    orders = evaluation.orders
    for removed in (0, 17):
        change = orders.count(FrameSource(df)) - orders.count(FrameSource(df.drop(index=removed)))
        assert np.sqrt((change**2).sum()) <= orders.sensitivity
    (planned,) = (each for each in evaluation.releases if each.measurement.name == "orders")
    assert planned.sensitivity == orders.sensitivity
    off = [
        each.good
        for seed in range(40)
        for each in orders_of(of_stays, df, stays(500, 0.1, 2), 1.0, seed).orders
    ]
    (error,) = {round(each.error, 3) for each in orders_of(of_stays, df, stays(500, 0.1, 2), 1.0).orders}
    assert 0.3 < np.std(off) / error < 1.1  # a share below 0 is 0


def test_a_table_without_such_columns_pays_for_no_orders(synthesizer):
    evaluation = PrivateEvaluation(synthesizer, synthesizer.synthesize(500), 1.0, None)
    assert "orders" not in [each.name for each in evaluation.plan.measurements]
    assert "order broken" not in [
        each.name for each in evaluation.measure(FrameSource(mixed_table(ROWS))).table
    ]


def evaluate_overall(synthesizer, df, df_synth):
    return (
        PrivateEvaluation(synthesizer, df_synth, 50.0, None, NoiseSource(1)).measure(FrameSource(df)).overall
    )


def test_the_ledger_holds_the_plan_and_adds_it_up(synthesizer, ledger):
    df = mixed_table(ROWS)
    report = evaluate_privately(synthesizer, df, epsilon=0.5, dataset="patients", ledger=ledger)
    assert report.epsilon <= 0.5
    (entry,) = ledger.summary().datasets[0].runs
    assert entry.status == "finished"
    assert entry.spending.plan == report.plan
    assert entry.spending.epsilon == report.epsilon
    once = ledger.epsilon("patients")
    evaluate_privately(synthesizer, df, epsilon=0.5, dataset="patients", ledger=ledger)
    assert once < ledger.epsilon("patients") < 2 * once


def test_a_cap_refuses_it_before_a_row_is_read(synthesizer, ledger, monkeypatch):
    df = mixed_table(ROWS)
    evaluate_privately(synthesizer, df, epsilon=0.5, dataset="patients", ledger=ledger)
    ledger.set_cap(0.6, "patients")
    monkeypatch.setattr(PrivateEvaluation, "measure", lambda *_: pytest.fail("it was read"))
    with pytest.raises(BudgetExhaustedError, match="over its cap"):
        evaluate_privately(synthesizer, df, epsilon=0.5, dataset="patients", ledger=ledger)


def test_it_is_in_the_ledger_while_it_measures_and_stays_after_a_failure(synthesizer, ledger, monkeypatch):
    def fail(*_):
        assert ledger.summary().datasets[0].runs[0].spending.epsilon <= 0.5
        raise DataError("no")

    monkeypatch.setattr(PrivateEvaluation, "measure", fail)
    with pytest.raises(DataError, match="no"):
        evaluate_privately(synthesizer, mixed_table(ROWS), epsilon=0.5, ledger=ledger)
    assert ledger.summary().datasets[0].runs[0].status == "failed"


def test_a_fixed_seed_has_no_guarantee_and_counts_as_infinite(synthesizer, ledger):
    report = evaluate_privately(
        synthesizer, mixed_table(ROWS), epsilon=0.5, dataset="d", ledger=ledger, noise=NoiseSource(1)
    )
    assert report.epsilon is None
    assert "TEST ONLY" in report.summary()
    assert ledger.epsilon("d") == math.inf


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_too_small_an_epsilon_is_told_by_the_noisy_count(synthesizer, ledger, rows):
    few, told = mixed_table(ROWS).head(rows), []
    for _ in range(8):
        try:
            evaluate_privately(synthesizer, few, epsilon=0.1, ledger=ledger)
        except DataError as error:
            told.append(str(error))
    # once in 44 times the noise on the row count hides it: five times in eight, once in three million
    assert len(told) >= 4
    assert all(re.search(r"too small to evaluate this table.*counted \(with noise\)", each) for each in told)
    assert len(ledger.summary().datasets[0].runs) == 8


def test_columns_that_were_not_learned_are_left_out(synthesizer, ledger):
    df = mixed_table(ROWS, seed=5)
    evaluate_privately(synthesizer, df.assign(note="x"), epsilon=0.5, ledger=ledger)
    evaluate_privately(synthesizer, df, epsilon=0.5, ledger=ledger)
    assert [len(each.runs) for each in ledger.summary().datasets] == [2]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"epsilon": 0}, ConfigError, "give a number above 0"),
        ({"epsilon": math.inf}, ConfigError, "give a number above 0"),
        ({"epsilon": "1"}, ConfigError, "give a number above 0"),
        ({"target": "gruop"}, DataError, "Did you mean 'group'"),
        ({"target": "income"}, DataError, "not a categorical column"),
        ({"df_synth": pd.DataFrame({"a": [1]})}, DataError, "lacks column"),
        ({"df_synth": "original"}, DataError, "original table itself"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_spent(synthesizer, ledger, changes, error, words):
    df = mixed_table(ROWS)
    if changes.get("df_synth") is not None and isinstance(changes["df_synth"], str):
        changes = {"df_synth": df}
    with pytest.raises(error, match=words):
        evaluate_privately(synthesizer, df, **{"epsilon": 1.0, "ledger": ledger, **changes})
    assert not ledger.summary().datasets


def test_the_report_says_what_it_cost_and_carries_no_warning(synthesizer, ledger):
    report = evaluate_privately(synthesizer, mixed_table(ROWS), epsilon=0.5, ledger=ledger)
    for text in (report.summary(), report.to_html()):
        assert "epsilon = 0.5" in text
        assert "delta =" in text
        assert "in addition to what learning cost" in text
        assert "±" in text
        assert "Not private" not in text
    assert report.rows_error > 1
    assert set(report.to_frame()) == {"name", "value", "error", "good", "meaning"}
    assert len(report.per_column) == 5
    assert len(report.per_pair) == 10
    assert report.spending()["share"].sum() == pytest.approx(1)
