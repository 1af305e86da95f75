"""No private value gets out: planted markers are in no output, error, log, report or file."""

import contextlib
import io
import json
import logging
import re
import traceback
import zipfile

import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.tables import mixed_table

pytestmark = pytest.mark.tensorflow

ROWS = 2347  # an exact row count that must not appear
MARKERS = ("PLANTEDNAME", "7919283746", "1234567.891", "1999-12-31")


def planted_table():
    """A table in which one row is marked in every kind of column."""
    df = mixed_table(ROWS)
    df["amount"] = df["income"].fillna(0) / 3
    df["code"] = pd.Series(["x", "y"] * ROWS)[:ROWS].astype(object)
    df["kind"] = pd.Series(["p", "q"] * ROWS)[:ROWS].astype("category").cat.add_categories("PLANTEDNAME")
    df.loc[17, "group"] = "PLANTEDNAME"
    df.loc[17, "code"] = "PLANTEDNAME"
    df.loc[17, "kind"] = "PLANTEDNAME"
    df.loc[17, "age"] = 7919283746
    df.loc[17, "amount"] = 1234567.891
    df.loc[17, "day"] = pd.Timestamp("1999-12-31")
    return df


def everything_in(file):
    """All text and numbers of a saved synthesizer, unpacked."""
    with zipfile.ZipFile(file) as archive:
        parts = [archive.read(name) for name in archive.namelist()]
    return b"\n".join(parts).decode("latin-1") + json.dumps(str(parts))


def assert_clean(text, where):
    for marker in MARKERS:
        found = re.search(rf"(?<![\w.]){re.escape(marker)}(?!\w)", text)
        assert found is None, f"{marker} is in {where}"


@pytest.fixture
def watched(caplog):
    """Collects everything that is written while a test runs."""
    out, err = io.StringIO(), io.StringIO()
    caplog.set_level(logging.DEBUG)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield lambda: out.getvalue() + err.getvalue() + caplog.text


def test_learning_synthesizing_and_saving_show_no_planted_value(watched, tmp_path):
    df = planted_table()
    meta = MetaExtractor.extract(df)
    assert_clean(repr(meta), "the metadata")
    reports = []
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=1.0, steps=20))
    synthesizer.learn(df, callback=lambda report: reports.append(repr(report)))
    assert_clean("".join(reports), "the progress")
    assert_clean(synthesizer.receipt.to_json() + synthesizer.receipt.to_html(), "the receipt")
    assert_clean(repr(synthesizer) + repr(synthesizer.reference.labels), "the reference")
    synthetic = synthesizer.synthesize(5000)
    assert_clean(synthetic.to_csv(index=False), "the synthetic table")
    assert "PLANTEDNAME" not in synthetic["kind"].cat.categories
    synthesizer.save(tmp_path / "model.dps")
    assert_clean(everything_in(tmp_path / "model.dps"), "the saved file")
    assert_clean(watched(), "the output")


def test_the_exact_row_count_is_not_shown(tmp_path):
    """By chance the noisy count may be the exact one (1 in 100), but not three times running."""
    df = mixed_table(ROWS)
    shown = []
    for attempt in range(3):
        reports: list = []
        synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(steps=1))
        synthesizer.learn(df, callback=reports.append)
        synthesizer.save(tmp_path / f"{attempt}.dps")
        text = repr(reports) + synthesizer.receipt.to_json() + repr(synthesizer)
        with zipfile.ZipFile(tmp_path / f"{attempt}.dps") as archive:
            text += archive.read("schema.json").decode()
        text += f" {len(synthesizer.synthesize())} "
        shown.append(re.search(rf"(?<![\w.]){ROWS}(?![\w.])", text) is not None)
    assert not all(shown)


def test_an_error_inside_a_library_shows_no_planted_value(watched, monkeypatch):
    df = planted_table()

    def quoting(series):
        raise KeyError(series.iloc[17])

    monkeypatch.setattr("jupyter_dpsynth.encoding.names.factorize", quoting)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=1.0))
    with pytest.raises(DPSynthError) as raised:
        synthesizer.learn(df)
    shown = "".join(traceback.format_exception(raised.value))
    assert "KeyError" in shown
    assert_clean(shown, "the traceback")
    assert_clean(watched(), "the output")
    assert synthesizer.state == "failed"
    assert 0.9 < synthesizer.epsilon <= 1.0  # spent all the same


def test_a_frame_that_does_not_fit_is_refused_without_its_values(watched):
    df = planted_table()
    meta = MetaExtractor.extract(df)
    with pytest.raises(DPSynthError) as raised:
        HighDimSynthesizer(meta).learn(df.rename(columns={"age": "years"}))
    assert_clean("".join(traceback.format_exception(raised.value)), "the traceback")
    assert_clean(watched(), "the output")


def test_one_row_does_not_decide_whether_there_is_an_error():
    """Values that fit nothing are missing, clamped or pooled: an error would tell that they exist."""
    df = mixed_table(1500)
    df["text"] = pd.Series(["a", "b", "c"] * 500, dtype=object)
    df.loc[3, "income"] = float("inf")
    df.loc[4, "age"] = 10**17
    df.loc[5, "group"] = "unlisted"
    df["text"] = [["nested"] if i == 6 else v for i, v in enumerate(df["text"])]
    meta = MetaExtractor.extract(
        df, bounds={"age": (18, 90)}, categories={"group": ["north", "south", "west"]}
    )
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=3.0, steps=5))
    synthetic = synthesizer.learn(df, callback=lambda _: None).synthesize(2000)
    assert synthetic["age"].between(18, 90).all()
    assert set(synthetic["group"]) <= {"north", "south", "west"}
    assert set(synthetic["text"].dropna()) <= {"a", "b", "c", "other"}
