"""Decimals come back with the digits after the point with which most of them are written."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import MetaExtractor
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.reading import read_digits
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.sources.base import FrameSource
from tests.unit.test_values_apart import made_of

ROWS = 1_500


def decimals(numbers, digits):
    return pd.Series([Decimal(int(number)).scaleb(-digits) for number in numbers], dtype=object)


def places(made):
    return {-value.as_tuple().exponent for value in made.dropna()}


KINDS = {
    "8.90": (lambda random: decimals(10 * random.integers(1, 3_000, ROWS), 2), 2),
    "12.00": (lambda random: decimals(100 * random.integers(1, 50, ROWS), 2), 2),
    "8.95": (lambda random: decimals(random.integers(1, 9_999, ROWS), 2), 2),
    "0.250": (lambda random: decimals(250 * random.integers(0, 4, ROWS), 3), 3),
    "-3": (lambda random: decimals(random.integers(-9, 50, ROWS), 0), 0),
    "1E+2": (lambda random: decimals(random.integers(1, 50, ROWS), -2), 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_decimals_keep_their_digits(kind):
    make, digits = KINDS[kind]
    for seed in range(2):
        random = np.random.default_rng(seed)
        df = pd.DataFrame({"paid": make(random), "group": random.integers(0, 4, ROWS)})
        df.loc[:60, "paid"] = None
        measured, made = made_of(df, seed)
        assert places(made["paid"]) == {digits}
        again = TableCodec.from_dict(json.loads(json.dumps(measured.codec.to_dict())))
        assert again.columns[0].digits == measured.codec.columns[0].digits


def test_one_row_with_more_digits_does_not_decide():
    random = np.random.default_rng(0)
    df = pd.DataFrame(
        {"paid": decimals(random.integers(1, 50, ROWS), 0), "group": random.integers(0, 4, ROWS)}
    )
    df.loc[7, "paid"] = Decimal("3.000000")
    assert places(made_of(df)[1]["paid"]) == {0}


def test_declared_digits_are_those():
    random = np.random.default_rng(0)
    df = pd.DataFrame(
        {"paid": decimals(random.integers(1, 50, ROWS), 0), "group": random.integers(0, 4, ROWS)}
    )
    assert places(made_of(df, decimals={"paid": 2})[1]["paid"]) == {2}


def test_what_is_no_finite_decimal_has_no_digits():
    odd = [Decimal("8.90"), Decimal("NaN"), Decimal("Infinity"), None, "8.900", 8.5, object(), Decimal(7)]
    df = pd.DataFrame({"paid": pd.Series(odd, dtype=object)})
    meta = MetaExtractor.extract(pd.DataFrame({"paid": decimals(range(9), 1)}))["paid"]
    read = read_digits(FrameSource(df), meta, EVERY_ROW)
    assert [part.tolist() for part in read.parts] == [[0.0, 2.0]]
