"""Checkpoints hold privatised state only, and a run that goes on from one spends nothing twice."""

import io
import json
import os
import sqlite3
import sys
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, PrivacyLedger
from jupyter_dpsynth.engine.learning.checkpoint import EARLIER_NOISE, TrainingTask, window
from jupyter_dpsynth.engine.training.arrangement import BlockArrangement, arrange
from jupyter_dpsynth.errors import ArtifactError, ConfigError
from jupyter_dpsynth.files.archive import ARRAYS, SCHEMA
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.composition import Spending
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.verification import verify_receipt
from jupyter_dpsynth.reports import StopReason
from tests.support.tables import mixed_table

PLAN = PrivacyPlan((GaussianMeasurement("counts", 50.0),), SampledTraining(10, 0.1, 5.0), 1e-7)
STEPS = 40
MARKER = "Wilhelmina-7391"


def quiet(report):
    pass


def learner(df, **parameters):
    # by such a delta a name of three rows is not published by chance
    parameters = {"epsilon": 2.0, "delta": 1e-9, "steps": STEPS, **parameters}
    return HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(**parameters))


def stop_after(step):
    """A stop, and a callback that sets it."""
    stop = threading.Event()

    def tell(report):
        if report.step >= step:
            stop.set()

    return {"callback": tell, "stop": stop}


@pytest.fixture
def ledger(tmp_path):
    return PrivacyLedger(tmp_path / "ledger.sqlite3")


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A run that was stopped at step 17: table, ledger, checkpoint and synthesizer."""
    folder = tmp_path_factory.mktemp("halfway")
    df = mixed_table(2500, seed=80)
    df.loc[df.index[:3], "group"] = MARKER  # too few to be published
    ledger, path = PrivacyLedger(folder / "ledger.sqlite3"), folder / "run.checkpoint"
    synthesizer = learner(df)
    synthesizer.learn(df, ledger=ledger, checkpoint=path, **stop_after(17))
    return df, ledger, path, synthesizer


def entered(ledger):
    run = ledger.reserve(TableIdentity(b"table"), 1.0, 1e-6)
    ledger.record(run, Spending(PLAN, 1e-6, 0.9))
    return run


def test_claims_of_all_processes_together_are_at_most_the_plan(ledger):
    run = entered(ledger)
    generator = np.random.default_rng(0)
    granted = [0, 0, 0]
    for _ in range(60):
        process = generator.integers(3)
        wanted = int(generator.integers(-granted[process], 4))
        granted[process] += PrivacyLedger(ledger.path).reserve_steps(run, wanted, 10)
        assert 0 <= sum(granted) <= 10
        assert ledger.reserved_steps(run) == sum(granted)
    assert ledger.reserve_steps(run, 99, 99) == 10 - sum(granted)  # the ledger's own plan has the last word
    assert ledger.reserve_steps(run, 1, 99) == 0


def test_a_ledger_of_an_earlier_version_can_be_claimed_from(ledger):
    run = entered(ledger)
    with sqlite3.connect(ledger.path) as db:
        db.execute("DROP TABLE IF EXISTS claims")
    assert ledger.reserved_steps(run) == 0
    assert ledger.reserve_steps(run, 4, 10) == 4


def test_a_run_goes_on_only_with_its_own_table_plan_and_ledger(ledger, tmp_path):
    run = entered(ledger)
    ledger.reserve_steps(run, 4, 10)
    assert ledger.resume(TableIdentity(b"table"), run, PLAN) == 4
    with pytest.raises(ArtifactError, match="recorded for another table"):
        ledger.resume(TableIdentity(b"another"), run, PLAN)
    with pytest.raises(ArtifactError, match="plan in the checkpoint differs"):
        ledger.resume(TableIdentity(b"table"), run, PLAN.with_steps(9))
    with pytest.raises(ArtifactError, match="does not contain this run"):
        PrivacyLedger(tmp_path / "another.sqlite3").resume(TableIdentity(b"table"), run, PLAN)
    assert len(ledger.to_frame()) == 1  # a refusal enters nothing


@pytest.mark.tensorflow
def test_a_stopped_run_goes_on_to_its_end_and_costs_nothing_more(halfway, tmp_path):
    df, ledger, path, first = halfway
    copy = tmp_path / "copy.checkpoint"
    copy.write_bytes(path.read_bytes())
    before = ledger.to_frame().iloc[0]
    assert (first.stop_reason, len(first.learned.losses)) == (StopReason.STOPPED, 17)
    assert ledger.reserved_steps(first.receipt.ledger_entry) == 17  # what was reserved and not used went back
    steps = []
    second = learner(df).learn(df, lambda report: steps.append(report.step), ledger=ledger, checkpoint=copy)
    assert next(step for step in steps if step) == 18
    assert second.stop_reason is StopReason.FINISHED
    assert second.learned.losses[:17].tolist() == first.learned.losses.tolist()
    assert (len(second.learned.losses), second.receipt.completed_steps) == (STEPS, STEPS)
    assert (first.learned.tape.steps, second.learned.tape.steps) == (17, STEPS)
    assert second.epsilon == first.epsilon
    (after,) = ledger.to_frame().to_dict("records")
    assert after == {**before.to_dict(), "status": "finished"}
    # the old checkpoint is now worth its own model, and not one step more
    third = learner(df).learn(df, quiet, ledger=ledger, checkpoint=path)
    assert len(third.learned.losses) == 17
    assert third.receipt.completed_steps == STEPS
    assert ledger.reserved_steps(first.receipt.ledger_entry) == STEPS
    # its receipt counts the steps whose results it lacks, and says so wherever it is read
    assert verify_receipt(third.receipt.to_dict()).passed
    third.save(tmp_path / "third.synth")
    loaded = HighDimSynthesizer.load(tmp_path / "third.synth")
    assert loaded.learned.losses.tolist() == third.learned.losses.tolist()
    assert loaded.receipt == third.receipt


@pytest.mark.tensorflow
def test_a_stop_while_tensorflow_starts_keeps_the_measurements_and_every_step(ledger, tmp_path, monkeypatch):
    df, path, stop = mixed_table(2500, seed=84), tmp_path / "run.checkpoint", threading.Event()

    def tell(report):
        if report.phase == "starting" and report.total_steps:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr("jupyter_dpsynth.engine.training.loading.BackgroundImport.wait", lambda *_: False)
        first = learner(df).learn(df, tell, stop, ledger=ledger, checkpoint=path)
    assert (first.stop_reason, len(first.learned.losses)) == (StopReason.STOPPED, 0)
    assert ledger.reserved_steps(first.receipt.ledger_entry) == 0
    again = learner(df).learn(df, quiet, ledger=ledger, checkpoint=path)
    assert len(again.learned.losses) == STEPS
    assert again.reference.rows == first.reference.rows
    assert len(ledger.to_frame()) == 1


@pytest.mark.tensorflow
def test_what_a_resumed_run_cannot_use_is_refused_before_it_spends(halfway, tmp_path):
    df, ledger, path, _ = halfway
    runs = len(ledger.to_frame())
    for problem, table, options in (
        ("made with another l2_norm_clip", df, {"l2_norm_clip": 3.0}),
        ("made with other metadata", df.drop(columns="day"), {}),
        ("recorded for another table", df.iloc[1:], {}),
    ):
        with pytest.raises((ArtifactError, ConfigError), match=problem):
            learner(table, **options).learn(table, quiet, ledger=ledger, checkpoint=path)
    with pytest.raises(ConfigError, match="test-only"):
        learner(df).learn(df, quiet, noise=NoiseSource(1), ledger=ledger, checkpoint=path)
    assert len(ledger.to_frame()) == runs


@pytest.mark.tensorflow
def test_a_checkpoint_is_private_to_its_owner_and_holds_no_row(halfway):
    df, _, path, _ = halfway
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [ARRAYS, SCHEMA]
        text = archive.read(SCHEMA).decode()
        with np.load(io.BytesIO(archive.read(ARRAYS)), allow_pickle=False) as arrays:
            sizes = {name: array.size for name, array in arrays.items()}
            exact = [*df["group"].value_counts().head(3), *df["member"].value_counts()]
            found = np.isclose(arrays["counts"][:, None], exact).any(axis=0)
            assert not found.all()  # noise may be zero, but not of all of them
    assert MARKER not in text
    assert not any(str(len(df)) == part for part in json.dumps(json.loads(text)).replace(",", " ").split())
    task = TrainingTask.read(path)
    trained = task.cells.layout(task.layout)
    assert trained.width < task.layout.width  # cells that do not appear are not trained
    state = len(trained.free) + trained.width
    assert sizes == {
        "counts": task.layout.width,
        "losses": 17,
        **dict.fromkeys(("values", "average", "first", "second", "tape_sums"), state),
        "tape_parameters": 9 * state,  # of windows of two steps
    }


def members(content):
    """What a zip holds, without the times that are in its headers."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.tensorflow
def test_a_checkpoint_comes_back_as_it_was(halfway):
    _, _, path, synthesizer = halfway
    task = TrainingTask.read(path)
    again = TrainingTask.from_bytes(task.to_bytes())
    assert members(again.to_bytes()) == members(task.to_bytes()) == members(path.read_bytes())
    assert task.plan.privacy == synthesizer.receipt.plan
    assert task.losses.tolist() == synthesizer.learned.losses.tolist()
    assert TrainingTask.read(path.with_name("none")) is None


def rewritten(path, target, change_schema=None, change_arrays=None):
    with zipfile.ZipFile(path) as archive:
        schema, packed = json.loads(archive.read(SCHEMA)), archive.read(ARRAYS)
    with np.load(io.BytesIO(packed)) as stored:
        arrays = dict(stored)
    if change_schema:
        change_schema(schema)
    if change_arrays:
        change_arrays(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(SCHEMA, json.dumps(schema))
        archive.writestr(ARRAYS, content.getvalue())


@pytest.mark.tensorflow
@pytest.mark.parametrize(("groups", "sensitivity"), [(None, 1.0), (4, 2.0)])
def test_a_checkpoint_that_holds_the_noise_of_each_measurement_can_be_read(
    halfway, tmp_path, groups, sensitivity
):
    """Version 0.1.0 wrote what now follows from the plan."""
    path, target = halfway[2], tmp_path / "earlier"

    def as_before(schema):
        del schema["plan"]["columns"], schema["plan"]["gradient_sensitivity"], schema["plan"]["parents"]
        schema.update(updates=0, started=False)  # of the network of fewer cells
        del schema["every_cell"], schema["tape"]
        schema["plan"].update(dict.fromkeys(EARLIER_NOISE, 7.5), order_sigma=None)
        schema["config"]["num_microbatches"] = groups

    def before_the_first_step(arrays):
        arrays["losses"] = arrays["losses"][:0]
        for name in set(arrays) - {"counts", "losses"}:
            del arrays[name]

    rewritten(path, target, as_before, before_the_first_step)
    earlier, now = TrainingTask.read(target), TrainingTask.read(path)
    assert all(kept.all() for kept in earlier.cells.kept)  # they were all trained
    assert earlier.plan == replace(now.plan, gradient_sensitivity=sensitivity)
    assert earlier.plan.releases == now.plan.releases


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("schema", "arrays", "problem"),
    [
        (lambda s: s.update(protocol=4), None, "protocol 4"),
        (lambda s: s.update(format="other"), None, "format"),
        (lambda s: s["plan"].update(more=1), None, "unknown or missing fields"),
        (lambda s: s["plan"].pop("steps"), None, "unknown or missing fields"),
        (lambda s: s.update(updates=18), None, "wrong form"),
        (lambda s: s.update(updates=STEPS + 1), None, "do not fit the plan"),
        (lambda s: s["reference"]["shares"].pop(), None, "shares do not fit"),
        (lambda s: s["codec"].update(more=1), None, "unknown field"),
        (lambda s: s.pop("seed"), None, "has no field 'seed'"),
        (None, lambda a: a.update(values=a["values"][1:]), "values has the wrong form"),
        (None, lambda a: a.update(values=a["values"] * np.nan), "not finite"),
        (None, lambda a: a.update(first=a["first"].astype(object)), "wrong form"),
        (None, lambda a: a.update(more=a["first"]), "it contains other files"),
    ],
)
def test_a_damaged_checkpoint_is_refused(halfway, tmp_path, schema, arrays, problem):
    target = tmp_path / "damaged"
    rewritten(halfway[2], target, schema, arrays)
    with pytest.raises(ArtifactError, match=problem):
        TrainingTask.read(target)


@pytest.mark.tensorflow
def test_a_changed_noise_in_the_checkpoint_is_noticed_by_the_ledger(halfway, tmp_path):
    df, ledger, path, _ = halfway

    def less_noise(schema):
        schema["plan"]["privacy"]["training"]["noise_multiplier"] /= 2

    rewritten(path, tmp_path / "changed", less_noise)
    with pytest.raises(ArtifactError, match="plan in the checkpoint differs"):
        learner(df).learn(df, quiet, ledger=ledger, checkpoint=tmp_path / "changed")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "options", [{"num_microbatches": 4}, {"dp_backend": "tensorflow_privacy"}], ids=lambda o: next(iter(o))
)
def test_what_needs_all_rows_of_a_batch_in_one_place_is_refused_with_a_strategy(ledger, options):
    import tensorflow as tf

    df = mixed_table(2500, seed=81)
    with (
        tf.distribute.OneDeviceStrategy("CPU:0").scope(),
        pytest.raises(ConfigError, match=next(iter(options))),
    ):
        learner(df, **options).learn(df, quiet, ledger=ledger)
    assert len(ledger.to_frame()) == 0


@pytest.mark.tensorflow
def test_a_strategy_of_another_kind_is_refused(ledger):
    df = mixed_table(2500, seed=82)
    with pytest.raises(ConfigError, match="strategy is a str: give a "):
        learner(df).learn(df, quiet, ledger=ledger, strategy="mirrored")
    assert len(ledger.to_frame()) == 0


@pytest.mark.tensorflow
def test_a_run_without_differential_privacy_goes_on_too(ledger, tmp_path):
    df = mixed_table(2500, seed=83)
    path = tmp_path / "run.checkpoint"
    free = {"differential_privacy": False}
    learner(df, **free).learn(df, ledger=ledger, checkpoint=path, **stop_after(5))
    again = learner(df, **free).learn(df, quiet, ledger=ledger, checkpoint=path)
    assert (len(again.learned.losses), again.epsilon) == (STEPS, np.inf)
    assert again.receipt.guarantee == "none"


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_run_of_a_wide_table_goes_on_in_blocks(ledger, tmp_path):
    columns, path = 150, tmp_path / "run.checkpoint"
    df = pd.DataFrame(np.random.default_rng(84).integers(2, size=(3000, columns)) == 1)
    df.columns = [f"answer {number}" for number in df.columns]
    first = learner(df).learn(df, ledger=ledger, checkpoint=path, **stop_after(5))
    task = TrainingTask.read(path)
    trained = task.cells.layout(task.layout)
    assert isinstance(arrange(trained), BlockArrangement)
    assert (task.layout.scale > 0).sum(axis=0).max() == task.plan.parents < columns - 1
    again = learner(df).learn(df, quiet, ledger=ledger, checkpoint=path)
    assert again.learned.losses[:5].tolist() == first.learned.losses[:5].tolist()
    assert len(again.learned.losses) == STEPS
    # the step after training leaves next to nothing in the others
    assert (np.abs(again.learned.model.weights) > 1e-30).sum() == len(trained.free)
    again.save(tmp_path / "wide.synth")
    loaded = HighDimSynthesizer.load(tmp_path / "wide.synth")
    assert loaded.synthesize(500, seed=0).equals(again.synthesize(500, seed=0))


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 400, 10_001])
def test_a_crash_costs_at_most_a_twentieth_of_the_steps(steps):
    assert 1 <= window(steps) <= max(1, steps / 20)


def test_surrounding_strategies_are_looked_for_without_loading_tensorflow(monkeypatch):
    from jupyter_dpsynth.engine.learning.strategy import current_strategy

    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert current_strategy() is None
    assert "tensorflow" not in sys.modules


def of_two(rows=3000):
    """A table in which one column is the exclusive or of two others."""
    df = pd.DataFrame(np.random.default_rng(9).integers(2, size=(rows, 4)), columns=["a", "b", "c", "d"])
    return df.assign(y=df["a"] ^ df["b"])


def search_of(df, checkpoint, ledger, callback=quiet, stop=None, **parameters):
    """A run that looks for interactions after step 20 of 60."""
    meta = MetaExtractor.extract(df, categories={name: [0, 1] for name in df})
    config = HighDimConfig(**{"epsilon": 8.0, "steps": 60, "batch_size": len(df), **parameters})
    return HighDimSynthesizer(meta, config).learn(df, callback, stop, ledger=ledger, checkpoint=checkpoint)


FOUND = ("'a', 'b' together tell about 'y'",)


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_run_that_is_stopped_before_the_search_makes_it_when_it_goes_on(ledger, tmp_path):
    df, path = of_two(), tmp_path / "run.checkpoint"
    first = search_of(df, path, ledger, **stop_after(20))
    assert (len(first.learned.losses), first.receipt.together) == (20, ())
    second = search_of(df, path, ledger)
    assert (len(second.learned.losses), second.receipt.together) == (60, FOUND)
    made = second.synthesize(4000, seed=1).astype(int)
    assert ((made["a"] ^ made["b"]) == made["y"]).mean() > 0.9


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_search_is_made_once_from_however_old_a_checkpoint(ledger, tmp_path):
    df, path = of_two(), tmp_path / "run.checkpoint"
    search_of(df, path, ledger, **stop_after(10))
    old = path.with_name("old")
    old.write_bytes(path.read_bytes())
    first = search_of(df, path, ledger, **stop_after(30))
    assert TrainingTask.read(path).derived[0].sources == (0, 1)
    # with what was found, and all that was learned since
    again = search_of(df, path, ledger, **stop_after(40))
    assert again.receipt.together == first.receipt.together == FOUND
    assert again.learned.losses[:30].tolist() == first.learned.losses.tolist()
    late = search_of(df, old, ledger)
    assert late.receipt.together == ()  # it is not made again, and lost for this one
    assert len(late.learned.losses) == 10 + 60 - 40


@pytest.mark.tensorflow
def test_interactions_are_looked_for_without_differential_privacy_too(ledger):
    found = search_of(of_two(), None, ledger, differential_privacy=False)
    assert found.receipt.together == FOUND
    assert found.learned.model.weights.shape[0] > found.learned.model.weights.shape[1]


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_persons_rows_weigh_on_the_choice_together(ledger):
    df = of_two(4000).assign(person=np.arange(4000) // 2)
    meta = MetaExtractor.extract(df, categories={name: [0, 1] for name in df if name != "person"})
    config = HighDimConfig(
        epsilon=16.0, steps=60, batch_size=len(df), privacy_unit="person", max_rows_per_unit=2
    )
    synthesizer = HighDimSynthesizer(meta, config).learn(df, quiet, ledger=ledger)
    assert synthesizer.receipt.together == FOUND
    assert verify_receipt(synthesizer.receipt.to_dict()).passed
