"""Training on several devices and workers: same sensitivity, noise, epsilon and result; no double spending.

Devices and clusters belong to child processes (`tests.support.workers`):
TensorFlow can be set up for them only once.
"""

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.training import distribute as scaleout
from jupyter_dpsynth.engine.training import trainer as training
from jupyter_dpsynth.engine.training.distribute import Workers
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy import releases
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.sampling import poisson_sample
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import mixed_table
from tests.support.workers import KILLED_STEPS, RELEASES, STEPS

ROOT = Path(__file__).parents[2]
SECONDS = 170  # a child that takes longer hangs
KILL_AT = 40
UNLIKELY = 1e-4
WINDOW = KILLED_STEPS // 20  # steps between two checkpoints

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows"),
]


def free_ports(count):
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def children(folder, count, *arguments):
    """Processes of one cluster (no cluster if there is one), each with a data directory of its own."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    started = []
    for index in range(count):
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONPATH": str(ROOT),
            # only the first worker keeps a ledger: another one's folder must stay empty
            "JUPYTER_DATA_DIR": str(folder / f"worker {index}"),
        }
        if count > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        errors = (folder / f"errors {index}").open("w")
        command = [sys.executable, "-m", "tests.support.workers", *map(str, arguments)]
        started.append(
            subprocess.Popen(
                command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        )
        errors.close()
    try:
        yield started
    finally:
        for child in started:
            child.kill()
            child.wait()
            child.stdout.close()


def answer(child, folder, index=0):
    """The last line that a child printed, once it has ended well."""
    try:
        text, _ = child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"a child hangs; it said: {told(folder, index)}")
    assert child.returncode == 0, told(folder, index)
    return json.loads(text.splitlines()[-1])


def told(folder, index):
    return (folder / f"errors {index}").read_text()[-2000:]


def ledger_of(folder):
    return PrivacyLedger(folder / "worker 0" / "jupyter_dpsynth" / "ledger.sqlite3")


def reserved_steps(folder, run):
    """Steps of a run that may have been made, by the ledger."""
    return ledger_of(folder).reserved_steps(run)


@pytest.fixture(scope="module")
def by_replicas(tmp_path_factory):
    """What 1, 2 and 4 devices of one process find."""
    found = {}
    for count in (1, 2, 4):
        folder = tmp_path_factory.mktemp(f"replicas-{count}")
        with children(folder, 1, "replicas", count) as (child,):
            found[count] = answer(child, folder)
    return found


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """What each of two processes on loopback finds."""
    folder = tmp_path_factory.mktemp("workers")
    with children(folder, 2, "worker") as pair:
        return [answer(child, folder, index) for index, child in enumerate(pair)]


def is_planned(figures):
    """Whether the squares of normals, in units of the planned noise, have the planned mean."""
    for draws, squares in (
        (figures["draws"], figures["squares"]),
        (RELEASES, figures["loss_squares"]),
    ):
        chance = stats.chi2.cdf(squares, draws)
        if not UNLIKELY < chance < 1 - UNLIKELY:
            return False
    return figures["draws"] >= 20_000


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_row_or_unit_changes_one_replica_and_the_total_by_at_most_the_clip_norm(by_replicas, count):
    found = by_replicas[count]
    assert found["replicas"] == count
    assert 0.99 < found["effect"] <= 1.0  # and some rows are clipped, so that the bound is reached
    assert 0.99 < found["unit_effect"] <= 1.0
    assert found["touched"] == [1]
    assert set(found["unit_touched"]) <= {0, 1}  # a unit without rows changes nothing


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_noise_of_all_replicas_together_is_the_planned_one(by_replicas, count):
    assert is_planned(by_replicas[count])
    assert by_replicas[count]["correlation"] < 5 / math.sqrt(20_000)  # of successive steps


def test_a_chi_square_of_this_size_finds_a_missing_share():
    """The check above can fail: half of the variance, or three quarters of it, is far outside."""
    draws = 20_000
    for share in (0.5, 0.75, 2.0):
        assert not is_planned({"draws": draws, "squares": share * draws, "loss_squares": RELEASES})


@pytest.mark.long
def test_epsilon_and_events_do_not_depend_on_the_number_of_replicas(by_replicas, two_workers):
    alone = by_replicas[1]
    for found in (by_replicas[2], by_replicas[4], *two_workers):
        assert found["epsilon"] == alone["epsilon"] <= 2.0
        assert found["plan"] == alone["plan"]
        assert found["steps"] == STEPS
        assert found["reason"] == "finished"


@pytest.mark.long
def test_the_result_is_statistically_the_same_for_any_number_of_replicas(by_replicas, two_workers):
    for found in (*by_replicas.values(), *two_workers):
        assert found["distance"] < 0.08  # independent columns of this table: 0.1; another order of them: 0.3


@pytest.mark.long
def test_codes_that_stay_on_the_devices_give_the_same_sums(by_replicas):
    for found in by_replicas.values():
        assert found["resident"] < 1e-5


@pytest.mark.long
def test_blocks_of_columns_give_the_same_sums_on_several_devices(by_replicas):
    for found in by_replicas.values():
        assert found["blocks"] < 1e-5


@pytest.mark.long
def test_two_worker_processes_make_the_sum_of_the_whole_table_with_the_planned_noise(two_workers):
    first, second = two_workers
    assert [first["worker"], second["worker"]] == [0, 1]
    assert [first["workers"], first["share"], second["share"]] == [2, 0.5, 0.5]
    for found in two_workers:
        assert found["whole"] < 1e-4
        assert is_planned(found)
    assert first["first"] == second["first"]  # both get the same totals


@pytest.mark.long
def test_two_workers_end_with_the_same_model_and_one_entry_in_the_first_ones_ledger(two_workers):
    first, second = two_workers
    assert first["losses"] == second["losses"]
    assert first["distance"] == second["distance"]  # the synthetic tables of one seed are the same
    assert first["entry"] == second["entry"] is not None
    assert "in 2 shares" in first["noise"]
    # both have the whole tape: its noise is that of the run, around the mean of all rows
    assert first["tape"] == second["tape"]
    assert first["tape_distance"] == pytest.approx(1, abs=0.15)
    # four runs were entered; the one with two different tables was refused before
    assert [first["runs"], second["runs"]] == [4, 0]


@pytest.mark.long
def test_a_stop_at_one_worker_ends_all_after_the_same_step(two_workers):
    first, second = two_workers
    assert first["stopped"] == second["stopped"] == ["stopped", 8]


@pytest.mark.long
def test_workers_share_a_table_of_persons(two_workers):
    for found in two_workers:
        steps, distance = found["by_person"]
        assert steps == STEPS
        assert distance < 0.15


@pytest.mark.long
def test_workers_that_choose_other_rows_of_a_person_do_not_train(two_workers):
    """Otherwise a person could be in two shards."""
    for found in two_workers:
        assert found["apart"].startswith("DataError: the workers do not agree on which rows")


@pytest.mark.long
def test_workers_with_different_tables_are_refused_before_anything_is_spent(two_workers):
    for found in two_workers:
        assert found["mixed_up"].startswith("DataError: the workers do not have the same table")


def killed_while_training(folder, checkpoint, victim):
    """Train with two workers and kill one of them; what the other one answers, and its steps."""
    with children(folder, 2, "train", checkpoint) as pair:
        end = time.monotonic() + SECONDS
        for line in pair[victim].stdout:
            if line.startswith("step ") and int(line.split()[1]) >= KILL_AT:
                break
            assert time.monotonic() < end
        os.kill(pair[victim].pid, signal.SIGKILL)
        return answer(pair[1 - victim], folder, 1 - victim)


@pytest.mark.long
def test_a_lost_worker_ends_training_with_a_model_and_a_true_ledger(tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    found = killed_while_training(tmp_path, checkpoint, victim=1)
    assert found["reason"] == "worker lost"
    assert KILL_AT <= found["updates"] < KILLED_STEPS
    assert found["steps"] == found["updates"] + 1  # the step that failed counts as made
    (run,) = ledger_of(tmp_path).to_frame().to_dict("records")
    assert run["status"] == "stopped"
    assert run["epsilon"] == found["epsilon"]
    assert reserved_steps(tmp_path, found["entry"]) == found["steps"]
    # one worker alone can go on, and makes no more steps than are left
    with children(tmp_path, 1, "train", checkpoint) as (child,):
        resumed = answer(child, tmp_path)
    assert resumed["updates"] == KILLED_STEPS - 1
    assert resumed["losses"][: found["updates"]] == found["losses"]
    assert_nothing_more_was_spent(tmp_path, found, resumed)


@pytest.mark.long
def test_a_killed_first_worker_costs_steps_but_no_second_spending(tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    found = killed_while_training(tmp_path, checkpoint, victim=0)
    assert found["reason"] == "worker lost"
    (run,) = ledger_of(tmp_path).to_frame().to_dict("records")
    assert run["status"] == "reserved"  # nobody was left to say how it ended
    made = reserved_steps(tmp_path, found["entry"])
    assert found["updates"] <= made <= found["updates"] + 2 * WINDOW
    old_copy = checkpoint.read_bytes()
    with children(tmp_path, 2, "train", checkpoint) as pair:
        resumed, other = (answer(child, tmp_path, index) for index, child in enumerate(pair))
    assert resumed["losses"] == other["losses"]
    assert KILLED_STEPS - 2 * WINDOW - 1 <= resumed["updates"] < KILLED_STEPS
    assert_nothing_more_was_spent(tmp_path, found, resumed)
    # an old copy of the checkpoint gives its own model, but not one more step
    checkpoint.write_bytes(old_copy)
    with children(tmp_path, 1, "train", checkpoint) as (child,):
        again = answer(child, tmp_path)
    assert again["updates"] < resumed["updates"]
    assert_nothing_more_was_spent(tmp_path, found, again)


def assert_nothing_more_was_spent(folder, found, resumed):
    """One run in the ledger, of the same events, and all of its steps reserved but not one more."""
    (run,) = ledger_of(folder).to_frame().to_dict("records")
    assert run["status"] == "finished"
    assert run["epsilon"] == resumed["epsilon"] == found["epsilon"]
    assert resumed["entry"] == found["entry"]
    assert resumed["plan"] == found["plan"]
    assert resumed["steps"] == reserved_steps(folder, found["entry"]) == KILLED_STEPS
    assert not (folder / "worker 1").exists()


def test_workers_of_one_test_only_seed_have_independent_noise():
    sources = [NoiseSource(test_only_seed=5).of_worker(number) for number in (0, 1)]
    draws = [source.whole(np.full(20_000, 1e6)) for source in sources]
    assert abs(stats.pearsonr(*draws).statistic) < 0.03
    assert all(source.test_only for source in sources)
    real = NoiseSource()
    assert real.of_worker(1) is real  # each process has entropy of its own


def place(worker, workers):
    """A worker's place, without a cluster."""
    found = object.__new__(Workers)
    found.worker, found.workers = worker, workers
    return found


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 1000])
def test_shards_are_disjoint_and_cover_the_table(workers, count):
    rows = np.arange(count)
    parts = [rows[place(worker, workers).rows(count)] for worker in range(workers)]
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_workers_samples_together_are_a_poisson_sample_of_the_table():
    rows, probability, rounds, workers = 200, 0.1, 5_000, 4
    shards = [np.arange(rows)[place(worker, workers).rows(rows)] for worker in range(workers)]
    sources = [NoiseSource(test_only_seed=6).of_worker(worker) for worker in range(workers)]
    hits, sizes = np.zeros(rows), np.zeros((rounds, workers))
    for number in range(rounds):
        for worker, (shard, source) in enumerate(zip(shards, sources, strict=True)):
            sample = shard[poisson_sample(len(shard), probability, source.generator)]
            hits[sample] += 1
            sizes[number, worker] = len(sample)
    expected = rounds * probability
    chi = ((hits - expected) ** 2 / (expected * (1 - probability))).sum()
    assert UNLIKELY < stats.chi2.sf(chi, rows) < 1 - UNLIKELY
    variance = sizes.sum(axis=1).var() / (rows * probability * (1 - probability))
    assert abs(variance - 1) < 5 * math.sqrt(2 / rounds)
    correlations = np.corrcoef(sizes.T)[np.triu_indices(workers, 1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(rounds)


def test_each_step_has_a_sample_of_its_own_though_it_is_drawn_while_the_last_one_computes(monkeypatch):
    drawn, used = [], []

    def draw(*arguments):
        drawn.append(poisson_sample(*arguments))
        return drawn[-1]

    class Watched(scaleout.ReplicatedRelease):
        def release(self, weights, bias, codes, sample):
            used.append(sample.indices)
            return super().release(weights, bias, codes, sample)

    monkeypatch.setattr(releases, "poisson_sample", draw)
    monkeypatch.setattr(training, "ReplicatedRelease", Watched)
    df = mixed_table(300, seed=77)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=50.0, steps=6))
    strategy = training.tf.distribute.OneDeviceStrategy("CPU:0")
    synthesizer.learn(df, callback=lambda _: None, strategy=strategy)
    assert len(used) == 6
    assert all(one is other for one, other in zip(used, drawn, strict=True))
