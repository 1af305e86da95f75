"""After learning: which columns lost values to their bounds or to 'other', from what was released anyway."""

import logging

import numpy as np
import pandas as pd
import pytest

from tests.support.models import untrained

ROWS = 2_000
RANDOM = np.random.default_rng(7)


def told(caplog, column, **declared):
    with caplog.at_level(logging.WARNING, "jupyter_dpsynth"):
        made = untrained(pd.DataFrame({"x": column, "y": RANDOM.random(ROWS)}), **declared)
    return made, " ".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("span", [60, 600, 0.7])  # every value a cell, whole numbers, continuous
def test_bounds_that_move_many_rows_are_reported_and_a_pile_at_a_bound_is_not(caplog, span):
    scale = 1 if span > 1 else 0.01
    inside = RANDOM.integers(0, 60, ROWS) * scale
    piled = np.where(RANDOM.random(ROWS) < 0.5, 0, inside)
    made, words = told(caplog, piled, bounds={"x": (0, span)})
    assert "declared bounds" not in words
    outside = np.where(RANDOM.random(ROWS) < 0.3, 9_999.0, inside)
    if span > 1:
        outside = outside.astype(np.int64)
    made, words = told(caplog, outside, bounds={"x": (0, span)})
    assert "missing = {'x': [-9, 999]}" in words
    share = int(words.partition("about ")[2].partition("%")[0])
    expected = (outside > span).mean()
    assert abs(share / 100 - expected) < 0.05
    df_synth = made.synthesize(2_000, seed=0)
    assert abs((df_synth["x"] >= span).mean() - expected) < 0.08


def test_a_column_of_which_most_rows_become_other_is_reported_with_advice_that_fits(caplog):
    rare = [f"{letter}{place:04d}" for place, letter in enumerate(RANDOM.choice(list("EIJ"), ROWS))]
    codes = np.where(RANDOM.random(ROWS) < 0.7, rare, "E1100")
    _, words = told(caplog, codes)
    assert "become 'other'" in words
    assert "hierarchy = {'x': 'prefix:1,3'}" in words
    assert '--hierarchy "x=prefix:1,3"' in words  # what a terminal takes
    levels = pd.Series(pd.Categorical(codes, ordered=True))
    caplog.clear()
    assert "join neighbouring levels" in told(caplog, levels)[1]
    caplog.clear()
    assert "other" not in told(caplog, RANDOM.choice(list("abc"), ROWS))[1]


def test_declared_categories_that_most_rows_do_not_have_are_reported(caplog):
    _, words = told(caplog, RANDOM.choice(list("abc"), ROWS), categories={"x": ["a", "b"]})
    assert "not among its declared categories" in words
    caplog.clear()
    assert "declared" not in told(caplog, RANDOM.choice(list("abc"), ROWS), categories={"x": list("abc")})[1]
