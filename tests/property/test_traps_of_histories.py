"""Ways in which histories leak that are not about counting: what is public of them, and what is left out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.persons.events import _left
from jupyter_dpsynth.persons.histories import event_meta, person_meta, read_histories
from tests.support.hospital import WINDOW, OwnLots, hospital

KEY = "patient_id"


def extracted(tables, **children):
    given = {name: df.drop(columns="lot", errors="ignore") for name, df in tables.items()}
    meta = MetaExtractor.extract(given, children=[Children("visits", **{"order": "admitted", **children})])
    return given, meta.with_id(KEY)


def read(tables, **children):
    given, meta = extracted(tables, **children)
    lots = tables["visits"].get("lot", pd.Series(np.zeros(len(tables["visits"])), dtype=float))
    return read_histories(given, meta, KEY, OwnLots(lots.to_numpy()))


def one_long_history():
    """A hospital of which one patient alone has 40 visits, the first and the last of all."""
    tables = hospital(60, seed=3)
    days = pd.date_range("1999-01-01", "2040-01-01", periods=40).as_unit("ns")
    row = tables["visits"].iloc[[0] * 40].assign(admitted=days.astype(tables["visits"]["admitted"].dtype))
    longest = int(tables["visits"][KEY].iloc[0])
    return {**tables, "visits": pd.concat([tables["visits"], row], ignore_index=True)}, longest


def test_most_rows_and_window_are_not_found_in_the_longest_history():
    tables, longest = one_long_history()
    without = {name: df[df[KEY] != longest].reset_index(drop=True) for name, df in tables.items()}
    (_, with_it), (_, rest) = extracted(tables), extracted(without)
    assert with_it.children == rest.children
    assert with_it.children[0].most == 12
    assert with_it.children[0].window is None
    assert person_meta(with_it, KEY) == person_meta(rest, KEY)
    assert event_meta(with_it, with_it.children[0], KEY) == event_meta(rest, rest.children[0], KEY)


@pytest.mark.parametrize("most", [1, 5, 30])
def test_numbers_of_rows_are_from_0_to_the_declared_most_whatever_the_largest_is(most):
    tables = hospital(60)
    for visits in (tables["visits"], tables["visits"].drop_duplicates(KEY), tables["visits"].iloc[:0]):
        _, meta = extracted({**tables, "visits": visits.reset_index(drop=True)}, most=most)
        number = person_meta(meta, KEY)["visits.number"]
        assert isinstance(number, ContinuousMeta)
        assert number.bounds == (0, most)


@pytest.mark.parametrize("order", ["admitted", "-admitted"])
def test_the_rows_that_are_used_are_the_first_ones_in_order(order):
    tables = hospital(80, seed=4)
    tables["visits"] = tables["visits"].drop_duplicates([KEY, "admitted"]).reset_index(drop=True)
    (events,) = read(tables, order=order, most=2).events
    used = tables["visits"].iloc[events.rows]
    ordered = tables["visits"].sort_values("admitted", ascending=order == "admitted")
    expected = ordered.groupby(KEY, sort=False).head(2)
    assert sorted(used.index) == sorted(expected.index)
    assert tables["visits"].groupby(KEY).size().max() > 2


def test_rows_of_nobody_are_dropped_without_a_word():
    tables = hospital(50, seed=5)
    visits = tables["visits"].astype({KEY: "float64"})
    visits["lot"] = np.random.default_rng(0).random(len(visits))
    lost = [visits.iloc[:4].assign(**{KEY: key}) for key in (9999.0, np.nan)]
    more = {**tables, "visits": pd.concat([*lost, visits], ignore_index=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, clean = read(more), read({**tables, "visits": visits})
    pd.testing.assert_frame_equal(found.df, clean.df)
    pd.testing.assert_frame_equal(found.events[0].df, clean.events[0].df)
    assert (found.events[0].number == clean.events[0].number).all()


def test_ties_are_in_the_order_of_the_persons_own_rows_wherever_others_are():
    random = np.random.default_rng(6)
    persons = pd.DataFrame({KEY: np.arange(20)})
    rows = pd.DataFrame({KEY: np.repeat(np.arange(20), 5), "note": np.tile(np.arange(5.0), 20)})
    rows["admitted"] = pd.Timestamp("2022-01-01")
    for _ in range(10):
        keys = random.permutation(rows[KEY].to_numpy())  # mixed, each one's own rows in their order
        mixed = pd.DataFrame({KEY: keys, "note": 0.0, "admitted": pd.Timestamp("2022-01-01")})
        mixed["note"] = mixed.groupby(KEY).cumcount().astype(float)
        found = read({"patients": persons, "visits": mixed}).events[0]
        assert found.df["note"].tolist() == rows["note"].tolist()


@pytest.mark.parametrize("window", [None, WINDOW])
def test_no_rows_column_is_a_point_in_time_only_its_distance(window):
    _, meta = extracted(hospital(40), window=window)
    learned = event_meta(meta, meta.children[0], KEY)
    times = [each for each in learned.columns if isinstance(each, DatetimeMeta)]
    assert len(times) == 2  # the gap, and how long after its row a patient left
    assert all(each.is_duration for each in times)


def test_how_much_of_the_window_is_left_is_told_by_the_declared_window_alone():
    wide = ("2021-01-01", "2035-12-31")  # nobody else is seen near its end
    tables, longest = one_long_history()
    without = {name: df[df[KEY] != longest].reset_index(drop=True) for name, df in tables.items()}
    _, meta = extracted(tables)
    assert _left(read(tables).events[0], meta, meta.children[0]) is None  # nothing is declared
    _, meta = extracted(tables, window=wide, most=40)
    histories, fewer = (read(each, window=wide, most=40) for each in (tables, without))
    events, place = histories.events[0], histories.df[KEY].tolist().index(longest)
    left = _left(events, meta, meta.children[0])
    assert left is not None
    np.testing.assert_array_equal(left[events.unit != place], _left(fewer.events[0], meta, meta.children[0]))


@pytest.fixture(scope="module")
def learned():
    tables = hospital(600, seed=7)
    visits = tables["visits"]
    visits["visit_no"] = np.arange(len(visits)) + 70_000
    visits["score"] = np.random.default_rng(7).normal(size=len(visits))
    window = Children("visits", order="admitted", most=4, window=WINDOW)
    meta = MetaExtractor.extract(tables, children=[window], ids={"visits": ["visit_no"]})
    settings = HighDimConfig(epsilon=3, privacy_unit=KEY, steps=3, batch_size=200)
    return HighDimSynthesizer(meta, settings).learn(tables), tables


def test_names_of_rows_are_numbered_anew_and_never_learned(learned):
    synthesizer, tables = learned
    made = synthesizer.synthesize(500, seed=1)["visits"]
    assert made["visit_no"].is_unique
    assert not made["visit_no"].isin(tables["visits"]["visit_no"]).any()


def test_every_synthetic_person_is_drawn_once(learned):
    made = learned[0].synthesize(2000, seed=2)["visits"]
    assert len(made) > 500
    assert made["score"].nunique() > 0.99 * made["score"].notna().sum()  # no history is printed twice
