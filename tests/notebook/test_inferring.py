"""`infer`, `table` and `ask` in a real shell and in the terminal, of a model that needed no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import PrivacyLedger, cli
from tests.support.models import untrained

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

ROWS = 4000
NAMED = {"analyses": "income ~ sex + age"}


def people(seed: int) -> pd.DataFrame:
    """A number and categories that depend on each other."""
    generator = np.random.default_rng(seed)
    sex = generator.choice(["Female", "Male"], ROWS)
    age = generator.integers(18, 90, ROWS)
    rich = generator.random(ROWS) < 1 / (1 + np.exp(-(-3 + 1.5 * (sex == "Male") + 0.03 * age)))
    town = generator.choice(list("abc"), ROWS)
    return pd.DataFrame({"sex": sex, "age": age, "town": town, "income": np.where(rich, "high", "low")})


DECLARED = {
    "categories": {"sex": ["Female", "Male"], "income": ["high", "low"], "town": list("abc")},
    "bounds": {"age": (18, 90)},
}


@pytest.fixture
def ready(shell: Shell) -> Shell:
    """A shell with a private table, and a model of it for which a regression was named."""
    table = people(seed=301)
    shell.names.update(table=table, synthesizer=untrained(table, named=NAMED, **DECLARED))
    return shell


def test_a_regression_is_shown_and_kept(ready: Shell) -> None:
    ready.names["outcome"] = "income"
    outcome = ready.run("%dpsynth infer {outcome} ~ sex + age --family binomial --level 0.9 -o answer")
    assert not outcome.error
    answer = ready.names["answer"]
    assert answer.level == 0.9
    assert answer.frame.index.tolist() == ["Intercept", "sex[T.Male]", "age"]
    assert answer.frame.loc["sex[T.Male]", "high"] < 0  # explained is a low income
    shown = str(outcome.displays)
    assert "sex[T.Male]" in shown
    assert "90% interval" in shown


def test_a_function_of_the_users_is_asked_by_its_name(ready: Shell) -> None:
    ready.run("def rich(df, weights):\n    return np.average(df['income'] == 'high', weights=weights)")
    assert not ready.run("%dpsynth infer rich -o answer").error
    figures = ready.names["answer"].frame.iloc[0]
    assert figures["low"] < (ready.names["table"]["income"] == "high").mean() < figures["high"]


def test_shares_are_shown_and_those_of_a_named_analysis_were_measured(ready: Shell) -> None:
    assert not ready.run("%dpsynth table sex income -o both").error
    frame = ready.names["both"].frame
    assert set(frame["source"]) == {"measured"}
    assert frame["estimate"].sum() == pytest.approx(1, abs=0.05)
    assert "Shares of town" in str(ready.run("%dpsynth table town").displays)


def test_a_question_to_the_real_rows_is_paid_for_and_compared(ready: Shell) -> None:
    line = "%dpsynth ask table income ~ sex --family binomial --epsilon 0.5 --dataset asked -o answer"
    outcome = ready.run(line)
    assert not outcome.error
    assert PrivacyLedger().epsilon("asked") == pytest.approx(0.5, rel=0.01)
    frame = ready.names["answer"].frame
    assert set(frame["verdict"]) <= {"agrees", "unclear", "differs"}
    assert frame.loc["sex[T.Male]", "high"] < 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("infer", "FORMULA is missing"),
        ("infer income ~ sxe", "Did you mean 'sex'"),
        ("infer income ~ sex + town --family binomial", "intervals need a new run"),
        ("infer income ~ sex --level 95", "level = 95"),
        ("table", "COLUMN is missing"),
        ("table incme", "Did you mean 'income'"),
        ("ask table income ~ sex", "--epsilon is missing"),
        ("ask table", "DATAFRAME or FORMULA is missing"),
        ("ask table income ~ sex --epsilon 0", "epsilon = 0"),
        ("ask table income ~ sex --epsilon 1 -o 1a", "is not a variable name"),
    ],
)
def test_a_mistake_is_answered_with_one_line(ready: Shell, line: str, message: str) -> None:
    outcome = ready.run(f"%dpsynth {line}")
    assert message in outcome.error
    assert "\n" not in outcome.error


def test_analyses_are_named_in_a_learn_cell_and_planned(ready: Shell) -> None:
    outcome = ready.run("%dpsynth calc table --analyses 'income ~ sex + age'")
    assert not outcome.error
    assert "the tables and analyses that are named" in str(outcome.displays) + outcome.text
    refused = ready.run('%%dpsynth learn table\nanalyses = "income ~ sexx"').error
    assert "analyses: 'sexx' is not a column to learn. Did you mean 'sex'" in refused


@pytest.mark.long
def test_the_terminal_answers_from_a_saved_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = people(seed=302)
    model, rows = str(tmp_path / "model.dps"), str(tmp_path / "rows.parquet")
    untrained(table, named=NAMED, **DECLARED).save(model)
    table.to_parquet(rows)
    figures = tmp_path / "figures.csv"
    question = ["income ~ sex + age", "--family", "binomial"]
    assert cli.main(["infer", model, *question, "-o", str(figures)]) == 0
    assert "sex[T.Male]" in capsys.readouterr().out
    assert pd.read_csv(figures, index_col=0).index.tolist() == ["Intercept", "sex[T.Male]", "age"]
    assert cli.main(["infer", model, *question, "-o", str(figures)]) == cli.FAILED
    assert "exists" in capsys.readouterr().err
    assert cli.main(["table", model, "sex", "income", "--level", "0.9"]) == 0
    assert "90% interval" in capsys.readouterr().out
    asked = ["ask", model, rows, "income ~ sex", "--family", "binomial", "--epsilon", "0.5"]
    assert cli.main([*asked, "--dataset", "asked of a file"]) == 0
    assert "verdict" in capsys.readouterr().out
    assert PrivacyLedger().epsilon("asked of a file") == pytest.approx(0.5, rel=0.01)
