"""What the doctor advises for real exports: it loses nothing, tells how many rows it concerns, and works."""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import MetaExtractor, cli
from jupyter_dpsynth.cli.options import declarations_of
from jupyter_dpsynth.cli.tables import open_table
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.conversions import converted
from jupyter_dpsynth.engine.planning.doctor import Finding, Place, examine
from jupyter_dpsynth.engine.planning.findings import findings_text
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.csv import CsvFrame
from jupyter_dpsynth.sources.csvfile import CsvFile, CsvOptions
from jupyter_dpsynth.sources.opening import open_source
from tests.support.models import untrained

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

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
    "form",
    [
        "%d %b %Y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%Y-%m-%d",
        "%d.%m.%Y %H:%M",
        "%d.%m.%y",
    ],
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
    assert found_in(words)["text form"].rows == ROWS // 20
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


def test_zeros_that_no_decimal_needs_are_kept_by_declaring_the_digits() -> None:
    prices = [Decimal("8.90"), Decimal("7.50"), Decimal("12.00"), None] * (ROWS // 4)
    finding = found_in(pd.Series(prices, dtype=object))["digits"]
    assert finding.remedy.line == "decimals = {'x': 2}"
    assert "digits" not in found_in(pd.Series(prices, dtype=object), decimals={"x": 2})
    df = pd.DataFrame({"x": pd.Series(prices * 5, dtype=object), "g": np.arange(5 * ROWS) % 3})
    made = untrained(df, decimals={"x": 2}).synthesize(200, seed=1)["x"]
    assert {str(v) for v in made.dropna()} == {"8.90", "7.50", "12.00"}
    for needed in ([Decimal("8.90"), Decimal("7.55")], [Decimal("8.9"), Decimal("7.5")], [Decimal(8)] * 2):
        assert "digits" not in found_in(pd.Series(needed * (ROWS // 2), dtype=object))
    draft = SchemaDraft(open_source(df))
    draft.set("x", decimals="2")
    assert draft.arguments()["decimals"] == {"x": 2}


def test_a_word_among_many_numbers_is_told_to_become_missing() -> None:
    written = [f"{v:.2f}" if place % 6 else "n/v" for place, v in enumerate(AMOUNTS)]
    finding = found_in(written)["text form"]
    assert f"{written.count('n/v'):,} rows that are written otherwise become missing" in finding.advice
    assert applied(written).isna().sum() == written.count("n/v")
    answers = ["1", "2", "3", "other"] * (ROWS // 4)
    assert "text form" not in found_in(answers)


def test_codes_with_leading_zeros_of_which_every_row_has_another_are_identifiers() -> None:
    numbers = np.random.default_rng(1).permutation(9_000)[:ROWS]
    found = found_in([f"{number:06d}" for number in numbers])
    assert "leading zeros" in found["text form"].text
    assert found["identifier"].remedy.line == "ids = ['x']"
    assert "levels" not in found
    few = found_in([f"{number % 40:06d}" for number in numbers])
    assert "identifier" not in few


def test_codes_with_a_point_are_not_made_numbers() -> None:
    """NACE: 01.10 is no 1.1."""
    codes = [f"{chapter:02d}.{group}0" for chapter in (1, 3, 10, 25, 47, 96) for group in range(1, 9)]
    finding = found_in((codes * ROWS)[:ROWS])["text form"]
    assert "leading zeros" in finding.text
    assert finding.remedy is None
    many = [f"{(1, 2, 3, *range(10, 30))[k % 23]:02d}.{k // 23:02d}" for k in range(2300)] * 3
    for name, groups in {"nace": "nace2", "kind": "prefix:1,2"}.items():
        found = examine(open_source(pd.DataFrame({name: many})), HighDimConfig().resolve(), declared={})
        assert [each.remedy.value for each in found if each.kind == "levels"] == [{name: groups}]
    assert "numbers" in found_in([f"{v:.2f}" for v in np.linspace(0.1, 99, ROWS)])["text form"].text


def test_codes_of_which_some_have_a_letter_are_not_made_numbers() -> None:
    codes = ["75001", "13001", "06088", "01000", "2A004", *["75002"] * 15] * (ROWS // 20)
    assert "text form" not in found_in(codes)  # nothing is to be done about so few
    assert applied(["0.50", "12.25", "07.10", "8.00"] * (ROWS // 4)).tolist()[:3] == [0.5, 12.25, 7.1]


def test_numbers_of_persons_and_of_cases_written_as_text_are_identifiers() -> None:
    persons = np.sort(np.random.default_rng(1).integers(1, 150, ROWS)).astype(str)
    df = pd.DataFrame(
        {"patient_id": persons, "case_no": np.arange(1, ROWS + 1).astype(str), "amount": persons}
    )
    kinds = {each.column: each.kind for each in examine(open_source(df), HighDimConfig().resolve())}
    assert kinds["patient_id"] == "several rows"
    assert kinds["case_no"] == "identifier"
    assert kinds["amount"] == "text form"


def test_times_of_day_and_dates_in_numbers_are_converted() -> None:
    clocks = [f"{place % 24}:{place % 60:02d}" for place in range(ROWS)]
    assert applied(clocks).tolist() == [pd.Timedelta(hours=p % 24, minutes=p % 60) for p in range(ROWS)]
    numbers = pd.Series(DAYS.strftime("%Y%m%d").astype(int))
    assert (applied(numbers) == pd.Series(DAYS)).all()
    assert (applied(numbers.astype(float).mask(numbers % 20 == 1)).isna() == (numbers % 20 == 1)).all()
    assert "text form" not in found_in(RANDOM.integers(19_000_000, 21_000_000, ROWS))


def test_numbers_that_were_codes_with_leading_zeros_are_told() -> None:
    codes = RANDOM.choice([1067, 8056, 50667, 80331], ROWS)
    df = pd.DataFrame({"PLZ": codes, "x": codes})
    found = [
        each for each in examine(open_source(df), HighDimConfig().resolve()) if each.kind == "lost zeros"
    ]
    assert [(each.column, each.rows) for each in found] == [("PLZ", (codes < 10_000).sum())]


def test_free_text_and_amounts_are_no_identifiers() -> None:
    free = [f"patient number {place} came back after {place + 2} days" for place in range(ROWS)]
    assert found_in(free)["text form"].remedy.line == "ignore = ['x']"
    amounts = RANDOM.permutation(np.arange(ROWS) * 977 + 12_000)
    for column in (free, amounts, [german(v + place * 20_000) for place, v in enumerate(AMOUNTS)]):
        assert "identifier" not in found_in(column)


def test_codes_far_from_all_other_numbers_are_told_with_their_rows() -> None:
    heights = np.where(np.arange(ROWS) % 20 == 0, 999, RANDOM.integers(150, 200, ROWS))
    finding = found_in(heights)["missing codes"]
    assert "'missing': 999." in finding.text
    assert finding.heading == f"look at this ({ROWS // 20} rows)"
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
    block = findings_text(found).partition("All lines together")[2].splitlines()[1:3]
    assert [line.strip() for line in block] == ["missing = {'a': [999]}", "ids = ['key_id']"]


def test_the_block_of_lines_names_the_privacy_unit_too() -> None:
    persons = [f"P{place // 3:05d}" for place in range(ROWS)]
    coded = np.where(np.arange(ROWS) % 20 == 0, 999, RANDOM.integers(150, 200, ROWS))
    df = pd.DataFrame({"patient_id": persons, "client_id": persons, "height": coded})
    text = findings_text(examine(open_source(df), HighDimConfig(epsilon=20.0).resolve()))
    block = [line.strip() for line in text.partition("All lines together")[2].splitlines()[1:5]]
    assert block == [
        "missing = {'height': [999]}",
        "ids = ['client_id']",
        "privacy_unit = 'patient_id'",
        "",
    ]


ENTERED = pd.Series(DAYS)
LEFT = ENTERED + pd.to_timedelta(RANDOM.integers(1, 20, ROWS), unit="D")


def orders(**columns: Any) -> list[Finding]:
    found = examine(open_source(pd.DataFrame(columns)), HighDimConfig(epsilon=20.0).resolve())
    return [each for each in found if each.kind == "order"]


def test_two_dates_that_few_rows_have_in_the_wrong_order_are_told_with_the_line_that_keeps_it() -> None:
    wrong = np.arange(ROWS) % 50 == 0
    swapped = {"left": LEFT.mask(wrong, ENTERED), "entered": ENTERED.mask(wrong, LEFT)}
    (finding,) = orders(**swapped)
    assert finding.rows == ROWS // 50
    assert finding.remedy.line == "%dpsynth synthesize 1000 --order 'entered <= left'"
    assert finding.remedy.written(Place(terminal=True)) == "--order 'entered <= left'"
    assert orders(entered=ENTERED, left=LEFT) == []
    assert orders(entered=ENTERED, other=LEFT.sample(frac=1, random_state=0, ignore_index=True)) == []
    zoned = {name: each.dt.tz_localize("Europe/Paris") for name, each in swapped.items()}
    assert [each.rows for each in orders(**zoned)] == [ROWS // 50]
    assert orders(entered=swapped["entered"], left=zoned["left"]) == []  # which cannot be compared


def test_dates_in_order_in_all_rows_can_be_declared_so_in_a_cell_in_a_terminal_and_in_the_panel() -> None:
    df = pd.DataFrame({"entered": ENTERED, "left": LEFT, "n": range(ROWS)})
    config = HighDimConfig(epsilon=20.0).resolve()
    (finding,) = [each for each in examine(open_source(df), config) if each.kind == "dates in order"]
    assert "'entered' and 'left'" in finding.text
    assert finding.remedy.line == "at_least = {'left': ['entered']}"
    assert finding.remedy.written(Place(terminal=True)) == "--at-least left=entered"
    draft = SchemaDraft(open_source(df))
    draft.declare_orders(finding.remedy.value)
    assert draft.arguments()["at_least"] == {"left": ["entered"]}
    assert draft.meta().orders == (("entered", "left"),)
    assert SchemaDraft(open_source(df), draft.arguments()).arguments() == draft.arguments()
    draft.set("entered", role="ignore")
    assert "at_least" not in draft.arguments()
    told = examine(open_source(df), config, declared={"at_least": {"left": "entered"}})
    assert not [each for each in told if each.kind == "dates in order"]
    shuffled = df.assign(left=LEFT.sample(frac=1, random_state=0, ignore_index=True))
    assert not [each for each in examine(open_source(shuffled), config) if each.kind == "dates in order"]


def test_numbers_of_one_range_may_be_in_order_too_and_others_are_not_compared() -> None:
    low = RANDOM.integers(60, 90, ROWS).astype(float)
    high = low + RANDOM.integers(5, 40, ROWS)
    high[::50] = low[::50] - 3
    assert [each.rows for each in orders(high=high, low=low)] == [ROWS // 50]
    assert orders(low=low, income=np.where(np.arange(ROWS) % 50, 4000.0, 3.0) + low / 100) == []


def test_persons_with_several_rows_are_found_by_their_name_or_by_their_day_of_birth() -> None:
    person = RANDOM.integers(0, 150, ROWS)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(person * 97 % 9000, unit="D")
    for name in ("patnr", "Fallnummer", "PatientenNr", "IPP", "code"):
        column = [f"P{each:05d}" for each in person]
        df = pd.DataFrame({name: column, "born": born, "seen": DAYS, "town": person // 20})
        found = examine(open_source(df), HighDimConfig(epsilon=20.0).resolve())
        (finding,) = [each for each in found if each.kind == "several rows"]
        assert finding.column == name
        assert finding.rows == pd.Series(column).duplicated(keep=False).sum()
        assert finding.remedy.written(Place(terminal=True)) == f"--privacy-unit {name}"
    plain = pd.DataFrame({"code": column, "seen": DAYS})
    assert not [
        each for each in examine(open_source(plain), HighDimConfig().resolve()) if each.kind == "several rows"
    ]


def test_texts_that_were_read_as_missing_are_counted_and_can_be_kept(tmp_path: Any) -> None:
    written = [f"{v:.1f}" for v in WEIGHTS]
    written[::40] = ["<10"] * (ROWS // 40)
    written[1::40] = ["unbekannt"] * (ROWS // 40)  # which means missing
    pd.DataFrame({"lab": written, "n": range(ROWS)}).to_csv(tmp_path / "t.csv", index=False)
    in_memory = CsvFrame(CsvFile.at(tmp_path / "t.csv"))  # as without Dask, and from a pipe
    for source in (open_source(tmp_path / "t.csv"), in_memory.without(["n"])):
        found = examine(source, HighDimConfig().resolve())
        (finding,) = [each for each in found if each.kind == "unread"]
        assert (finding.column, finding.rows) == ("lab", ROWS // 40)
    assert finding.remedy.written(Place(terminal=True)) == "--text lab"
    assert finding.remedy.written(Place("t.csv")) == "%dpsynth doctor t.csv --text lab"
    kept = open_source(tmp_path / "t.csv", CsvOptions(text=("lab",)))
    assert not [each for each in examine(kept, HighDimConfig().resolve()) if each.kind == "unread"]


@pytest.mark.parametrize("word", ["NSP", "k. A.", "not recorded", "ND"])
def test_words_for_a_missing_value_are_known_in_some_languages(word: str) -> None:
    answers = np.where(np.arange(ROWS) % 10 == 3, word, RANDOM.choice(["oui", "non"], ROWS))
    assert found_in(answers)["text form"].remedy.value == {"x": [word]}
    pressure = np.where(np.arange(ROWS) % 10 == 3, word, RANDOM.integers(90, 190, ROWS).astype(str))
    assert found_in(pressure)["text form"].remedy.name == "convert"


def test_whole_numbers_that_would_be_rounded_are_better_text() -> None:
    accounts = RANDOM.choice([2**53 + 1, 2**60 + 3, 7, None], ROWS)
    for dtype in ("Int64", object):
        column = pd.Series(accounts, dtype=dtype)
        finding = found_in(column)["long numbers"]
        assert finding.rows == (column.fillna(0) > 7).sum()
        made = converted(finding.remedy.value, pd.DataFrame({"x": column}))
        assert set(made.dropna()) == {str(2**53 + 1), str(2**60 + 3), "7"}
        assert (made.isna() == column.isna()).all()
    assert "long numbers" not in found_in(pd.Series([2**53, 2**60, 7, 1e30] * (ROWS // 4), dtype=object))


def test_abbreviations_are_no_words_for_a_missing_value() -> None:
    states = RANDOM.choice(["AL", "AK", "AZ", "CA", "CO", "DE", "FL", "GA", "NC", "ND", "NY", "TX"], ROWS)
    assert "text form" not in found_in(states)


def test_values_of_another_type_are_counted_and_text_keeps_them() -> None:
    mixed = pd.Series([*WEIGHTS], dtype=object)
    mixed[::40] = "<10"
    finding = found_in(mixed)["mixed types"]
    assert finding.rows == ROWS // 40
    assert "count as missing" in finding.text
    made = converted(finding.remedy.value, pd.DataFrame({"x": mixed}))
    assert made.tolist() == mixed.map(str).tolist()


def test_levels_that_no_row_has_are_kept_once_they_are_declared() -> None:
    levels = ["mild", "some", "severe", "fatal"]
    column = pd.Series(pd.Categorical(RANDOM.choice(levels[:3], ROWS), levels, ordered=True))
    finding = found_in(column)["unused levels"]
    assert finding.heading == "hint"
    assert finding.remedy.line == "categories = {'x': list(df['x'].cat.categories)}"
    assert "unused levels" not in found_in(column, categories={"x": levels})
    df = pd.DataFrame({"x": column, "n": range(ROWS)})
    draft = SchemaDraft(open_source(df))
    draft.declare_levels("x")
    assert draft.arguments()["categories"] == {"x": levels}
    made = untrained(df, categories={"x": levels[::-1]}).synthesize(20, seed=0)
    assert made["x"].dtype == column.dtype  # in the column's own order, whatever order was declared
    assert list(untrained(df).synthesize(20, seed=0)["x"].cat.categories)[-3:] == levels[:3]


def test_every_finding_says_how_many_rows_it_concerns() -> None:
    df = pd.DataFrame({"a": [german(v) for v in AMOUNTS], "uid": [f"u{place}" for place in range(ROWS)]})
    findings = examine(open_source(df), HighDimConfig(epsilon=0.5, delta=0.1).resolve())
    lines = [line for line in findings_text(findings).splitlines() if line.startswith(tuple("✗⚠•"))][1:]
    assert len(lines) == len(findings) > 2
    assert all(re.match(r". [\w ]+ \((all|[\d,]+) rows?\): ", line) for line in lines)


def test_a_terminal_gets_options_and_one_command_that_converts(tmp_path: Any, capsys: Any) -> None:
    df = pd.DataFrame({"a": [german(v) for v in AMOUNTS], "uid": [f"u{place}" for place in range(ROWS)]})
    df["height"] = np.where(np.arange(ROWS) % 20 == 0, 999, RANDOM.integers(150, 200, ROWS))
    file, made = tmp_path / "my stays.parquet", tmp_path / "made.parquet"
    df.to_parquet(file)
    assert cli.main(["doctor", str(file)]) == 0
    text = capsys.readouterr().out
    assert "df[" not in text
    assert ">>>" not in text
    assert f"jupyter dpsynth doctor '{file}' --convert converted.parquet" in text
    assert "--id uid" in text
    options = text.split("'learn':\n")[1].splitlines()[0]
    assert cli.main(["doctor", str(file), "--convert", str(made)]) == 0
    assert f"jupyter dpsynth doctor {made}" in capsys.readouterr().out
    assert cli.main(["doctor", str(made), *shlex.split(options)]) == 0
    again = capsys.readouterr().out
    assert "--id" not in again
    assert "--missing" not in again
    assert pd.read_parquet(made)["a"].tolist() == AMOUNTS.tolist()


def test_a_cell_speaks_of_the_table_by_its_name_and_makes_one_of_a_file(shell: Shell, tmp_path: Any) -> None:
    shell.names["stays"] = pd.DataFrame({"a": [german(v) for v in AMOUNTS], "n": range(ROWS)})
    shell.names["stays"].to_parquet(tmp_path / "t.parquet")
    line = "stays['a'] = pd.to_numeric(stays['a']"
    assert line in shell.run("%dpsynth doctor stays").displays[0]["text/plain"]
    text = shell.run(f"%dpsynth doctor {tmp_path}/t.parquet").displays[0]["text/plain"]
    assert f"%dpsynth doctor {tmp_path}/t.parquet --convert df" in text
    assert not shell.run(f"%dpsynth doctor {tmp_path}/t.parquet --convert df").error
    assert shell.names["df"]["a"].tolist() == AMOUNTS.tolist()


def test_rows_outside_declared_bounds_are_counted() -> None:
    finding = found_in(WEIGHTS, bounds={"x": (0, 75)})["outside bounds"]
    assert finding.rows == (WEIGHTS > 75).sum()


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


def test_codes_for_missing_values_neither_keep_nor_break_an_order() -> None:
    coded, gone = np.arange(ROWS) % 40 == 0, np.arange(ROWS) % 50 == 1
    open_ended = pd.Series(LEFT).mask(gone, pd.Timestamp("9999-12-31"))
    checked = open_ended.where(~gone, LEFT) + pd.Timedelta(days=30)
    low = RANDOM.integers(60, 90, ROWS)
    found = orders(left=open_ended, checked=checked, low=low, high=np.where(coded, -9, low + 20))
    assert found == []


def test_groups_and_digits_are_declared_in_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stays.csv"
    codes = RANDOM.choice(
        [f"{letter}{number}.{k}" for letter in "CIJ" for number in range(10, 60) for k in "049"], ROWS
    )
    pd.DataFrame({"icd": codes, "price": AMOUNTS, "ward": ["a", "b"] * (ROWS // 2)}).to_csv(path, index=False)
    assert cli.main(["doctor", str(path), "--epsilon", "20"]) == 0
    assert "--hierarchy icd=icd10" in capsys.readouterr().out
    declared = ["--hierarchy", "icd=icd10", "--decimals", "price=2"]
    options = cli._parser().parse_args(["learn", str(path), "-o", "model.dps", *declared])
    with open_table(str(path)) as table:
        meta = MetaExtractor.extract(table, **declarations_of(options, table))
    assert meta["icd"].code_list == "icd10"
    assert meta["price"].decimals == 2
    assert cli.main(["doctor", str(path), "--epsilon", "20", *declared]) == 0
    assert "hierarchy" not in capsys.readouterr().out
    for wrong in ("price", "price=two", "nothing=2"):
        assert cli.main(["calc", str(path), "--rows", "400", "--decimals", wrong]) == 1


def test_of_two_columns_that_name_persons_one_is_the_unit_and_the_other_an_identifier() -> None:
    persons = [f"{place // 3:07d}" for place in range(ROWS)]
    df = pd.DataFrame({"MRN": persons, "IBAN": [f"FR{each}" for each in persons], "height": WEIGHTS})
    terminal = Place("export.csv", in_pandas=False, terminal=True)
    text = findings_text(examine(open_source(df), HighDimConfig(epsilon=20.0).resolve()), terminal)
    block = text.partition("All options together")[2]
    assert "--privacy-unit MRN" in block
    assert "--id IBAN" in block
    assert block.count("--privacy-unit") == 1
    assert "prefix:" not in text  # numbers of persons are no codes with groups
    again = examine(open_source(df), HighDimConfig(epsilon=20.0, privacy_unit="MRN").resolve())
    assert [each.remedy.line for each in again if each.kind == "several rows"] == ["ids = ['IBAN']"]


@pytest.mark.parametrize("form", ["%I:%M %p", "%I:%M%p", "%I:%M:%S %p"])
def test_times_of_day_with_am_and_pm_are_durations(form: str) -> None:
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(RANDOM.integers(0, 288, ROWS) * 5, unit="m")
    written = pd.Series(times.strftime(form)).where(np.arange(ROWS) % 20 != 0, "N/A")
    made = applied(written)
    right = pd.Series(times - times.normalize()).where(np.arange(ROWS) % 20 != 0)
    pd.testing.assert_series_equal(made, right, check_names=False, check_dtype=False)


def test_codes_of_places_of_which_a_few_have_a_letter_are_offered_groups() -> None:
    codes = [f"{number:05d}" for number in range(1001, 1160)] + ["2A004", "2B033"]
    found = found_in(RANDOM.choice(codes, ROWS))
    assert found["levels"].remedy.line == "hierarchy = {'x': 'prefix:1,2'}"
