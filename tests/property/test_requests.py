"""Whatever is asked for holds in every synthetic row, and what cannot be had is refused with one sentence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth import Combinations, ConfigError, MetadataError, Ordering
from tests.support.models import untrained
from tests.support.tables import mixed_table


def table():
    df = mixed_table(3000, seed=4711)
    df["left"] = df["day"] + pd.Timedelta(days=20)
    df["key"] = np.arange(len(df)) * 7
    df["kind"] = pd.Categorical(df["group"].str.upper())
    df.loc[::9, "group"] = None
    return df


@pytest.fixture(scope="module")
def made():
    return untrained(table(), ids=["key"])


def numbers(low, high):
    ends = st.one_of(st.none(), st.integers(low, high))
    return st.tuples(ends, ends).filter(lambda pair: None in pair or pair[0] <= pair[1])


CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "age": numbers(30, 60) | st.lists(st.integers(30, 60), min_size=1, max_size=4),
        "income": numbers(1500, 4000) | st.just(None),
        "group": st.sampled_from(["north", "south", None, ["north", None], ["west", "south"]]),
        "member": st.booleans(),
        "kind": st.sampled_from(["NORTH", ["WEST", "SOUTH"]]),
    },
)


def meets(values, wanted):
    """Which values meet a condition, by the plain meaning of it."""
    out = np.zeros(len(values), dtype=bool)
    for each in wanted if isinstance(wanted, list) else [wanted]:
        if each is None:
            out |= values.isna()
        elif isinstance(each, tuple):
            low, high = each
            out |= (
                values.notna()
                & (True if low is None else values >= low)
                & (True if high is None else values <= high)
            )
        else:
            out |= (values == each).fillna(value=False).to_numpy(bool)
    return out


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(where=CONDITIONS, rows=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_conditions_hold_in_every_row(made, where, rows, seed):
    df = made.synthesize(rows, seed=seed, where=where)
    plain = made.synthesize(5)
    assert len(df) == rows
    assert df.dtypes.equals(plain.dtypes)
    assert list(df.columns) == list(plain.columns)
    assert list(df["key"]) == list(range(1, rows + 1))
    for name, wanted in where.items():
        assert meets(df[name], wanted).all(), name


def test_conditions_on_dates_hold(made):
    df = made.synthesize(300, seed=0, where={"day": ("2021-03-01", pd.Timestamp("2021-03-20"))})
    assert df["day"].between("2021-03-01", "2021-03-20").all()


def test_conditional_rows_look_like_those_of_a_large_table_that_meet_the_condition(made):
    where = {"group": "south", "age": (40, 52)}
    large = made.synthesize(150_000, seed=1)
    filtered = large[(large["group"] == "south") & large["age"].between(40, 52)]
    asked = made.synthesize(len(filtered), seed=2, where=where)
    for name, bins in (("age", np.arange(40, 54)), ("income", np.linspace(1000, 6000, 15))):
        first, second = (np.histogram(df[name].dropna(), bins)[0] / len(df) for df in (filtered, asked))
        assert np.abs(first - second).sum() / 2 < 0.05
    for name in ("member", "kind"):
        first, second = (df[name].value_counts(normalize=True).sort_index() for df in (filtered, asked))
        assert np.abs(first - second).max() < 0.03


def test_balanced_rows_have_equal_or_the_given_shares_and_unique_keys(made):
    df = made.synthesize(301, seed=0, balance="group")
    assert set(df["group"].value_counts()) <= {100, 101}
    assert df["key"].is_unique
    shares = {(30, 39): 0.25, (40, 60): 0.75}
    df = made.synthesize(400, seed=0, balance={"age": shares}, where={"member": True})
    assert df["member"].all()
    assert df["age"].between(30, 39).sum() == 100
    assert df["age"].between(40, 60).sum() == 300


def test_constraints_hold_in_every_row_together_with_conditions(made):
    pairs = [("north", "NORTH"), ("south", "SOUTH"), ("south", "WEST"), (None, "WEST")]
    constraints = [Ordering("day", "left"), Combinations(["group", "kind"], pairs)]
    for where in ({}, {"age": (40, 50)}):
        df = made.synthesize(500, seed=0, constraints=constraints, where=where)
        assert (df["day"] <= df["left"]).all()
        found = df["group"].astype(object).where(df["group"].notna(), None)
        assert set(zip(found, df["kind"], strict=True)) <= set(pairs)
        assert list(df["key"]) == list(range(1, 501))


def test_the_same_seed_gives_the_same_rows_and_no_options_change_nothing(made):
    options = {"where": {"group": "north"}, "balance": "kind", "constraints": [Ordering("day", "left")]}
    pd.testing.assert_frame_equal(made.synthesize(200, 5, **options), made.synthesize(200, 5, **options))
    pd.testing.assert_frame_equal(made.synthesize(200, 5), made.synthesize(200, 5, where={}, constraints=()))


def test_imputing_fills_what_is_missing_and_touches_nothing_else(made):
    df = table().set_index(np.arange(3000) * 3)
    random = np.random.default_rng(0)
    for name in ("group", "kind", "day", "income"):
        df.loc[random.random(3000) < 0.2, name] = None
    before = df.copy()
    out = made.impute(df, seed=0)
    pd.testing.assert_frame_equal(df, before)
    assert not out.isna().any().any()
    assert out.index.equals(df.index)
    assert out.drop(columns="kind").dtypes.equals(df.drop(columns="kind").dtypes)
    for name in df:
        known = df[name].notna()
        assert (out.loc[known, name].astype(object) == df.loc[known, name].astype(object)).all()
    pd.testing.assert_frame_equal(out, made.impute(df, seed=0))


def test_a_frame_of_another_schema_is_not_imputed(made):
    with pytest.raises(MetadataError, match="lacks 'age'"):
        made.impute(table().drop(columns="age"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": {"agee": 3}}, "Did you mean 'age'"),
        ({"where": {"key": 3}}, "get new numbers"),
        ({"where": 3}, "give conditions by column"),
        ({"where": {"age": (9, 3)}}, "ends before it starts"),
        ({"where": {"age": (1, 2, 3)}}, "give .low, high."),
        ({"where": {"age": (1000, 2000)}}, "published range"),
        ({"where": {"age": "old"}}, "holds numbers"),
        ({"where": {"age": None}}, "no missing values"),
        ({"where": {"group": "norht"}}, "Did you mean 'north'"),
        ({"where": {"group": ("north", "west")}}, "ranges do not apply"),
        ({"balance": "agee"}, "Did you mean 'age'"),
        ({"balance": "age"}, "give shares"),
        ({"balance": 3}, "give a column"),
        ({"balance": {"group": {"north": -1}}}, "numbers from 0"),
        ({"balance": "group", "where": {"group": "north"}}, "use one of the two"),
        ({"constraints": [("day", "left")]}, "give a list of Ordering"),
        ({"constraints": [Ordering("day", "age")]}, "cannot be compared"),
        ({"constraints": [Ordering("day", "lef")]}, "Did you mean 'left'"),
        ({"constraints": [Combinations(["group", "kind"], [("x", "y")])]}, "fewer than 1 in 1,000"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_next_step(made, options, message):
    with pytest.raises(ConfigError, match=message):
        made.synthesize(20, seed=0, **options)


def test_combinations_need_columns_and_values_for_each():
    for columns, allowed in (
        ("ab", [("x", "y")]),
        (["a"], [("x",)]),
        (["a", "b"], []),
        (["a", "b"], [("x",)]),
    ):
        with pytest.raises(ConfigError, match="at least two columns"):
            Combinations(columns, allowed)
