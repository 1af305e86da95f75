"""Learning and the ledger: nothing is measured that is not recorded, and every end is recorded truly."""

import io
import math
import threading

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.datasets import load_census_sample
from jupyter_dpsynth.display.console import ConsoleProgress, progress_text
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.engine.learning import run as run_module
from jupyter_dpsynth.errors import ArtifactError, BudgetExhaustedError, DataError, NotLearnedError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import EVERY_ROW, mixed_table


def quiet(report):
    pass


@pytest.fixture
def ledger(tmp_path):
    return PrivacyLedger(tmp_path / "ledger.sqlite3")


@pytest.fixture
def measured(monkeypatch):
    """Collects what is measured and every sign of noise that is drawn."""
    found = []
    original = Releases.release_counts

    def release_counts(self, allowance, exact, parts):
        found.append(allowance.noise)
        return original(self, allowance, exact, parts)

    def drawn(self, scales):
        raise AssertionError("noise was drawn before the reservation")

    monkeypatch.setattr(Releases, "release_counts", release_counts)
    monkeypatch.setattr(NoiseSource, "whole", drawn)
    return found


def synthesizer_for(df, **parameters):
    parameters = {"steps": 20, "batch_size": EVERY_ROW, **parameters}
    return HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(**parameters))


def runs_of(ledger):
    return [run for dataset in ledger.summary().datasets for run in dataset.runs]


def test_a_run_over_the_cap_is_refused_before_anything_is_measured_and_may_be_tried_again(ledger, measured):
    df = mixed_table()
    ledger.set_cap(0.5)
    synthesizer = synthesizer_for(df, epsilon=1.0)
    with pytest.raises(BudgetExhaustedError, match=r"at most epsilon = 0\.5 is left"):
        synthesizer.learn(df, callback=quiet, ledger=ledger)
    assert measured == []
    assert runs_of(ledger) == []
    assert synthesizer.state == "new"
    with pytest.raises(NotLearnedError):
        _ = synthesizer.epsilon


def test_a_damaged_ledger_stops_learning_before_anything_is_measured(ledger, measured):
    df = mixed_table()
    ledger.summary()
    ledger.path.write_bytes(b"damaged" * 1000)
    synthesizer = synthesizer_for(df)
    with pytest.raises(ArtifactError, match="Nothing is learned unless the ledger can record it"):
        synthesizer.learn(df, callback=quiet, ledger=ledger)
    assert measured == []
    assert synthesizer.state == "new"


def test_the_whole_budget_is_in_the_ledger_when_the_row_count_is_measured(ledger, monkeypatch):
    df, seen = mixed_table(), []

    def release_counts(self, allowance, exact, parts):
        seen.extend(runs_of(ledger))
        raise KeyboardInterrupt

    monkeypatch.setattr(Releases, "release_counts", release_counts)
    with pytest.raises(KeyboardInterrupt):
        synthesizer_for(df, epsilon=1.5).learn(df, callback=quiet, ledger=ledger)
    (run,) = seen
    assert run.status == "reserved"
    assert run.spending.provisional
    assert compute_epsilon(run.spending.plan, run.spending.delta) == pytest.approx(1.5)
    (run,) = runs_of(ledger)
    assert run.status == "failed"
    assert run.spending.epsilon == 1.5


def test_the_exact_plan_is_in_the_ledger_before_anything_but_the_row_count_is_measured(ledger, monkeypatch):
    df, seen = mixed_table(), []

    def measure(source, df_meta, plan, *_):
        seen.append((plan, runs_of(ledger)))
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "measure_table", measure)
    with pytest.raises(KeyboardInterrupt):
        synthesizer_for(df).learn(df, callback=quiet, ledger=ledger)
    ((plan, (run,)),) = seen
    assert run.spending.plan == plan.privacy
    assert (run.spending.epsilon, run.spending.delta) == (plan.epsilon, plan.delta)


def test_a_plan_that_does_not_fit_after_counting_leaves_only_the_row_count_spent(ledger, monkeypatch):
    df = mixed_table()
    synthesizer = synthesizer_for(df)
    original, measured = Releases.release_counts, []

    def release_counts(self, allowance, exact, parts):
        measured.append(allowance.noise)
        ledger.set_cap(0.5)  # somebody lowers the cap while the rows are counted
        return original(self, allowance, exact, parts)

    monkeypatch.setattr(Releases, "release_counts", release_counts)
    with pytest.raises(BudgetExhaustedError, match="Only the row count was measured"):
        synthesizer.learn(df, callback=quiet, ledger=ledger)
    (run,) = runs_of(ledger)
    assert [each.sigma for each in run.spending.plan.measurements] == measured
    assert run.spending.plan.training is None
    assert run.status == "failed"
    assert synthesizer.epsilon == run.spending.epsilon < 0.1


def test_a_ledger_that_vanishes_after_counting_stops_the_run(ledger, monkeypatch):
    df = mixed_table()
    original = Releases.release_counts

    def release_counts(self, allowance, exact, parts):
        ledger.path.unlink()
        return original(self, allowance, exact, parts)

    monkeypatch.setattr(Releases, "release_counts", release_counts)
    with pytest.raises(ArtifactError, match="no longer contains this run's reservation"):
        synthesizer_for(df).learn(df, callback=quiet, ledger=ledger)


def test_too_few_rows_and_a_stop_are_recorded_as_what_they_were(ledger):
    few = mixed_table(10)
    with pytest.raises(DataError, match="too few rows"):
        synthesizer_for(few, epsilon=0.5).learn(few, callback=quiet, ledger=ledger, dataset="few")
    stop = threading.Event()
    stop.set()
    df, others = mixed_table(), {"dataset": "many", "new_dataset": True}
    with pytest.raises(NotLearnedError):
        synthesizer_for(df).learn(df, callback=quiet, stop=stop, ledger=ledger, **others)
    assert [(run.dataset, run.status) for run in runs_of(ledger)] == [("few", "failed"), ("many", "stopped")]
    counted, whole = (each.epsilon for each in ledger.summary().datasets)
    assert 0 < counted < 0.1  # what was released: the row count
    assert whole == pytest.approx(1.0)


def test_a_table_made_from_the_sample_counts_as_the_sample(ledger, measured):
    df = load_census_sample()
    ledger.set_cap(0.1)
    spent = []
    half = df[df["age"] < 40].drop(columns="fnlwgt")
    with pytest.raises(BudgetExhaustedError, match="census sample"):
        synthesizer_for(half).learn(half, callback=spent.append, ledger=ledger)
    assert "('census sample')" in spent[-1].ledger


def test_plain_python_is_told_once_what_the_data_has_cost(ledger, monkeypatch):
    df, stream = mixed_table(), io.StringIO()
    ledger.reserve(TableIdentity(table_fingerprint(FrameSource(df)), label="df"), 0.5, 1e-6)

    def measure(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "measure_table", measure)
    with pytest.raises(KeyboardInterrupt):
        synthesizer_for(df).learn(df, callback=ConsoleProgress(stream), ledger=ledger)
    line = "This data ('df') has cost epsilon = 0.5 so far (1 run"
    lines = stream.getvalue().replace("\r", "\n").splitlines()
    assert sum(each.startswith(line) and "this run reserves 1 more." in each for each in lines) == 1


@pytest.mark.tensorflow
def test_a_finished_run_and_its_receipt_name_each_other(ledger):
    df = mixed_table()
    reports = []
    synthesizer = synthesizer_for(df, epsilon=2.0)
    synthesizer.learn(df, callback=reports.append, ledger=ledger, label="df")
    (run,) = runs_of(ledger)
    assert run.id == synthesizer.receipt.ledger_entry
    assert run.status == "finished"
    assert run.spending.plan == synthesizer.receipt.plan
    assert run.spending.epsilon == synthesizer.epsilon == ledger.epsilon("df")
    assert reports[-1].ledger.startswith("This data ('df') has cost nothing so far")
    again = PrivacyReceipt.from_dict(synthesizer.receipt.to_dict())
    assert again == synthesizer.receipt
    older = synthesizer.receipt.to_dict()
    del older["ledger_entry"]
    assert PrivacyReceipt.from_dict(older).ledger_entry is None


@pytest.mark.tensorflow
def test_a_stopped_run_keeps_its_whole_reservation(ledger):
    df, stop, told, recorded = mixed_table(), threading.Event(), [], []

    def stop_at_three(report):
        told.append(report)
        recorded.append(next((run.spending.epsilon for run in runs_of(ledger)), 0.0))
        if report.step == 3:
            stop.set()

    synthesizer = synthesizer_for(df, steps=500)
    synthesizer.learn(df, callback=stop_at_three, stop=stop, ledger=ledger)
    (run,) = runs_of(ledger)
    assert (run.status, run.steps) == ("stopped", 500)
    assert run.spending.epsilon == synthesizer.epsilon == synthesizer.receipt.epsilon
    # one figure: what is shown at every moment is what the ledger has recorded, and what is charged
    assert [report.reserved for report in told if report.phase != "starting"] == [
        epsilon for epsilon, report in zip(recorded, told, strict=True) if report.phase != "starting"
    ]
    assert {report.reserved for report in told if report.total_steps} == {synthesizer.epsilon}
    assert {progress_text(report).split(", ")[1] for report in told if report.total_steps} == {
        f"epsilon {epsilon_text(synthesizer.epsilon)} reserved"
    }
    assert synthesizer.receipt.epsilon_completed_steps < synthesizer.epsilon


@pytest.mark.tensorflow
@pytest.mark.parametrize("how", ["without differential privacy", "with a test-only seed"])
def test_a_run_without_a_guarantee_is_recorded_as_infinite_and_refused_under_a_cap(ledger, how):
    df = mixed_table()
    noise = NoiseSource(test_only_seed=1) if how == "with a test-only seed" else None

    def learn():
        synthesizer = synthesizer_for(df, steps=2, differential_privacy=noise is not None)
        return synthesizer.learn(df, callback=quiet, noise=noise, ledger=ledger, dataset="open")

    learn()
    (run,) = runs_of(ledger)
    assert run.spending.plan is None
    assert ledger.epsilon("open") == math.inf
    ledger.set_cap(100)
    with pytest.raises(BudgetExhaustedError, match="without a guarantee"):
        learn()
