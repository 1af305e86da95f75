"""The same notebook in what executes, converts and shows notebooks besides JupyterLab.

JupyterLab and Notebook 7 are driven in `tests/browser`, and so is Voila.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError
from tests.support.notebooks import QUICK, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

NAME = "dpsynth-front-ends"
BACKGROUND = f"%dpsynth learn df --background {QUICK}"
CELLS = [
    "%load_ext jupyter_dpsynth\n%config DPSynthMagics.warm_tensorflow = False" + TABLE.rstrip(),
    "%%dpsynth learn df -o first\nepsilon = 2\nsteps = 5\nbatch_size = 100_000_000",
    "%dpsynth synthesize 10 -s first\ndf_synth.head()",
    BACKGROUND,
    "%dpsynth status --wait",
    "%dpsynth receipt",
    "%dpsynth panel df",
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a process with a ledger of its own and this Python as its only kernel."""
    kernel = tmp_path / "data" / "kernels" / NAME
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": NAME, "language": "python"})
    )
    return {**os.environ, "JUPYTER_DATA_DIR": str(tmp_path / "data"), "IPYTHONDIR": str(tmp_path / "ipython")}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """The notebook, not executed."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    made.metadata.kernelspec = {"name": NAME, "display_name": NAME, "language": "python"}
    path = tmp_path / "notebook.ipynb"
    nbformat.write(made, path)
    return path


def texts(cell: Any) -> Iterator[str]:
    """What a cell shows, as text."""
    for output in cell.outputs:
        yield output.get("text", "") or output.get("data", {}).get("text/plain", "")


def check_executed(path: Path) -> None:
    """Every cell ran, and what was trained in the background is shown with its end."""
    cells = nbformat.read(path, as_version=4).cells[-len(CELLS) :]
    shown = ["\n".join(texts(cell)) for cell in cells]
    assert all(cell.execution_count for cell in cells)
    assert "✓ Finished" in shown[1]
    assert "brings it back for free" in shown[1]
    assert "10 synthetic rows" in shown[2]
    assert "✓ Finished" in shown[3]
    assert "Starting" not in shown[3]
    assert "epsilon" in shown[5]
    assert "This cell does the same" in shown[6]
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Run a program to its end; returns what it writes."""
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_nbclient(notebook: Path, environment: dict[str, str], tmp_path: Path) -> None:
    run([sys.executable, "-m", "jupyter", "execute", "--inplace", str(notebook)], environment, tmp_path)
    check_executed(notebook)


def test_papermill(notebook: Path, environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("papermill")
    executed = tmp_path / "executed.ipynb"
    run([sys.executable, "-m", "papermill", str(notebook), str(executed)], environment, tmp_path)
    check_executed(executed)


def test_jupytext_gives_the_same_cells_back(notebook: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    script = jupytext.writes(jupytext.read(notebook), fmt="py:percent")
    assert "# %%dpsynth learn df -o first" in script  # the script is Python
    back = jupytext.reads(script, fmt="py:percent")
    assert [cell.source for cell in back.cells] == CELLS


def test_plain_ipython(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "session.ipy"
    script.write_text(
        "\n".join([*CELLS[0].splitlines(), f"%dpsynth learn df -o first {QUICK}", *CELLS[2].splitlines()])
    )
    shown = run([sys.executable, "-m", "IPython", "--colors=NoColor", str(script)], environment, tmp_path)
    assert "✓ Finished" in shown
    assert "10 synthetic rows" in shown


def test_marimo_shows_what_was_learned(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("marimo")
    path = tmp_path / "page.py"
    path.write_text(MARIMO)
    page = tmp_path / "page.html"
    run([sys.executable, "-m", "marimo", "export", "html", str(path), "-o", str(page)], environment, tmp_path)
    shown = page.read_text(encoding="utf-8")
    assert "dpsynth-receipt" in shown
    assert "dpsynth-comparison" in shown
    assert "The panel needs a notebook with widgets" in shown
    assert "Train: spends epsilon" in shown


MARIMO = f"""
import marimo

app = marimo.App()


@app.cell
def _():
    from jupyter_dpsynth import ConfigPanel, HighDimConfig, HighDimSynthesizer, MetaExtractor, UtilityReport
{"".join(f"    {line}" + chr(10) for line in TABLE.strip().splitlines())}
    config = HighDimConfig(epsilon=2, steps=5, batch_size=100_000_000)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config).learn(df)
    return ConfigPanel, UtilityReport, config, df, synthesizer


@app.cell
def _(synthesizer):
    synthesizer.receipt
    return


@app.cell
def _(UtilityReport, synthesizer):
    UtilityReport.against_measurements(synthesizer, synthesizer.synthesize(500))
    return


@app.cell
def _(ConfigPanel, config, df):
    ConfigPanel(config, df)
    return


@app.cell
def _():
    from jupyter_dpsynth.notebook.marimo_form import config_of, settings_form

    form = settings_form()
    form
    return config_of, form
"""


def test_the_form_for_marimo_gives_the_parameters_that_are_typed() -> None:
    pytest.importorskip("marimo")
    from jupyter_dpsynth.notebook.marimo_form import config_of, settings_form

    fields = settings_form(HighDimConfig(epsilon=0.5)).element.elements
    hints = {name: field._component_args.get("placeholder") for name, field in fields.items()}
    assert (hints["privacy_unit"], hints["l2_norm_clip"], hints["delta"]) == ("none", "measured", "automatic")
    values = {name: field.value for name, field in fields.items()}
    assert config_of(values).to_dict() == HighDimConfig(epsilon=0.5).to_dict()
    assert config_of({**values, "steps": "50", "privacy_unit": "person"}).privacy_unit == "person"
    with pytest.raises(ConfigError, match="epsilon = 'much' is not allowed"):
        config_of({**values, "epsilon": "much"})
