"""The ledger under real processes: two that want the same last bit of a budget, and kills at any moment."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from jupyter_dpsynth.errors import BudgetExhaustedError
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from tests.support.tables import EVERY_ROW

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")

DELTA = 1e-6
ROUNDS = 30
KILLS = 12

RACER = """
import sys, time
from pathlib import Path
from jupyter_dpsynth.errors import BudgetExhaustedError
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity

path, folder, name, rounds, epsilon, delta = sys.argv[1:]
ledger, folder = PrivacyLedger(path), Path(folder)
for number in range(int(rounds)):
    (folder / f"{name}-{number}").touch()
    while len(list(folder.glob(f"*-{number}"))) < 2:
        time.sleep(0.001)
    try:
        ledger.reserve(TableIdentity(b"table %d" % number), float(epsilon), float(delta))
        print("won", flush=True)
    except BudgetExhaustedError:
        print("refused", flush=True)
"""

SPENDER = """
import os, sys
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.composition import Spending, provisional_spending
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity

provisional_spending(1.0, 1e-6)  # loads what it needs
plan = PrivacyPlan((GaussianMeasurement("counts", 50.0),), SampledTraining(10, 0.1, 5.0), 1e-7)

def spend(path, pipe):
    tell = open(pipe, "w", buffering=1)
    print("begin", file=tell)
    ledger = PrivacyLedger(path)
    for number in range(100_000):
        run = ledger.reserve(TableIdentity(b"table %d" % (number % 3)), 1.0, 1e-6)
        print("reserved", run, file=tell)
        ledger.record(run, Spending(plan, 1e-6, 0.4))
        print("settled", run, file=tell)
        ledger.record(run, status="finished")
        print("finished", run, file=tell)

for line in sys.stdin:
    child = os.fork()  # which need not load everything again
    if child == 0:
        spend(*line.split())
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

HOLDER = """
import sys
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity

ledger = PrivacyLedger(sys.argv[1])
run = ledger.reserve(TableIdentity(b"table"), 1.0, 1e-6)
print("reserved", flush=True)
sys.stdin.readline()
ledger.record(run, status="finished")
print("finished", flush=True)
"""
NEW_COLUMNS = (
    ("budgets", "first_epsilon"),
    ("budgets", "first_delta"),
    ("budgets", "filter_order"),
    ("datasets", "version_of"),
    ("contents", "columns"),
    ("contents", "sketch"),
)

LEARNER = """
import sys, time
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from tests.support.tables import mixed_table

def tell(report):
    print(report.phase, report.ledger, flush=True)

df = mixed_table()
config = HighDimConfig(epsilon=1.0, steps=20_000, batch_size=int(sys.argv[1]) or "auto")
HighDimSynthesizer(MetaExtractor.extract(df), config).learn(df, callback=tell, dataset="patients")
"""


def start(code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )


class Spenders:
    """A process that has loaded all that spending needs, and forks one that spends when it is asked."""

    def __init__(self, pipe):
        self.pipe = pipe
        os.mkfifo(pipe)
        self.parent = start(SPENDER)

    def begin(self, path):
        """Spend on a ledger; returns the process's number and what it tells."""
        print(path, self.pipe, file=self.parent.stdin, flush=True)
        self.child = int(self.parent.stdout.readline())
        return self.pipe.open()

    def kill(self):
        """End the spending as a crash would."""
        os.kill(self.child, signal.SIGKILL)
        ended = int(self.parent.stdout.readline())
        assert ended == -signal.SIGKILL, "it ended by itself, so that nothing was tested"


@pytest.fixture
def spenders(tmp_path):
    one = Spenders(tmp_path / "told")
    yield one
    one.parent.communicate()  # closes its input, which ends it


def kill(process):
    """End a process as a crash would; returns what it still had written."""
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, "it ended by itself, so that nothing was tested"
    return rest.splitlines()


def assert_sound(path):
    """SQLite finds no fault, after it has undone what was not complete."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def test_of_two_processes_that_want_the_last_of_a_budget_exactly_one_gets_it(tmp_path):
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    ledger.set_cap(1.0)
    for number in range(ROUNDS):
        ledger.reserve(TableIdentity(b"table %d" % number), 0.7, DELTA)
    rooms = {each.room for each in ledger.summary().datasets}
    assert len(rooms) == 1
    (room,) = rooms
    assert room > 0
    racers = [start(RACER, ledger.path, tmp_path, name, ROUNDS, room, DELTA) for name in "ab"]
    outcomes = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert [len(each) for each in outcomes] == [ROUNDS, ROUNDS]
    for one, other in zip(*outcomes, strict=True):
        assert {one, other} == {"won", "refused"}
    assert [len(each.runs) for each in ledger.summary().datasets] == [2] * ROUNDS
    assert_sound(ledger.path)


def test_a_process_sees_what_another_one_has_reserved_and_has_not_ended(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    other = start(HOLDER, path)
    assert other.stdout.readline() == "reserved\n"
    ledger = PrivacyLedger(path)
    account = ledger.account(TableIdentity(b"table"))
    assert (account.runs, account.unfinished, account.reserved) == (1, 1, pytest.approx(1.0))
    assert "epsilon = 1 of it reserved by 1 that has not ended" in ledger.summary().to_text()
    ledger.set_cap(1.5)
    with pytest.raises(BudgetExhaustedError, match="over its cap"):
        ledger.reserve(TableIdentity(b"table"), 1.0, DELTA)
    other.stdin.write("end\n")
    other.stdin.flush()
    assert other.stdout.readline() == "finished\n"
    assert ledger.account(TableIdentity(b"table")).unfinished == 0
    assert "has not ended" not in ledger.summary().to_text()
    other.communicate()


def test_two_processes_that_find_an_old_file_upgrade_it_once(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    PrivacyLedger(path).reserve(TableIdentity(b"table 0"), 0.1, DELTA)
    with contextlib.closing(sqlite3.connect(path)) as db:  # as earlier releases left it
        for table, column in NEW_COLUMNS:
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    racers = [start(RACER, path, tmp_path, name, 5, 0.1, DELTA) for name in "ab"]
    outcomes = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert outcomes == [["won"] * 5] * 2
    assert [len(each.runs) for each in PrivacyLedger(path).summary().datasets] == [3, 2, 2, 2, 2]
    assert_sound(path)


def test_two_processes_that_begin_a_ledger_together_share_one_secret(tmp_path):
    path = tmp_path / "new" / "ledger.sqlite3"
    racers = [start(RACER, path, tmp_path, name, 5, 0.1, DELTA) for name in "ab"]
    outcomes = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert outcomes == [["won"] * 5] * 2
    assert [len(each.runs) for each in PrivacyLedger(path).summary().datasets] == [2] * 5


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_reserved_and_leaves_a_sound_file(tmp_path, spenders):
    seen = {"reserved": 0, "settled": 0, "finished": 0}
    for attempt in range(KILLS):
        # every third time from the very first use of a new ledger, otherwise on the same one
        path = tmp_path / f"ledger-{attempt // 3}.sqlite3"
        with spenders.begin(path) as telling:
            assert telling.readline() == "begin\n"
            # later from time to time, so that every kind of line is seen on a slow machine too
            told = [telling.readline() for _ in range(attempt)]
            time.sleep(random.uniform(0, 0.15))
            spenders.kill()
            lines = [line.split() for line in told + telling.readlines()]
        lines = [line for line in lines if len(line) == 2 and len(line[1]) == 32]  # the last may be cut
        ledger = PrivacyLedger(path)
        runs = {run.id: run for dataset in ledger.summary().datasets for run in dataset.runs}
        assert_sound(path)
        for what, run in lines:
            seen[what] += 1
            entry = runs[run]
            if what == "reserved":
                assert entry.spending.plan is not None
            else:
                assert not entry.spending.provisional
            if what == "finished":
                assert entry.status == "finished"
        # and it goes on being used
        ledger.reserve(TableIdentity(b"table 0"), 1.0, DELTA)
    assert min(seen.values()) > 0


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("moment", ["measuring", "calibrating", "training"])
def test_a_learning_run_that_is_killed_stays_counted_and_the_next_one_is_told(tmp_path, moment):
    # where every row is in every step, calibrating takes no time
    batch_size = 0 if moment == "calibrating" else EVERY_ROW
    process = start(LEARNER, batch_size, JUPYTER_DATA_DIR=str(tmp_path))
    told = ""
    for line in process.stdout:
        phase, _, words = line.strip().partition(" ")
        told = told or words
        if phase == moment:
            break
    time.sleep(random.uniform(0, 1.5 if moment == "training" else 0.3))
    kill(process)
    assert told == "This data ('patients') has cost nothing so far (no runs); this run reserves epsilon = 1."
    path = tmp_path / "jupyter_dpsynth" / "ledger.sqlite3"
    ledger = PrivacyLedger(path)
    assert_sound(path)
    (dataset,) = ledger.summary().datasets
    (run,) = dataset.runs
    assert run.status == "reserved"
    assert 0.95 < dataset.epsilon <= 1.0 + 1e-6
    assert dataset.epsilon == pytest.approx(run.spending.epsilon)
    if moment == "training":
        assert run.steps == 20_000  # the exact plan stands before training
        assert not run.spending.provisional
    again = start(LEARNER, batch_size, JUPYTER_DATA_DIR=str(tmp_path))
    line = next(line for line in again.stdout if "This data" in line)
    kill(again)
    assert "so far (1 run, epsilon = " in line
    assert "reserved by 1 that has not ended); this run reserves 1 more." in line


def test_a_killed_holder_of_the_lock_does_not_keep_the_others_out(tmp_path):
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    ledger.reserve(TableIdentity(b"table"), 1.0, DELTA)
    holder = start(
        "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('BEGIN IMMEDIATE'); db.execute('DELETE FROM runs'); print('held', flush=True);"
        "time.sleep(600)",
        ledger.path,
    )
    assert holder.stdout.readline() == "held\n"
    kill(holder)
    assert len(ledger.to_frame()) == 1
