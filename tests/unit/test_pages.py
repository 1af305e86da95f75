"""A comparison as a page, and by groups."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import DataError
from jupyter_dpsynth.evaluation.report import BANNER, UtilityReport
from tests.support.models import untrained

ROWS = 1500


def grouped_table(seed):
    generator = np.random.default_rng(seed)
    sex = generator.choice(["Female", "Male"], ROWS)
    height = generator.normal(np.where(sex == "Male", 178, 165), 6).round()
    return pd.DataFrame({"sex": sex, "height": height, "group": generator.choice(list("abc"), ROWS)})


@pytest.fixture(scope="module")
def report():
    return UtilityReport.against_original(grouped_table(0), grouped_table(1))


def test_each_group_is_compared_with_the_same_group_of_the_original(report):
    groups = report.by_group("sex")
    assert set(groups) == {"Female", "Male"}
    for columns in groups.values():
        assert columns[0].name == "height"
        assert columns[0].distance < 2 * columns[0].good + 0.05
    women, men = (groups[sex][0].reference for sex in ("Female", "Male"))
    assert np.abs(women - men).sum() / 2 > 0.5  # the groups differ


def test_against_measurements_a_group_is_drawn_beside_the_whole_synthetic_table():
    synthesizer = untrained(grouped_table(0))
    report = UtilityReport.against_measurements(synthesizer, synthesizer.synthesize(ROWS, seed=0))
    height = next(column for column in report.columns if column.name == "height")
    for columns in report.by_group("sex").values():
        within = next(column for column in columns if column.name == "height")
        assert (within.reference == height.synthetic).all()


def test_a_group_that_one_table_lacks_takes_no_picture_from_the_others():
    rare = grouped_table(0)
    rare.loc[rare.index[:20], "sex"] = "diverse"
    groups = UtilityReport.against_original(rare, grouped_table(1)).by_group("sex")
    assert set(groups) == {"Female", "Male"}
    assert all(len(columns) == 2 for columns in groups.values())


def test_only_categories_make_groups(report):
    with pytest.raises(DataError, match="has numbers or times"):
        report.by_group("height")
    with pytest.raises(DataError, match="Did you mean 'sex'"):
        report.by_group("sax")


def test_a_page_is_small_complete_and_says_what_it_was_made_from(report, tmp_path):
    path = report.save(tmp_path / "report.html", by="sex", guarantee="epsilon = 1")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert path.stat().st_size < 500_000
    assert "<script" not in text
    assert "@media screen and (prefers-color-scheme:dark)" in text  # printed, its text is dark
    assert BANNER in text
    assert "epsilon = 1" in text
    assert "Quantiles of numbers and times" in text
    assert text.count("sex = Male") >= 2
