"""Results of benchmarks: what is measured again takes the place of what was measured before."""

import json

import pytest

from benchmarks import before_after, record


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def row(system, seed, value):
    return {"system": system, "seed": seed, "value": value}


def test_results_of_the_same_key_are_replaced_and_others_stay():
    record.write("some", [row("ours", 0, 1), row("ours", 1, 2)])
    record.update("some", [row("ours", 1, 3), row("other", 0, 4)], ("system", "seed"))
    facts, rows = record.read("some")
    assert rows == [
        {**each, "date": facts["date"]} for each in (row("ours", 0, 1), row("ours", 1, 3), row("other", 0, 4))
    ]
    assert facts.keys() == {"date", "python", "processors", "versions"}


def test_circumstances_that_tell_nothing_new_are_dropped(results):
    for seed in (0, 0, 1):
        record.update("some", [row("ours", seed, 1)], ("system", "seed"))
    lines = [json.loads(line) for line in (results / "some.jsonl").read_text(encoding="utf-8").splitlines()]
    assert ["circumstances" in line for line in lines] == [True, False, False]


def test_what_was_never_measured_has_no_results():
    assert record.read("nothing") == ({}, [])


def test_two_checkouts_are_compared_by_the_figures_that_both_have():
    found = list(before_after.compared("wide", {"s": 6.0, "old": 1.0}, {"s": 1.5, "new": 2.0, "words": "-"}))
    assert found == [{"what": "wide: s", "before": 6.0, "now": 1.5, "ratio": 4.0}]


def test_the_error_of_a_wide_table_is_that_of_its_pairs():
    df = before_after.table(2_000, 5)
    assert df.shape == (2_000, 5)
    assert before_after.two_way_error(df, df) == 0
    alone = df.apply(lambda column: column.sample(frac=1, random_state=0).to_numpy())
    independent = df.apply(lambda column: column.sample(frac=1).to_numpy())
    assert before_after.two_way_error(df, alone) < 1e-9 < before_after.two_way_error(df, independent)
