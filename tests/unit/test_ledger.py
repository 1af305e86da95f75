"""The ledger: one composition of all events, caps that hold, a table known again, and a file that is safe."""

import functools
import json
import math
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from jupyter_dpsynth.errors import ArtifactError, BudgetExhaustedError, ConfigError
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    calibrate_noise_multiplier,
    compute_epsilon,
    gaussian_mu,
)
from jupyter_dpsynth.privacy.composition import (
    RenyiFilter,
    Spending,
    filter_order,
    provisional_spending,
    total_delta,
    total_epsilon,
)
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger import file as ledger_file
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity

DELTA = 2e-6
ONE, OTHER = b"content of one table", b"content of another"


@functools.cache
def spending(epsilon=1.0, probability=0.02, steps=400, selection=2e-7):
    """A run as the engine plans it: measurements and training calibrated to epsilon together."""
    mu = gaussian_mu(epsilon, DELTA - selection)
    counts = GaussianMeasurement("counts", 1 / (0.4 * mu))
    sigma = calibrate_noise_multiplier(epsilon, DELTA - selection, steps, probability, 0.4 * mu)
    plan = PrivacyPlan((counts,), SampledTraining(steps, probability, sigma), selection)
    return Spending(plan, DELTA, compute_epsilon(plan, DELTA))


@pytest.fixture
def ledger(tmp_path):
    return PrivacyLedger(tmp_path / "folder" / "ledger.sqlite3")


def spend(ledger, content=ONE, name=None, label="df", each=None):
    """One run from its reservation to its end."""
    each = each or spending()
    run = ledger.reserve(TableIdentity(content, name, label), each.epsilon, DELTA)
    ledger.record(run, each, "finished")
    return run


def test_the_total_is_one_pld_over_the_events_of_all_runs():
    runs = [spending(1.0), spending(0.5, 0.01), spending(1.0, 0.02, 300)]
    event = dp_event.ComposedDpEvent([each.plan.event() for each in runs])
    accountant = PLDAccountant(value_discretization_interval=1e-4).compose(event)
    exact = accountant.get_epsilon(max(each.delta - each.plan.selection_delta for each in runs))
    total = total_epsilon(runs)
    assert exact <= total <= exact * 1.005  # a coarser distribution, which errs upwards
    assert total < 0.8 * sum(each.epsilon for each in runs)
    assert total_delta(runs) == pytest.approx(DELTA - 2e-7 + 3 * 2e-7)


def test_the_total_of_many_runs_is_a_little_above_their_exact_composition():
    runs = []
    for number in range(20):
        plan = PrivacyPlan((), SampledTraining(100, 0.02 * (1 + 1e-3 * number), 3.0 + 1e-3 * number))
        runs.append(Spending(plan, DELTA, 0.3))
    quick = total_epsilon(runs)
    event = dp_event.ComposedDpEvent([each.plan.event() for each in runs])
    accountant = PLDAccountant(value_discretization_interval=3e-4).compose(event)
    assert 0 <= quick - accountant.get_epsilon(DELTA) <= 0.03 * quick


def test_the_total_of_one_run_is_its_own_epsilon_and_delta(ledger):
    each = spending()
    spend(ledger, each=each)
    account = ledger.account(TableIdentity(ONE))
    assert account.epsilon == each.epsilon == ledger.epsilon("df")
    assert account.delta == pytest.approx(DELTA)


def test_measurements_without_training_add_up_in_closed_form():
    each = Spending(PrivacyPlan((GaussianMeasurement("counts", 10.0),)), DELTA, 0.5)
    both = PrivacyPlan((GaussianMeasurement("counts", 10 / math.sqrt(2)),))
    assert total_epsilon([each, each]) == pytest.approx(compute_epsilon(both, DELTA))
    assert total_epsilon([]) == 0.0


def test_a_step_too_large_to_discretise_has_a_finite_total_above_its_own_epsilon():
    plan = PrivacyPlan((), SampledTraining(2, 0.1, 0.2))
    each = Spending(plan, DELTA, compute_epsilon(plan, DELTA))
    assert each.epsilon < total_epsilon([each, each]) < math.inf


def test_a_run_without_a_guarantee_makes_the_total_infinite(ledger):
    spend(ledger)
    ledger.reserve(TableIdentity(ONE), math.inf, 0.0)
    assert ledger.epsilon("df") == math.inf
    assert "infinite" in ledger.summary().to_text()


def test_runs_that_protect_different_units_are_said_not_to_add_up_before_and_after(ledger):
    spend(ledger)
    before = ledger.account(TableIdentity(ONE))
    assert "infinite" not in before.sentence(1.0)
    assert "runs that protect one row and runs that protect one person" in before.sentence(1.0, "one person")
    ledger.reserve(TableIdentity(ONE), 1.0, DELTA, "one person", infinite_total=True)
    ledger.set_cap(3.0)
    (dataset,) = ledger.summary().datasets
    assert "runs that protect one row and runs that protect one person cannot be added up" in dataset.words
    assert "had no guarantee" not in dataset.words
    assert dataset.room == 0
    with pytest.raises(BudgetExhaustedError):
        ledger.reserve(TableIdentity(ONE), 0.01, DELTA)


def test_what_was_reserved_counts_until_the_exact_plan_replaces_it_and_then_stays(ledger):
    run = ledger.reserve(TableIdentity(ONE), 1.0, DELTA)
    assert ledger.epsilon("table") == pytest.approx(1.0)
    exact = spending(0.8)
    ledger.record(run, exact)
    assert ledger.epsilon("table") == exact.epsilon
    with pytest.raises(ArtifactError, match="cannot be replaced"):
        ledger.record(run, spending(0.1))
    for status in ("stopped", "failed"):
        ledger.record(run, status=status)
        assert ledger.epsilon("table") == exact.epsilon
    with pytest.raises(ArtifactError, match="no longer contains this run"):
        ledger.record("nothing", exact)


def test_the_ledger_stores_events_that_an_accountant_can_compose_again(ledger, tmp_path):
    each = spending()
    spend(ledger, each=each)
    ledger.export(tmp_path / "out.json")
    (dataset,) = json.loads((tmp_path / "out.json").read_text())["datasets"]
    (run,) = dataset["runs"]
    assert PrivacyPlan.from_dict(run["plan"]) == each.plan
    assert compute_epsilon(PrivacyPlan.from_dict(run["plan"]), run["delta"]) == run["epsilon"]


# ---- the filter


def filter_of(cap, first):
    """The filter that a first reservation of this epsilon and delta fixes."""
    reserved = provisional_spending(first.epsilon, DELTA)
    return RenyiFilter(cap, filter_order(cap, reserved), DELTA)


@pytest.mark.parametrize("cap", [0.3, 1.0, 3.0, 10.0])
def test_whatever_the_filter_allows_keeps_the_exact_total_within_the_cap(cap):
    each = spending(cap / 5)
    renyi, runs = filter_of(cap, each), []
    while renyi.allows(runs, each):
        runs.append(each)
    assert total_epsilon(runs) <= cap
    assert total_epsilon([*runs, *[each] * 5]) > 0.9 * cap  # it is no caricature of a bound either
    assert len(runs) > 5  # more than adding epsilons up would allow


def test_the_first_run_may_use_the_whole_cap_and_then_nothing_fits():
    each = spending(1.0)
    renyi = filter_of(each.epsilon, each)
    assert renyi.allows([], each)
    assert not renyi.allows([each], spending(0.05))
    assert renyi.room([each], DELTA) == 0.0
    assert not filter_of(0.99 * each.epsilon, each).allows([], each)


@pytest.mark.parametrize(("cap", "earlier"), [(3.0, 1), (3.0, 4), (1.0, 1), (10.0, 3)])
def test_the_room_that_is_stated_fits_and_a_little_more_does_not(cap, earlier):
    runs = [spending(cap / 4)] * earlier
    renyi = filter_of(cap, runs[0])
    room = renyi.room(runs, DELTA)
    assert room > 0
    assert renyi.allows(runs, provisional_spending(room, DELTA))
    assert not renyi.allows(runs, provisional_spending(1.02 * room, DELTA))
    # the plan that the engine makes of it, in which the sampling grows with epsilon
    assert renyi.allows(runs, spending(room, probability=0.02 * max(1, room)))


def test_nothing_is_allowed_on_data_that_was_learned_without_a_guarantee():
    nothing = provisional_spending(math.inf, 0.0)
    assert not filter_of(100.0, spending()).allows([nothing], spending(0.1))
    assert not filter_of(100.0, spending()).allows([], nothing)


def filter_in(ledger):
    with sqlite3.connect(ledger.path) as db:
        found = db.execute("SELECT first_epsilon, first_delta, filter_order FROM budgets").fetchall()
    db.close()
    return found


@pytest.mark.parametrize("delta", [1e-6, 3e-6])
def test_the_filter_follows_from_the_first_reservation_and_not_from_the_noisy_plan(tmp_path, delta):
    found = []
    for number, exact in enumerate((spending(0.8), spending(0.6, 0.02, 200))):
        ledger = PrivacyLedger(tmp_path / f"{number}.sqlite3")
        ledger.set_cap(3.0)
        run = ledger.reserve(TableIdentity(ONE), 1.0, delta)
        ledger.record(run, replace(exact, delta=DELTA * (1 + number)))
        ledger.reserve(TableIdentity(ONE), 0.2, 1e-7)
        found.append(filter_in(ledger))
    assert found == [[(1.0, delta, filter_order(3.0, provisional_spending(1.0, delta)))]] * 2


def test_another_cap_has_another_filter_that_still_follows_from_the_first_reservation(ledger):
    ledger.reserve(TableIdentity(ONE, "a"), 1.0, DELTA)
    for cap in (1.5, 20.0):
        ledger.set_cap(cap, "a")
        ledger.reserve(TableIdentity(ONE), 0.01, DELTA)
        assert filter_in(ledger) == [(1.0, DELTA, filter_order(cap, provisional_spending(1.0, DELTA)))]


def test_a_filter_of_a_larger_delta_keeps_the_total_at_the_runs_own_delta_within_the_cap():
    each = replace(spending(0.3), delta=1e-8)
    each = replace(each, plan=replace(each.plan, selection_delta=0.0))
    renyi, runs = filter_of(2.0, each), []
    while renyi.allows(runs, each):
        runs.append(each)
    assert len(runs) > 5
    assert total_epsilon(runs) <= 2.0


# ---- caps


def test_a_run_over_the_cap_is_refused_and_leaves_no_trace(ledger):
    for _ in range(3):
        spend(ledger)
    ledger.set_cap(2.0, "df")
    with pytest.raises(BudgetExhaustedError, match=r"over its cap of 2 \(3 runs so far\): at most") as raised:
        ledger.reserve(TableIdentity(ONE), 1.5, DELTA)
    assert len(ledger.to_frame()) == 3
    fits = float(str(raised.value).split("at most epsilon = ")[1].split(" ")[0])
    ledger.reserve(TableIdentity(ONE), fits, DELTA)
    assert len(ledger.to_frame()) == 4


def test_a_cap_for_all_holds_where_there_is_none_of_its_own(ledger):
    spend(ledger)
    ledger.set_cap(0.5)
    with pytest.raises(BudgetExhaustedError, match="nothing is left"):
        ledger.reserve(TableIdentity(ONE), 0.1, DELTA)
    with pytest.raises(BudgetExhaustedError, match=r"at most epsilon = 0\.5 is left"):
        ledger.reserve(TableIdentity(OTHER), 1.0, DELTA)
    ledger.set_cap(5.0, "df")
    ledger.reserve(TableIdentity(ONE), 0.1, DELTA)
    ledger.set_cap(None)
    ledger.reserve(TableIdentity(OTHER), 1.0, DELTA)


def test_a_run_without_a_guarantee_is_over_every_cap(ledger):
    ledger.set_cap(1e6)
    with pytest.raises(BudgetExhaustedError, match="without a guarantee"):
        ledger.reserve(TableIdentity(ONE), math.inf, 0.0)


def test_runs_that_protect_rows_and_runs_that_protect_persons_have_no_total_and_no_common_cap(ledger):
    persons = "one value of 'who', with at most 3 rows"
    by_person = replace(spending(), plan=replace(spending().plan, unit=persons))
    assert math.isinf(total_epsilon([spending(), by_person]))
    assert total_epsilon([by_person, by_person]) == total_epsilon([spending(), spending()])
    ledger.set_cap(10.0)
    spend(ledger)
    with pytest.raises(BudgetExhaustedError, match="runs that protect one row: with one that protects"):
        ledger.reserve(TableIdentity(ONE, None, "df"), 1.0, DELTA, persons)
    assert len(ledger.to_frame()) == 1


def test_an_exact_plan_over_the_cap_is_refused_and_the_reservation_stays(ledger):
    ledger.set_cap(1.0)
    run = ledger.reserve(TableIdentity(ONE), 1.0, DELTA)
    with pytest.raises(BudgetExhaustedError):
        ledger.record(run, spending(1.1))
    assert ledger.epsilon("table") == pytest.approx(1.0)


@pytest.mark.parametrize("cap", [0, -1, math.nan, math.inf, True, "3", [1]])
def test_a_cap_must_be_a_positive_number(ledger, cap):
    with pytest.raises(ConfigError, match="cap = "):
        ledger.set_cap(cap)


# ---- by what a table is known again


def test_the_same_content_is_the_same_dataset_whatever_it_is_called(ledger):
    spend(ledger, label="df")
    spend(ledger, label="patients_2024")
    assert ledger.account(TableIdentity(ONE, label="other")).runs == 2


def test_the_same_name_is_the_same_dataset_whatever_the_content(ledger):
    spend(ledger, ONE, name="patients")
    spend(ledger, OTHER, name="patients")
    assert ledger.account(TableIdentity(b"third", "patients")).runs == 2
    assert ledger.account(TableIdentity(OTHER)).runs == 2


def test_different_tables_with_the_same_variable_name_are_kept_apart_and_that_is_said(ledger):
    spend(ledger, ONE, label="df")
    account = ledger.account(TableIdentity(OTHER, label="df"))
    assert (account.dataset, account.runs, account.namesake) == ("df (2)", 0, "df")
    assert "--link 'df' 'df (2)'" in account.sentence(1.0)
    spend(ledger, OTHER, label="df")
    assert ledger.account(TableIdentity(OTHER, label="df")).namesake is None


def test_a_name_given_later_replaces_a_label_and_the_spending_stays(ledger):
    spend(ledger, ONE, label="df")
    spend(ledger, ONE, name="patients")
    assert [each.names for each in ledger.summary().datasets] == [("patients",)]
    assert ledger.account(TableIdentity(ONE)).runs == 2


def test_the_same_content_under_two_names_links_them(ledger):
    spend(ledger, ONE, name="patients")
    spend(ledger, OTHER, name="people")
    spend(ledger, ONE, name="people")
    (dataset,) = ledger.summary().datasets
    assert set(dataset.names) == {"patients", "people"}
    assert len(dataset.runs) == 3


def test_looking_at_an_account_changes_nothing(ledger):
    spend(ledger, ONE, label="df")
    before = ledger.summary()
    ledger.account(TableIdentity(OTHER, "new"))
    ledger.account(TableIdentity(ONE, "renamed"))
    assert ledger.summary() == before


def test_linked_datasets_count_together_under_the_smaller_cap(ledger):
    spend(ledger, ONE, name="one")
    spend(ledger, OTHER, name="other")
    ledger.set_cap(5.0, "one")
    ledger.set_cap(2.0, "other")
    ledger.link("one", "other")
    assert ledger.epsilon("one") == ledger.epsilon("other") > 1.2
    (dataset,) = ledger.summary().datasets
    assert dataset.cap == 2.0
    with pytest.raises(BudgetExhaustedError):
        ledger.reserve(TableIdentity(ONE), 1.5, DELTA)


def test_linking_keeps_a_cap_for_all_that_is_smaller_than_an_own_one(ledger):
    spend(ledger, ONE, name="one")
    spend(ledger, OTHER, name="other")
    ledger.set_cap(5.0, "one")
    ledger.set_cap(3.0)
    ledger.link("one", "other")
    assert ledger.summary().datasets[0].cap == 3.0


def test_a_dataset_that_is_not_there_is_named_with_a_hint(ledger):
    spend(ledger, name="patients")
    for ask in (
        lambda: ledger.link("patients", "patient"),
        lambda: ledger.set_cap(1, "patient"),
        lambda: ledger.epsilon("patient"),
    ):
        with pytest.raises(ConfigError, match="Did you mean 'patients'"):
            ask()


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 101, 3, "a\x1b[31m"])
def test_a_name_must_fit_into_one_line(name):
    with pytest.raises(ConfigError, match="dataset"):
        TableIdentity(ONE, name)


# ---- the file


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_can_read_the_ledger_and_its_secret(ledger):
    spend(ledger)
    folder = ledger.path.parent
    assert mode(folder) == 0o700
    assert {path.name for path in folder.iterdir()} == {"ledger.sqlite3", "ledger.key"}
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    ledger.path.chmod(0o644)
    ledger.summary()
    assert mode(ledger.path) == 0o600


def test_the_fingerprint_itself_is_nowhere_in_the_file_and_the_digest_leaves_it_in_no_export(
    ledger, tmp_path
):
    spend(ledger, content=bytes(range(32)))
    stored = ledger.path.read_bytes()
    assert bytes(range(32)) not in stored
    assert bytes(range(32)).hex().encode() not in stored
    with sqlite3.connect(ledger.path) as db:
        ((digest,),) = db.execute("SELECT digest FROM contents").fetchall()
    db.close()
    ledger.export(tmp_path / "out.json")
    ledger.export(tmp_path / "out.csv")
    summary = ledger.summary()
    shown = [(tmp_path / name).read_text() for name in ("out.json", "out.csv")]
    shown += [summary.to_text(), repr(summary), summary.datasets[0].words]
    assert not any(digest[:16] in text for text in shown)


def test_another_secret_gives_other_digests(tmp_path):
    digests = []
    for name in "ab":
        ledger = PrivacyLedger(tmp_path / name / "ledger.sqlite3")
        spend(ledger)
        with sqlite3.connect(ledger.path) as db:
            digests += db.execute("SELECT digest FROM contents").fetchall()
        db.close()
    assert digests[0] != digests[1]


@pytest.mark.parametrize("change", ["remove", "replace"])
def test_a_secret_that_does_not_fit_is_refused_because_no_table_would_be_known_again(ledger, change):
    spend(ledger)
    secret = ledger.path.with_suffix(".key")
    if change == "remove":
        secret.unlink()
    else:
        secret.write_bytes(b"x" * 32)
    with pytest.raises(ArtifactError, match=r"secret .* is missing or belongs to another"):
        ledger.reserve(TableIdentity(ONE), 1.0, DELTA)
    assert len(ledger.to_frame()) == 1  # what was spent can still be looked up


DAMAGE = {
    "text": lambda path: path.write_bytes(b"this is no database" * 100),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "zeros": lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(len(path.read_bytes()) - 4096)),
    "another program's": lambda path: (path.unlink(), sqlite3.connect(path).execute("CREATE TABLE t (a)")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_ledger_is_refused_and_left_as_it_is(ledger, kind):
    spend(ledger)
    DAMAGE[kind](ledger.path)
    damaged = ledger.path.read_bytes()
    for ask in (
        lambda: ledger.reserve(TableIdentity(ONE), 1.0, DELTA),
        lambda: ledger.account(TableIdentity(ONE)),
        ledger.summary,
    ):
        with pytest.raises(ArtifactError, match="damaged or not a ledger"):
            ask()
    assert ledger.path.read_bytes() == damaged


def test_an_event_that_cannot_be_read_is_refused(ledger):
    spend(ledger)
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE runs SET plan = '{}'")
    db.close()
    with pytest.raises(ArtifactError, match="a run in it cannot be read"):
        ledger.account(TableIdentity(ONE))


def test_a_newer_ledger_is_refused(ledger):
    spend(ledger)
    with sqlite3.connect(ledger.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ArtifactError, match="has version 99"):
        ledger.summary()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ArtifactError, match="cannot be used"):
        PrivacyLedger(tmp_path / "file" / "ledger.sqlite3").reserve(TableIdentity(ONE), 1.0, DELTA)


def test_a_ledger_that_another_process_holds_for_too_long_is_refused(ledger, monkeypatch):
    spend(ledger)
    monkeypatch.setattr(ledger_file, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ArtifactError, match="locked by another process"):
        ledger.reserve(TableIdentity(ONE), 1.0, DELTA)
    holder.close()
    ledger.reserve(TableIdentity(ONE), 1.0, DELTA)


def test_the_default_ledger_is_in_jupyters_data_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert PrivacyLedger().path == tmp_path / "jupyter_dpsynth" / "ledger.sqlite3"


def test_the_command_line_prints_the_ledger(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    spend(PrivacyLedger(), name="patients")
    PrivacyLedger().set_cap(3)
    command = [sys.executable, "-m", "jupyter_dpsynth.cli", "ledger"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip() == PrivacyLedger().summary().to_text().rstrip()
    assert "patients\n  [########" in done.stdout
    assert not done.stderr
    PrivacyLedger().path.write_bytes(b"damaged" * 1000)
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert broken.returncode == 1
    assert broken.stderr.count("\n") == 1


# ---- what it shows


def test_the_frame_has_one_row_per_run(ledger):
    spend(ledger, name="patients")
    ledger.reserve(TableIdentity(OTHER, "others"), math.inf, 0.0)
    df = ledger.to_frame()
    assert list(df["dataset"]) == ["patients", "others"]
    assert list(df["status"]) == ["finished", "reserved"]
    assert df["steps"].tolist()[0] == 400
    assert np.isinf(df["epsilon"].iloc[1])
    assert str(df["began"].dtype).startswith("datetime64")
    assert len(PrivacyLedger(ledger.path.with_name("empty.sqlite3")).to_frame()) == 0


def test_an_export_must_be_csv_or_json(ledger, tmp_path):
    spend(ledger)
    with pytest.raises(ConfigError, match=r"\.csv or \.json"):
        ledger.export(tmp_path / "ledger.xlsx")
    with pytest.raises(ArtifactError, match="cannot be written"):
        ledger.export(tmp_path / "nowhere" / "ledger.csv")


def test_the_total_is_computed_once_and_kept(ledger, monkeypatch):
    for _ in range(2):
        spend(ledger)
    total = ledger.epsilon("df")

    def again(*_):
        raise AssertionError("composed twice")

    monkeypatch.setattr("jupyter_dpsynth.privacy.ledger.book.total_epsilon", again)
    assert ledger.epsilon("df") == total
