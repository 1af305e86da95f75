"""A column that follows from others is computed from them, in rows that are made and that are filled in."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Combinations, Elapsed, Ordering, Total
from jupyter_dpsynth.errors import ConfigError
from tests.support.models import untrained

CONSTRAINTS = (Total("price", ["net", "tax"]), Elapsed("age", since="born", until="sold"))


def sales(rows=2000):
    random = np.random.default_rng(0)
    net = random.integers(100, 5000, rows) / 100
    sold = pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 700, rows), unit="D")
    born = pd.Timestamp("1940-01-01") + pd.to_timedelta(random.integers(0, 20_000, rows), unit="D")
    df = pd.DataFrame({"net": net, "tax": (net * 0.19).round(2), "born": born, "sold": pd.Series(sold)})
    df["price"] = (df["net"] + df["tax"]).round(2)
    df["age"] = (df["sold"] - df["born"]).dt.days // 366
    df.loc[random.random(rows) < 0.1, "tax"] = np.nan
    return df


@pytest.fixture(scope="module")
def synthesizer():
    return untrained(sales(), decimals={"net": 2, "tax": 2, "price": 2})


def years(born, sold):
    """Birthdays so far."""
    before = sold.dt.strftime("%m%d") < born.dt.strftime("%m%d")
    return sold.dt.year - born.dt.year - before


def test_columns_follow_from_others_in_every_row_that_is_made(synthesizer):
    for options in ({}, {"where": {"price": (10, 30), "age": (20, 40)}}):
        made = synthesizer.synthesize(400, seed=0, constraints=CONSTRAINTS, **options)
        whole = made["tax"].notna()
        assert 0 < whole.sum() < len(made)
        assert np.allclose((made["net"] + made["tax"] - made["price"])[whole], 0, atol=1e-9)
        assert (made["age"] == years(made["born"], made["sold"])).all()
        assert made.dtypes.equals(sales(10).dtypes)
        assert made.notna().drop(columns="tax").all(axis=None)
    assert made["price"].between(10, 30).all()
    assert made["age"].between(20, 40).all()


def test_other_constraints_hold_for_what_is_computed(synthesizer):
    made = synthesizer.synthesize(200, seed=0, constraints=[*CONSTRAINTS, Ordering("age", "price")])
    assert (made["age"] <= made["price"]).all()
    assert (made["age"] == years(made["born"], made["sold"])).all()


def test_missing_cells_are_computed_where_they_follow_and_drawn_where_not(synthesizer):
    holes = sales(300)
    holes.loc[:199, "price"] = np.nan
    holes.loc[100:250, "born"] = pd.NaT
    filled = synthesizer.impute(holes, seed=0, constraints=CONSTRAINTS)
    assert filled.notna().all(axis=None)
    assert np.allclose((filled["net"] + filled["tax"] - filled["price"])[:200], 0, atol=1e-9)
    kept = holes.notna()
    assert ((filled == holes) | ~kept).all(axis=None)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("years", [3, 0, -2, 1]),
        ("months", [47, 0, -13, 12]),
        ("weeks", [208, 0, -57, 52]),
        ("days", [1460, 0, -396, 366]),
        ("hours", [35063, 1, -9504, 8784]),
    ],
)
def test_units_that_have_passed_in_full_are_counted(unit, expected):
    since = pd.to_datetime(["2020-02-29", "2021-01-01", "2021-02-01", "2020-01-31", None])
    until = pd.to_datetime(
        ["2024-02-28 23:00", "2021-01-01 01:30", "2020-01-02", "2021-01-31", "2020-01-01"], format="mixed"
    )
    df = pd.DataFrame({"since": since, "until": until})
    values = Elapsed("n", "since", "until", unit).values(df)
    assert values[:4].tolist() == expected
    assert np.isnan(values[4])


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (lambda: [Total("price", ["net"])], "at least two other columns"),
        (lambda: [Total("price", ["price", "net"])], "at least two other columns"),
        (lambda: [Total("price", ["net", "born"])], "'born' does not hold numbers"),
        (lambda: [Elapsed("age", "net", "sold")], "'net' does not hold points in time"),
        (lambda: [Elapsed("born", "born", "sold")], "'born' does not hold numbers"),
        (lambda: [Elapsed("age", "born", "sold", "year")], "Did you mean 'years'"),
        (lambda: [Total("price", ["net", "taxes"])], "not a learned column"),
        (lambda: [Total("price", ["net", "tax"]), Total("net", ["price", "tax"])], "in the order"),
        (lambda: [Total("price", ["net", "tax"])] * 2, "computed twice"),
        (lambda: "price = net + tax", "Total\\(column, parts\\)"),
        (lambda: [Combinations(["net", "age"], [(1, 2)]), 3], "Elapsed"),
    ],
)
def test_what_cannot_be_computed_is_refused(synthesizer, constraints, message):
    with pytest.raises(ConfigError, match=message):
        synthesizer.synthesize(10, constraints=constraints())
