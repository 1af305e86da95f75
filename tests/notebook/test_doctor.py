"""The doctor: what it finds, what it proposes, and what it never says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.doctor import BANNER, Finding, Place, examine
from jupyter_dpsynth.engine.planning.findings import findings_text
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.panel import ConfigPanel
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.sample import LOOKED_AT, rows_for_owner
from tests.support.tables import every_type_table, mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

CONFIG = HighDimConfig().resolve()


def examined(df: object, **options: Any) -> dict[str, Finding]:
    config = options.pop("config", CONFIG)
    return {f"{each.kind}:{each.column}": each for each in examine(open_source(df), config, **options)}


def sick_table(rows: int = 3000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    df = mixed_table(rows)
    df["patient_id"] = random.integers(0, rows // 3, rows)
    df["uid"] = [f"MARK{i:06d}" for i in range(rows)]
    df["remark"] = [f"MARK {int(x)}" for x in random.exponential(2000, rows)]
    df["written"] = pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d")
    df["amount"] = [f"{x:.2f}" for x in random.normal(99_991, 7, rows)]
    df["nested"] = [[1]] * rows
    df["empty"] = np.where(random.random(rows) < 0.02, random.random(rows), np.nan)
    df["same"] = 7
    return df


def test_each_illness_is_found_with_its_remedy() -> None:
    found = examined(sick_table())
    assert found["identifier:uid"].remedy.line == "ids = ['uid']"
    assert found["type:nested"].level == "stop"
    assert found["type:nested"].remedy.line == "ignore = ['nested']"
    assert found["levels:remark"].remedy.line == "ignore = ['remark']"
    assert "pd.to_datetime(df['written']" in found["text form:written"].remedy.line
    assert "pd.to_numeric(df['amount']" in found["text form:amount"].remedy.line
    assert found["several rows:patient_id"].remedy.line == "privacy_unit = 'patient_id'"
    assert found["constant:same"].level == "hint"
    assert "missing:empty" in found
    assert "bounds:" in found


def test_a_healthy_table_with_declared_bounds_has_no_findings() -> None:
    df = mixed_table(4000)
    meta = MetaExtractor.extract(
        df, bounds={"age": (0, 120), "income": (0, 9000), "day": ("2021-01-01", "2022-01-01")}
    )
    assert examine(open_source(df), CONFIG, df_meta=meta) == []


def test_doubled_rows_are_told_in_words() -> None:
    df = mixed_table(500)
    finding = examined(pd.concat([df, df]))["repeated rows:"]
    assert "Many" in finding.text or "Most" in finding.text
    assert not re.search(r"\d", finding.text)


def test_too_few_rows_for_this_epsilon_and_a_large_delta_are_found() -> None:
    few = examined(mixed_table(300), config=HighDimConfig(epsilon=0.1).resolve())["few rows:"]
    assert few.level == "stop"
    assert few.remedy.name == "epsilon"
    large = examined(mixed_table(3000), config=HighDimConfig(delta=0.01).resolve())["delta:"]
    assert large.remedy.line == "delta = None"


def test_many_columns_for_the_rows_are_found() -> None:
    table = pd.DataFrame(np.random.default_rng(0).random((1300, 60))).add_prefix("x")
    assert "many columns:" in examined(table)
    assert "many columns:" not in examined(table[["x0", "x1", "x2", "x3"]])
    assert "many columns:" not in examined(table, config=HighDimConfig(epsilon=10).resolve())


def test_numbers_that_are_all_different_are_identifiers_also_as_floats() -> None:
    table = mixed_table(2000)
    table["number"] = np.random.default_rng(0).permutation(2000) + 1000.0
    table["weight"] = np.random.default_rng(0).random(2000)
    found = examined(table)
    assert "identifier:number" in found
    assert "identifier:weight" not in found


def test_what_is_declared_is_taken_into_account() -> None:
    df = sick_table().drop(columns=["nested"])
    assert "identifier:uid" in examined(df)
    assert "identifier:uid" not in examined(df, declared={"ids": ["uid"]})


def test_a_person_with_several_rows_is_no_finding_once_the_unit_is_named() -> None:
    config = HighDimConfig(privacy_unit="patient_id").resolve()
    assert not any(key.endswith("patient_id") for key in examined(sick_table(), config=config))


def test_a_table_without_rows_or_with_one_is_examined() -> None:
    for rows in (0, 1):
        assert "few rows:" in examined(mixed_table(50).head(rows))


def test_every_type_can_be_examined() -> None:
    assert all(isinstance(each, Finding) for each in examine(open_source(every_type_table()), CONFIG))


@pytest.mark.parametrize("stored", ["parquet", "csv", "dask"])
def test_a_table_in_parts_is_examined_like_one_in_memory(tmp_path: Path, stored: str) -> None:
    dd = pytest.importorskip("dask.dataframe")
    df = mixed_table(900).assign(uid=[f"u{i}" for i in range(900)], town="x")
    table: Any = tmp_path / "table.*"
    if stored == "parquet":
        df.to_parquet(tmp_path / "table.parquet", row_group_size=200)
    elif stored == "csv":  # in which ISO dates are dates
        df.to_csv(tmp_path / "table.csv", index=False)
    else:
        table = dd.from_pandas(df, npartitions=4)
    whole, parts = (examined(each) for each in (df, table))
    assert whole.keys() == parts.keys() >= {"identifier:uid", "constant:town"}
    assert [each.text for each in whole.values()] == [each.text for each in parts.values()]


def test_of_a_large_table_a_bounded_number_of_rows_from_all_over_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask.dataframe")
    monkeypatch.setattr("jupyter_dpsynth.sources.sample.MOST_ROWS", 60)
    monkeypatch.setattr("jupyter_dpsynth.sources.sample.MOST_PARTS", 3)
    for part in range(10):  # whose categories differ
        df = pd.DataFrame({"x": np.arange(100) + 100 * part, "c": pd.Categorical([f"c{part}"] * 100)})
        df.to_parquet(tmp_path / f"{part}.parquet")
    source = open_source(tmp_path)
    rows = rows_for_owner(source)
    assert 50 <= len(rows) <= 60
    assert set(rows["x"] // 100) == {0, 4, 9}
    assert rows["x"].is_monotonic_increasing
    assert isinstance(rows["c"].dtype, pd.CategoricalDtype)
    assert set(rows["c"]) == {"c0", "c4", "c9"}
    monkeypatch.setattr("jupyter_dpsynth.sources.sample.MOST_ROWS", 1000)
    assert len(rows_for_owner(source)) == 1000  # then nothing is left out


def test_values_are_not_called_rare_because_few_rows_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask.dataframe")
    monkeypatch.setattr("jupyter_dpsynth.sources.sample.MOST_ROWS", 600)
    df = mixed_table(30_000)
    df["town"] = [f"t{i % 60}" for i in range(len(df))]
    df.to_parquet(tmp_path / "table.parquet", row_group_size=2000)
    assert "levels:town" not in examined(tmp_path / "table.parquet")
    assert "few rows:" not in examined(tmp_path / "table.parquet")
    assert "levels:town" in examined(df.head(600))


def test_a_type_that_files_cannot_be_learned_from_is_a_finding(tmp_path: Path) -> None:
    pytest.importorskip("dask.dataframe")
    mixed_table(200).assign(raw=b"bytes", parts=[[1, 2]] * 200).to_parquet(tmp_path / "table.parquet")
    found = examined(tmp_path / "table.parquet")
    assert {"type:raw", "type:parts"} <= found.keys()
    assert found["type:raw"].remedy.line == "ignore = ['raw']"


def test_no_value_and_no_count_of_the_table_is_told() -> None:
    findings = examine(open_source(sick_table()), CONFIG)
    told = json.dumps([[each.text, each.advice, str(each.remedy)] for each in findings])
    for secret in ("MARK", "99991", "99_991", "3000", "3,000", "2020", "1000"):
        assert secret not in told


def test_no_bounds_are_asked_for_of_what_looks_like_an_identifier() -> None:
    df = mixed_table().assign(patient_id=lambda table: range(len(table)))
    found = examined(df)
    assert "identifier:patient_id" in found
    assert "patient_id" not in found["bounds:"].text + found["bounds:"].advice


def test_bounds_read_off_the_table_are_never_proposed() -> None:
    advice = examined(mixed_table())["bounds:"].advice
    assert "(lowest, highest)" in advice
    assert not re.search(r"\d", advice)


def test_the_command_prints_for_the_owner_and_says_so(shell: Shell) -> None:
    shell.run("df['uid'] = [f'u{i}' for i in range(len(df))]")
    outcome = shell.run("%dpsynth doctor df")
    text, markup = (outcome.displays[0][kind] for kind in ("text/plain", "text/html"))
    assert text.startswith(f"⚠ {BANNER}")
    assert "For the owner" in markup
    assert ">>> ids = ['uid']" in text
    assert not outcome.error


def test_the_line_it_prints_is_a_line_that_learn_understands(shell: Shell) -> None:
    shell.run("df['uid'] = [f'u{i}' for i in range(len(df))]")
    line = re.search(r">>> (ids = .*)", shell.run("%dpsynth doctor df").displays[0]["text/plain"])
    assert line is not None
    again = shell.run(f"%%dpsynth doctor df\n{line[1]}")
    assert not again.error
    assert "ids =" not in again.displays[0]["text/plain"]


def test_the_command_takes_files_and_says_if_it_reads_a_part_of_them(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask.dataframe")
    mixed_table(500).to_parquet(tmp_path / "table.parquet")
    outcome = shell.run(f"%dpsynth doctor '{tmp_path}/*.parquet'")
    assert not outcome.error
    assert LOOKED_AT not in outcome.displays[0]["text/plain"]
    monkeypatch.setattr("jupyter_dpsynth.sources.sample.MOST_ROWS", 100)
    text = shell.run(f"%dpsynth doctor '{tmp_path}/*.parquet'").displays[0]["text/plain"]
    assert f"hint (100 rows): {LOOKED_AT}" in text


@pytest.mark.parametrize("line", ["%dpsynth doctor", "%dpsynth doctor nothing"])
def test_without_a_table_it_is_one_line(shell: Shell, line: str) -> None:
    error = shell.run(line).error
    assert error.startswith("DataError")
    assert "\n" not in error


def test_several_identifiers_are_one_finding_with_one_line_and_one_button(shell: Shell) -> None:
    shell.run("df['case'] = [f'c{k}' for k in range(len(df))]\ndf['key'] = [f'k{k}' for k in range(len(df))]")
    text = shell.run("%dpsynth doctor df").displays[0]["text/plain"]
    assert "'case' and 'key' look like identifiers" in text
    assert text.count(">>> ids = ") == 1
    assert "ids = ['case', 'key']" in text
    panel = ConfigPanel(HighDimConfig(), shell.names["df"])
    panel._checkup.check()
    buttons = [one for one in panel.widgets() if getattr(one, "tooltip", "") == "ids = ['case', 'key']"]
    buttons[0].click()
    assert panel.schema is not None
    assert panel.schema.arguments()["ids"] == ["case", "key"]
    panel.close()


def test_codes_are_offered_groups_where_persons_have_several_rows(shell: Shell) -> None:
    random = np.random.default_rng(1)
    codes = [f"{letter}{number:02d}.{k}" for letter in "CIJ" for number in range(0, 60, 3) for k in range(9)]
    visits = pd.DataFrame(
        {
            "patient_id": random.integers(0, 900, 5000),
            "icd": random.choice(codes, 5000),
            "plz": [f"{number:05d}" for number in random.integers(1000, 1090, 5000)],
        }
    )
    found = examined(visits)
    assert found["levels:icd"].remedy.line == "hierarchy = {'icd': 'icd10'}"
    assert found["levels:plz"].remedy.line == "hierarchy = {'plz': 'prefix:1,2'}"
    persons = HighDimConfig(privacy_unit="patient_id", max_rows_per_unit=5).resolve()
    told = examined(visits, config=persons)["rows left out:"]
    assert told.rows == int((visits["patient_id"].value_counts() - 5).clip(lower=0).sum())
    shell.names["visits"] = visits
    text = shell.run("%dpsynth doctor visits").displays[0]["text/plain"]
    assert "hierarchy = {'icd': 'icd10', 'plz': 'prefix:1,2'}" in text
    terminal = findings_text(list(found.values()), Place("visits.csv", in_pandas=False, terminal=True))
    assert "--hierarchy icd=icd10 --hierarchy plz=prefix:1,2" in terminal
    panel = ConfigPanel(HighDimConfig(), visits)
    panel._checkup.check()
    for one in panel.widgets():
        if "hierarchy" in (getattr(one, "tooltip", "") or ""):
            one.click()
    assert panel.schema is not None
    assert panel.schema.arguments()["hierarchy"] == {"icd": "icd10", "plz": "prefix:1,2"}
    panel.close()
