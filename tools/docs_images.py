"""Take the pictures of the documentation in a real JupyterLab: python -m tools.docs_images [--output FOLDER].

Each scene is a cell of a notebook on the packaged sample, seen in JupyterLab's light and dark theme.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import JupyterServer, until

if TYPE_CHECKING:
    from tests.support.browser import NotebookPage

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
VIEWPORT = {"width": 1260, "height": 1800}
HIGHEST = 1500  # a picture; what is below is cut off

CELLS = {
    "start": """\
%load_ext jupyter_dpsynth
from jupyter_dpsynth.datasets import load_census_sample
df = load_census_sample()""",
    "panel": "%dpsynth panel df",
    "running": "%%dpsynth learn df -o synthesizer\nepsilon = 1.0",
    "synthesize": "%dpsynth synthesize 20000 -o df_synth --seed 0",
    "compare": "%dpsynth compare",
    "receipt": "%dpsynth receipt",
}


def take(folder: Path, theme: str) -> None:
    """Take every scene in one theme.

    Args:
        folder: Where the pictures go.
        theme: 'light' or 'dark'.
    """
    with JupyterServer(theme=THEMES[theme]) as server:
        server.write("scenes.ipynb", list(CELLS.values()))
        notebook = server.open("scenes.ipynb")
        notebook.page.set_viewport_size(VIEWPORT)
        for index, name in enumerate(CELLS):
            notebook.start(index)
            if name == "running":
                until_shown(notebook, index, r"step (\d\d|1\d\d) of 200")
            else:
                notebook.finish(index)
            if name == "panel":
                until_shown(notebook, index, r"With noise [\d.]+, epsilon = ")
            if name not in {"start", "synthesize"}:
                shoot(notebook, index, folder / f"{name}-{theme}.png")
            notebook.finish(index)


def until_shown(notebook: NotebookPage, index: int, pattern: str) -> None:
    """Wait for something in a cell's output."""
    until(lambda: re.search(pattern, notebook.output(index)), f"cell {index} to show {pattern}")


def shoot(notebook: NotebookPage, index: int, path: Path) -> None:
    """Take a picture of a cell and its output, from the top."""
    notebook.page.mouse.move(0, 0)  # no button is hovered over
    cell = notebook.cell(index)
    cell.evaluate("cell => cell.scrollIntoView({block: 'start'})")
    box = cell.bounding_box()
    assert box, f"cell {index} is not to be seen"
    notebook.page.screenshot(path=path, clip={**box, "height": min(box["height"], HIGHEST)})
    print(path.name, flush=True)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=IMAGES, help="the folder (default: docs/images)")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        take(folder, theme)


if __name__ == "__main__":
    main()
