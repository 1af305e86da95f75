"""Any sequence of runs, names, links and caps leaves a ledger that a small model of it agrees with."""

import contextlib
import math
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.errors import ArtifactError, BudgetExhaustedError, ConfigError
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, gaussian_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.composition import Spending
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity

pytestmark = pytest.mark.slow

DELTA = 1e-6
contents = st.sampled_from([b"0", b"1", b"2", b"3"])
names = st.sampled_from(["a", "b", "c"])
epsilons = st.floats(0.05, 3.0)
runs = st.tuples(st.just("run"), contents, st.none() | names, epsilons, st.booleans())
links = st.tuples(st.just("link"), names, names)
caps = st.tuples(st.just("cap"), st.none() | st.floats(0.1, 5.0), st.none() | names)


class Model:
    """Which names and contents belong together, and the squared Gaussian-DP parameters spent on them."""

    def __init__(self):
        self.group, self.spent = {}, {}

    def join(self, *things):
        together = {thing for thing in things if thing is not None}
        for thing in list(together):
            together |= self.group.get(thing, {thing})
        for thing in together:
            self.group[thing] = together

    def add(self, thing, mu):
        self.spent.setdefault(thing, []).append(mu**2)

    def epsilon(self, thing):
        total = sum(sum(self.spent.get(each, [])) for each in self.group[thing])
        return gaussian_epsilon(math.sqrt(total), DELTA) if total else 0.0


def spend(ledger, content, name, epsilon, settle):
    """One run; returns its Gaussian-DP parameter, or None if it was refused."""
    mu = gaussian_mu(epsilon, DELTA)
    try:
        run = ledger.reserve(TableIdentity(content, name), epsilon, DELTA)
    except BudgetExhaustedError:
        return None
    if settle:
        mu *= 0.9
        plan = PrivacyPlan((GaussianMeasurement("counts", 1 / mu),))
        ledger.record(run, Spending(plan, DELTA, gaussian_epsilon(mu, DELTA)), "finished")
    return mu


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(runs, runs, runs, links, caps), max_size=12))
def test_every_sequence_of_actions_gives_the_totals_of_the_model(actions):
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        ledger = PrivacyLedger(Path(folder) / "ledger.sqlite3")
        for kind, *values in actions:
            if kind == "run":
                content, name, epsilon, settle = values
                before = ledger.summary()
                mu = spend(ledger, content, name, epsilon, settle)
                if mu is None:
                    assert ledger.summary() == before
                    continue
                model.join(content, name)
                model.add(content, mu)
            elif kind == "link":
                if all(name in model.group for name in values):
                    ledger.link(*values)
                    model.join(*values)
                else:
                    with pytest.raises(ConfigError):
                        ledger.link(*values)
            elif values[1] is None or values[1] in model.group:
                ledger.set_cap(*values)
        for thing in model.group:
            exact = model.epsilon(thing)
            if isinstance(thing, bytes):
                assert ledger.account(TableIdentity(thing)).epsilon == pytest.approx(exact, abs=1e-6)
            else:
                assert ledger.epsilon(thing) == pytest.approx(exact, abs=1e-6)
        groups = {frozenset(map(str, group)) for group in model.group.values()}
        assert len(ledger.summary().datasets) == len(groups)


@pytest.mark.long
@settings(deadline=None, max_examples=40)
@given(st.floats(0.2, 5.0), st.lists(epsilons, min_size=1, max_size=15))
def test_no_sequence_of_runs_takes_the_exact_total_over_a_cap(cap, wanted):
    with tempfile.TemporaryDirectory() as folder:
        ledger = PrivacyLedger(Path(folder) / "ledger.sqlite3")
        ledger.set_cap(cap)
        for epsilon in wanted:
            spend(ledger, b"0", "a", epsilon, settle=True)
        if len(ledger.to_frame()):
            assert ledger.epsilon("a") <= cap


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """The file of a ledger with everything in it."""
    ledger = PrivacyLedger(tmp_path_factory.mktemp("used") / "ledger.sqlite3")
    for content, name in ((b"0", "a"), (b"1", None), (b"0", "b")):
        spend(ledger, content, name, 0.5, settle=True)
    ledger.set_cap(3.0)
    ledger.set_cap(2.0, "a")
    ledger.epsilon("a")
    return ledger.path


def copy_of(path, folder):
    """A ledger with the same content and secret."""
    ledger = PrivacyLedger(Path(folder) / path.name)
    ledger.path.write_bytes(path.read_bytes())
    ledger.path.with_suffix(".key").write_bytes(path.with_suffix(".key").read_bytes())
    return ledger


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=3))
def test_a_file_with_altered_bytes_is_read_or_refused_and_never_fails_otherwise(used, alterations):
    content = bytearray(used.read_bytes())
    for place, new in alterations:
        start = int(place * len(content))
        content[start : start + len(new)] = new
    with tempfile.TemporaryDirectory() as folder:
        ledger = copy_of(used, folder)
        ledger.path.write_bytes(content)
        for use in (
            lambda: ledger.summary().to_text(),
            lambda: ledger.summary().to_json(),
            ledger.to_frame,
            lambda: ledger.account(TableIdentity(b"0")).sentence(1.0),
            lambda: ledger.reserve(TableIdentity(b"0"), 0.1, DELTA),
        ):
            with contextlib.suppress(ArtifactError, BudgetExhaustedError):
                use()


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["plan", "delta", "epsilon", "began", "status", "provisional"]),
    st.none() | st.text(max_size=20) | st.floats() | st.binary(max_size=8) | st.integers(-5, 5),
)
def test_a_run_with_an_impossible_entry_is_refused(used, column, value):
    with tempfile.TemporaryDirectory() as folder:
        ledger = copy_of(used, folder)
        with contextlib.closing(sqlite3.connect(ledger.path)) as db, contextlib.suppress(sqlite3.Error), db:
            db.execute(f"UPDATE runs SET {column} = ? WHERE number = 1", (value,))
        with contextlib.suppress(ArtifactError):
            ledger.summary().to_text()
            ledger.summary().to_json()
        with contextlib.suppress(ArtifactError, BudgetExhaustedError):
            ledger.reserve(TableIdentity(b"0"), 0.1, DELTA)
