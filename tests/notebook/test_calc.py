"""%dpsynth calc: what a run would be like, without a look at a value."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.metadata import MetaExtractor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Outcome, Shell


def plain(outcome: Outcome) -> str:
    return outcome.displays[0]["text/plain"]


def test_the_plan_is_printed_beforehand_and_is_that_of_a_run(shell: Shell) -> None:
    outcome = shell.run("%dpsynth calc df --rows 8_000 --epsilon 0.5")
    assert not outcome.error
    plan = plan_run(HighDimConfig(epsilon=0.5).resolve(), MetaExtractor.extract(shell.names["df"]), 8000.0)
    text = plain(outcome)
    assert f"epsilon = {epsilon_text(plan.epsilon)} after {plan.steps} steps" in text
    assert re.search(rf"noise +{plan.noise_multiplier:.3g} times what one row", text)
    for words in ("training", "measuring each column", "time", "memory", "error of a typical column"):
        assert words in text
    assert 'role="img"' in outcome.displays[0]["text/html"]


def test_the_table_is_not_counted_unless_its_size_is_stated_to_be_public(shell: Shell) -> None:
    hidden = shell.run("%dpsynth calc df")
    assert "assumed" in plain(hidden)
    assert not re.search(r"\b3,?000\b", json.dumps(hidden.displays))
    assert "about 3,000 rows." in plain(shell.run("%dpsynth calc df --n_public"))


def test_two_tables_that_differ_in_their_rows_give_the_same_plan(shell: Shell) -> None:
    shell.run("larger = pd.concat([df, df.sample(500, random_state=1)])")
    one, two = (
        re.sub(r"(time|memory).*", "", plain(shell.run(f"%dpsynth calc {name}"))) for name in ("df", "larger")
    )
    assert one.replace("df", "") == two.replace("larger", "")


def test_it_works_without_a_table_and_takes_a_cell(shell: Shell) -> None:
    assert "12 columns" in plain(shell.run("%dpsynth calc"))
    assert "30 columns" in plain(shell.run("%dpsynth calc --columns 30"))
    cell = shell.run("%%dpsynth calc df\nepsilon = 2\nbounds = {'age': (0, 120)}\nignore = ['city']")
    assert "2 columns to learn" in plain(cell)


def test_the_column_of_the_persons_is_not_counted_among_those_to_learn(shell: Shell) -> None:
    rows, persons = (plain(shell.run(f"%dpsynth calc df {unit}")) for unit in ("", "--privacy_unit city"))
    assert "3 columns to learn" in rows
    assert "2 columns to learn" in persons


def test_mistakes_are_one_line(shell: Shell) -> None:
    for line, words in (
        ("%dpsynth calc df --rows many", "--rows"),
        ("%dpsynth calc df --rows 1", "give a whole number from 2"),
        ("%dpsynth calc df --columns 3", "without a DATAFRAME"),
        ("%dpsynth calc dff", "Did you mean 'df'"),
        ("%dpsynth calc df --noise-multiplier 0.001", "Use noise_multiplier >="),
        ("%%dpsynth calc df\nignore = ['citty']", "Did you mean 'city'"),
    ):
        error = shell.run(line).error
        assert words in error
        assert "\n" not in error


def test_the_budget_that_ends_early_is_told(shell: Shell) -> None:
    text = plain(shell.run("%dpsynth calc df --noise-multiplier 1.8"))
    assert re.search(r"the budget is used up there, at step [\d,]+ of the 200", text)


def test_how_a_file_is_read_is_told_in_a_sentence_and_not_as_a_warning_of_python(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "export.csv").write_text("a;b\n1,5;x\n2,5;y\n")
    # an import in another thread takes every handler of warnings away for a while
    monkeypatch.setattr("warnings.warn", lambda *_, **__: pytest.fail("told as a warning of Python"))
    outcome = shell.run(f"%dpsynth calc {tmp_path / 'export.csv'}")
    text = outcome.text + "".join(each["text/plain"] for each in outcome.displays)
    assert "⚠ export.csv is read with ';' between fields, a decimal comma in 'a'." in text
    assert "SchemaWarning" not in text
    assert ".py" not in text
