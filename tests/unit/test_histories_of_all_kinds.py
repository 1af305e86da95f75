"""Tables of persons in many shapes: types come back, keys fit, order holds, and models are saved whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetaExtractor
from tests.support.hospital import WINDOW, hospital

pytestmark = pytest.mark.long

KEY = "patient_id"


def with_text_keys(tables):
    return {name: df.assign(**{KEY: "P" + df[KEY].astype(str)}) for name, df in tables.items()}


def with_zones(tables):
    for name in ("admitted", "discharged"):
        tables["visits"][name] = tables["visits"][name].dt.tz_localize("Europe/Berlin")
    return tables


def with_days_of_python(tables):
    visits = tables["visits"].drop(columns="discharged")
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(len(tables["patients"])) * 20, unit="D")
    return {
        "patients": tables["patients"].assign(born=born),
        "visits": visits.assign(admitted=visits["admitted"].dt.date),
    }


def with_years_and_all_kinds(tables):
    visits = tables["visits"].assign(
        year=tables["visits"]["admitted"].dt.year,
        score=np.random.default_rng(0).normal(size=len(tables["visits"])).round(2),
    )
    visits.loc[::7, "diagnosis"] = None
    visits["high"] = visits["score"] > 0
    visits["grade"] = pd.Categorical(np.where(visits["high"], "b", "a"), ["a", "b"], ordered=True)
    return {"patients": tables["patients"], "visits": visits.drop(columns=["admitted", "discharged"])}


def with_dates_only(tables):
    patients = tables["patients"][[KEY]].astype({KEY: "Int64"})
    return {"patients": patients, "visits": tables["visits"][[KEY, "admitted"]].astype({KEY: "float64"})}


def on_one_day(tables):
    day = pd.Timestamp("2022-01-01")
    return {**tables, "visits": tables["visits"].assign(admitted=day, discharged=day)}


def without_visits(tables):
    return {**tables, "visits": tables["visits"].iloc[:0]}


def with_fractions(tables):
    score = np.random.default_rng(0).normal(size=len(tables["visits"]))
    return {**tables, "visits": tables["visits"].assign(score=score)}


@pytest.mark.parametrize(
    ("made_of", "children"),
    [
        (with_text_keys, Children("visits", order="admitted", window=WINDOW)),
        (with_zones, Children("visits", order="-admitted", window=WINDOW)),
        (with_days_of_python, Children("visits", order="admitted")),
        (with_years_and_all_kinds, Children("visits", order="year", most=3, window=(2021, 2023))),
        (with_dates_only, Children("visits", order="admitted", most=20)),
        (on_one_day, Children("visits", order="admitted", most=1)),
        (without_visits, Children("visits", order="admitted", window=WINDOW)),
        (with_fractions, Children("visits", order="-score")),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_tables_of_every_shape_are_learned_made_and_saved(made_of, children, tmp_path):
    tables = made_of(hospital(400, seed=11))
    meta = MetaExtractor.extract(tables, children=[children])
    settings = HighDimConfig(epsilon=5, privacy_unit=KEY, steps=3)
    synthesizer = HighDimSynthesizer(meta, settings).learn(tables)
    made = synthesizer.synthesize(60, seed=1)
    for name, table in tables.items():
        assert made[name].dtypes.astype(str).equals(table.dtypes.astype(str))
    visits = made["visits"]
    assert visits[KEY].isin(made["patients"][KEY]).all()
    assert visits.groupby(KEY).size().max() <= children.most or visits.empty
    for _, own in visits.groupby(KEY)[children.column]:
        assert own.is_monotonic_decreasing if children.descending else own.is_monotonic_increasing
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(60, seed=1)
    assert all(again[name].equals(made[name]) for name in made)
