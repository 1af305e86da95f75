"""What is declared and what a column holds: a contradiction is told before anything is spent."""

import datetime as dt
import decimal
import itertools

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

ROWS = 400
RANDOM = np.random.default_rng(4713)
DIGITS, LETTERS = RANDOM.integers(0, 3, ROWS), RANDOM.choice(["a", "b"], ROWS)
DAYS = pd.Series(pd.to_datetime(DIGITS, unit="D", origin="2020-01-01"))

COLUMNS = {
    "int64": pd.Series(DIGITS),
    "uint8": pd.Series(DIGITS, dtype="uint8"),
    "Int8": pd.Series(DIGITS, dtype="Int8").mask(DIGITS == 2),
    "int32[pyarrow]": pd.Series(DIGITS).astype("int32[pyarrow]").mask(DIGITS == 2),
    "whole objects": pd.Series([None if d == 2 else int(d) for d in DIGITS], dtype=object),
    "category of int": pd.Series(pd.Categorical(DIGITS)),
    "float32": pd.Series(DIGITS / 10, dtype="float32").mask(DIGITS == 2),
    "float64": pd.Series(DIGITS / 10),
    "Float64": pd.Series(DIGITS / 10, dtype="Float64").mask(DIGITS == 2),
    "decimals": pd.Series([decimal.Decimal(int(d)) if d < 2 else None for d in DIGITS], dtype=object),
    "text": pd.Series(LETTERS),
    "text objects": pd.Series(LETTERS, dtype=object).mask(DIGITS == 2),
    "category of text": pd.Series(pd.Categorical(LETTERS)),
    "bool": pd.Series(DIGITS > 0),
    "boolean": pd.Series(DIGITS > 0, dtype="boolean").mask(DIGITS == 2),
    "datetime": DAYS,
    "time zone": DAYS.dt.tz_localize("Europe/Vienna"),
    "duration": pd.Series(pd.to_timedelta(DIGITS, unit="D")),
    "date objects": pd.Series([dt.date(2020, 1, 1 + int(d)) for d in DIGITS], dtype=object),
}
HOLDS = {
    **dict.fromkeys(
        ["int64", "uint8", "Int8", "int32[pyarrow]", "whole objects", "category of int"], "whole"
    ),
    **dict.fromkeys(["float32", "float64", "Float64"], "number"),
    "decimals": "whole",
    **dict.fromkeys(["text", "text objects", "category of text"], "text"),
    **dict.fromkeys(["bool", "boolean"], "truth"),
    **dict.fromkeys(["datetime", "time zone", "duration", "date objects"], "time"),
}
DECLARED = {
    "text": (["a", "b"], {"text"}),
    "digits as text": (["0", "1"], {"text"}),
    "whole numbers": ([0, 1], {"whole", "number"}),
    "floats that are whole": ([0.0, np.float32(1)], {"whole", "number"}),
    "fractions": ([0.1, 0.2], {"number"}),
    "truth values": ([False, np.True_], {"truth"}),
    "timestamps": ([pd.Timestamp("2020-01-01")], set()),
    "dates as text": (["2020-01-01"], {"text"}),
    "a missing value": ([None, "a"], set()),
    "not a number": ([0, float("nan")], set()),
    "mixed": (["a", 1], set()),
}


def table(name):
    return pd.DataFrame({"x": COLUMNS[name], "y": RANDOM.random(ROWS)})


@pytest.mark.parametrize(("column", "declared"), list(itertools.product(COLUMNS, DECLARED)))
def test_categories_fit_their_column_or_are_refused_before_a_value_is_read(column, declared, tmp_path):
    df = table(column)
    values, fitting = DECLARED[declared]
    if HOLDS[column] in fitting:
        made = untrained(df, categories={"x": values})
        made.save(tmp_path / "model")
        df_synth = HighDimSynthesizer.load(tmp_path / "model").synthesize(300, seed=0)
        assert df_synth["x"].dtype == df["x"].dtype or column.startswith("category")
        allowed = set(COLUMNS[column].dtype.type(values) if column == "float32" else values)
        assert set(df_synth["x"].dropna()) <= allowed
    else:
        with pytest.raises(MetadataError, match="column 'x'") as refused:
            MetaExtractor.extract(df, categories={"x": values})
        if declared in ("text", "whole numbers", "truth values") or HOLDS[column] == "time":
            assert str(df["x"].dtype) in str(refused.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_the_panel_takes_and_refuses_the_categories_that_learn_does(column):
    df = table(column)
    for values, fitting in DECLARED.values():
        declared = {"categories": {"x": values}}
        if HOLDS[column] in fitting:
            draft = SchemaDraft(FrameSource(df), declared)
            assert not draft.columns["x"].error
            assert draft.meta()["x"] == MetaExtractor.extract(df, **declared)["x"]
        elif HOLDS[column] in ("text", "truth") or column.startswith("category"):
            with pytest.raises(MetadataError):
                SchemaDraft(FrameSource(df), declared)
        else:
            assert "column 'x'" in SchemaDraft(FrameSource(df), declared).columns["x"].error


@pytest.mark.parametrize(
    ("column", "bounds"),
    [
        ("int64", ("a", "b")),
        ("float32", ("2020-01-01", "2020-01-02")),
        ("datetime", (0, 1)),
        ("date objects", (0, 1)),
        ("duration", (0, 1)),
        ("duration", ("0", "1")),
        ("duration", ("2020-01-01", "2020-01-02")),
        ("text", (0, 1)),
        ("text objects", ("a", "b")),
        ("bool", (0, 1)),
        ("category of int", (0, 1)),
    ],
)
def test_ranges_fit_their_column_or_are_refused_also_in_the_panel(column, bounds):
    with pytest.raises(MetadataError, match="column 'x'"):
        MetaExtractor.extract(table(column), bounds={"x": bounds})
    try:
        draft = SchemaDraft(FrameSource(table(column)), {"bounds": {"x": bounds}})
        assert "column 'x'" in draft.columns["x"].error
    except MetadataError as refused:
        assert "column 'x'" in str(refused)  # noqa: PT017 - shown at the column, or at once


@pytest.mark.parametrize("column", ["int64", "text", "float32", "bool", "datetime"])
@pytest.mark.parametrize("kind", ["parquet", "dask"])
def test_of_files_and_dask_frames_the_same_is_refused(column, kind, tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    df = table(column)
    source = dd.from_pandas(df, npartitions=2)
    if kind == "parquet":
        df.to_parquet(tmp_path / "x.parquet")
        source = str(tmp_path / "*.parquet")
    wrong = [1, 2] if HOLDS[column] in ("text", "truth", "time") else ["a", "b"]
    with pytest.raises(MetadataError, match="column 'x'"):
        MetaExtractor.extract(source, categories={"x": wrong})
    if HOLDS[column] != "time":
        right = next(values for values, fitting in DECLARED.values() if HOLDS[column] in fitting)
        assert MetaExtractor.extract(source, categories={"x": right})["x"].categories


def test_whole_numbers_that_the_column_cannot_hold_are_refused():
    with pytest.raises(MetadataError, match="dtype uint8 cannot hold"):
        MetaExtractor.extract(table("uint8"), categories={"x": [1, 256]})
    with pytest.raises(MetadataError, match="dtype float32 cannot hold"):
        MetaExtractor.extract(table("float32"), categories={"x": [1e39]})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "Float32", "float[pyarrow]"])
@pytest.mark.parametrize("bounds", [(0, 0.1), (0.1, 0.3), (-0.1, 16_777_217), (-1e39, 1e39)])
def test_numbers_stay_within_their_bounds_in_their_own_type_and_are_finite(dtype, bounds):
    df = pd.DataFrame({"x": pd.Series(RANDOM.random(ROWS) * 0.3).astype(dtype), "y": RANDOM.random(ROWS)})
    column = untrained(df, bounds={"x": bounds}).synthesize(3000, seed=0)["x"].dropna()
    assert str(column.dtype) == str(df["x"].dtype)
    narrow = getattr(column.dtype, "numpy_dtype", column.dtype)
    values = column.to_numpy(dtype=narrow)
    assert np.isfinite(values).all()
    with np.errstate(over="ignore"):
        low, high = (narrow.type(end) for end in bounds)
    assert (values >= low).all()
    assert (values <= high).all()
