"""The ledger counts versions of one table together, and tells it in words that say nothing of its rows."""

import contextlib
import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import BudgetExhaustedError
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan
from jupyter_dpsynth.privacy.composition import provisional_spending, total_epsilon
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.privacy.ledger.likeness import read_sketch, row_share
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.identity import columns_of, identify_table
from jupyter_dpsynth.sources.opening import open_source

DELTA = 1e-6


def export(seed=0, rows=1200):
    """An export as a hospital may write it."""
    generator = np.random.default_rng(seed)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 365, rows), unit="D")
    df = pd.DataFrame(
        {
            "Patient Age": generator.integers(18, 95, rows),
            "Admitted": day.strftime("%Y-%m-%d"),
            "Ward": generator.choice(["north", "south", "west"], rows),
            "Costs": np.round(generator.gamma(3, 700, rows), 2),
            "Stay": generator.gamma(2, 3, rows).round(1),
            "Sex": generator.choice(["f", "m"], rows),
        }
    )
    return df.mask(generator.random(df.shape) < 0.02)


STEPS = {
    "drop rows with missing values": lambda df: df.dropna(),
    "drop a column": lambda df: df.drop(columns="Costs"),
    "rename a column": lambda df: df.rename(columns={"Costs": "euros"}),
    "tidy up all names": lambda df: df.rename(columns=lambda name: name.lower().replace(" ", "_")),
    "convert a date": lambda df: df.assign(Admitted=pd.to_datetime(df["Admitted"])),
    "filter rows": lambda df: df[df["Ward"] == "north"],
    "add derived columns": lambda df: df.assign(daily=df["Costs"] / df["Stay"], year=2024),
    "one row more": lambda df: pd.concat([df, df.iloc[:1]]),
    "choose two columns": lambda df: df[["Patient Age", "Sex"]],
    "all of it": lambda df: (
        df.dropna()
        .drop(columns="Ward")
        .rename(columns={"Costs": "euros"})
        .assign(Admitted=lambda each: pd.to_datetime(each["Admitted"]), daily=1.5)
    ),
}


def identity(df, name=None, label="df", *, new=False):
    return identify_table(FrameSource(df), name, label, new=new)


def foreign(df):
    """The same rows under names that say nothing, in another order."""
    df = df.rename(columns={name: f"v{place}" for place, name in enumerate(df.columns)})
    return df.iloc[::-1, ::-1]


def spend(ledger, table, epsilon=1.0, unit="one row", **leave):
    return ledger.reserve(table, epsilon, DELTA, unit, **leave)


@pytest.fixture
def ledger(tmp_path):
    """A ledger in which the export has been learned once."""
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    spend(ledger, identity(export(), label="export"))
    return ledger


@pytest.mark.parametrize("step", STEPS)
def test_a_cleaned_version_of_a_table_counts_together_with_it(ledger, step):
    version = STEPS[step](export())
    account = ledger.account(identity(version))
    assert (account.dataset, account.runs) == ("export", 1)
    ledger.set_cap(1.2)
    with pytest.raises(BudgetExhaustedError, match="over its cap"):
        spend(ledger, identity(version))


@pytest.mark.parametrize("step", [step for step in STEPS if step != "choose two columns"])
def test_a_version_with_other_names_for_all_columns_is_known_by_its_rows(ledger, step):
    account = ledger.account(identity(foreign(STEPS[step](export()))))
    assert (account.dataset, account.runs) == ("export", 1)


def test_five_versions_of_one_export_are_five_runs_on_one_dataset(ledger):
    for number, step in enumerate(list(STEPS)[:5], start=2):
        spend(ledger, identity(STEPS[step](export()), label="clean"))
        (dataset,) = ledger.summary().datasets
        assert len(dataset.runs) == number
    assert dataset.epsilon > 2


def test_a_table_of_other_people_with_other_columns_is_a_dataset_of_its_own(ledger):
    others = foreign(export(seed=1))
    account = ledger.account(identity(others))
    assert (account.dataset, account.runs, account.epsilon) == ("df", 0, 0.0)


def test_samples_of_one_population_have_no_rows_in_common():
    df = export(rows=4000)
    one, other = (read_sketch(identity(part).sketch) for part in (df.iloc[::2], df.iloc[1::2]))
    assert one
    assert other
    assert row_share(one, other) < 0.25
    assert row_share(one, read_sketch(identity(df).sketch)) > 0.9


def test_the_same_columns_of_other_people_are_kept_apart_on_the_users_word_only(ledger):
    next_year = export(seed=1)
    assert ledger.account(identity(next_year)).runs == 1
    spend(ledger, identity(next_year, label="next_year", new=True), 0.5)
    assert [each.names for each in ledger.summary().datasets] == [("export",), ("next_year",)]
    assert ledger.epsilon("next_year") == pytest.approx(0.5)
    # both have the columns: a version of each is known by its rows
    for df, name in ((export(), "export"), (next_year, "next_year")):
        assert ledger.account(identity(df.dropna())).dataset == name


def test_the_users_word_may_come_later_and_takes_along_what_was_spent(ledger):
    next_year = export(seed=1)
    ledger.set_cap(5.0, "export")
    spend(ledger, identity(next_year, label="next_year"), 0.5)
    spend(ledger, identity(next_year.dropna(), label="cleaned"), 0.25)
    (dataset,) = ledger.summary().datasets
    assert len(dataset.runs) == 3
    spend(ledger, identity(next_year, new=True), 0.5)
    first, second = ledger.summary().datasets
    assert (first.names, len(first.runs), first.cap) == (("export",), 1, 5.0)
    assert (second.names, len(second.runs), second.cap) == (("next_year", "cleaned"), 3, 5.0)
    assert first.epsilon == pytest.approx(1.0)


def test_what_was_linked_by_name_or_by_content_is_not_taken_apart(ledger):
    version = export().dropna()
    spend(ledger, identity(version, label="version"))
    ledger.link("export", "version")
    spend(ledger, identity(version, new=True))
    spend(ledger, identity(export(), new=True))
    (dataset,) = ledger.summary().datasets
    assert len(dataset.runs) == 4


def test_a_new_name_alone_does_not_make_a_version_a_new_dataset(ledger):
    account = ledger.account(identity(export().dropna(), "clean"))
    assert (account.dataset, account.version_of, account.runs) == ("clean", "export", 1)
    assert "This data ('clean', counted with 'export') has cost epsilon = 1 so far" in account.sentence(1.0)
    spend(ledger, identity(export().dropna(), "clean"))
    (dataset,) = ledger.summary().datasets
    assert dataset.title == "export + clean"


def test_a_name_that_is_known_decides(ledger):
    spend(ledger, TableIdentity(b"other people", "others"))
    account = ledger.account(identity(export().dropna(), "others"))
    assert (account.dataset, account.version_of, account.runs) == ("others", None, 1)


def test_the_words_are_the_same_for_the_same_rows_and_for_the_same_columns_only(ledger):
    same, fewer, others = export(), export().iloc[1:], export(seed=1)
    (words,) = {ledger.account(identity(df)).sentence(1.0) for df in (same, fewer, others)}
    assert words.startswith("This data ('export') has cost epsilon = 1 so far (1 run")
    assert "--new-dataset (in Python: new_dataset=True)" in words


def test_the_new_total_is_told_before_a_run(ledger):
    further = provisional_spending(1.0, DELTA)
    account = ledger.account(identity(export()), further)
    assert account.together == pytest.approx(total_epsilon([further, further]))
    assert "this run reserves 1 more. Together that is about epsilon = 1.4" in account.sentence(1.0)


@pytest.mark.parametrize("delta", [DELTA / 100, DELTA, 100 * DELTA])
def test_a_further_run_never_lowers_the_total_whatever_its_own_delta_is(ledger, delta):
    account = ledger.account(identity(export()), provisional_spending(0.01, delta))
    assert account.together >= account.epsilon


def test_nothing_is_asked_about_a_table_whose_name_the_user_gave(ledger):
    spend(ledger, identity(export(), "patients"))
    assert "--new-dataset" not in ledger.account(identity(export(), "patients")).sentence(1.0)


def test_before_a_row_is_read_the_columns_say_what_a_table_would_count_with(ledger):
    table = TableIdentity(None, label="df", columns=columns_of(FrameSource(export(seed=1).iloc[:0])))
    before = ledger.summary()
    account = ledger.account(table)
    assert (account.dataset, account.runs) == ("export", 1)
    assert ledger.summary() == before


def test_the_sketch_is_in_no_clear_form_in_the_file_and_does_not_leave_it(ledger):
    table = identity(export())
    lines = read_sketch(table.sketch)
    assert lines
    stored = ledger.path.read_bytes()
    assert not any(int(each).to_bytes(8, "little") in stored for line in lines for each in line[:20])
    shown = ledger.summary().to_json() + ledger.summary().to_text()
    assert "patientage" not in shown
    assert table.sketch[:8].hex() not in shown


def test_how_a_table_is_cut_into_parts_does_not_change_whose_version_it_is(ledger, tmp_path):
    pytest.importorskip("dask")
    df = foreign(export())
    for number in range(3):
        df.iloc[number::3].to_parquet(tmp_path / f"{number}.parquet")
    source = open_source(str(tmp_path / "*.parquet"))
    try:
        found = identify_table(source, None, "parts")
    finally:
        source.close()
    assert ledger.account(found).dataset == "export"


# ---- totals that would become infinite


def test_a_run_that_would_make_the_total_infinite_is_refused_with_the_next_steps(ledger):
    persons = "one value of 'who', with at most 3 rows"
    with pytest.raises(BudgetExhaustedError, match="would be infinite from now on") as raised:
        spend(ledger, identity(export()), unit=persons)
    for step in ("same privacy_unit", "--new-dataset", "--infinite-total"):
        assert step in str(raised.value)
    assert len(ledger.to_frame()) == 1
    spend(ledger, identity(export()), unit=persons, infinite_total=True)
    assert ledger.epsilon("export") == np.inf
    spend(ledger, identity(export()), unit=persons)  # it is infinite already


def test_leave_for_an_infinite_total_does_not_lift_a_cap(ledger):
    ledger.set_cap(10.0)
    with pytest.raises(BudgetExhaustedError, match="there is a cap"):
        spend(ledger, identity(export()), unit="one person", infinite_total=True)


# ---- files of version 1

VERSION_1 = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value);
CREATE TABLE budgets (id INTEGER PRIMARY KEY, cap REAL);
CREATE TABLE datasets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, named INTEGER NOT NULL,
    budget INTEGER NOT NULL REFERENCES budgets (id));
CREATE TABLE contents (digest TEXT PRIMARY KEY, dataset INTEGER NOT NULL REFERENCES datasets (id));
CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    dataset INTEGER NOT NULL REFERENCES datasets (id), began TEXT NOT NULL, status TEXT NOT NULL, plan TEXT,
    delta REAL NOT NULL, epsilon REAL NOT NULL, provisional INTEGER NOT NULL);
CREATE TABLE totals (events TEXT PRIMARY KEY, epsilon REAL NOT NULL);
PRAGMA application_id = 1685083001;
PRAGMA user_version = 1;
"""
PLAN = PrivacyPlan((GaussianMeasurement("counts", 8.0),))


def write_version_1(path, content):
    """A ledger as earlier releases left it: two datasets of one capped budget, a run each."""
    ledger = PrivacyLedger(path.with_name("new.sqlite3"))
    with ledger._file.transaction() as db:
        digest = ledger._file.keyed_digest(db, content)
        settings = db.execute("SELECT * FROM settings").fetchall()
    ledger.path.with_suffix(".key").rename(path.with_suffix(".key"))
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        with db:
            db.executemany("INSERT INTO settings VALUES (?, ?)", settings)
            db.execute("INSERT INTO budgets VALUES (1, 3.0)")
            db.executemany("INSERT INTO datasets VALUES (?, ?, 1, 1)", [(1, "old"), (2, "linked")])
            db.execute("INSERT INTO contents VALUES (?, 1)", (digest,))
            for run, dataset in (("a" * 32, 1), ("b" * 32, 2)):
                row = (run, dataset, "2026-01-01T00:00:00+00:00", json.dumps(PLAN.to_dict()))
                db.execute(
                    "INSERT INTO runs (id, dataset, began, status, plan, delta, epsilon, provisional) "
                    "VALUES (?, ?, ?, 'finished', ?, 1e-6, 0.6, 0)",
                    row,
                )
    return PrivacyLedger(path)


def test_a_file_of_version_1_is_read_and_goes_on_without_a_loss(tmp_path):
    table = identity(export())
    ledger = write_version_1(tmp_path / "ledger.sqlite3", table.content)
    (dataset,) = ledger.summary().datasets
    assert (dataset.names, dataset.cap, len(dataset.runs)) == (("old", "linked"), 3.0, 2)
    assert dataset.runs[0].spending.plan == PLAN
    assert dataset.room > 0
    assert ledger.account(table).runs == 2
    # of a table that it knew by its content alone, versions are known from the next run on
    version = identity(export().dropna())
    assert ledger.account(version).runs == 0
    spend(ledger, table, 0.1)
    assert ledger.account(version).runs == 3
    (dataset,) = ledger.summary().datasets
    assert [run.id for run in dataset.runs[:2]] == ["a" * 32, "b" * 32]
    with contextlib.closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT first_epsilon, first_delta FROM budgets").fetchall() == [(0.6, 1e-6)]


# ---- reservations of others


def test_what_runs_that_have_not_ended_have_reserved_is_told_as_such(ledger):
    first = ledger.to_frame()["run"][0]
    ledger.record(first, status="finished")
    assert "reserved" not in ledger.summary().datasets[0].words
    spend(ledger, identity(export()), 0.5)
    account = ledger.account(identity(export()))
    told = "2 runs, epsilon = 0.5 of it reserved by 1 that has not ended"
    assert told in account.sentence(1.0)
    (dataset,) = ledger.summary().datasets
    assert told in dataset.words
    assert json.loads(ledger.summary().to_json())["datasets"][0]["reserved"] == pytest.approx(0.5)
