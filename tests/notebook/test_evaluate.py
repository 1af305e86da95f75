"""`%dpsynth evaluate` in a real shell, with a synthesizer that needed no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from jupyter_dpsynth.sources.sample import LOOKED_AT
from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell


@pytest.fixture
def ready(shell: Shell) -> Shell:
    """A shell with a private table, a synthesizer and a synthetic table."""
    table = mixed_table(2000, seed=77)  # rows that no other test spends on
    made = untrained(table)
    shell.names.update(table=table, synthesizer=made, fake=made.synthesize(500))
    return shell


def test_the_report_is_shown_kept_and_paid_for(ready: Shell) -> None:
    outcome = ready.run("%dpsynth evaluate table fake --epsilon 2 -o quality --dataset judged")
    assert not outcome.error
    report = ready.names["quality"]
    assert report.epsilon <= 2
    assert report.synthetic_rows == 500
    from jupyter_dpsynth import PrivacyLedger

    assert PrivacyLedger().epsilon("judged") == pytest.approx(report.epsilon, rel=0.01)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate table fake", "--epsilon is missing"),
        ("evaluate table fake --epsilon -1", "give a number above 0"),
        ("evaluate table table --epsilon 1", "original table itself"),
        ("evaluate table fake --epsilon 1 --target gruop", "Did you mean 'group'"),
        ("evaluate fakee fake --epsilon 1", "Did you mean 'fake'"),
        ("evaluate table fake --epsilon 1 -o 1a", "is not a variable name"),
    ],
)
def test_a_mistake_is_answered_with_one_line(ready: Shell, line: str, message: str) -> None:
    outcome = ready.run(f"%dpsynth {line}")
    assert message in outcome.error
    assert "\n" not in outcome.error


@pytest.mark.long
def test_files_stand_where_a_table_stands(ready: Shell, tmp_path: Path) -> None:
    pytest.importorskip("dask.dataframe")
    mixed_table(2000, seed=77).to_parquet(tmp_path / "table.parquet", row_group_size=600)
    made = untrained(pd.read_parquet(tmp_path / "table.parquet"))
    ready.names.update(synthesizer=made, fake=made.synthesize(500), files=tmp_path / "*.parquet")
    outcome = ready.run("%dpsynth evaluate files fake --epsilon 2 -o quality --dataset judged_files")
    assert not outcome.error
    assert ready.names["quality"].epsilon <= 2
    outcome = ready.run(f"%dpsynth compare fake --original '{tmp_path}/*.parquet' --target group -o compared")
    assert not outcome.error
    assert LOOKED_AT in ready.names["compared"].banner
    missing = ready.run("%dpsynth compare fake --original 'nothing/*.parquet'").error
    assert "there is no such file" in missing


def test_too_small_an_epsilon_is_answered_with_one_line(ready: Shell) -> None:
    answers = [ready.run("%dpsynth evaluate table fake --epsilon 0.0001").error for _ in range(6)]
    told = [answer for answer in answers if "too small to evaluate" in answer]
    # once in 90 times the noise on the row count hides it: four times in six, once in five million
    assert len(told) >= 3
    assert all("\n" not in answer for answer in told)
