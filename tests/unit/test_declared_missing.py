"""`missing={...}`: what stands for a missing value is learned as missing, in every dtype."""

import decimal

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.constraints import Ordering
from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

ROWS = 600
RANDOM = np.random.default_rng(18)
CODED = RANDOM.random(ROWS) < 0.25
NUMBERS = np.where(CODED, np.where(RANDOM.random(ROWS) < 0.5, -9, 999), RANDOM.integers(150, 200, ROWS))
WORDS = pd.Series(np.where(CODED, "unknown", RANDOM.choice(["a", "b", "c"], ROWS)))
DAYS = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(NUMBERS * 12, unit="h"))
TIMES = DAYS.astype("datetime64[us]").where(~CODED, pd.Timestamp("9999-12-31T23:59:59"))
LENGTHS = pd.Series(pd.to_timedelta(NUMBERS, unit="D"))

COLUMNS = {
    "int64": (pd.Series(NUMBERS), [-9, 999]),
    "int16": (pd.Series(NUMBERS, dtype="int16"), [-9, 999.0]),
    "Int64": (pd.Series(NUMBERS, dtype="Int64"), [-9, 999]),
    "int32[pyarrow]": (pd.Series(NUMBERS).astype("int32[pyarrow]"), (-9, 999)),
    "float64": (pd.Series(NUMBERS * 1.0), [-9, 999]),
    "float32": (pd.Series(NUMBERS / 10, dtype="float32"), [-0.9, 99.9]),
    "whole objects": (pd.Series([int(n) for n in NUMBERS], dtype=object), [-9, 999]),
    "decimals": (pd.Series([decimal.Decimal(int(n)) for n in NUMBERS], dtype=object), [-9, 999]),
    "text": (WORDS, ["unknown"]),
    "text objects": (WORDS.astype(object), ["unknown"]),
    "string[pyarrow]": (WORDS.astype("string[pyarrow]"), ["unknown"]),
    "category": (WORDS.astype("category"), ["unknown"]),
    "category of int": (pd.Series(NUMBERS // 10 * 10).astype("category"), [-10, 990]),
    "datetime": (TIMES, ["9999-12-31"]),
    "time zone": (TIMES.dt.tz_localize("Europe/Vienna"), ["9999-12-31"]),
    "objects of days": (TIMES.dt.date.astype(object), [pd.Timestamp("9999-12-31")]),
    "duration": (LENGTHS, ["-9 days", pd.Timedelta(days=999)]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_codes_are_learned_as_missing_in_every_dtype(name, tmp_path):
    column, codes = COLUMNS[name]
    df = pd.DataFrame({"x": column, "y": RANDOM.random(ROWS)})
    made = untrained(df, missing={"x": codes})
    made.save(tmp_path / "model")
    made = HighDimSynthesizer.load(tmp_path / "model")
    (meta,) = [meta for meta in made.df_meta.columns if meta.name == "x"]
    df_synth = made.synthesize(400, seed=0)
    held = {"int64": "Int64", "int16": "Int16"}.get(name, column.dtype)  # those of numpy hold nothing missing
    assert df_synth["x"].dtype == held or name.startswith("category")
    assert 0.1 < df_synth["x"].isna().mean() < 0.4
    assert not meta.present(df_synth["x"]).isna()[df_synth["x"].notna()].any()
    known = set(column[~CODED])
    if made.df_meta["x"].kind != "category":
        present = df_synth["x"].dropna()
        assert present.min() >= min(known) - 3 * (max(known) - min(known))
        assert present.max() <= max(known) + 3 * (max(known) - min(known))
    missing_only = made.synthesize(20, seed=0, where={"x": None})
    assert missing_only["x"].isna().all()


def test_constraints_and_filling_in_know_the_codes():
    low = np.where(CODED, -9, RANDOM.integers(0, 50, ROWS))
    df = pd.DataFrame({"low": low, "high": np.where(low < 0, 999, low + RANDOM.integers(0, 9, ROWS))})
    made = untrained(df, missing={"low": [-9], "high": [999]})
    df_synth = made.synthesize(300, seed=0, constraints=[Ordering("high", "low")])
    present = df_synth.notna().all(axis=1)
    assert (df_synth["low"] >= df_synth["high"])[present].all()
    assert 0 < present.sum() < len(df_synth)
    filled = made.impute(df, seed=0)
    assert not filled.isin([-9, 999]).any().any()
    assert (filled.dtypes == df.dtypes).all()
    given = (df != [-9, 999]).to_numpy()
    assert (filled.to_numpy()[given] == df.to_numpy()[given]).all()


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"missing": {"n": -9}}, "give a list of the values that stand for a missing one"),
        ({"missing": {"n": ["-9"]}}, "holds whole numbers"),
        ({"missing": {"n": [float("nan")]}}, "it is one already"),
        ({"missing": {"t": ["01/02/2024"]}}, "2024-01-02 or 2024-02-01"),
        ({"missing": {"t": [999]}}, "the column holds dates"),
        ({"missing": {"w": ["c"]}, "categories": {"w": ["a", "c"]}}, "both in categories and in missing"),
        ({"missing": {"w": ["c"]}, "ids": ["w"]}, "both id and missing"),
        ({"missing": {"x": ["c"]}}, "not in the table"),
    ],
)
def test_what_cannot_stand_for_a_missing_value_is_refused(declared, told):
    df = pd.DataFrame({"n": [1, 2], "t": pd.to_datetime(["2024-01-01", "2024-01-02"]), "w": ["a", "b"]})
    with pytest.raises(MetadataError, match=told):
        MetaExtractor.extract(df, **declared)


def test_a_schema_file_declares_it_too(tmp_path):
    (tmp_path / "schema.yaml").write_text("columns: {n: {missing: [-9, 999]}, w: {missing: [unknown]}}")
    df = pd.DataFrame({"n": [1, 2], "w": ["a", "b"]})
    meta = MetaExtractor.extract(df, schema=tmp_path / "schema.yaml", missing={"w": ["?"]})
    assert meta["n"].missing == (-9, 999)
    assert meta["w"].missing == ("?",)
