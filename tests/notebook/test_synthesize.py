"""Conditions and balance on the line of `%dpsynth synthesize`, in a real shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell


@pytest.fixture
def ready(shell: Shell) -> Shell:
    """A shell with a synthesizer that needed no training, and conditions of the user."""
    shell.names.update(
        synthesizer=untrained(mixed_table(2000, seed=78)),
        conditions={"group": "north", "age": (30, 50)},
        shares={"group": {"north": 1, "south": 3}},
    )
    return shell


@pytest.mark.parametrize(
    "line",
    ["--where conditions", "--where {conditions}", '--where {"group": "north", "age": (30, 50)}'],
)
def test_conditions_are_a_dict_or_a_name_of_one(ready: Shell, line: str) -> None:
    outcome = ready.run(f"%dpsynth synthesize 200 -o some --seed 1 {line}")
    assert "cost no epsilon" in outcome.text
    some = ready.names["some"]
    assert len(some) == 200
    assert set(some["group"]) == {"north"}
    assert some["age"].between(30, 50).all()


def test_balance_is_a_column_or_shares(ready: Shell) -> None:
    ready.run("%dpsynth synthesize 300 -o even --balance group")
    assert set(ready.names["even"]["group"].value_counts()) == {100}
    ready.run("%dpsynth synthesize 400 -o skewed --balance {shares}")
    assert ready.names["skewed"]["group"].value_counts().to_dict() == {"south": 300, "north": 100}


def test_columns_keep_the_orders_that_a_line_names(shell: Shell) -> None:
    random = np.random.default_rng(0)
    low, mid, high = (random.integers(0, 90, 900) for _ in range(3))
    shell.names["synthesizer"] = untrained(pd.DataFrame({"low": low, "a <= b": mid, "high": high}))
    assert not shell.run("%dpsynth synthesize 200 -o one --order 'low <= high'").error
    assert (shell.names["one"]["low"] <= shell.names["one"]["high"]).all()
    lines = "%dpsynth synthesize 100 -o both --order 'low <= a <= b' --order 'a <= b <= high'"
    assert not shell.run(lines).error
    assert shell.names["both"].apply(lambda row: row.is_monotonic_increasing, axis=1).all()
    assert "write two columns" in shell.run("%dpsynth synthesize 10 --order low").error
    assert "not a learned column" in shell.run("%dpsynth synthesize 10 --order 'lo <= high'").error


def test_conditions_and_shares_hold_in_files(
    ready: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = ready.run('%dpsynth synthesize 90 --to s-*.csv --balance group --where {"age": (30, 50)}')
    assert "cost no epsilon" in outcome.text
    df = pd.read_csv(tmp_path / "s-00000.csv")
    assert set(df["group"].value_counts()) == {30}
    assert df["age"].between(30, 50).all()


def test_a_wrong_condition_is_answered_with_one_line(ready: Shell) -> None:
    outcome = ready.run('%dpsynth synthesize 10 --where {"groop": "north"}')
    assert "Did you mean 'group'" in outcome.error
    assert "\n" not in outcome.error


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--balance groop", "balance names 'groop', which is not a learned column. Did you mean 'group'?"),
        ("--balance group=north", "shares such as {'income': {'high': 0.5"),
        ('--balance {"group": {"North": 1}}', "balance: 'North' is not a published category"),
        ("--where group=north", "Write conditions like {'sex': 'Female'"),
        ("--where group", "Write conditions like {'sex': 'Female'"),
    ],
)
def test_a_request_of_the_wrong_form_shows_the_right_one(ready: Shell, line: str, words: str) -> None:
    outcome = ready.run(f"%dpsynth synthesize 10 {line}")
    assert words in outcome.error
    assert "\n" not in outcome.error


def test_a_comparison_says_which_table_it_is_of(ready: Shell) -> None:
    ready.run("%dpsynth synthesize 50 -o women --where {conditions}")
    assert "Comparing women." in ready.run("%dpsynth compare").text


def test_a_file_that_is_replaced_by_saving_is_mentioned(ready: Shell, tmp_path: Path) -> None:
    file = tmp_path / "model.dps"
    assert "in place of" not in ready.run(f"%dpsynth save {file}").text
    assert "replacing the file that was there" in ready.run(f"%dpsynth save {file}").text
