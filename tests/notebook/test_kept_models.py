"""After a restart of the kernel: the model that was paid for comes back, and no cell spends again unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.kept_models import KeptModels, settings_key
from jupyter_dpsynth.notebook.panel import ConfigPanel
from jupyter_dpsynth.persistence import model_bytes
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.sources.identity import identify_table
from jupyter_dpsynth.sources.opening import open_source
from tests.support.models import untrained
from tests.support.tables import EVERY_ROW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Kernel, Shell

CELL = f"%%dpsynth learn df -o model{{}}\nepsilon = 2\nsteps = 20\nbatch_size = {EVERY_ROW}"


@pytest.fixture
def run(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The run of a model of `df` that an earlier kernel has left."""
    monkeypatch.setenv("JUPYTER_DPSYNTH_LEDGER", str(tmp_path / "ledger.sqlite3"))
    learned, ledger = untrained(shell.names["df"]), PrivacyLedger()
    with open_source(shell.names["df"]) as source:
        identity = identify_table(source, "patients", "df")
    content, reserved = identity.content, ledger.reserve(identity, 2.0, 1e-6)
    settings = settings_key(learned.config, learned.df_meta)
    KeptModels(ledger).keep(reserved, content, settings, model_bytes(learned.config, learned.learned))
    return reserved


def test_status_names_the_kept_models_and_load_brings_them_back(shell: Shell, run: str) -> None:
    status = shell.run("%dpsynth status").text
    assert f"run {run[:8]}" in status
    assert "%dpsynth load --last" in status
    assert "Nothing was spent" in shell.run("%dpsynth load --last").text
    assert shell.names["synthesizer"].state == "learned"
    assert not shell.run(f"%dpsynth load --run {run[:5]} -o other").error
    assert "df_synth: 10 synthetic rows" in shell.run("%dpsynth synthesize 10 -s other").text
    assert "give one of FILE" in shell.run(f"%dpsynth load --last --run {run}").error


def test_with_reuse_a_learn_cell_takes_the_kept_model_and_spends_nothing(shell: Shell, run: str) -> None:
    cell = shell.run(CELL.format(" --reuse"))
    assert not cell.error
    assert "nothing was spent" in cell.text
    assert shell.names["model"].state == "learned"
    (dataset,) = PrivacyLedger().summary().datasets
    assert [each.id for each in dataset.runs] == [run]


@pytest.mark.parametrize(
    ("answer", "error"), [("use", ""), ("no", "NotLearnedError: cancelled before anything was measured")]
)
def test_a_learn_cell_asks_before_it_spends_again(
    shell: Shell, run: str, monkeypatch: pytest.MonkeyPatch, answer: str, error: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    outcome = shell.run(CELL.format(""))
    assert outcome.error.startswith(error)
    assert asked == ["use, again or cancel: "]
    assert f"run {run[:8]}" in outcome.text
    assert "'again' spends epsilon = 2 once more" in outcome.text
    assert len(PrivacyLedger().summary().datasets[0].runs) == 1


def test_other_rows_or_settings_are_not_taken_for_the_same(
    shell: Shell, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "no")
    few = "few = df.iloc[:3]"  # too few to be learned: nothing trains
    shell.run(few)
    shell.run(CELL.format("").replace("learn df", "learn few"))
    shell.run(CELL.format("").replace("epsilon = 2", "epsilon = -1"))
    assert asked == []


def test_train_in_the_panel_offers_the_kept_model(shell: Shell, run: str) -> None:
    panel = ConfigPanel(HighDimConfig(epsilon=2.0, steps=20, batch_size=EVERY_ROW), shell.names["df"])
    panel._ask_or_train()
    assert (
        f"A model of such a table with these settings is kept: run {run[:8]}" in panel._question._words.value
    )
    panel._question._kept.click()
    assert shell.names["synthesizer"].state == "learned"
    assert "Nothing was spent" in panel._message.value
    assert len(PrivacyLedger().summary().datasets[0].runs) == 1
    panel.config.epsilon = 1.5  # other settings: no model, but still a question
    panel._ask_or_train()
    assert panel._question._kept.layout.display == "none"
    panel.close()


def test_the_list_of_kept_models_is_shown_and_cut(shell: Shell, run: str) -> None:
    assert f"run {run[:8]}" in shell.run("%dpsynth models").text
    assert "stays in the ledger" in shell.run(f"%dpsynth models --delete {run[:8]}").text
    assert "No model is kept" in shell.run("%dpsynth models").text
    assert "learn a table first" in shell.run("%dpsynth load --last").error


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_trained_or_stopped_model_is_kept_and_its_cell_says_how_it_comes_back(kernel: Kernel) -> None:
    cell = kernel.run("%dpsynth learn df -o first --steps 5 --batch-size 100000000")
    run = kernel.value("first.kept")
    assert f"%dpsynth load --run {run[:8]} -o first brings it back" in cell.shown
    kernel.run("del first")
    again = kernel.run("%dpsynth learn df -o first --steps 5 --batch-size 100000000 --reuse")
    assert "nothing was spent" in again.text
    assert kernel.value("first.state") == "learned"
    kernel.run("%dpsynth learn df -o tried --steps 5 --differential-privacy False")
    assert kernel.value("tried.kept is None") is True
