"""The tutorials run from beginning to end, and are kept with the outputs of one clean run."""

import re
from pathlib import Path

import nbformat
import pytest

from tools.execute_notebooks import execute

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.~])/(home|root|tmp|usr|opt|work|Users|var|private)/")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def refusals(cells):
    """The cells whose lesson is an error message."""
    return [cell for cell in cells if "raises-exception" in cell.metadata.get("tags", ())]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem != "quickstart"], ids=lambda path: path.stem
)
def test_a_tutorial_runs_from_beginning_to_end(path, tmp_path):  # the quickstart: see test_quickstart
    cells = execute(path, tmp_path).cells
    for cell in refusals(cells):
        assert cell.outputs[-1].output_type == "error"


@pytest.mark.slow
def test_the_ledger_tutorial_leaves_the_users_own_ledger_as_it_was_when_it_stops_half_way(tmp_path):
    notebook = nbformat.read(NOTEBOOKS[0].with_name("receipt-and-ledger.ipynb"), as_version=4)
    (cap,) = (
        place for place, cell in enumerate(notebook.cells) if cell.source.startswith("%dpsynth ledger --cap")
    )
    notebook.cells = notebook.cells[: cap + 1]
    nbformat.write(notebook, tmp_path / "half.ipynb")
    execute(tmp_path / "half.ipynb", tmp_path)
    assert not list(tmp_path.glob(".local/share/jupyter/jupyter_dpsynth/*"))
    assert not list(tmp_path.glob("work/*/*"))  # and its own goes with the kernel


@each_notebook
def test_a_kept_notebook_has_the_outputs_of_one_clean_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    failed = [cell for cell in code if any(each.output_type == "error" for each in cell.outputs)]
    assert failed == refusals(code)
    assert "widgets" not in notebook.metadata


@each_notebook
def test_a_kept_notebook_tells_nothing_of_the_machine_it_ran_on(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            texts = [output.get("text", ""), *output.get("traceback", ())]
            texts += [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
            assert not MACHINE_PATH.search("\n".join(texts)), cell.source
            assert output.get("name") != "stderr", output.text


@each_notebook
def test_a_notebook_begins_with_one_title_and_says_what_is_learned(path):
    first, *rest = nbformat.read(path, as_version=4).cells
    assert first.source.startswith("# ")
    assert not any(re.match(r"# ", cell.source) for cell in rest if cell.cell_type == "markdown")
    assert path.stem == "quickstart" or "*What you take away: " in first.source
