"""A seed for the DP noise is for tests: nothing that it touched states an epsilon, on any surface."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.console import progress_text
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.show.drawing import live_html, static_html
from jupyter_dpsynth.notebook.show.moment import moment_of
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_dpsynth.reports import StepReport
    from tests.support.notebooks import Shell

pytestmark = pytest.mark.tensorflow

STATED = re.compile(r"epsilon\s*(?:=|<=|at most|:)?\s*\d", re.IGNORECASE)


class SeededSynthesizer(HighDimSynthesizer):
    """Learns with a seed wherever it is used, so that every surface can be driven."""

    def learn(self, df, callback=None, stop=None, noise=None, **options):
        return super().learn(df, callback, stop, noise or NoiseSource(test_only_seed=1), **options)


def seeded(**parameters: object) -> SeededSynthesizer:
    return SeededSynthesizer(MetaExtractor.extract(mixed_table()), HighDimConfig(steps=3, **parameters))


def assert_silent(text: str, where: str) -> None:
    found = STATED.search(text)
    assert found is None, f"{where} states {found.group()!r}"


def test_no_surface_states_an_epsilon(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    # a ledger that knows no other run on this table
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    one = seeded()
    run = TrainingRun(one, FrameSource(mixed_table()), "seeded")
    reports: list[StepReport] = []
    moments = [moment_of(run)]
    keep = run._report

    def look(report: StepReport) -> None:
        keep(report)
        reports.append(report)
        moments.append(moment_of(run))

    run._report = look  # type: ignore[method-assign]
    run.start()
    assert run.wait(120)
    assert run.error is None
    moments.append(moment_of(run))
    # progress
    assert {report.epsilon for report in reports} == {None}
    for report in reports:
        assert_silent(progress_text(report), "the console's progress")
    for moment in moments[1:]:
        assert moment.epsilon is None
        assert_silent(f"{moment.line()} {moment.privacy_words}", "a moment")
        for drawn in (live_html(moment), static_html(moment, ())):
            assert_silent(re.sub(r"<[^>]+>", " ", drawn), "a drawn moment")
            assert "TEST ONLY" in drawn
    # the synthesizer and its receipt
    assert one.epsilon is None
    assert "TEST ONLY, no guarantee" in repr(one)
    receipt = one.receipt
    assert receipt.guarantee == "test-only"
    assert (receipt.epsilon, receipt.epsilon_completed_steps, receipt.second_opinion) == (None, None, None)
    for shown in (receipt.to_text(), re.sub(r"<[^>]+>", " ", receipt.to_html()), str(receipt)):
        assert "TEST ONLY, no guarantee" in shown
        assert_silent(shown, "the receipt")
    stored = json.loads(receipt.to_json())
    assert (stored["epsilon"], stored["guarantee"]) == (None, "test-only")
    with pytest.raises(ConfigError, match="no privacy guarantee to audit"):
        one.audit()
    # saved and loaded
    one.save(tmp_path / "seeded.dps")
    with zipfile.ZipFile(tmp_path / "seeded.dps") as archive:
        saved = json.loads(archive.read("schema.json"))["receipt"]
    assert (saved["epsilon"], saved["guarantee"]) == (None, "test-only")
    again = HighDimSynthesizer.load(tmp_path / "seeded.dps")
    assert again.epsilon is None
    assert "TEST ONLY, no guarantee" in repr(again)
    # the magics
    shell.run(f"target = {str(tmp_path / 'seeded.dps')!r}")
    said = [shell.run("%dpsynth load {target} -o seeded").text]
    said += [shell.run(f"%dpsynth {command}").text for command in ("epsilon", "status")]
    for text in said:
        assert "TEST ONLY" in text
        assert_silent(text, "a magic")
    (bundle,) = shell.run("%dpsynth receipt").displays
    assert all("TEST ONLY, no guarantee" in part for part in bundle.values())
    assert "no privacy guarantee to audit" in shell.run("%dpsynth audit").error
    (bundle,) = shell.run("%dpsynth ledger").displays
    assert "epsilon is infinite: a run had no guarantee" in bundle["text/plain"]


@pytest.mark.long
def test_a_test_only_seed_repeats_a_run_and_nothing_else_does() -> None:
    import random

    import tensorflow as tf

    def learned(noise: NoiseSource | None) -> np.ndarray:
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002 - what a user may have done
        tf.random.set_seed(3)
        one = HighDimSynthesizer(MetaExtractor.extract(mixed_table()), HighDimConfig(steps=2))
        one.learn(mixed_table(), callback=lambda _: None, noise=noise)
        return one.learned.losses

    assert np.array_equal(learned(NoiseSource(5)), learned(NoiseSource(5)))
    assert not np.isin(learned(None), learned(None)).any()


def test_a_seed_for_outputs_does_not_touch_what_was_learned() -> None:
    one = seeded()
    one.learn(mixed_table(), callback=lambda _: None)
    weights, shares = one.learned.model.weights.copy(), [share.copy() for share in one.reference.shares]
    pd.testing.assert_frame_equal(one.synthesize(100, seed=7), one.synthesize(100, seed=7))
    assert not one.synthesize(100, seed=8).equals(one.synthesize(100, seed=7))
    assert np.array_equal(one.learned.model.weights, weights)
    assert all(np.array_equal(a, b) for a, b in zip(one.reference.shares, shares, strict=True))
    # and the noise of a run that follows is new
    sources = []
    for _ in range(2):
        one.synthesize(10, seed=7)
        sources.append(NoiseSource().whole(np.full(4, 1e9)))
    assert not np.isin(*sources).any()
