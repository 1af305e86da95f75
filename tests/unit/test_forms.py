"""Dates, times and multiples of a step that are written as whole numbers come back as such."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.encoding.patterns import FORMS
from jupyter_dpsynth.errors import ArtifactError
from tests.unit.test_values_apart import made_of

ROWS, BESIDE = 4_000, 6  # rows; other columns, which need a share of the budget, too


def days(random, first, span):
    found = pd.Timestamp(first) + pd.to_timedelta(random.integers(0, span, ROWS), unit="D")
    return found.strftime("%Y%m%d").astype(int)


def times(random, step):
    minutes = (random.normal(780, 200, ROWS).clip(0, 1_435) // step * step).astype(int)
    return minutes // 60 * 100 + minutes % 60


def seconds(random):
    found = random.normal(46_000, 9_000, ROWS).clip(0, 86_399).astype(int)
    return found // 3_600 * 10_000 + found // 60 % 60 * 100 + found % 60


def are_days(values):
    return pd.to_datetime(values.astype("int64").astype(str), format="%Y%m%d", errors="coerce").notna()


def are_times(step):
    return lambda values: (values % 100 < 60) & (values // 100 < 24) & (values % 100 % step == 0)


def are_multiples(step):
    return lambda values: values % step == 0


# by name: the values, which ones there may be, and bounds that may be declared
KINDS = {
    "dates": (lambda random: days(random, "2015-01-01", 3_000), are_days, (20150101, 20231231)),
    "dates of a year": (lambda random: days(random, "2023-01-01", 365), are_days, (20230101, 20231231)),
    "dates since 1900": (lambda random: days(random, "2015-01-01", 3_000), are_days, (19000101, 20301231)),
    "months": (
        lambda random: days(random, "2010-01-01", 5_000) // 100,
        lambda values: (values % 100 >= 1) & (values % 100 <= 12),
        (201001, 202312),
    ),
    "times": (lambda random: times(random, 1), are_times(1), (0, 2359)),
    "times in fives": (lambda random: times(random, 5), are_times(5), (0, 2359)),
    "quarters of hours": (lambda random: times(random, 15), are_times(15), (0, 2359)),
    "seconds": (
        seconds,
        lambda values: (values % 100 < 60) & (values // 100 % 100 < 60) & (values < 240_000),
        (0, 235_959),
    ),
    "packs of 84": (lambda random: 84 * random.integers(1, 3_000, ROWS), are_multiples(84), (0, 300_000)),
    "packs of 84, few": (lambda random: 84 * random.integers(1, 200, ROWS), are_multiples(84), (0, 20_000)),
    "days in seconds": (
        lambda random: 86_400 * random.integers(0, 3_000, ROWS),
        are_multiples(86_400),
        (0, 4 * 10**8),
    ),
    "years in days": (
        lambda random: 365.0 * np.ceil(random.lognormal(3, 1, ROWS)),
        are_multiples(365),
        (0, 365_000),
    ),
    "debts in dozens": (
        lambda random: -12 * np.ceil(random.lognormal(6, 1, ROWS)).astype(int),
        are_multiples(12),
        (-(10**6), 0),
    ),
}


def table_of(column, seed):
    random = np.random.default_rng(seed + 100)
    others = {
        f"c{k}": random.normal(size=ROWS) if k % 2 else random.choice(list("abcde"), ROWS)
        for k in range(BESIDE)
    }
    return pd.DataFrame({"x": np.asarray(column), **others})


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_of_a_kind_come_back(kind, declared):
    make, right, bounds = KINDS[kind]
    invented, apart = [], []
    for seed in range(3):
        column = make(np.random.default_rng(seed))
        measured, made = made_of(
            table_of(column, seed), seed, **({"bounds": {"x": bounds}} if declared else {})
        )
        invented.append((~right(made["x"])).mean())
        both = np.unique(np.append(column, made["x"]))
        parts = [np.searchsorted(np.sort(each), both, side="right") / ROWS for each in (column, made["x"])]
        apart.append(np.abs(parts[0] - parts[1]).max())
    assert np.mean(invented) < 0.01
    assert np.mean(apart) < 0.1
    saved = json.loads(json.dumps(measured.codec.to_dict()))["columns"][0]
    codec, again = measured.codec.columns[0], NumericCodec.from_dict(saved)
    codes = codec.encode(made["x"])
    assert codec.decode(codes, np.random.default_rng(0)).equals(again.decode(codes, np.random.default_rng(0)))


ORDINARY = {
    "years of birth around 1960": lambda random: np.clip(
        random.normal(1942, 12, ROWS).astype(int), 1900, 1965
    ),
    "amounts": lambda random: random.lognormal(8, 1, ROWS).astype(int),
    "fifties": lambda random: 50 * random.integers(1, 47, ROWS),
    "numbers of eight digits": lambda random: random.integers(10**7, 10**8, ROWS),
    "seconds of a day": lambda random: random.integers(0, 86_400, ROWS),
    "multiples, and a third others": lambda random: np.where(
        random.random(ROWS) < 1 / 3, random.integers(1, 250_000, ROWS), 84 * random.integers(1, 3_000, ROWS)
    ),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_other_whole_numbers_are_not_taken_for_dates_or_multiples(kind):
    for seed in range(4):
        column = ORDINARY[kind](np.random.default_rng(seed))
        codec = made_of(table_of(column, seed), seed)[0].codec.columns[0]
        assert codec.pattern is None or not codec.pattern.parts.form
        assert set(codec.rounding.steps) <= {10.0**k for k in range(5)} | {5 * 10.0**k for k in range(4)}


def test_a_code_beside_dates_comes_back_with_them():
    random = np.random.default_rng(0)
    column = np.where(random.random(ROWS) < 0.1, 99_999_999, days(random, "2015-01-01", 3_000))
    made = made_of(table_of(column, 0))[1]["x"]
    assert (made == 99_999_999).mean() == pytest.approx(0.1, abs=0.02)
    assert are_days(made[made != 99_999_999]).mean() > 0.99


@pytest.mark.parametrize("form", FORMS)
def test_the_document_weighs_points_of_a_form_as_the_package_does(form):
    text = (Path(__file__).parents[2] / "docs" / "model-format.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"<!-- example -->\n```python\n(.*?)```", text, re.DOTALL).group(1), names)
    random = np.random.default_rng(0)
    numbers = random.integers(FORMS[form].first, FORMS[form].last + 1, 5_000).astype(float)
    codec = {"meta": {"kind": "number"}, "unit": 1.0, "pattern": {"weights": {}, "form": form}}
    assert ((names["weight"](codec, numbers) > 0) == FORMS[form].holds(numbers)).all()


@pytest.mark.parametrize("changed", [{"form": "yyyyddmm"}, {"weights": {}, "form": ""}])
def test_a_saved_form_that_there_is_not_is_refused(changed):
    column = days(np.random.default_rng(0), "2015-01-01", 3_000)
    saved = json.loads(json.dumps(made_of(table_of(column, 0))[0].codec.to_dict()))["columns"][0]
    assert saved["pattern"]["form"] == "yyyymmdd"
    saved["pattern"] |= changed
    with pytest.raises(ArtifactError):
        NumericCodec.from_dict(saved)
