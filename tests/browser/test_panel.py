"""The panel as a person uses it: typed, trained, stopped, reopened; with the mouse and with the keyboard."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.display.words import epsilon_text
from tests.support.browser import TABLE, shoot, until, until_shown
from tests.support.leaks import without_pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.support.browser import JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.slow, pytest.mark.tensorflow]

OPEN = """\
from jupyter_dpsynth import ConfigPanel, HighDimConfig
config = HighDimConfig()
ConfigPanel(config, df)"""
ASK = "print([synthesizer.epsilon, synthesizer.stop_reason.value, synthesizer.config.epsilon])"
LEDGER = """\
from jupyter_dpsynth import PrivacyLedger
print([run.spending.epsilon for each in PrivacyLedger().summary().datasets for run in each.runs])"""
STOP = "End training after the current step and keep the model"
PRIVATE = re.compile(r"(?<![\w.])4[,_]?321\b")

FIRST_FIELDS = {"Privacy": "Epsilon", "Steps": "Batch size", "Columns": "Find"}
CUT_HINTS = """cell => [...cell.querySelectorAll('input[placeholder]')].filter(input => {
    const style = getComputedStyle(input), pen = document.createElement('canvas').getContext('2d');
    pen.font = style.font;
    const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return input.offsetParent && pen.measureText(input.placeholder).width > room;
}).map(input => input.placeholder)"""


def field(cell: Locator, label: str) -> Locator:
    return cell.get_by_role("textbox", name=label, exact=True)


def test_edit_train_stop_midway_and_the_epsilon_shown_is_the_synthesizers(
    jupyter: Callable[..., JupyterServer],
) -> None:
    server = jupyter()
    path = server.write("panel.ipynb", [TABLE, OPEN, "config.epsilon = 2", ASK, "print(config)", LEDGER])
    notebook = server.open("panel.ipynb")
    notebook.run(0)
    notebook.run(1)
    cell = notebook.cell(1)
    until_shown(notebook, 1, r"With noise [\d.]+, epsilon = 0\.\d+ after 200 steps")

    notebook.run(2)  # from Python into the panel
    until(lambda: field(cell, "Epsilon").input_value() == "2", "the panel to show 2")
    field(cell, "Epsilon").fill("-1")
    field(cell, "Epsilon").press("Enter")
    until_shown(notebook, 1, r"epsilon = -1 is not allowed")
    shoot(notebook, "panel-error")
    field(cell, "Epsilon").fill("0.73")  # and back
    field(cell, "Epsilon").press("Enter")
    cell.get_by_role("button", name="Steps").click()
    field(cell, "Steps").fill("20000")
    field(cell, "Steps").press("Enter")
    until_shown(notebook, 1, r"after 20,000 steps")
    assert "epsilon=0.73, steps=20000" in notebook.run(4)

    cell.get_by_role("button", name="Train").click()
    until_shown(notebook, 1, r"step [1-9]\d* of 20000")
    shoot(notebook, "panel-training")
    cell.get_by_title(STOP).click()
    shown = until_shown(notebook, 1, r"Stopped by you at step \d+ of 20000, epsilon = ([\d.]+): ")
    epsilon, reason, target = ast.literal_eval(notebook.run(3))
    assert (shown[1], reason, target) == (epsilon_text(epsilon), "stopped", 0.73)
    assert ast.literal_eval(notebook.run(5)) == [epsilon]
    shoot(notebook, "panel-stopped")

    cell.get_by_title("Learn the table; spends epsilon").click()  # asked before more is spent
    until_shown(notebook, 1, r"Spend more on the same data\? This data \('df'\) has cost epsilon = ")
    shoot(notebook, "panel-asks")
    cell.get_by_role("button", name="Cancel").click()
    until(lambda: not cell.get_by_role("button", name="Cancel").count(), "the question to be gone")
    assert ast.literal_eval(notebook.run(5)) == [epsilon]

    cell.get_by_role("button", name="Synthesize").click()
    until_shown(notebook, 1, r"synthetic rows\. This cost no epsilon")
    cell.get_by_role("button", name="Compare").click()
    until_shown(notebook, 1, r"Synthetic table against the noisy measurements")
    pictures = cell.locator(".jp-OutputArea-output img")
    before = pictures.count()
    notebook.type_into(cell.get_by_label("Column", exact=True), "age")
    until_shown(notebook, 1, r"age: [\d.]+% of its rows would have to change")
    assert pictures.count() == before + 1
    notebook.type_into(cell.get_by_label("Together with", exact=True), "city")
    until_shown(notebook, 1, r"age and city: dependence [\d.]+")
    assert pictures.count() == before + 3
    shoot(notebook, "panel-drilldown")
    assert server.outside_requests == []
    assert server.problems == []

    notebook.save()
    saved = path.read_text()
    outputs = saved[saved.index("ConfigPanel(config, df)") :]
    assert not PRIVATE.search(without_pictures(outputs))
    (server.root / "again.ipynb").write_text(saved.replace("dpsynth-test", "no-such-kernel"))
    again = server.open("again.ipynb", kernel=False)
    until_shown(again, 1, r"Stopped by you at step")
    assert "this cell does the same:\n%%dpsynth learn df\nepsilon = 0.73\nsteps = 20000\n" in again.output(1)
    assert "To look at single columns and pairs, run this cell again" in again.output(1)
    shoot(again, "panel-reopened")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_train_uses_what_is_on_the_screen_though_the_kernel_was_busy_when_it_was_typed(
    jupyter: Callable[..., JupyterServer], app: str
) -> None:
    server = jupyter(app=app)
    busy = "import time\nprint('busy', flush=True)\ntime.sleep(4)"
    server.write("busy.ipynb", [TABLE, "%dpsynth panel df", busy, ASK])
    notebook = server.open("busy.ipynb")
    notebook.run(0)
    notebook.run(1)
    until_shown(notebook, 1, r"With noise [\d.]+, epsilon = ")
    cell = notebook.cell(1)
    cell.get_by_role("button", name="Steps").click()
    field(cell, "Steps").fill("20")
    field(cell, "Steps").press("Enter")
    until_shown(notebook, 1, r"after 20 steps")
    cell.get_by_role("button", name="Privacy", exact=True).click()
    notebook.start(2)
    until_shown(notebook, 2, "busy")
    for epsilon in ("5", "0.7"):
        field(cell, "Epsilon").fill(epsilon)
        field(cell, "Epsilon").press("Enter")
    cell.get_by_role("button", name="Train").first.click()
    until_shown(notebook, 1, r"✓ Finished")
    assert ast.literal_eval(notebook.run(3))[2] == 0.7
    assert field(cell, "Epsilon").input_value() == "0.7"


@pytest.mark.parametrize("width", [800, 1400])  # the calculator below the fields, and beside them
def test_train_is_seen_without_scrolling_and_stays_where_it_is(
    jupyter: Callable[..., JupyterServer], width: int
) -> None:
    server = jupyter()
    server.write("still.ipynb", [TABLE, OPEN])
    notebook = server.open("still.ipynb")
    notebook.page.set_viewport_size({"width": width, "height": 1000})
    notebook.run(0)
    notebook.run(1)
    cell = notebook.cell(1)
    cell.evaluate("cell => cell.scrollIntoView({block: 'start'})")

    def height() -> float:
        above, button = cell.get_by_role("button", name="Train"), cell.get_by_role("button", name="Privacy")
        box = above.bounding_box()
        assert box["y"] + box["height"] < 1000
        return button.first.bounding_box()["y"] - box["y"]

    until_shown(notebook, 1, r"With noise [\d.]+, epsilon = 0\.\d+ after 200 steps")
    boxes = [field(cell, name).bounding_box() for name in ("Delta", "Noise multiplier", "Clipping norm")]
    notes = [cell.get_by_text(words).bounding_box() for words in ("right for nearly", "as much as epsilon")]
    for note, below in zip(notes, boxes[1:], strict=True):  # a note does not run into the next field
        assert note["y"] + note["height"] <= below["y"] + 1 or note["x"] > below["x"]
    before = height()
    field(cell, "Privacy unit").fill("person")
    field(cell, "Privacy unit").press("Enter")
    until_shown(notebook, 1, "No run is possible with these settings")
    assert abs(height() - before) < 40

    def presets() -> list[dict[str, float]]:
        return [
            each.bounding_box() for each in cell.get_by_role("button", name=re.compile("ε = [0-9.]+")).all()
        ]

    field(cell, "Privacy unit").fill("")
    places = presets()
    field(cell, "Epsilon").fill("0.9")
    field(cell, "Epsilon").press("Enter")
    until_shown(notebook, 1, r"epsilon = 0\.8\d+ after")
    assert presets() == places  # the sign of the chosen one has its room

    for page in ("Privacy", "Steps", "Columns"):
        cell.get_by_role("button", name=page, exact=True).click()
        until(field(cell, FIRST_FIELDS[page]).is_visible, f"the page {page}", 20)
        assert cell.evaluate(CUT_HINTS) == []


def test_what_is_being_typed_stays_when_new_figures_come(jupyter: Callable[..., JupyterServer]) -> None:
    server = jupyter()
    server.write("typing.ipynb", [TABLE, OPEN])
    notebook = server.open("typing.ipynb")
    notebook.run(0)
    notebook.run(1)
    cell = notebook.cell(1)
    cell.get_by_role("button", name="Steps").click()
    until_shown(notebook, 1, r"auto: 200 · more: longer training")
    field(cell, "Steps").fill("321")
    field(cell, "Steps").press("Enter")
    notebook.type_into(field(cell, "Epochs"), "12")
    until_shown(notebook, 1, r"after 321 steps: the budget is used up")
    until_shown(notebook, 1, r"auto: [\d.]+ · instead of steps")
    assert field(cell, "Epochs").input_value() == "12"


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_panel_works_with_the_keyboard_alone(jupyter: Callable[..., JupyterServer], app: str) -> None:
    server = jupyter(app=app, theme="JupyterLab Dark")
    server.write("keys.ipynb", [TABLE, "%dpsynth panel df", ASK])
    notebook = server.open("keys.ipynb")
    notebook.page.set_viewport_size({"width": 760, "height": 1000})
    notebook.run(0)
    notebook.run(1)
    until_shown(notebook, 1, r"With noise [\d.]+, epsilon = ")
    keyboard = notebook.page.keyboard

    def press_until(words: str, key: str = "Tab", most: int = 60) -> None:
        """Press a key until the control with these words has the focus."""
        for _ in range(most):
            focused = notebook.page.evaluate(
                "() => { const e = document.activeElement; return [e.innerText, e.title, "
                "...[...(e.labels ?? [])].map(l => l.innerText)].join(' ') }"
            )
            if words in focused:
                return
            keyboard.press(key)
        raise AssertionError(f"the keyboard never reached {words!r}")

    field(notebook.cell(1), "Epsilon").focus()
    keyboard.press("Control+a")
    keyboard.type("0.9")
    press_until("more privacy")
    until_shown(notebook, 1, r"epsilon = 0\.8\d+ after")
    keyboard.press("Enter")  # one round value down
    until(lambda: field(notebook.cell(1), "Epsilon").input_value() == "0.7", "epsilon to be 0.7")
    press_until("Train", "Shift+Tab")
    shoot(notebook, f"{app}-panel-keyboard")
    keyboard.press("Enter")
    until_shown(notebook, 1, r"✓ Finished")
    epsilon, reason, target = ast.literal_eval(notebook.run(2))
    assert (reason, target) == ("finished", 0.7)
    assert f"epsilon = {epsilon_text(epsilon)} of 0.7" in notebook.output(1)
