"""`%dpsynth audit`: the bound beside the claim, in text and HTML, from Python and from a cell."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, NotLearnedError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.audit import TrainingAudit
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import EVERY_ROW, mixed_table

if TYPE_CHECKING:
    from tests.support.notebooks import Kernel, Shell

AUDIT = TrainingAudit(0.4123, 0.6767, 0.9991, 5e-6, 0.999, 47, 400, 1.0, 60.0)


def test_an_audit_says_what_was_proved_what_is_claimed_and_what_it_is_worth() -> None:
    for shown in (AUDIT.to_text(), AUDIT.to_html()):
        for part in (
            "0.412",
            "0.6767",
            "0.9991",
            "99.9% confidence",
            "no fault",
            "cannot prove that there are",
        ):
            assert part in shown
    assert "<script" not in AUDIT.to_html()
    assert "var(--jp-ui-font-color1," in AUDIT.to_html()


def test_a_bound_above_the_claim_is_an_alarm_and_none_is_no_praise() -> None:
    assert "ALARM" in replace(AUDIT, bound=0.7).to_text()
    assert not replace(AUDIT, bound=0.7).holds
    assert "The attack proved nothing" in replace(AUDIT, bound=0.0).to_html()


def test_an_audit_needs_a_model(shell: Shell) -> None:
    assert "nothing has been learned here yet" in shell.run("%dpsynth audit").error
    with pytest.raises(NotLearnedError):
        HighDimSynthesizer(MetaExtractor.extract(mixed_table(10))).audit()


@pytest.mark.long
@pytest.mark.tensorflow
def test_an_audit_is_free_reads_no_private_row_and_works_after_loading(tmp_path) -> None:
    df = mixed_table()
    one = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=8.0, steps=40))
    one.learn(df, callback=lambda _: None)
    one.save(tmp_path / "model.dps")
    del df
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    seen: list[TrainingAudit] = []
    stop = threading.Event()

    def stop_at_twelve(state: TrainingAudit) -> None:
        seen.append(state)
        if state.runs == 12:
            stop.set()

    audit = loaded.audit(seconds=600, callback=stop_at_twelve, stop=stop)
    assert audit == seen[-1]
    assert [each.runs for each in seen] == list(range(len(seen)))  # also before the first
    assert seen[0].useful_seconds == audit.useful_seconds > 0
    assert audit.runs > 1
    assert audit.epsilon == loaded.epsilon == one.epsilon
    assert audit.claim < audit.epsilon
    assert 0 < audit.bound < 1.5 * audit.claim  # above the claim itself it is once in a thousand audits
    assert audit.reach == pytest.approx(1, abs=0.02)
    for wrong in (0, -1, float("nan"), "long", True):
        with pytest.raises(ConfigError, match="seconds = "):
            loaded.audit(seconds=wrong)


@pytest.mark.tensorflow
def test_an_audit_of_little_time_makes_its_trainings_shorter() -> None:
    """It used to simulate a whole training, however long that took."""
    learned = untrained(mixed_table(300))
    audit = learned.audit(seconds=0.001)
    assert (audit.runs, audit.steps) == (1, 1)
    assert "the audit was too short" in audit.verdict
    assert "are needed to prove half of the claim" in audit.verdict


@pytest.mark.tensorflow
def test_without_a_guarantee_there_is_nothing_to_audit() -> None:
    df = mixed_table()[["group", "member"]]
    open_one = HighDimSynthesizer(
        MetaExtractor.extract(df), HighDimConfig(differential_privacy=False, steps=2, batch_size=EVERY_ROW)
    )
    open_one.learn(df, callback=lambda _: None)
    with pytest.raises(ConfigError, match="no privacy guarantee to audit"):
        open_one.audit()


@pytest.mark.long
@pytest.mark.tensorflow
def test_a_cell_shows_the_bound_beside_the_claim_and_can_be_interrupted(kernel: Kernel) -> None:
    kernel.run("%dpsynth learn df -o audited --steps 20 --batch-size 100000000")
    cell = kernel.run("%dpsynth audit -s audited --seconds 4")
    assert not cell.error
    (bundle,) = cell.displays.values()
    assert "claimed for the training steps" in bundle["text/plain"]
    assert "claimed for everything" in bundle["text/html"]
    assert any("Auditing audited" in update for update in cell.updates)
    cell = kernel.start("%dpsynth audit --seconds 300")
    kernel.follow(cell, r"[1-9]\d* simulated trainings")
    kernel.manager.interrupt_kernel()
    kernel.follow(cell, seconds=30)
    assert not cell.error
    assert re.search(r"claimed for everything +epsilon <= ", cell.shown)
    refused = kernel.run("%dpsynth audit --seconds -3")
    assert "seconds = -3 is not allowed" in refused.error
    assert "\n" not in refused.error
