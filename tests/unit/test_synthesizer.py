"""The facade: what is learned keeps its promises, what cannot be learned is refused in one line."""

import importlib.util
import math
import threading

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.errors import ArtifactError, ConfigError, DataError, DPSynthError, NotLearnedError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.reports import StopReason
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import EVERY_ROW, every_type_table, mixed_table

pytestmark = pytest.mark.tensorflow


def quiet(report):
    pass


def learn(df=None, callback=quiet, stop=None, noise=None, **parameters):
    df = mixed_table() if df is None else df
    parameters = {"epsilon": 2.0, "steps": 30, "batch_size": EVERY_ROW, **parameters}
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(**parameters))
    return synthesizer.learn(df, callback=callback, stop=stop, noise=noise)


@pytest.fixture(scope="module")
def learned():
    return learn(epsilon=4.0, steps=100, batch_size="auto")


def test_the_synthetic_table_has_the_same_columns_order_and_dtypes(learned):
    df = mixed_table()
    synthetic = learned.synthesize(500)
    assert len(synthetic) == 500
    assert list(synthetic.columns) == list(df.columns)
    assert [str(t) for t in synthetic.dtypes] == [str(t) for t in df.dtypes]


def test_the_synthetic_table_resembles_the_original():
    seeded = learn(epsilon=4.0, steps=100, batch_size="auto", noise=NoiseSource(test_only_seed=1))
    df, synthetic = mixed_table(), seeded.synthesize(4000, seed=0)
    assert abs(synthetic["member"].mean() - df["member"].mean()) < 0.05
    assert abs(synthetic["income"].isna().mean() - 0.1) < 0.04
    for name in ("north", "south", "west"):
        assert abs((synthetic["group"] == name).mean() - (df["group"] == name).mean()) < 0.05
    assert synthetic["age"].corr(synthetic["income"]) > 0.3


def test_epsilon_is_the_budget_that_was_reserved_and_its_receipt_agrees(learned):
    assert 3.9 < learned.epsilon <= 4.0
    receipt = learned.receipt
    assert receipt.epsilon == learned.epsilon
    assert receipt.recompute_epsilon() == pytest.approx(learned.epsilon, abs=1e-4)
    assert receipt.recompute_epsilon("rdp") > learned.epsilon
    assert receipt.completed_steps == receipt.planned_steps == 100
    assert learned.stop_reason is StopReason.FINISHED


def test_delta_is_a_tenth_of_one_over_the_noisy_row_count(learned):
    assert learned.delta == pytest.approx(1 / (10 * learned.reference.rows), rel=1e-3)


def test_a_table_of_one_value_keeps_it():
    df = pd.DataFrame({"year": [2023] * 3000})
    made = learn(df, epsilon=4.0, steps=20).synthesize(100_000)
    assert (made["year"] == 2023).mean() > 0.99
    one = Layout(np.ones(1, dtype=np.int64), np.zeros((1, 1)))
    assert one.clip_norm([np.ones(1)], 1.0) > 0


def test_an_output_seed_fixes_the_output(learned):
    one, two = (learned.synthesize(200, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert not learned.synthesize(200, seed=6).equals(one)


def test_a_saved_synthesizer_is_the_same_without_the_data(learned, tmp_path):
    file = tmp_path / "model.dps"
    learned.save(file)
    again = HighDimSynthesizer.load(file)
    pd.testing.assert_frame_equal(again.synthesize(100, seed=1), learned.synthesize(100, seed=1))
    assert (again.epsilon, again.delta) == (learned.epsilon, learned.delta)
    assert again.receipt == learned.receipt
    with pytest.raises(ConfigError, match="already spent"):
        again.learn(mixed_table())


def test_a_file_that_is_not_ours_is_refused(tmp_path):
    file = tmp_path / "model.dps"
    with pytest.raises(ArtifactError, match="cannot be read"):
        HighDimSynthesizer.load(file)
    file.write_bytes(b"not a zip")
    with pytest.raises(ArtifactError, match="not a saved synthesizer"):
        HighDimSynthesizer.load(file)


def test_the_progress_never_falls_and_ends_at_epsilon():
    reports = []
    synthesizer = learn(callback=reports.append)
    spent = [report.epsilon for report in reports]
    assert spent == sorted(spent)
    assert spent[-1] == synthesizer.epsilon
    assert [r.step for r in reports if r.phase == "training"][-1] == 30
    assert reports[0].phase == "starting"
    assert reports[-1].phase == "finished"


def test_a_stop_keeps_the_model_and_the_whole_epsilon():
    stop = threading.Event()

    def stop_at_seven(report):
        if report.step == 7:
            stop.set()

    synthesizer = learn(callback=stop_at_seven, stop=stop)
    assert synthesizer.stop_reason is StopReason.STOPPED
    assert synthesizer.receipt.completed_steps == 7
    assert synthesizer.receipt.epsilon_completed_steps < synthesizer.epsilon
    assert synthesizer.epsilon == synthesizer.receipt.recompute_epsilon()
    assert len(synthesizer.synthesize(10)) == 10


def test_a_stop_before_there_is_a_model_counts_as_spent():
    stop = threading.Event()
    stop.set()
    df = mixed_table()
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=1.5))
    with pytest.raises(NotLearnedError, match="counts as spent"):
        synthesizer.learn(df, callback=quiet, stop=stop)
    assert synthesizer.state == "failed"
    assert synthesizer.epsilon == 1.5


def test_a_given_noise_ends_training_at_the_last_step_within_epsilon():
    synthesizer = learn(noise_multiplier=10.0, steps=300, epsilon=2.0, n_public=True)
    assert synthesizer.stop_reason is StopReason.BUDGET
    plan = synthesizer.receipt.plan
    assert plan.training.steps < 300
    assert synthesizer.epsilon <= 2.0
    from jupyter_dpsynth.privacy.accounting import compute_epsilon

    assert compute_epsilon(plan.with_steps(plan.training.steps + 1), synthesizer.delta) > 2.0


def test_a_noise_that_cannot_reach_epsilon_is_refused_before_anything_is_spent():
    df = mixed_table()
    config = HighDimConfig(epsilon=0.5, noise_multiplier=0.2, batch_size=EVERY_ROW)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    with pytest.raises(ConfigError, match=r"noise_multiplier = 0\.2 is too small for epsilon") as raised:
        synthesizer.learn(df, callback=quiet)
    assert "Use noise_multiplier >=" in str(raised.value)
    assert synthesizer.state == "new"
    with pytest.raises(NotLearnedError):
        _ = synthesizer.epsilon


def test_microbatches_halve_what_the_noise_counts():
    rows = learn(noise_multiplier=40.0)
    groups = learn(noise_multiplier=40.0, num_microbatches=20)
    ratio = rows.receipt.plan.training.noise_multiplier / groups.receipt.plan.training.noise_multiplier
    assert ratio == pytest.approx(2)


def test_a_public_row_count_costs_nothing_and_is_exact():
    synthesizer = learn(n_public=True)
    assert synthesizer.reference.rows == 2000
    assert "row count" not in [m.name for m in synthesizer.receipt.plan.measurements]
    assert not synthesizer.receipt.row_count_private


def test_a_delta_that_allows_to_publish_a_row_is_warned_about(caplog):
    learn(delta=0.01, steps=1)
    assert "delta = 0.01 is not below 1 / number of rows" in caplog.text


def test_the_private_row_count_is_noisy():
    counts = {learn(steps=1).reference.rows for _ in range(5)}
    assert len(counts) > 1  # five times the same noise: less than once in ten million times


def test_without_differential_privacy_there_is_loudly_no_guarantee():
    synthesizer = learn(differential_privacy=False)
    assert math.isinf(synthesizer.epsilon)
    assert "NO GUARANTEE" in synthesizer.receipt.to_text()
    assert len(synthesizer.synthesize(10)) == 10


def test_a_test_only_seed_has_no_epsilon_anywhere():
    synthesizer = learn(noise=NoiseSource(test_only_seed=1))
    assert synthesizer.epsilon is None
    assert "TEST ONLY, no guarantee" in synthesizer.receipt.to_text()
    assert "TEST ONLY, no guarantee" in repr(synthesizer)


def test_a_second_learn_is_refused_because_it_would_spend_again(learned):
    with pytest.raises(ConfigError, match="create a new HighDimSynthesizer"):
        learned.learn(mixed_table())


def test_too_few_rows_are_judged_on_the_noisy_count():
    df = mixed_table(10)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=0.5))
    with pytest.raises(DataError, match=r"too few rows for epsilon = 0\.5") as raised:
        synthesizer.learn(df, callback=quiet)
    assert "Only the row count was measured, for epsilon = 0.0" in str(raised.value)
    assert synthesizer.state == "failed"
    assert 0 < synthesizer.epsilon < 0.1


def test_too_few_public_rows_are_refused_before_anything_is_spent():
    df = mixed_table(10)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=0.5, n_public=True))
    with pytest.raises(DataError, match=r"it has 10, but about .* Nothing was spent\.") as raised:
        synthesizer.learn(df, callback=quiet)
    assert "with noise" not in str(raised.value)
    assert synthesizer.state == "new"


def test_results_before_learning_are_refused():
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(mixed_table(10)))
    for ask in (
        lambda: synthesizer.epsilon,
        lambda: synthesizer.delta,
        lambda: synthesizer.receipt,
        lambda: synthesizer.synthesize(5),
        lambda: synthesizer.save("x"),
    ):
        with pytest.raises(NotLearnedError, match="learn"):
            ask()
    assert synthesizer.stop_reason is None


def test_a_result_asked_for_while_it_trains_is_answered_with_how_to_wait():
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(mixed_table(10)))
    synthesizer.state = "learning"
    for ask in (lambda: synthesizer.synthesize(5), lambda: synthesizer.epsilon):
        with pytest.raises(NotLearnedError, match="%dpsynth status shows how far it is"):
            ask()


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, "ten", np.nan])
def test_a_row_number_must_be_positive(learned, rows):
    with pytest.raises(ConfigError, match="num_rows = "):
        learned.synthesize(rows)


def test_the_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match="df_meta is a dict"):
        HighDimSynthesizer({})
    with pytest.raises(ConfigError, match="config is a dict"):
        HighDimSynthesizer(MetaExtractor.extract(mixed_table(5)), {})
    df = mixed_table(100)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df))
    with pytest.raises(DPSynthError, match="lacks 'age'"):
        synthesizer.learn(df.drop(columns="age"))
    assert synthesizer.state == "new"


def test_a_table_of_identifiers_only_is_refused():
    df = pd.DataFrame({"id": [1, 2, 3]})
    with pytest.raises(DataError, match="nothing to learn"):
        HighDimSynthesizer(MetaExtractor.extract(df, ids=["id"])).learn(df)


def test_every_type_at_once_is_learned_saved_and_comes_back(tmp_path):
    df = pd.concat([every_type_table()] * 5, ignore_index=True)
    synthesizer = learn(df, steps=3)
    synthetic = synthesizer.synthesize(200, seed=0)
    assert list(synthetic.columns) == list(df.columns)
    for name in df.columns:
        same = "category" if isinstance(df[name].dtype, pd.CategoricalDtype) else str(df[name].dtype)
        assert str(synthetic[name].dtype) == same
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps")
    pd.testing.assert_frame_equal(again.synthesize(200, seed=0), synthetic)


def test_one_column_is_enough():
    df = mixed_table()[["age"]]
    assert list(learn(df).synthesize(5).columns) == ["age"]


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_privacy") is None, reason="needs the extra tf-privacy"
)
def test_tf_privacy_backend_learns_the_same_table():
    df = mixed_table()[["group", "member"]]
    synthesizer = learn(df, dp_backend="tensorflow_privacy", steps=5, batch_size=100)
    assert synthesizer.receipt.backend == "tensorflow_privacy"
    assert "GaussianSumQuery" in synthesizer.receipt.noise
    assert "tf.random" in synthesizer.receipt.noise
