"""Every kind of column is right or refused before anything is spent, on each way in; and nothing else."""

import numpy as np
import pandas as pd
import pytest

for library in ("pyarrow", "polars", "dask", "pyreadstat"):
    pytest.importorskip(library)

from dask import config

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.column_kinds import KINDS
from tests.support.six_ways import REFUSED, RIGHT, UNWRITABLE, WAYS, difference, further_kinds, outcomes
from tests.support.tables import EVERY_ROW

ROWS = 48
SERIES = {name: series.iloc[:ROWS] for name, (series, _) in KINDS.items()} | further_kinds(ROWS)


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.long] * (way in {"CSV", "Dask"})) for way in WAYS]
)
def test_a_column_is_right_or_refused(way, tmp_path):
    with config.set(scheduler="synchronous"):  # threads cost more than they save on so few rows
        found = outcomes(SERIES, way, tmp_path)
    assert found.keys() == SERIES.keys()
    assert {name: each for name, each in found.items() if each not in (RIGHT, REFUSED, UNWRITABLE)} == {}
    assert sum(each == RIGHT for each in found.values()) > 55
    if way in ("memory", "Parquet", "polars"):
        assert sum(each == REFUSED for each in found.values()) > 5


def test_a_wrong_column_would_be_found():
    good = pd.Series(np.arange(ROWS) % 12)
    assert difference(good, good) == ""
    assert "far off" in difference(good, good.sample(frac=1, random_state=0, ignore_index=True))
    assert "missing" in difference(good, good.where(good > 3))
    assert "differ" in difference(good.astype(str), good.astype(str).iloc[::-1].reset_index(drop=True))


@pytest.mark.tensorflow
@pytest.mark.parametrize("way", WAYS)
def test_a_table_of_many_kinds_is_learned_on_each_way(way, tmp_path):
    names = ["int64", "float64", "Int64", "boolean", "times in us", "str", "ordered", "own text"]
    df = pd.DataFrame({name.replace(" ", "_"): SERIES[name] for name in names})
    table = WAYS[way](df, tmp_path)
    asked = HighDimConfig(epsilon=20.0, delta=1e-5, steps=2, batch_size=EVERY_ROW)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(table), asked)
    synthesizer.learn(table, lambda _: None, noise=NoiseSource(test_only_seed=0))
    made = synthesizer.synthesize(20, seed=0, frame="pandas")
    assert list(made.columns) == list(df.columns)
    assert len(made) == 20
