"""Real trainings in a real kernel: shown, interrupted, run in the background, failed."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.display.words import epsilon_text
from tests.support.leaks import without_pictures
from tests.support.notebooks import QUICK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Cell, Kernel

pytestmark = pytest.mark.tensorflow

LONG = "steps = 20000\nbatch_size = 100_000_000"  # minutes: nothing that waits for its end would pass
TRAINING = r"step [1-9]\d*/20000"


def final(cell: Cell) -> dict[str, str]:
    """The display that a training leaves."""
    return next(iter(cell.displays.values()))


def test_a_learn_cell_ends_with_the_true_epsilon_and_readable_outputs(kernel: Kernel) -> None:
    cell = kernel.run("%%dpsynth learn df -o first\nepsilon = 2\nsteps = 40")
    assert not cell.error
    epsilon = kernel.value("first.epsilon")
    assert 0 < epsilon <= 2
    summary, picture = cell.displays.values()
    assert f"epsilon = {epsilon_text(epsilon)} of 2" in summary["text/plain"]
    assert f"epsilon = {epsilon_text(epsilon)} of 2" in summary["text/html"]
    assert "step 40 of 40" in summary["text/html"]
    assert set(picture) == {"image/png", "text/html", "text/plain"}
    assert f'alt="{picture["text/plain"]}"' in picture["text/html"]
    assert picture["image/png"] in picture["text/html"]
    for bundle in (summary, picture):
        assert "application/vnd.jupyter.widget-view+json" not in bundle
        assert "<svg" not in bundle.get("text/html", "")


def test_nothing_that_tensorflow_says_reaches_the_cell(kernel: Kernel) -> None:
    cell = kernel.run(f"%dpsynth learn df -o quiet {QUICK}")
    assert cell.text == ""


def test_columns_that_noise_hides_are_named_in_the_display_that_stays(kernel: Kernel) -> None:
    kernel.run("wide = df.assign(note=[f'note {k}' for k in range(len(df))])")
    cell = kernel.run(f"%dpsynth learn wide -o hidden {QUICK}")
    for words in ("too rare to publish", "What helps 'note'"):
        assert words in html.unescape(final(cell)["text/html"])
        assert words in final(cell)["text/plain"]
    assert "nothing left: 1 column: 'note'" in final(cell)["text/plain"]
    kept = re.search("no value of (.*) is missing or 'other'", final(cell)["text/plain"])
    assert kept is not None
    assert "'note'" not in kept[1]  # of which nothing but 'other' is left
    assert cell.text == ""


def test_the_row_count_is_shown_nowhere(kernel: Kernel) -> None:
    cell = kernel.run(f"%dpsynth learn df -o counted {QUICK}")
    everything = json.dumps([cell.text, cell.updates, list(cell.displays.values())])
    assert not re.search(r"(?<![\w.])3,?000\b", without_pictures(everything))


def test_what_was_learned_can_be_used_saved_and_loaded(kernel: Kernel, tmp_path: Path) -> None:
    assert not kernel.run(f"%dpsynth learn df -o kept {QUICK}").error
    assert "cost no epsilon" in kernel.run("%dpsynth synthesize 1_234 -o fake --seed 3").text
    assert kernel.value("fake.shape, list(fake.columns) == list(df.columns)") == ((1234, 3), True)
    kernel.run("%dpsynth synthesize 1234 -o again --seed 3")
    assert kernel.value("fake.equals(again)") is True
    epsilon = kernel.value("kept.epsilon")
    assert f"kept: epsilon = {epsilon_text(epsilon)}" in kernel.run("%dpsynth epsilon").text
    assert "epsilon" in final(kernel.run("%dpsynth receipt"))["text/plain"]
    path = tmp_path / "model.dpsynth"
    kernel.run(f"from pathlib import Path; target = Path({str(path)!r})")
    assert not kernel.run("%dpsynth save target -s kept").error
    assert not kernel.run("%dpsynth load {target} -o loaded").error
    assert kernel.value("loaded.epsilon") == epsilon


def test_compare_is_free_by_default_and_warns_when_it_looks_at_the_original(kernel: Kernel) -> None:
    kernel.run(f"%dpsynth learn df -o compared {QUICK}")
    kernel.run("%dpsynth synthesize 500 -o fake")
    free = kernel.run("%dpsynth compare fake -o report")
    assert not free.error
    assert kernel.value("report.banner is None") is True
    real = kernel.run("%dpsynth compare fake --original df -o report")
    assert not real.error
    assert kernel.value("report.banner in str(report.to_html())") is True
    assert "add --original" in kernel.run("%dpsynth compare --target city").error


def test_a_private_report_is_shown_with_its_cost_and_entered_into_the_ledger(kernel: Kernel) -> None:
    kernel.run(f"%dpsynth learn df -o judged {QUICK}")
    kernel.run("%dpsynth synthesize 500 -o fake")
    cell = kernel.run("%dpsynth evaluate df fake --epsilon 5 -o quality --dataset quality")
    assert not cell.error
    assert kernel.value("quality.epsilon <= 5") is True
    assert kernel.value("quality.cost in quality.to_html()") is True
    assert "quality" in kernel.run("print(__import__('jupyter_dpsynth').PrivacyLedger().summary())").text


def test_an_interrupt_keeps_the_model_and_the_cell_succeeds(kernel: Kernel) -> None:
    cell = kernel.start(f"%%dpsynth learn df -o stopped\n{LONG}")
    kernel.follow(cell, TRAINING)
    running = final(cell)["text/plain"]
    kernel.manager.interrupt_kernel()
    kernel.follow(cell, seconds=30)
    assert not cell.error
    epsilon = kernel.value("stopped.epsilon")
    assert f"epsilon = {epsilon_text(epsilon)} of 1 reserved" in running  # what is charged
    assert "Stopping early does not change what it cost" in final(cell)["text/plain"]
    assert re.search(
        rf"Stopped by you at step \d+ of 20000, epsilon = {re.escape(epsilon_text(epsilon))}: the model",
        final(cell)["text/plain"],
    )
    assert kernel.value("stopped.stop_reason.value") == "stopped"
    assert kernel.value("len(stopped.synthesize(10))") == 10


def test_an_interrupt_can_also_stop_run_all(kernel: Kernel) -> None:
    cell = kernel.start(f"%%dpsynth learn df -o halted --on-interrupt raise\n{LONG}")
    kernel.follow(cell, TRAINING)
    kernel.manager.interrupt_kernel()
    kernel.follow(cell, seconds=30)
    assert cell.error.startswith("KeyboardInterrupt: Stopped by you at step")
    assert "\n" not in cell.error
    assert kernel.value("halted.state") == "learned"


def test_a_background_training_runs_beside_other_cells_and_a_second_one_is_refused(
    kernel: Kernel,
) -> None:
    cell = kernel.run(f"%%dpsynth learn df -o behind --background\n{LONG}")
    assert cell.ended
    assert "training is still running" in kernel.run("behind.synthesize(1)").error
    assert kernel.value("behind.state in ('starting', 'learning')") is True
    refused = kernel.run("%dpsynth learn df -o other")
    assert "a training is already running" in refused.error
    assert "\n" not in refused.error
    assert "behind" in kernel.run("%dpsynth status").text
    for asked in ("%dpsynth epsilon", "%dpsynth synthesize 5 -s behind"):
        assert "behind is still training" in kernel.run(asked).error
    assert "Stopping" in kernel.run("%dpsynth stop").text
    kernel.run("get_ipython().magics_manager.registry['DPSynthMagics'].session.run.wait(60)")
    assert kernel.run("%dpsynth status").text.startswith("behind: ■ Stopped by you")


def test_the_end_of_a_background_training_is_shown_where_only_the_running_cell_is_heard(
    kernel: Kernel,
) -> None:
    """nbclient and papermill drop what names a cell that has ended."""
    started = kernel.run(f"%dpsynth learn df -o apart --background {QUICK}")
    display = next(iter(started.displays))
    waited = kernel.run("%dpsynth status --wait")
    assert "apart: ✓ Finished" in waited.text
    assert "✓ Finished" in waited.displays[display]["text/plain"]
    assert kernel.run("1").displays.keys().isdisjoint(started.displays)  # once is enough


def test_without_privacy_the_cell_says_so_loudly(kernel: Kernel) -> None:
    cell = kernel.run(f"%dpsynth learn df -o open --differential-privacy False {QUICK}")
    assert not cell.error
    assert "NO privacy guarantee" in final(cell)["text/html"]
    assert "NO privacy guarantee" in kernel.run("%dpsynth epsilon -s open").text


def test_a_training_that_fails_leaves_one_line_and_no_model(kernel: Kernel) -> None:
    kernel.run("few = df.head(3)")
    cell = kernel.run("%dpsynth learn few -o nothing")
    assert cell.error.startswith("DataError: the table has too few rows")
    assert "\n" not in cell.error
    assert "✗ Failed" in final(cell)["text/plain"]
    assert kernel.value("'nothing' in globals()") is False


def test_an_interrupt_before_there_is_a_model_fails_the_cell_and_says_what_was_spent(
    kernel: Kernel,
) -> None:
    kernel.run("wide = pd.DataFrame({f'c{i}': _random.integers(0, 9, 3000) for i in range(300)})")
    cell = kernel.start("%dpsynth learn wide -o unborn")
    kernel.follow(cell, "Starting")
    kernel.manager.interrupt_kernel()
    kernel.follow(cell, seconds=30)
    assert cell.error.startswith("NotLearnedError: stopped before there was a model")
    assert "\n" not in cell.error
    assert "epsilon" in cell.error
    assert kernel.value("'unborn' in globals()") is False


def test_a_front_end_gets_completions_and_help_from_the_kernel(kernel: Kernel) -> None:
    def offered(code: str) -> list[str]:
        content = kernel.client.complete(code, len(code), reply=True, timeout=60)["content"]
        assert code[content["cursor_start"] :] == code.rsplit(maxsplit=1)[-1]
        return list(content["matches"])

    assert offered("%dpsynth syn") == ["synthesize"]
    assert offered("%%dpsynth learn d") == ["df"]
    assert offered("%%dpsynth learn df --noi") == ["--noise_multiplier"]
    assert offered("%%dpsynth learn df\nnoi") == ["noise_multiplier"]
    reply = kernel.client.inspect("%%dpsynth", 5, reply=True, timeout=60)["content"]
    assert "%%dpsynth learn df " in reply["data"]["text/plain"]


def test_patients_and_visits_are_learned_in_a_cell_and_made_with_keys_that_fit(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run("from tests.support.hospital import hospital; both = hospital(500)")
    kernel.run("patients, visits = both['patients'], both['visits']")
    cell = kernel.run(
        "%%dpsynth learn patients -o histories\nepsilon = 3\nsteps = 20\nprivacy_unit = patient_id\n"
        "children = {'visits': visits}\norder = {'visits': 'admitted'}\nmost_children = {'visits': 4}\n"
        "window = {'visits': ('2021-01-01', '2023-12-31')}"
    )
    assert not cell.error
    assert "epsilon" in final(cell)["text/plain"]
    cell = kernel.run("%dpsynth synthesize 200 -o made --where {'visits.number':(1,None)}")
    assert "200 rows of 'patients'" in cell.shown
    assert len(cell.displays) == 2
    assert "diagnosis" in cell.shown
    assert kernel.value("bool(made['visits']['patient_id'].isin(made['patients']['patient_id']).all())")
    assert kernel.value("int(made['visits'].groupby('patient_id').size().max())") <= 4
    receipt = kernel.run("%dpsynth receipt").shown
    assert "with all its rows in all tables" in receipt
    assert "at most 4 rows in 'visits'" in receipt
    kernel.run(f"%dpsynth save {tmp_path / 'histories.dps'}")
    assert not kernel.run(f"%dpsynth load {tmp_path / 'histories.dps'} -o kept").error
    compared = kernel.run("%dpsynth compare -s kept")
    assert "Comparing made." in compared.text
    assert "visits.number" in compared.shown
    assert "What follows what" in final(compared)["text/html"]
    page = tmp_path / "page.html"
    assert "The report is in" in kernel.run(f"%dpsynth report -s kept --to {page}").shown
    assert "What follows what" in page.read_text()
    judged = kernel.run("%dpsynth evaluate both made -s kept --epsilon 2 -o judged")
    assert not judged.error
    assert "row before and row of" in judged.shown
    assert kernel.value("judged.epsilon") <= 2
    assert not kernel.run(f"%dpsynth synthesize 50 -s kept --to {tmp_path / 'out'}").error
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "patients.parquet",
        "visits.parquet",
    ]
    private = kernel.run("%dpsynth compare both -s kept").error
    assert "synthetic" in private
    original = kernel.run("%dpsynth compare --original both -o close")
    assert "CardinalityShapeSimilarity" in original.shown
    assert kernel.value("close.integrity['visits']") == 1.0
    assert "for one table" in kernel.run("%dpsynth compare --original both --target sex").error
    assert "for one table" in kernel.run("%dpsynth report --by sex").error
    assert "Nothing was spent" in kernel.run("%dpsynth load --last -o kept").text
    assert kernel.value(
        "kept.synthesize(50, seed=1)['visits'].equals(histories.synthesize(50, seed=1)['visits'])"
    )
    assert "is not learned" in kernel.run("%%dpsynth learn patients\norder = {'vists': 'admitted'}").error
    checked = kernel.run(
        "%%dpsynth doctor patients\nprivacy_unit = patient_id\nchildren = {'visits': visits}\n"
        "order = {'visits': 'admitted'}\nmost_children = {'visits': 2}"
    )
    assert "more than 2 rows in 'visits'" in checked.shown
    planned = kernel.run(
        "%%dpsynth calc patients --rows 500\nprivacy_unit = patient_id\nchildren = {'visits': visits}\n"
        "order = {'visits': 'admitted'}"
    )
    assert "about 500 persons" in planned.shown
    assert "measuring pairs of columns of" in planned.shown


def test_fixed_times_and_ends_are_declared_in_a_cell(kernel: Kernel) -> None:
    kernel.run("from tests.support.hospital import hospital; both = hospital(500, 9)")
    kernel.run("patients, visits = both['patients'], both['visits']")
    kernel.run("import pandas as pd; waves = pd.concat([patients.assign(year=y) for y in (2021, 2022)])")
    cell = kernel.run(
        "%%dpsynth learn patients -o both_learned\nepsilon = 20\nsteps = 3\nprivacy_unit = patient_id\n"
        "children = {'visits': visits, 'waves': waves}\norder = {'visits': 'admitted', 'waves': 'year'}\n"
        "times = {'waves': [2021, 2022]}\nends = {'visits': {'outcome': ['died']}}"
    )
    assert not cell.error
    assert "comes after one with 'outcome' = 'died'" in cell.shown
    assert "at each of 2 declared times" in cell.shown
    kernel.run("some = both_learned.synthesize(200)")
    assert kernel.value("some['waves'].groupby('year').size().tolist()") == [200, 200]
    kernel.run("died = some['visits']['outcome'] == 'died'")
    assert kernel.value("int((died & some['visits']['patient_id'].duplicated(keep='last')).sum())") == 0


def test_a_lone_table_with_an_order_is_learned_in_a_cell(kernel: Kernel) -> None:
    kernel.run("from tests.support.hospital import hospital; events = hospital(400)['visits']")
    cell = kernel.run(
        "%%dpsynth learn events -o lone\nepsilon = 3\nsteps = 20\nprivacy_unit = patient_id\n"
        "order = {'events': 'admitted'}"
    )
    assert not cell.error
    assert kernel.value("list(lone.synthesize(50))") == ["events"]
