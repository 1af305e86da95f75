"""Tables of persons in many shapes: types come back, keys fit, order holds, and models are saved whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@st.composite
def schemas(draw):
    """Tables of up to 40 persons with any kinds of columns, and how their rows belong to them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    persons, most = draw(st.sampled_from([1, 2, 40])), draw(st.integers(1, 5))
    number = random.integers(0, most + 3, persons) * draw(st.sampled_from([0, 1, 1, 1]))
    days = draw(st.sampled_from([1, 400]))
    kinds = {
        "when": pd.Timestamp("2022-01-01")
        + pd.to_timedelta(random.integers(0, days, number.sum()), unit="D"),
        "day": random.integers(0, days, number.sum()),
        "score": random.normal(size=number.sum()),
        "kind": random.choice(["a", "b"], number.sum()).astype(object),
    }
    rows = pd.DataFrame({KEY: np.repeat(np.arange(persons), number), **kinds})
    order = draw(st.sampled_from([None, "when", "-when", "day", "-score"]))
    window = {"when": ("2022-02-01", "2022-12-01"), "day": (10, 300), None: None}[
        draw(st.sampled_from([order, None])) if order in ("when", "day") else None
    ]
    dropped = draw(st.sets(st.sampled_from(list(kinds)), max_size=3)) - {(order or "").removeprefix("-")}
    tables = {"rows": rows.drop(columns=sorted(dropped)).sample(frac=1, random_state=1)}
    if draw(st.booleans()):
        tables["persons"] = pd.DataFrame({KEY: np.arange(persons), "sex": random.choice(["f", "m"], persons)})
    ends = {"kind": ["a"]} if order and "kind" not in dropped and draw(st.booleans()) else None
    return tables, Children("rows", order=order, most=most, window=window, ends=ends)


@settings(max_examples=25, deadline=None)
@given(schemas())
def test_keys_order_number_window_and_ends_hold_for_random_schemas(schema):
    tables, children = schema
    meta = MetaExtractor.extract(tables, children=[children])
    exact = HighDimConfig(differential_privacy=False, privacy_unit=KEY, steps=1, batch_size=64)
    made = HighDimSynthesizer(meta, exact).learn(tables, lambda _: None).synthesize(60, seed=1)
    rows = made["rows"]
    assert rows.dtypes.equals(tables["rows"].dtypes)
    assert rows.groupby(KEY).size().max() <= children.most or rows.empty
    if "persons" in made:
        assert made["persons"][KEY].is_unique
        assert rows[KEY].isin(made["persons"][KEY]).all()
    if children.column is not None:
        for _, own in rows.groupby(KEY)[children.column]:
            assert own.is_monotonic_decreasing if children.descending else own.is_monotonic_increasing
    if children.window is not None:
        assert rows[children.column].between(*children.window).all()
    if children.ends is not None:
        assert not ((rows["kind"] == "a") & rows[KEY].duplicated(keep="last")).any()
