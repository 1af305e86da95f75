"""axe-core looks at everything we show, in JupyterLab and Notebook 7, in the light and in the dark theme."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import TABLE, shoot, until_shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.browser import JupyterServer, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.slow, pytest.mark.tensorflow]

THEMES = ("JupyterLab Light", "JupyterLab Dark")
GRAVE = ("serious", "critical")
CELLS = (
    TABLE,
    "%dpsynth panel df",
    "%%dpsynth learn df -o s\nsteps = 30",
    "%dpsynth compare -s s",
    "%dpsynth receipt -s s",
    "%dpsynth ledger",
    "%dpsynth doctor df",
    "%dpsynth calc df",
    "%dpsynth config",
    "%%dpsynth learn df -o behind --background\nsteps = 20000",
)
LOOK = """async area => {
    const found = await axe.run(area, {resultTypes: ['violations']});
    const told = v => v.nodes.map(n => [v.impact, v.id, n.html, n.failureSummary]);
    return {
        violations: found.violations.flatMap(told),
        rules: found.passes.length,
    };
}"""


@pytest.fixture
def axe() -> str:
    """The source of axe-core, from the file that the environment names."""
    path = os.environ.get("AXE_CORE", "")
    if not path and not os.environ.get("CI"):
        pytest.skip("needs axe-core: name its axe.min.js in AXE_CORE")
    return Path(path).read_text(encoding="utf-8")


def faults(notebook: NotebookPage, index: int, where: str) -> list[list[Any]]:
    """What axe finds in a cell's output and thinks grave, in both themes."""
    found = []
    for theme in THEMES:
        notebook.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
        )
        notebook.page.wait_for_selector(f'body[data-jp-theme-name="{theme}"]', state="attached")
        area = notebook.cell(index).locator(".jp-Cell-outputArea")
        area.scroll_into_view_if_needed()
        notebook.page.wait_for_timeout(300)  # colours change gradually
        looked = area.evaluate(LOOK)
        assert looked["rules"], f"axe saw nothing of {where}"
        found += [[where, theme, *each] for each in looked["violations"] if each[0] in GRAVE]
        shoot(notebook, f"axe-{notebook.server.app}-{where}-{theme[11:].lower()}")
    return found


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_axe_finds_no_serious_fault_in_anything_we_show(
    jupyter: Callable[..., JupyterServer], axe: str, app: str
) -> None:
    server = jupyter(app=app)
    server.write("axe.ipynb", CELLS)
    notebook = server.open("axe.ipynb")
    notebook.page.evaluate(axe)
    for index in range(len(CELLS)):
        notebook.run(index)
    last = len(CELLS) - 1
    until_shown(notebook, last, r"step [1-9]\d* of 20000")
    found = faults(notebook, last, "live")
    notebook.cell(last).get_by_role("button", name="Stop and keep the model").click()
    until_shown(notebook, last, "Stopped by you")
    found += faults(notebook, last, "stopped")
    notebook.cell(1).scroll_into_view_if_needed()
    tabs = notebook.cell(1).locator(".widget-toggle-buttons").first.locator("button")
    assert tabs.count() > 1
    for number in range(tabs.count()):
        notebook.cell(1).scroll_into_view_if_needed()
        tabs.nth(number).click()
        found += faults(notebook, 1, f"panel-{tabs.nth(number).inner_text()}")
    compared = CELLS.index("%dpsynth compare -s s")
    notebook.type_into(notebook.cell(compared).get_by_label("Column", exact=True), "age")
    until_shown(notebook, compared, r"age: [\d.]+% of its rows")
    for index in range(2, last):
        found += faults(notebook, index, CELLS[index].split()[1])
    assert found == []
    assert server.outside_requests == []
