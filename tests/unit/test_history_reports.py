"""Comparisons of tables of persons: with what was measured, with the real ones, and what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import ConfigError, DataError, HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.engine.model.losses import loss_lines
from jupyter_dpsynth.evaluation.histories import compare_histories
from jupyter_dpsynth.evaluation.history_measured import compare_measured
from jupyter_dpsynth.evaluation.page import page
from jupyter_dpsynth.evaluation.private import evaluate_privately
from jupyter_dpsynth.metadata.tables import Children
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from tests.support.hospital import hospital, hospital_meta

KEY = "patient_id"


@pytest.fixture(scope="module")
def learned():
    tables = hospital(1500)
    settings = HighDimConfig(privacy_unit=KEY, epsilon=3.0, steps=30, batch_size=600)
    return HighDimSynthesizer(hospital_meta(tables), settings).learn(tables), tables


@pytest.mark.long
def test_synthetic_tables_are_as_near_to_the_measurements_as_noise_lets_them(learned):
    synthesizer, _ = learned
    report = compare_measured(synthesizer, synthesizer.synthesize(3000, seed=1))
    metrics = report.metrics.set_index("metric")
    assert {"sex", "visits.number", "diagnosis", "discharged"} <= set(metrics.index)
    assert (metrics["noise"] > 0).all()
    assert (metrics["distance"] < 3 * metrics["noise"] + 0.03).all()
    assert report.integrity == {"visits": 1.0}
    assert "may be shown" in repr(report)
    shifted = synthesizer.synthesize(3000, seed=1)
    shifted["visits"]["diagnosis"] = "lung"
    other = compare_measured(synthesizer, shifted, synthetic=True).metrics.set_index("metric")
    assert other.loc["diagnosis", "distance"] > 0.4


def test_what_is_left_is_told_of_every_column_of_every_table(learned):
    synthesizer, tables = learned
    told = {loss.name: loss for loss in synthesizer.losses}
    of_rows = {f"visits.{name}" for name in synthesizer.learned.events[0].codec.names}
    assert set(told) == set(synthesizer.codec.names) | of_rows
    metrics = compare_measured(synthesizer, synthesizer.synthesize(500, seed=1)).metrics.set_index("metric")
    assert told["visits.diagnosis"].noise == pytest.approx(metrics.loc["diagnosis", "noise"])
    for report in (compare_measured, lambda *made: compare_histories(made[0], tables, made[1])):
        shown = report(synthesizer, synthesizer.synthesize(500, seed=1))
        assert "'visits.diagnosis'" in shown.summary()
        assert "total-variation" in shown.to_html()
    assert list(synthesizer.receipt.losses) == loss_lines(synthesizer.losses)


def test_private_tables_are_not_compared_for_free(learned):
    synthesizer, tables = learned
    with pytest.raises(DataError, match="synthetic"):
        compare_measured(synthesizer, tables)
    with pytest.raises(DataError):
        compare_measured(synthesizer, tables, synthetic=True)  # these were learned
    with pytest.raises(DataError, match="'patients', 'visits'"):
        compare_measured(synthesizer, {"visits": tables["visits"]})


def test_scores_have_the_names_of_sdmetrics_and_are_one_for_the_real_tables(learned):
    synthesizer, tables = learned
    scores = compare_histories(synthesizer, tables, tables).scores.set_index("metric")
    wanted = {"CardinalityShapeSimilarity", "SequenceLengthSimilarity", "ReferentialIntegrity"}
    assert wanted | {"IntertableTrends", "CardinalityBoundaryAdherence"} <= set(scores.index)
    assert (scores["score"] == 1.0).all()
    orphans = synthesizer.synthesize(500, seed=2)
    orphans["patients"] = orphans["patients"].iloc[:250]
    broken = compare_histories(synthesizer, tables, orphans)
    assert broken.scores.set_index("metric").loc["ReferentialIntegrity", "score"] < 0.8
    assert broken.integrity["visits"] < 0.8


@pytest.mark.long
def test_pictures_show_synthetic_persons_what_follows_and_groups_and_escape_what_they_show():
    tables = hospital(700, seed=2)
    tables["patients"]["<img src=x onerror=alert(1)>"] = np.where(tables["patients"]["age"] > 50, "<b>", "no")
    tables["visits"]["diagnosis"] = tables["visits"]["diagnosis"].replace({"lung": "<i>lung"})
    meta = MetaExtractor.extract(tables, children=[Children("visits", order="admitted")])
    settings = HighDimConfig(privacy_unit=KEY, epsilon=8.0, steps=10)
    synthesizer = HighDimSynthesizer(meta, settings).learn(tables)
    made = synthesizer.synthesize(300, seed=1)
    for report in (compare_measured(synthesizer, made), compare_histories(synthesizer, tables, made)):
        shown = report.to_html()
        assert "Some synthetic persons" in shown
        assert "What follows what in visits" in shown
        assert "Mean number of visits by" in shown
        assert "<img" not in shown
        assert "<b>," not in shown
        assert "<i>lung" not in shown
    days = {
        name: set(df["visits"][["admitted", "discharged"]].astype(str).to_numpy().ravel())
        for name, df in {"real": tables, "made": made}.items()
    }
    timeline = shown.partition("<svg")[2].partition("</svg>")[0]
    assert not any(day in timeline for day in days["real"] - days["made"])  # single persons are synthetic


def test_tables_without_rows_or_categories_have_a_comparison_too():
    tables = {"values": pd.DataFrame({KEY: np.arange(400) // 2, "value": np.arange(400) % 7})}
    meta = MetaExtractor.extract(tables, children=[Children("values")])
    settings = HighDimConfig(privacy_unit=KEY, epsilon=8.0, steps=3)
    synthesizer = HighDimSynthesizer(meta, settings).learn(tables)
    made = synthesizer.synthesize(50, seed=1)
    empty = {"values": made["values"].iloc[:0]}
    assert "value" in repr(compare_measured(synthesizer, made))
    assert compare_measured(synthesizer, empty, synthetic=True).integrity == {"values": 1.0}


def test_a_comparison_is_written_as_a_page_without_scripts(learned, tmp_path):
    synthesizer, tables = learned
    made = synthesizer.synthesize(300, seed=3)
    written = compare_measured(synthesizer, made).save(
        tmp_path / "r.html", guarantee=synthesizer.receipt.headline
    )
    text = written.read_text()
    assert text.startswith("<!doctype html>")
    assert synthesizer.receipt.headline in text
    assert "What follows what in visits" in text
    assert "<table" in text
    assert "&lt;" not in text  # markup is not shown as text
    assert "<script" not in text
    assert "epsilon does not cover" not in text
    original = compare_histories(synthesizer, tables, made).save(tmp_path / "o.html").read_text()
    assert "epsilon does not cover" in original


def test_a_private_report_is_paid_for_and_sees_what_is_wrong(learned, tmp_path):
    synthesizer, tables = learned
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    made = synthesizer.synthesize(1500, seed=4)
    told = []
    with_noise = {"epsilon": 2.0, "ledger": ledger}
    report = evaluate_privately(synthesizer, tables, made, **with_noise, tell=told.append)
    assert report.epsilon <= 2.0
    assert report.plan.unit == synthesizer.receipt.unit
    assert abs(report.persons - 1500) < 8 * report.persons_error
    (dataset,) = ledger.summary().datasets
    assert set(dataset.names) == {"table", "visits"}
    assert "reserves epsilon = 2" in told[0]
    groups = {group.name: group for group in report.groups}
    assert all(abs(group.mean.value) < 0.3 for group in report.groups)
    assert "with all its rows in all tables" in report.summary()
    assert "number of persons" in report.to_html()
    shown = page("A report", report)
    assert "<table" in shown
    assert "&lt;" not in shown
    shuffled = {**made, "visits": made["visits"].copy()}
    random = np.random.default_rng(0)
    shuffled["visits"]["diagnosis"] = random.permutation(shuffled["visits"]["diagnosis"])
    worse = evaluate_privately(synthesizer, tables, shuffled, **with_noise, tell=str, synthetic=True)
    name = "row before and row of 'visits'"
    broken = {each.name: each for each in {group.name: group for group in worse.groups}[name].figures}
    kept = {each.name: each for each in groups[name].figures}
    column = "diagnosis, before and after"
    assert broken[column].value - kept[column].value > 5 * broken[column].error


def test_a_private_report_is_refused_before_anything_is_spent(learned, tmp_path):
    synthesizer, tables = learned
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")

    def evaluate(given, made=None, epsilon=1.0):
        evaluate_privately(synthesizer, given, made, epsilon=epsilon, ledger=ledger, tell=str)

    with pytest.raises(DataError, match="'patients', 'visits'"):
        evaluate(tables["patients"])
    with pytest.raises(DataError, match="'patients', 'visits'"):
        evaluate(tables, {"visits": tables["visits"]})
    with pytest.raises(DataError, match="original table itself"):
        evaluate(tables, tables)
    with pytest.raises(ConfigError, match="above 0"):
        evaluate(tables, epsilon=0)
    assert ledger.summary().datasets == ()
    told = 0
    for _ in range(5):  # the noise on the number of persons hides it once in a hundred times
        try:
            evaluate(tables, epsilon=1e-5)
        except DataError as error:
            told += "counts this evaluation as spent" in str(error)
    assert told >= 3


def test_one_table_is_compared_otherwise():
    df = hospital(300)["patients"]
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(steps=1, epsilon=5.0)).learn(df)
    with pytest.raises(ConfigError, match="against_measurements"):
        compare_measured(synthesizer, {"patients": df})
