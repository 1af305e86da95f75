"""What the doctor advises for real exports: it loses nothing, tells how many rows it concerns, and works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.conversions import converted
from jupyter_dpsynth.engine.planning.doctor import Finding, examine
from jupyter_dpsynth.engine.planning.findings import findings_text
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.opening import open_source

ROWS = 400
RANDOM = np.random.default_rng(0)
AMOUNTS = np.round(np.exp(RANDOM.normal(8, 1, ROWS)), 2)
WEIGHTS = np.round(RANDOM.normal(75, 12, ROWS), 1)
DAYS = pd.Timestamp("2023-01-01") + pd.to_timedelta(RANDOM.integers(0, 700, ROWS), unit="D")


def german(number: float, group: str = ".") -> str:
    return f"{number:,.2f}".replace(",", "_").replace(".", ",").replace("_", group)


def found_in(column: Any, **declared: Any) -> dict[str, Finding]:
    df = pd.DataFrame({"x": column, "g": ["a", "b"] * (len(column) // 2)})
    config = HighDimConfig(epsilon=20.0).resolve()
    found = examine(open_source(df), config, declared=declared)
    return {each.kind: each for each in found if each.column == "x"}


def applied(column: Any) -> pd.Series:
    finding = found_in(column)["text form"]
    assert finding.remedy is not None, finding
    return converted(finding.remedy.value, pd.DataFrame({"x": column}))


@pytest.mark.parametrize(
    "written",
    [
        [german(v) for v in AMOUNTS],
        [german(v, " ") for v in AMOUNTS],
        [german(v, "\u202f") + " €" for v in AMOUNTS],
        [f"{v:,.2f}" for v in AMOUNTS],
        [f"${v:,.2f}" for v in AMOUNTS],
        [f"{v:,.2f}".replace(",", "'") for v in AMOUNTS],
        [f" {v:.2f}" for v in AMOUNTS],
    ],
)
def test_amounts_are_read_in_the_way_in_which_they_are_written(written: list[str]) -> None:
    assert applied(written).tolist() == AMOUNTS.tolist()


@pytest.mark.parametrize(
    "form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y %H:%M", "%d.%m.%y"]
)
def test_dates_are_read_with_the_day_where_it_stands(form: str) -> None:
    assert (applied([day.strftime(form) for day in DAYS]) == pd.Series(DAYS)).all()


def test_days_and_moments_in_one_column_are_both_read() -> None:
    mixed = [day.strftime("%d.%m.%Y %H:%M" if odd else "%d.%m.%Y") for odd, day in enumerate(DAYS)]
    assert applied(mixed[:1] + mixed[1:]).notna().all()


def test_words_for_a_missing_value_become_missing_and_nothing_else() -> None:
    written = ["k. A." if place % 20 == 0 else german(v) for place, v in enumerate(AMOUNTS)]
    assert applied(written).isna().sum() == ROWS // 20
    words = ["unbekannt" if place % 20 == 0 else "m" for place in range(ROWS)]
    assert f"{ROWS // 20} rows" in found_in(words)["text form"].text
    assert found_in(words)["text form"].remedy.line == "missing = {'x': ['unbekannt']}"
    assert "text form" not in found_in(words, missing={"x": ["unbekannt"]})


def test_what_would_be_lost_is_told() -> None:
    written = [german(v) for v in AMOUNTS]
    written[7] = "12,50 or so"
    finding = found_in(written)["text form"]
    assert "1 rows that are written otherwise" in finding.advice
    assert applied(written).isna().sum() == 1


def test_what_can_be_read_in_two_ways_is_not_converted() -> None:
    for written in (
        [day.replace(day=day.day % 12 + 1).strftime("%d/%m/%Y") for day in DAYS],
        [f"{int(v) % 9 + 1}.{int(v) % 899 + 100}" for v in AMOUNTS],
    ):
        finding = found_in(written)["text form"]
        assert "two ways" in finding.text
        assert finding.remedy is None


def test_leading_zeros_stay() -> None:
    finding = found_in([f"{place * 7 % 1000:05d}" for place in range(ROWS)])["text form"]
    assert "leading zeros" in finding.text
    assert finding.remedy is None


def test_free_text_and_amounts_are_no_identifiers() -> None:
    free = [f"patient number {place} came back after {place + 2} days" for place in range(ROWS)]
    assert found_in(free)["text form"].remedy.line == "ignore = ['x']"
    amounts = RANDOM.permutation(np.arange(ROWS) * 977 + 12_000)
    for column in (free, amounts, [german(v + place * 20_000) for place, v in enumerate(AMOUNTS)]):
        assert "identifier" not in found_in(column)


def test_codes_far_from_all_other_numbers_are_told_with_their_rows() -> None:
    heights = np.where(np.arange(ROWS) % 20 == 0, 999, RANDOM.integers(150, 200, ROWS))
    finding = found_in(heights)["missing codes"]
    assert f"999 in {ROWS // 20} rows" in finding.text
    assert finding.remedy.line == "missing = {'x': [999]}"
    assert "missing codes" not in found_in(heights, missing={"x": [999]})
    assert "missing codes" not in found_in(RANDOM.integers(1, 1200, ROWS))


def test_days_at_the_end_of_time_are_told() -> None:
    ends = pd.Series(DAYS).where(np.arange(ROWS) % 20 != 0, pd.Timestamp("9999-12-31"))
    finding = found_in(ends)["missing codes"]
    assert finding.remedy.line == "missing = {'x': ['9999-12-31']}"
    assert "missing codes" not in found_in(ends, missing={"x": ["9999-12-31"]})


def test_all_declarations_are_one_block_and_the_panel_takes_them() -> None:
    coded = np.where(np.arange(ROWS) % 20 == 0, 999, RANDOM.integers(150, 200, ROWS))
    df = pd.DataFrame({"a": coded, "b": -coded - 50.0, "key_id": [f"p{place}" for place in range(ROWS)]})
    found = examine(open_source(df), HighDimConfig().resolve(), declared={"missing": {"b": [-1049]}})
    draft = SchemaDraft(open_source(df), {"missing": {"b": [-1049]}})
    for each in found:
        if each.kind == "missing codes":
            draft.declare_missing(each.remedy.value)
    assert draft.arguments()["missing"] == {"a": [999], "b": [-1049]}
    block = findings_text(found).partition("All declarations together")[2].splitlines()[1:3]
    assert [line.strip() for line in block] == ["missing = {'a': [999]}", "ids = ['key_id']"]


def test_rows_outside_declared_bounds_are_counted() -> None:
    finding = found_in(WEIGHTS, bounds={"x": (0, 75)})["outside bounds"]
    assert f"{(WEIGHTS > 75).sum():,} rows" in finding.text


def test_all_conversions_are_one_block_that_runs() -> None:
    df = pd.DataFrame({"a": [german(v) for v in AMOUNTS], "d": [day.strftime("%d.%m.%Y") for day in DAYS]})
    findings = examine(open_source(df), HighDimConfig().resolve())
    block = findings_text(findings).partition("All conversions together")[2].splitlines()[1:3]
    names = {"df": df, "pd": pd}
    for line in block:
        exec(line.strip(), names)
    assert [str(dtype)[:8] for dtype in df.dtypes] == ["float64", "datetime"]


def test_the_panel_converts() -> None:
    df = pd.DataFrame({"a": [german(v) for v in AMOUNTS]})
    draft = SchemaDraft(open_source(df))
    (finding,) = [each for each in examine(open_source(df), HighDimConfig().resolve()) if each.column == "a"]
    draft.convert(finding.remedy.value)
    assert draft.columns["a"].kind == "number"
    assert df["a"].tolist() == AMOUNTS.tolist()
