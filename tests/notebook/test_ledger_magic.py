"""`%dpsynth ledger` in a real shell, and what a learn cell in a real kernel says before it spends."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter

from jupyter_dpsynth.notebook.show.ledger import ledger_html
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from tests.support.notebooks import EXTENSION, QUICK, TABLE, Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Cell, Shell


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PrivacyLedger:
    """A ledger of this test alone, with two datasets."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    ledger = PrivacyLedger()
    ledger.reserve(TableIdentity(b"one", "patients"), 1.0, 1e-6)
    ledger.reserve(TableIdentity(b"two", "<b>bold & cold</b>"), math.inf, 0.0)
    return ledger


def test_the_table_has_a_bar_with_words_for_every_dataset_and_escapes_names(
    shell: Shell, ledger: PrivacyLedger
) -> None:
    ledger.set_cap(4, "patients")
    (bundle,) = shell.run("%dpsynth ledger").displays
    text, markup = bundle["text/plain"], bundle["text/html"]
    assert re.search(
        r"patients\n  \[######-+\] epsilon = 1 at delta = 1e-06, 1 run, .*, cap 4; epsilon = ", text
    )
    assert "epsilon is infinite" in text
    assert (
        'aria-valuetext="epsilon = 1 at delta = 1e-06, 1 run, epsilon = 1 of it reserved by 1 that' in markup
    )
    assert "25 % of the cap of 4" in markup
    assert "<b>bold" not in markup
    assert "&lt;b&gt;bold &amp; cold&lt;/b&gt;" in markup
    assert markup.count("<table ") == 2
    assert "⚠ no guarantee." in markup
    assert str(ledger.path) in text
    assert "<script" not in markup
    assert "<svg" not in markup


def test_an_empty_ledger_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "new"))
    (bundle,) = shell.run("%dpsynth ledger").displays
    assert bundle["text/plain"].startswith("Nothing has been learned yet.")


def test_what_is_used_up_is_told_by_more_than_colour(ledger: PrivacyLedger) -> None:
    ledger.set_cap(1.0)
    markup = ledger_html(ledger.summary())
    assert "⚠ nothing is left" in markup


def test_a_cap_is_set_for_one_dataset_or_for_all_and_taken_back(shell: Shell, ledger: PrivacyLedger) -> None:
    shell.run("budget = 2.5")
    assert (
        "The cap for 'patients' is 2.5" in shell.run("%dpsynth ledger --cap {budget} --dataset patients").text
    )
    assert "datasets without a cap of their own is 3" in shell.run("%dpsynth ledger --cap 3").text
    assert [each.cap for each in ledger.summary().datasets] == [2.5, 3.0]
    assert "no cap any more" in shell.run("%dpsynth ledger --cap None --dataset patients").text
    assert [each.cap for each in ledger.summary().datasets] == [3.0, 3.0]


def test_datasets_are_linked_by_name_with_quotes_where_there_are_spaces(
    shell: Shell, ledger: PrivacyLedger
) -> None:
    outcome = shell.run("%dpsynth ledger --link patients '<b>bold & cold</b>'")
    assert "count as one dataset" in outcome.text
    assert len(ledger.summary().datasets) == 1


def test_the_ledger_is_exported_as_csv_and_as_json_with_events(
    shell: Shell, ledger: PrivacyLedger, tmp_path: Path
) -> None:
    assert not shell.run(f"%dpsynth ledger --export {tmp_path}/out.csv").error
    assert not shell.run(f"%dpsynth ledger --export {tmp_path}/out.json").error
    assert list(pd.read_csv(tmp_path / "out.csv")["dataset"]) == ["patients", "<b>bold & cold</b>"]
    datasets = json.loads((tmp_path / "out.json").read_text())["datasets"]
    assert datasets[0]["runs"][0]["plan"]["measurements"]
    assert datasets[1]["epsilon"] is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--cap 0", "cap = 0 is not allowed"),
        ("--cap many", "there is no variable 'many'"),
        ("--cap 3 --dataset patient", "Did you mean 'patients'?"),
        ("--dataset patients", "--dataset needs --cap"),
        ("--link patients", "--link needs 2 values: --link DATASET DATASET"),
        ("--link patients others", "has no dataset 'others'"),
        ("--link a b --cap 3", "are both given"),
        ("--export ledger.xlsx", "ends in .csv or .json"),
        ("patients", "does not understand 'patients'"),
    ],
)
def test_a_mistake_is_answered_with_one_line(
    shell: Shell, ledger: PrivacyLedger, line: str, message: str
) -> None:
    before = ledger.summary()
    outcome = shell.run(f"%dpsynth ledger {line}")
    assert message in outcome.error
    assert "TRACEBACK" not in outcome.error
    assert "\n" not in outcome.error
    assert ledger.summary() == before


def test_a_name_that_cannot_be_shown_is_refused_before_learning(shell: Shell, ledger: PrivacyLedger) -> None:
    outcome = shell.run(f"%dpsynth learn df --dataset {'x' * 101}")
    assert "--dataset = " in outcome.error
    assert "TRACEBACK" not in outcome.error
    assert len(ledger.to_frame()) == 2


def test_a_damaged_ledger_is_one_line_and_completion_stays_silent(
    shell: Shell, ledger: PrivacyLedger
) -> None:
    ledger.path.write_bytes(b"damaged" * 1000)
    outcome = shell.run("%dpsynth ledger")
    assert outcome.error.startswith("ArtifactError: the ledger")
    assert "\n" not in outcome.error
    assert completions(shell, "%dpsynth ledger --dataset pat") == []


def completions(shell: Shell, text: str) -> list[str]:
    with provisionalcompleter():
        return [each.text for each in shell.ip.Completer.completions(text, len(text)) if each.type == "magic"]


def test_datasets_are_completed(shell: Shell, ledger: PrivacyLedger) -> None:
    assert completions(shell, "%dpsynth ledger --dataset pat") == ["patients"]
    assert "patients" in completions(shell, "%dpsynth learn df --dataset ")
    assert "--link" in completions(shell, "%dpsynth ledger --")


def summary(cell: Cell) -> dict[str, str]:
    """The display that a training leaves."""
    return next(iter(cell.displays.values()))


@pytest.mark.tensorflow
def test_running_a_cell_again_shows_what_the_data_has_cost_before_it_spends_more(kernel: Kernel) -> None:
    kernel.run("people = df.head(2900).copy()")
    first = kernel.run(f"%dpsynth learn people -o one {QUICK}")
    assert "This data ('people') has cost nothing so far (no runs)" in summary(first)["text/plain"]
    spent = kernel.value("one.epsilon")
    kernel.run("other_name = people.sample(frac=1)")  # the same rows in another order
    cell = kernel.start(f"%dpsynth learn other_name -o two {QUICK}")
    line = r"This data \('people'\) has cost epsilon = ([\d.]+) so far \(1 run\); this run reserves 1 more\."
    kernel.follow(cell, line)
    assert not cell.ended  # it is there before the cell is done
    kernel.follow(cell)
    assert not cell.error
    bundle = summary(cell)
    shown = float(re.search(line, bundle["text/plain"]).group(1))  # type: ignore[union-attr]
    assert spent <= shown < spent + 1e-3
    assert "has cost epsilon = " in bundle["text/html"]  # and it stays in the saved notebook
    assert not kernel.run("%dpsynth ledger --cap 1.2 --dataset people").error
    third = kernel.run(f"%dpsynth learn people -o three {QUICK}")
    assert third.error.startswith(
        "BudgetExhaustedError: a run of epsilon = 1 would take the dataset 'people'"
    )
    assert "\n" not in third.error
    assert "has cost epsilon = " in summary(third)["text/plain"]
    assert kernel.value("'three' in globals()") is False


@pytest.mark.long
@pytest.mark.tensorflow
def test_the_ledger_outlives_the_kernel_that_was_killed(kernel: Kernel) -> None:
    doomed = Kernel()
    for code in (EXTENSION, TABLE, "doomed = df.head(2800).copy()"):
        assert not doomed.run(code).error
    options = "--steps 20000 --batch-size 100000000 --dataset 'killed one' --new-dataset"
    cell = doomed.start(f"%dpsynth learn doomed {options}")
    doomed.follow(cell, r"step [1-9]\d*/20000")
    doomed.close()  # the process is killed, not asked
    text = kernel.run("%dpsynth ledger").displays.popitem()[1]["text/plain"]
    row = next(line for line in text.splitlines() if "killed one" in line and "20000" in line)
    assert row.endswith("reserved")
    kernel.run("again = df.head(2800).copy()")
    told = kernel.run(f"%dpsynth learn again {QUICK}")
    line = r"\('killed one'\) has cost epsilon = [\d.]+ so far \(1 run, .* has not ended\)"
    assert re.search(line, summary(told)["text/plain"])


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
def test_of_two_notebooks_that_want_the_same_rest_of_a_budget_one_learns(kernel: Kernel) -> None:
    other = Kernel()
    try:
        for code in (EXTENSION, TABLE):
            assert not other.run(code).error
        # rows that no other test learns or limits
        for each in (kernel, other):
            assert not each.run("rest = df.head(2700).copy()").error
        first = kernel.run(f"%dpsynth learn rest -o first {QUICK} --dataset shared --new-dataset")
        assert not first.error
        assert not kernel.run("%dpsynth ledger --cap 2.1 --dataset shared").error
        learn = f"%dpsynth learn rest -o last {QUICK} --dataset shared"
        cells = [(each, each.start(learn)) for each in (kernel, other)]
        errors = sorted(each.follow(cell).error for each, cell in cells)
        assert errors[0] == ""
        assert re.match(
            r"BudgetExhaustedError: a run of epsilon = 1 would take the dataset 'shared'", errors[1]
        )
        assert kernel.value("'last' in globals()") is not other.value("'last' in globals()")
    finally:
        other.close()
