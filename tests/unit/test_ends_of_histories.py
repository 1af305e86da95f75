"""Values after which no row of a person comes, where they are declared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetadataError, MetaExtractor
from jupyter_dpsynth.persons.checkup import examine_histories
from tests.support.hospital import WINDOW, hospital, hospital_meta

KEY = "patient_id"
ENDS = {"outcome": ["died"]}


def came_again(visits, ends):
    """How many rows come after one that ends a history."""
    return int((visits["outcome"].isin(ends) & visits[KEY].duplicated(keep="last")).sum())


@pytest.mark.long
def test_a_declared_end_holds_where_too_few_persons_tell_it(tmp_path):
    tables = hospital(900, seed=41)
    few = {"privacy_unit": KEY, "epsilon": 1.0, "steps": 10, "batch_size": 200}
    free = HighDimSynthesizer(hospital_meta(tables), HighDimConfig(**few)).learn(tables)
    assert came_again(free.synthesize(3000, seed=1)["visits"], ["died"]) > 20  # as here, where it is not said
    told = HighDimSynthesizer(hospital_meta(tables, ends=ENDS), HighDimConfig(**few)).learn(tables)
    told.save(tmp_path / "told.dps")
    for synthesizer in (told, HighDimSynthesizer.load(tmp_path / "told.dps")):
        visits = synthesizer.synthesize(3000, seed=1)["visits"]
        assert (visits["outcome"] == "died").sum() > 20
        assert came_again(visits, ["died"]) == 0
        assert "no row in 'visits' comes after one with 'outcome' = 'died'" in synthesizer.receipt.imposed
    plans = [each.receipt.plan for each in (free, told)]
    assert [each.name for each in plans[0].measurements] == [each.name for each in plans[1].measurements]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ends": ["died"]}, "give the values by column"),
        ({"ends": {"outcome": "died"}}, "give the values by column"),
        ({"ends": {"outcom": ["died"]}}, "Did you mean 'outcome'"),
        ({"ends": {"outcome": ["dead"]}}, "none of the categories"),
        ({"ends": {"outcome": ["died", "home"]}}, "all categories"),
        ({"ends": {"discharged": ["died"]}}, "holds no categories"),
        ({"ends": ENDS, "exactly": 6}, "as many rows"),
    ],
)
def test_what_ends_nothing_is_refused(changes, words):
    with pytest.raises(MetadataError, match=words):
        hospital_meta(hospital(50, seed=42), **changes)


def test_ends_need_an_order():
    tables = hospital(50, seed=42)
    with pytest.raises(MetadataError, match="ends of 'visits' is given without an order"):
        MetaExtractor.extract(tables, children=[Children("visits", ends=ENDS)])


def test_the_check_up_counts_rows_after_a_declared_end():
    tables = hospital(200, seed=43)
    meta = hospital_meta(tables, most=8, ends=ENDS)
    assert "after the end" not in {each.kind for each in examine_histories(tables, meta, KEY)}
    died = tables["visits"].loc[lambda df: df["outcome"] == "died"].iloc[:3]
    later = died.assign(admitted=died["admitted"] + pd.Timedelta(days=1), outcome="home")
    tables["visits"] = pd.concat([later, tables["visits"]], ignore_index=True)
    found = {each.kind: each for each in examine_histories(tables, meta, KEY)}
    assert found["after the end"].rows == 3


def test_the_check_up_looks_at_the_columns_of_every_table():
    tables = hospital(200, seed=44)
    visits, patients = tables["visits"], tables["patients"]
    visits["visit_id"] = np.arange(len(visits)) + 5000
    visits["booked"] = visits["admitted"].dt.strftime("%d.%m.%Y")
    patients["insured"] = np.where(np.arange(len(patients)) % 5, "yes", "n/a")
    window = Children("visits", order="admitted", window=WINDOW, most=8)
    meta = MetaExtractor.extract(tables, children=[window])
    found = {each.column: each for each in examine_histories(tables, meta, KEY)}
    assert found["visit_id"].kind == "identifier"
    assert "ids = {'visits': ['visit_id']}" in found["visit_id"].advice
    assert "dates written as text" in found["booked"].text
    assert "visits['booked'] = " in found["booked"].advice
    assert "words for a missing value" in found["insured"].text
    assert "missing = {'patients': {'insured': ['n/a']}}" in found["insured"].advice
    declared = MetaExtractor.extract(tables, children=[window], ids={"visits": ["visit_id"]})
    assert "visit_id" not in {each.column for each in examine_histories(tables, declared, KEY)}
