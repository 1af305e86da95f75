"""The quickstart runs from beginning to end, and is kept with its outputs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_demo_executes_the_quickstart_and_says_what_came_out(tmp_path):
    output = tmp_path / "demo.html"
    # with Keras, as users have it: the other tests leave it out (see conftest.py)
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_dpsynth.cli", "demo", "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    epsilon = float(re.search(r"^epsilon = ([\d.]+), delta", done.stdout, re.MULTILINE).group(1))
    assert 0.9 < epsilon <= 1
    # on a fast machine training may end before its first line is due: any line after the measurements counts
    assert re.search(r" · step \d+/\d+ · epsilon = 0\.\d+ of 1 reserved", done.stdout)
    assert "one-way difference" in done.stdout
    assert str(output) in done.stdout
    page = output.read_text()
    assert page.count("data:image/png") >= 3  # the loss curve and the comparison plots
    assert "Traceback" not in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)


def test_the_kept_notebook_has_the_outputs_of_one_clean_run():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    rich = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in rich)
    learned = next(cell for cell in code if cell.source.startswith("%%dpsynth learn"))
    assert any("text/plain" in output.get("data", {}) for output in learned.outputs)
    assert not any("<svg" in data.get("text/html", "") for data in rich)
