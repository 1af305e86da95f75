"""Files in the notebook: learned from, planned for, and written, without a table in a variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

pytest.importorskip("dask.dataframe")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a table in two files, which is the working directory."""
    df = mixed_table(1800, seed=41)
    df.iloc[:900].to_parquet(tmp_path / "0.parquet")
    df.iloc[900:].to_parquet(tmp_path / "1.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.tensorflow
def test_files_are_learned_and_written_with_the_commands_for_tables(shell: Shell, folder: Path) -> None:
    body = "epsilon = 4\nsteps = 3\nbatch_size = 100_000_000\nignore = ['day']"
    learned = shell.run(f"%%dpsynth learn *.parquet -o s\n{body}")
    assert not learned.error
    assert shell.names["s"].df_meta.names == ("group", "age", "income", "member")
    written = shell.run("%dpsynth synthesize 500 -s s --to out/new-*.csv --seed 1")
    assert not written.error
    assert "one file of synthetic rows in out" in written.text
    assert len(pd.read_csv(folder / "out" / "new-00000.csv")) == 500
    again = shell.run("%dpsynth synthesize 500 -s s --to out/new-*.csv")
    assert "ConfigError" in again.error
    assert "--overwrite" in again.error
    assert not shell.run("%dpsynth synthesize 400 -s s --to out/new-*.csv --overwrite").error
    assert len(pd.read_csv(folder / "out" / "new-00000.csv")) == 400


def test_the_plan_for_files_tells_of_temporary_files_and_counts_no_row(shell: Shell, folder: Path) -> None:
    outcome = shell.run("%dpsynth calc '*.parquet' --rows 20_000_000")
    assert not outcome.error
    text = outcome.displays[0]["text/plain"]
    assert re.search(r"temporary files +about 0\.4 GB, removed at the end", text)
    assert "1,800" not in text
    assert "temporary files" not in shell.run("%dpsynth calc df").displays[0]["text/plain"]


def test_a_variable_may_hold_a_path_or_a_dask_dataframe(shell: Shell, folder: Path) -> None:
    shell.run("import dask.dataframe as dd\npath = '*.parquet'\nddf = dd.read_parquet(path)")
    for name in ("path", "ddf"):
        assert not shell.run(f"%dpsynth calc {name}").error


def test_a_folder_may_be_named_as_it_is_unless_a_variable_has_its_name(shell: Shell, folder: Path) -> None:
    (folder / "stays").mkdir()
    mixed_table(300, seed=42).to_parquet(folder / "stays" / "0.parquet")
    assert not shell.run("%dpsynth calc stays").error
    shell.names["stays"] = 7
    assert "has the type int and is no table" in shell.run("%dpsynth calc stays").error


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("learn nothing/*.parquet", "there is no such file"),
        ("synthesize 10 --overwrite", "--overwrite is for files"),
        ("synthesize 10 --to out/*.csv -o there", "--output and --to are both given"),
        ("synthesize 10 --to out/table.xlsx", "ends in .parquet or .csv"),
    ],
)
def test_a_mistake_with_files_is_one_line_that_says_what_to_do(shell: Shell, line: str, words: str) -> None:
    shell.names["synthesizer"] = untrained(mixed_table(300))
    outcome = shell.run(f"%dpsynth {line}")
    assert words in outcome.error
    assert "TRACEBACK" not in outcome.error
