"""What a person sees: live progress, the final epsilon, a stop that keeps the model."""

from __future__ import annotations

import ast
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from jupyter_dpsynth.display.words import epsilon_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.browser import JupyterServer, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.slow, pytest.mark.tensorflow]

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
LEARN = "%%dpsynth learn"
SHOTS = os.environ.get("DPSYNTH_SCREENSHOTS")  # a folder for screenshots, for looking at them

TABLE = """\
%load_ext jupyter_dpsynth
import numpy as np, pandas as pd
random = np.random.default_rng(0)
df = pd.DataFrame({"age": random.integers(18, 90, 5000), "city": random.choice(["Graz", "Wien"], 5000)})
"""
LONG = "%%dpsynth learn df -o stopped\nsteps = 20000"
BEHIND = "%%dpsynth learn df -o behind --background --again\nsteps = 20000"
LEDGER = """\
from jupyter_dpsynth import PrivacyLedger
runs = [run for each in PrivacyLedger().summary().datasets for run in each.runs]
print([(run.status, run.spending.epsilon) for run in runs])"""
ASK = "print([stopped.epsilon, stopped.stop_reason.value, len(stopped.synthesize(7))])"


def quickstart_cells() -> list[str]:
    """The code of the quickstart up to its learn cell, and a question about the result."""
    notebook = nbformat.read(QUICKSTART, as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    learn = next(i for i, source in enumerate(sources) if source.lstrip().startswith(LEARN))
    name = re.search(r"(?:-o|--output)\s+(\w+)", sources[learn])
    return [*sources[: learn + 1], f"print({name[1] if name else 'synthesizer'}.epsilon)"]


def shoot(notebook: NotebookPage, name: str) -> None:
    if SHOTS:
        notebook.page.screenshot(path=Path(SHOTS) / f"{name}.png")


def watch(notebook: NotebookPage, index: int, name: str) -> list[tuple[int, float]]:
    """Follow a training on the screen: the steps and epsilons that were shown, in order."""
    seen: list[tuple[int, float]] = []
    charts = notebook.cell(index).locator('.jp-OutputArea-output svg[role="img"] polyline')
    charted = False
    end = time.monotonic() + 180
    while not re.search(r"\[\d+\]", notebook.prompt(index)) and time.monotonic() < end:
        text = notebook.output(index)
        step = re.search(r"step (\d+) of \d+", text)
        epsilon = re.search(r"epsilon = ([\d.e+-]+) of [\d.]+ reserved", text)
        if step and epsilon:
            seen.append((int(step[1]), float(epsilon[1])))
        if not charted and charts.count():
            charted = True
            shoot(notebook, f"{name}-training")
        time.sleep(0.1)
    assert charted, "the loss curve was never drawn"
    return seen


def test_the_quickstarts_learn_cell_shows_progress_and_ends_with_the_true_epsilon(
    jupyter: Callable[..., JupyterServer],
) -> None:
    server = jupyter()
    cells = quickstart_cells()
    server.write("quickstart.ipynb", cells)
    notebook = server.open("quickstart.ipynb")
    learn = len(cells) - 2
    for index in range(learn):
        notebook.run(index)
    notebook.start(learn)
    seen = watch(notebook, learn, "quickstart")
    shown = notebook.finish(learn)
    shoot(notebook, "quickstart-finished")
    steps = [step for step, _ in seen]
    epsilons = [epsilon for _, epsilon in seen]
    assert steps == sorted(steps)
    assert len(set(steps)) > 2, "the step did not move"
    epsilon = float(notebook.run(learn + 1))
    assert "Finished" in shown
    assert f"epsilon = {epsilon_text(epsilon)} of " in shown
    assert set(epsilons) == {float(epsilon_text(epsilon))}  # from the first step on, what is charged
    assert server.outside_requests == []
    assert server.problems == []


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_stopping_keeps_the_model_and_the_output_survives_reopening(
    jupyter: Callable[..., JupyterServer], app: str
) -> None:
    server = jupyter(app=app, theme="JupyterLab Dark")
    path = server.write("stop.ipynb", [TABLE, LONG, ASK, BEHIND, "behind.stop_reason.value", BEHIND, LEDGER])
    notebook = server.open("stop.ipynb")
    notebook.run(0)

    notebook.page.set_viewport_size({"width": 800, "height": 1000})  # where nothing is cut off
    notebook.start(1)
    wait_for_training(notebook, 1)
    live = notebook.cell(1).locator(".jp-OutputArea-output").first
    assert live.evaluate("shown => shown.scrollWidth - shown.clientWidth") == 0
    notebook.interrupt()
    shown = notebook.finish(1, seconds=30)
    notebook.page.set_viewport_size({"width": 1280, "height": 1000})
    epsilon, reason, rows = ast.literal_eval(notebook.run(2))
    assert (reason, rows) == ("stopped", 7)
    assert re.search(rf"Stopped by you at step \d+ of 20000, epsilon = {epsilon_text(epsilon)}: ", shown)

    notebook.run(3, seconds=20)  # the cell returns at once
    wait_for_training(notebook, 3)
    shoot(notebook, f"{app}-background")
    refused = notebook.run(5, seconds=20)
    assert "ConfigError: a training is already running" in refused
    assert "Traceback" not in refused
    notebook.cell(3).get_by_role("button", name="Stop and keep the model").click()
    until_shown(notebook, 3, "Stopped by you at step")
    assert "stopped" in notebook.run(4)
    first, second = ast.literal_eval(notebook.run(6))
    assert first == ("stopped", epsilon)
    assert second[0] == "stopped"
    assert f"epsilon = {epsilon_text(second[1])}: " in notebook.output(3)

    notebook.save()
    saved = path.read_text()
    assert "widget-view" not in saved
    (server.root / "again.ipynb").write_text(saved.replace("dpsynth-test", "no-such-kernel"))
    again = server.open("again.ipynb", kernel=False)
    until_shown(again, 1, "Stopped by you at step")
    assert again.cell(1).locator(".jp-OutputArea-output img").count() == 1
    shoot(again, f"{app}-reopened")
    assert server.outside_requests == []


def test_after_a_restart_the_budget_counts_as_spent_and_everything_works_again(
    jupyter: Callable[..., JupyterServer],
) -> None:
    server = jupyter()
    path = server.write("restart.ipynb", [TABLE, BEHIND, LEDGER, "%dpsynth learn df -o new --steps 5"])
    notebook = server.open("restart.ipynb")
    notebook.run(0)
    notebook.run(1, seconds=20)
    wait_for_training(notebook, 1)
    notebook.restart()
    shoot(notebook, "restarted")
    notebook.run(0)
    ((status, epsilon),) = ast.literal_eval(notebook.run(2))
    assert status == "reserved"  # nobody was left to say how it ended
    assert 0.9 < epsilon <= 1
    assert "Finished" in notebook.run(3)
    assert [entry[0] for entry in ast.literal_eval(notebook.run(2))] == ["reserved", "finished"]
    notebook.save()
    (server.root / "again.ipynb").write_text(path.read_text().replace("dpsynth-test", "no-such-kernel"))
    again = server.open("again.ipynb", kernel=False)
    until_shown(again, 1, "count epsilon = 1 as spent")
    assert "epsilon = 1 of 1 reserved" in again.output(1)
    assert "Not finished when this notebook was saved" in again.output(1)
    shoot(again, "restarted-reopened")


def until_shown(notebook: NotebookPage, index: int, pattern: str) -> None:
    from tests.support.browser import until

    until(lambda: re.search(pattern, notebook.output(index)), f"cell {index} to show {pattern}")


def wait_for_training(notebook: NotebookPage, index: int) -> None:
    until_shown(notebook, index, r"step [1-9]\d* of 20000")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_after_a_restart_a_learn_cell_offers_the_model_that_was_paid_for(
    jupyter: Callable[..., JupyterServer], app: str
) -> None:
    server = jupyter(app=app)
    cells = [TABLE, "%dpsynth learn df --steps 5 --batch-size 100000000", "%dpsynth status", LEDGER]
    server.write("again.ipynb", cells)
    notebook = server.open("again.ipynb")
    notebook.run(0)
    assert "--reuse in the cell's first line" in notebook.run(1)
    notebook.restart()
    assert "%dpsynth load --last" in [notebook.run(index) for index in (0, 2)][1]
    notebook.start(1)
    answer = notebook.cell(1).locator(".jp-Stdin-input")
    answer.wait_for(timeout=60_000)
    shoot(notebook, f"{app}-kept-model")
    answer.fill("use")
    answer.press("Enter")
    assert "nothing was spent" in notebook.finish(1)
    assert len(ast.literal_eval(notebook.run(3))) == 1
