"""No private value gets out: planted markers are in no output, error, log, report, memory or file.

What a notebook shows and saves is looked at in `tests/notebook/test_leaks_in_notebooks.py`. Every row of
the table in `docs/leaks.md` names the test that backs it.
"""

import contextlib
import gc
import io
import logging
import pickle
import pkgutil
import threading
import traceback
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.sampling.provenance import STAMP
from jupyter_dpsynth.errors import DPSynthError, NotLearnedError, shielded
from jupyter_dpsynth.evaluation.report import BANNER, UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.leaks import (
    DELTA,
    PLANTED_ROW,
    ROWS,
    assert_clean,
    assert_holds_nothing_private,
    chain_of,
    counts_in,
    everything_in,
    found_in,
    leaking,
    planted_table,
    reachable,
)
from tests.support.models import untrained
from tests.support.tables import EVERY_ROW, mixed_table

trains = pytest.mark.tensorflow
FAST = {"batch_size": EVERY_ROW}  # the run that `learned` holds is sampled; how does not matter to the others


@pytest.fixture(scope="module")
def df():
    return planted_table()


@pytest.fixture(scope="module")
def meta(df):
    return MetaExtractor.extract(df, ids=["key"])


@pytest.fixture
def watched(caplog):
    """Collects everything that is written while a test runs."""
    out, err = io.StringIO(), io.StringIO()
    caplog.set_level(logging.DEBUG)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield lambda: out.getvalue() + err.getvalue() + caplog.text


@pytest.fixture(scope="module")
def learned(df, meta):
    """A synthesizer that has learned the planted table, and all reports of its run."""
    reports: list = []
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=1.0, delta=DELTA, steps=20))
    synthesizer.learn(df, callback=reports.append)
    return synthesizer, reports


def test_the_harness_finds_what_is_planted(df):
    """A search that finds nothing proves nothing unless it finds what is there."""
    shown = df.iloc[[PLANTED_ROW]].to_csv() + repr(df.attrs)
    expected = {"PLANTEDNAME", "7919283746", "1234567.891", "1999-12-31", "PLANTEDATTRIBUTE", "PLANTEDINDEX"}
    assert expected | {"6.02214076"} <= set(found_in(shown))
    assert counts_in(f"{len(df)} rows")
    assert counts_in(f"{len(df):,} rows")
    with pytest.raises(AssertionError):
        assert_holds_nothing_private({"kept": df}, "a box")
    with pytest.raises(ValueError, match="PLANTEDNAME") as raised:
        leaking()
    assert len(list(chain_of(raised.value))) == 2


def test_the_schema_holds_no_value(meta):
    assert_clean(repr(meta), "the metadata")
    assert_holds_nothing_private(meta, "the metadata")


@trains
def test_the_progress_shows_no_planted_value(learned):
    assert_clean("".join(map(repr, learned[1])), "the progress")


@trains
def test_what_is_learned_holds_no_planted_value_in_memory(learned):
    """Also no frame, no noise source (it could be subtracted), and nothing of the table's length."""
    assert_holds_nothing_private(learned[0], "the synthesizer")


@trains
def test_receipt_and_reference_show_no_planted_value(learned):
    synthesizer, _ = learned
    receipt = synthesizer.receipt
    assert_clean(receipt.to_json() + receipt.to_html() + receipt.to_text() + repr(receipt), "the receipt")
    assert_clean(repr(synthesizer) + repr(synthesizer.reference) + repr(synthesizer.codec), "the reference")


@trains
def test_a_synthetic_table_holds_no_planted_value(learned):
    synthetic = learned[0].synthesize(5000)
    assert_clean(synthetic.drop(columns="key").to_csv(), "the synthetic table")
    assert not synthetic["key"].str.contains("PLANTED").any()
    for name in ("kind", "rank"):
        assert "PLANTEDNAME" not in synthetic[name].cat.categories
    assert synthetic.attrs.keys() == {STAMP}  # that it is synthetic; the digest is of its own rows
    assert synthetic.index.equals(pd.RangeIndex(5000))


@trains
def test_a_saved_file_holds_no_planted_value(learned, tmp_path):
    learned[0].save(tmp_path / "model.dps")
    text = everything_in(tmp_path / "model.dps")
    assert_clean(text, "the saved file")
    assert_holds_nothing_private(HighDimSynthesizer.load(tmp_path / "model.dps"), "what was loaded")
    assert [path.name for path in tmp_path.iterdir()] == ["model.dps"]


@trains
def test_the_free_comparison_shows_no_planted_value(learned):
    synthesizer, _ = learned
    report = UtilityReport.against_measurements(synthesizer, synthesizer.synthesize(500))
    assert_clean(report.to_html() + report.summary() + repr(report.columns), "the comparison")
    assert_holds_nothing_private(report, "the comparison")


@trains
def test_the_original_is_not_compared_as_if_it_were_synthetic(learned, df):
    """Its exact shares would be shown without a banner."""
    with pytest.raises(DPSynthError, match="is the original table itself"):
        UtilityReport.against_measurements(learned[0], df)
    assert len(pickle.loads(pickle.dumps(learned[0])).synthesize(3)) == 3


def test_a_comparison_with_the_original_never_comes_without_its_banner(df):
    """It is not covered by epsilon; whatever shows it, also a list or a log, says so."""
    report = UtilityReport.against_original(df, df.sample(frac=1, random_state=0))
    for shown in (repr(report), str([report]), report.summary(), report.to_html()):
        assert BANNER in shown
    assert_clean(repr(report) + report.summary(), "the report's text")


@trains
def test_learning_writes_and_warns_nothing_private(df, meta, watched):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        HighDimSynthesizer(meta, HighDimConfig(delta=DELTA, steps=2, **FAST)).learn(df)
    assert_clean(watched() + "".join(str(w.message) for w in caught), "the output")


@trains
@pytest.mark.parametrize("errors", ["warn", "raise"])
def test_no_warning_and_no_error_depends_on_a_value(errors):
    """numpy may be told to raise on overflow; an extreme number must not decide whether it does."""
    df = mixed_table(1500)
    df["age"] = df["age"].astype(float)
    df["wide"] = df["income"]
    df.loc[[3, 4, 5, 6], "age"] = [1e308, -1e308, 5e-324, np.inf]
    df.loc[[3, 4], "wide"] = [np.finfo(float).max, np.finfo(float).min]
    previous = np.seterr(all=errors)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(steps=2, **FAST)).learn(
                df, callback=lambda _: None
            )
    finally:
        np.seterr(**previous)
    assert [str(w.message) for w in caught if "jupyter_dpsynth" in w.filename] == []


@trains
def test_the_exact_row_count_is_not_shown(tmp_path):
    """By chance the noisy count may be the exact one (1 in 100), but not four times running."""
    df = mixed_table(ROWS)
    shown = []
    for attempt in range(4):
        reports: list = []
        synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(steps=1, **FAST))
        synthesizer.learn(df, callback=reports.append)
        synthesizer.save(tmp_path / f"{attempt}.dps")
        text = repr(reports) + synthesizer.receipt.to_json() + repr(synthesizer)
        text += everything_in(tmp_path / f"{attempt}.dps") + f" {len(synthesizer.synthesize())} "
        shown.append(counts_in(text))
    assert not all(shown)


PHASES = [
    "engine.learning.spending.identify_table",
    "engine.learning.run.plan_run",
    "engine.learning.fitting.epsilon_curve",
    "privacy.releases.Releases.release_counts",
    "engine.measuring.categories.factorize",
    "engine.measuring.reading.number_values",
    "engine.measuring.reading.time_values",
    "engine.measuring.numbers.to_points",
    "encoding.categorical.factorize",
    "encoding.numeric.number_values",
    "engine.measuring.marginals.pair_distances",
    "engine.measuring.measure.measure_orderings",
    "engine.measuring.measure.reference_from",
    "privacy.releases.poisson_sample",
    "engine.training.release.codes_at",
    "engine.learning.run.sharpen",
    "engine.learning.receipts.tf_privacy_statement",
]


@trains
@pytest.mark.parametrize("target", PHASES)
def test_an_error_inside_a_library_shows_no_planted_value_at_any_phase(
    target, df, meta, watched, monkeypatch
):
    module, name = f"jupyter_dpsynth.{target}".rsplit(".", 1)
    monkeypatch.setattr(pkgutil.resolve_name(module), name, leaking)
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=1.0, delta=DELTA, steps=3, **FAST))
    with pytest.raises(DPSynthError, match="inside a library \\(ValueError at jupyter_dpsynth") as raised:
        synthesizer.learn(df)
    assert [*chain_of(raised.value)] == [raised.value]  # nothing leads to the library's exception
    assert_clean("".join(traceback.format_exception(raised.value)), "the traceback")
    assert_clean(repr(raised.value.args) + repr(vars(raised.value)), "the exception")
    assert_clean(watched(), "the output")
    if target == "engine.learning.spending.identify_table":  # nothing was reserved or measured yet
        assert synthesizer.state == "new"
        return
    assert synthesizer.state == "failed"
    assert 0.9 < synthesizer.epsilon <= 1.0  # spent all the same


@trains
def test_a_failed_or_stopped_run_lets_go_of_the_table(monkeypatch, meta):
    monkeypatch.setattr("jupyter_dpsynth.engine.measuring.categories.factorize", leaking)
    mine = planted_table()
    stop = threading.Event()
    stop.set()
    failed, stopped = (
        HighDimSynthesizer(meta, HighDimConfig(delta=DELTA, steps=2, **FAST)) for _ in range(2)
    )
    with contextlib.suppress(DPSynthError):
        failed.learn(mine, callback=lambda _: None)
    with contextlib.suppress(NotLearnedError):
        stopped.learn(mine, callback=lambda _: None, stop=stop)
    gone = weakref.ref(mine)
    del mine
    gc.collect()
    assert gone() is None
    for synthesizer in (failed, stopped):
        assert_holds_nothing_private(synthesizer, "a failed synthesizer")


@trains
def test_a_training_in_the_background_keeps_neither_the_table_nor_a_library_s_error(monkeypatch, meta):
    from jupyter_dpsynth.notebook.show.moment import moment_of
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

    monkeypatch.setattr("jupyter_dpsynth.engine.measuring.categories.factorize", leaking)
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(delta=DELTA, steps=2, **FAST))
    run = TrainingRun(synthesizer, FrameSource(planted_table()), "s")
    run.start()
    assert run.wait(120)
    assert [*chain_of(run.error)] == [run.error]
    assert run.error.__traceback__ is None
    assert not any(isinstance(each, pd.DataFrame) for each in reachable(run.error))
    assert_clean(repr(run.error) + repr(moment_of(run)) + repr(vars(run)), "the run")


def test_an_error_of_ours_does_not_lead_to_another_one():
    def ours():
        try:
            leaking()
        except ValueError:
            raise DPSynthError("in our own words") from None

    for action in (leaking, ours):
        with pytest.raises(DPSynthError) as raised:
            shielded(action, "this failed")
        assert [*chain_of(raised.value)] == [raised.value]


def test_a_frame_that_does_not_fit_is_refused_without_its_values(watched, df, meta):
    with pytest.raises(DPSynthError) as raised:
        HighDimSynthesizer(meta).learn(df.rename(columns={"age": "years"}))
    assert_clean("".join(traceback.format_exception(raised.value)), "the traceback")
    assert_clean(watched(), "the output")


MISPLACED = {
    "a parameter": lambda df: HighDimConfig(epsilon=df),
    "a parameter with a word": lambda df: HighDimConfig(steps=df),
    "a column as a parameter": lambda df: HighDimConfig(delta=df["age"]),
    "an array as a parameter": lambda df: HighDimConfig(num_bins=df["age"].to_numpy()),
    "a list as a parameter": lambda df: HighDimConfig(batch_size=df["group"].tolist()),
    "a switch": lambda df: HighDimConfig(n_public=df),
    "a choice": lambda df: HighDimConfig(dp_backend=df["group"]),
    "bounds": lambda df: MetaExtractor.extract(df, bounds={"age": df["age"]}),
    "one bound": lambda df: MetaExtractor.extract(df, bounds={"age": (df, 3)}),
    "bounds of dates": lambda df: MetaExtractor.extract(df, bounds={"day": (df["day"], df["day"])}),
    "decimals": lambda df: MetaExtractor.extract(df, decimals={"amount": df}),
    "categories": lambda df: MetaExtractor.extract(df, categories={"group": [df]}),
    "ids": lambda df: MetaExtractor.extract(df, ids=df),
    "ids as values": lambda df: MetaExtractor.extract(df, ids=df["group"]),
    "a schema": lambda df: MetaExtractor.extract(df, schema=df),
    "the metadata": HighDimSynthesizer,
    "the config": lambda df: HighDimSynthesizer(MetaExtractor.extract(df), df),
    "rows": lambda df: untrained(mixed_table(200)).synthesize(df),
    "a seed": lambda df: untrained(mixed_table(200)).synthesize(5, seed=df["age"]),
    "a target": lambda df: UtilityReport.against_original(df, df, target=df["group"]),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_a_table_in_the_wrong_place_is_refused_and_not_printed(name, df):
    with pytest.raises(DPSynthError) as raised:
        MISPLACED[name](df)
    assert_clean("".join(traceback.format_exception(raised.value)), "the traceback")
    assert len(str(raised.value)) < 600


@trains
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
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=3.0, delta=DELTA, steps=5))
    synthetic = synthesizer.learn(df, callback=lambda _: None).synthesize(2000)
    assert synthetic["age"].between(18, 90).all()
    assert set(synthetic["group"]) <= {"north", "south", "west"}
    assert set(synthetic["text"].dropna()) <= {"a", "b", "c", "other"}


def test_one_row_does_not_decide_whether_the_table_is_called_empty():
    """No rows and one row end in the same error, of the noisy count."""
    df = mixed_table(50)
    messages = []
    for rows in (0, 1):
        synthesizer = HighDimSynthesizer(MetaExtractor.extract(df.iloc[:rows]), HighDimConfig())
        with pytest.raises(DPSynthError) as raised:
            synthesizer.learn(df.iloc[:rows], callback=lambda _: None)
        messages.append(str(raised.value).split(":")[0])
    assert messages[0] == messages[1]
    assert "too few rows" in messages[0]


@pytest.mark.parametrize("first", [True, 1, 1.0, np.int64(1), np.float64(1)])
def test_one_row_does_not_decide_how_an_equal_value_is_written(first):
    """1, 1.0 and True are equal: what the first row holds must not be what is published for all."""
    values = [first, *([1, "a", "b"] * 300)]
    df = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    kept = untrained(df).codec.columns[0].published
    assert sorted(map(repr, kept)) == ["'a'", "'b'", "1"]


def test_a_column_of_text_is_not_decided_by_numpy_s_text():
    values = [np.str_("a"), *(["a", "b"] * 300)]
    df = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    assert sorted(map(repr, untrained(df).codec.columns[0].published)) == ["'a'", "'b'"]
