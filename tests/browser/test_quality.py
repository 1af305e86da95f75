"""From the question before spending to the report and the downloads, clicked by a person."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.support.browser import TABLE, shoot, until, until_shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.support.browser import JupyterServer, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.slow, pytest.mark.tensorflow]

NOISE = "%%dpsynth learn df -o noise\nepsilon = 0.002"
LEARN = "%%dpsynth learn df\nsteps = 20"
SPENT = """\
from jupyter_dpsynth import PrivacyLedger
print(len([run for each in PrivacyLedger().summary().datasets for run in each.runs]))"""
ROWS = 300
READERS = {"CSV": pd.read_csv, "Parquet": pd.read_parquet}


def downloaded(notebook: NotebookPage, cell: Locator, form: str) -> pd.DataFrame:
    """Click a download and read the file."""
    with notebook.page.expect_download(timeout=60_000) as waiting:
        cell.get_by_text(f"Download {form}").click()
    path: Path = waiting.value.path()
    assert waiting.value.suggested_filename == f"df_synth.{form.lower()}"
    return READERS[form](io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_asked_learned_looked_at_downloaded_and_reported(
    jupyter: Callable[..., JupyterServer], app: str
) -> None:
    server = jupyter(app=app, theme="JupyterLab Dark" if app == "lab" else "JupyterLab Light")
    cells = [TABLE, NOISE, SPENT, LEARN, f"%dpsynth synthesize {ROWS}", "%dpsynth compare"]
    server.write("quality.ipynb", cells)
    notebook = server.open("quality.ipynb")
    notebook.run(0)

    notebook.start(1)  # asked before anything is spent
    answer = notebook.cell(1).locator(".jp-Stdin-input")
    answer.wait_for(timeout=60_000)
    assert "2 of them would come out empty or as noise: 'age', 'city'" in notebook.output(1)
    shoot(notebook, f"{app}-asked")
    answer.fill("no")
    answer.press("Enter")
    assert "cancelled. Nothing was spent" in notebook.finish(1)
    assert notebook.run(2).strip() == "0"

    shown = notebook.run(3)  # at a glance
    assert "✓ Finished" in shown
    assert re.search(r"● fine: 2 columns: '(age|city)', '(age|city)'", shown)
    shoot(notebook, f"{app}-learned")

    notebook.run(4)
    for form in READERS:
        found = downloaded(notebook, notebook.cell(4), form)
        assert found.shape == (ROWS, 2)
        assert set(found["city"]) <= {"Graz", "Wien"}

    notebook.run(5)
    notebook.cell(5).get_by_role("button", name="Save as HTML").click()
    until_shown(notebook, 5, r"The report is in .*report\.html \(\d+ kB\)")
    shoot(notebook, f"{app}-reported")
    if app == "notebook":  # which folds long outputs; ours stay whole
        notebook.cell(5).evaluate("cell => cell.classList.add('jp-mod-outputsScrolled')")
        area = notebook.cell(5).locator(".jp-Cell-outputArea")
        assert area.evaluate("area => getComputedStyle(area).maxHeight") == "none"
    report = server.root / "report.html"
    assert report.stat().st_size < 1_000_000
    page = notebook.page.context.new_page()
    page.on("request", lambda request: server.requests.append(request.url))
    page.set_content(report.read_text())
    assert "Overall" in page.inner_text("body")
    assert page.evaluate("() => [...document.images].every(image => image.naturalWidth > 0)")
    page.emulate_media(media="print")  # on paper nothing can be opened, and nothing scrolls
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4, without its margins
    sizes = "tables => tables.map(table => [table.offsetWidth, table.scrollWidth])"
    for width, needed in page.locator("details table").evaluate_all(sizes):
        assert 0 < needed <= width <= 718 / 0.8
    assert server.outside_requests == []
    if app == "lab":  # Notebook 7 has errors of its own
        assert server.problems == []


def test_the_panel_asks_before_noise_is_paid_for_and_gives_the_table_away(
    jupyter: Callable[..., JupyterServer],
) -> None:
    server = jupyter()
    server.write("panel.ipynb", [TABLE, "%dpsynth panel df", SPENT])
    notebook = server.open("panel.ipynb")
    notebook.run(0)
    notebook.run(1)
    cell = notebook.cell(1)
    until_shown(notebook, 1, r"With noise [\d.]+, epsilon = ")
    field = cell.get_by_role("textbox", name="Epsilon", exact=True)

    def train(epsilon: str) -> None:
        field.fill(epsilon)
        field.press("Enter")
        cell.get_by_role("button", name="Train").first.click()

    train("0.002")
    until_shown(notebook, 1, r"Spend, although columns may come out empty\? With epsilon = 0\.002, 2 columns")
    shoot(notebook, "panel-empty")
    cell.get_by_role("button", name="Cancel").click()
    until(lambda: not cell.get_by_role("button", name="Cancel").count(), "the question to be gone")
    assert notebook.run(2).strip() == "0"

    cell.get_by_role("button", name="Steps").click()
    steps = cell.get_by_role("textbox", name="Steps", exact=True)
    steps.fill("20")
    steps.press("Enter")
    cell.get_by_role("button", name="Privacy", exact=True).click()
    train("1")
    until_shown(notebook, 1, r"✓ Finished")
    cell.get_by_role("button", name="Synthesize").click()
    until_shown(notebook, 1, r"synthetic rows\. This cost no epsilon")
    for form in READERS:
        assert list(downloaded(notebook, cell, form).columns) == ["age", "city"]
    shoot(notebook, "panel-rows")
    assert server.outside_requests == []
    assert server.problems == []
