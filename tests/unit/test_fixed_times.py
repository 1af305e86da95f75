"""Panels: everybody is observed at the same public times. And columns that hold keys of public tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetadataError, MetaExtractor
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.sources.opening import open_source
from tests.support.hospital import hospital

KEY = "pid"


def panel(persons=900, seed=0):
    """Wages of five years, which rise, of persons with a level of their own."""
    random = np.random.default_rng(seed)
    years = np.tile(np.arange(2018, 2023), persons)
    rows = pd.DataFrame({KEY: np.repeat(np.arange(persons), 5), "year": years})
    level = np.repeat(random.normal(2, 0.3, persons), 5)
    wage = level + 0.4 * (years - 2018) + random.normal(0, 0.1, len(rows))
    rows["wage"] = wage.clip(0, 6).round(2)
    return rows.sample(frac=1, random_state=seed).reset_index(drop=True)


def meta_of(rows, **values):
    given = {"times": [2022, 2018, 2019, 2020, 2021], **values}
    children = [Children("years", order="year", **given)]
    return MetaExtractor.extract({"years": rows}, children=children, bounds={"years": {"wage": (0, 6)}})


@pytest.mark.long
def test_everybody_has_a_row_at_every_time_and_what_rises_with_time_does_so(tmp_path):
    rows = panel()
    settings = HighDimConfig(privacy_unit=KEY, epsilon=20.0, steps=200)
    synthesizer = HighDimSynthesizer(meta_of(rows), settings).learn({"years": rows})
    assert synthesizer.codec.names == ("years.number",)  # of which there is one value
    made = synthesizer.synthesize(700, seed=1)["years"]
    assert (made.groupby(KEY)["year"].apply(list).map(tuple) == tuple(range(2018, 2023))).all()
    assert made.dtypes.equals(rows.dtypes)
    means = made.groupby("year")["wage"].mean() - rows.groupby("year")["wage"].mean()
    assert means.abs().max() < 0.15
    assert any("at each of 5 declared times" in text for text in synthesizer.receipt.imposed)
    synthesizer.save(tmp_path / "model.dps")
    assert HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(700, seed=1)["years"].equals(made)


def test_a_table_that_is_open_stays_so():
    source = open_source(panel(20))
    meta_of(source)
    assert source.rows == 100


def test_waves_may_be_dates_and_go_backwards():
    rows = panel(300).rename(columns={"year": "wave"})
    rows["wave"] = pd.to_datetime(rows["wave"].astype(str) + "-07-01")
    times = sorted({str(each.date()) for each in rows["wave"]})
    children = [Children("years", order="-wave", times=times)]
    meta = MetaExtractor.extract({"years": rows}, children=children)
    settings = HighDimConfig(privacy_unit=KEY, epsilon=8.0, steps=3)
    made = HighDimSynthesizer(meta, settings).learn({"years": rows}).synthesize(50, seed=1)["years"]
    assert made["wave"].dtype == rows["wave"].dtype
    assert set(made["wave"]) == set(rows["wave"])
    assert (made.groupby(KEY)["wave"].diff().dropna() < pd.Timedelta(0)).all()


def test_rows_at_other_times_and_second_ones_are_left_out_and_a_missing_wave_stays_one():
    rows = pd.DataFrame(
        {KEY: [1, 1, 1, 1, 2, 2], "year": [2020, 2018, 2018, 1999, 2022, 2021], "wage": [1.0, 2, 3, 4, 5, 6]}
    )
    meta = meta_of(rows).with_id(KEY)
    (events,) = read_histories({"years": rows}, meta, KEY, np.random.default_rng(0)).events
    assert events.df["wage"].tolist() == [2, 1, 6, 5]
    assert events.place.tolist() == [0, 2, 3, 4]
    assert events.position.tolist() == [0, 1, 0, 1]
    assert events.number.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("names? one twice", {"times": [2018, 2018]}),
        ("times are enough", {"window": (2018, 2022)}),
        ("leave most and exactly out", {"exactly": 3}),
        ("leave most and exactly out", {"most": 3}),
        ("no list of values", {"times": "2018"}),
        ("without an order", {"order": None}),
        ("two numbers", {"times": ["first"]}),
    ],
)
def test_times_that_are_none_are_refused(words, values):
    rows = panel(5)
    children = Children("years", **{"order": "year", "times": [2018, 2019], **values})
    with pytest.raises(MetadataError, match=words):
        MetaExtractor.extract({"years": rows}, children=[children])


def test_numbers_that_are_keys_of_a_public_table_fit_it():
    tables = hospital(800, seed=9)
    codes = pd.DataFrame({"code": [110, 250, 300, 999], "chapter": ["IX", "XIX", "X", "never used"]})
    place = tables["visits"]["diagnosis"].map({"heart": 110, "injury": 250, "lung": 300})
    others = tables["visits"].drop(columns=["diagnosis", "discharged"])
    tables["visits"] = others.assign(code=place.astype("int64"))
    declared = {"visits": {"code": codes["code"].tolist()}}
    meta = MetaExtractor.extract(tables, children=[Children("visits", order="admitted")], categories=declared)
    settings = HighDimConfig(privacy_unit="patient_id", epsilon=3.0, steps=30)
    synthesizer = HighDimSynthesizer(meta, settings).learn(tables)
    made = synthesizer.synthesize(400, seed=1)["visits"]
    assert made["code"].dtype == tables["visits"]["code"].dtype
    joined = made.merge(codes, on="code", validate="many_to_one")
    assert len(joined) == len(made) > 0
    details = {each.name: each.detail for each in synthesizer.receipt.plan.measurements}
    # of the outcome alone: codes are public
    assert details["second look at unlisted names of 'visits'"] == "of up to 2 columns"
