"""Execute notebooks of this repository in place, so that they are kept with their outputs.

usage: python tools/execute_notebooks.py [NAME ...]      all of notebooks/ by default
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SECONDS = 600  # a cell may take
QUIET = "--log-level=40"  # the kernel would warn that local messages are not encrypted
TENSORFLOW_LINE = re.compile(
    r"[IWE]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\] |WARNING: All log messages before absl|To enable the foll"
)


def from_tensorflow(output: NotebookNode) -> bool:
    """Whether an output is only what TensorFlow says about the machine when it starts."""
    lines = output.get("text", "").splitlines() if output.get("name") == "stderr" else []
    return bool(lines) and all(TENSORFLOW_LINE.match(line) for line in lines)


def is_empty(output: NotebookNode) -> bool:
    """Whether an output is only room that was never filled: what a panel keeps free for its results."""
    return output.output_type == "display_data" and not any(output.data.values())


def execute(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook from top to bottom, as a reader does for whom everything is new.

    Args:
        path: The notebook.
        folder: An empty folder: what the notebook writes goes there, and its ledger.

    Returns:
        The notebook with its outputs, without timings.
    """
    notebook = nbformat.read(path, as_version=4)
    here = folder / "notebooks"
    here.mkdir()
    scripts = str(Path(sys.executable).parent)  # where `!jupyter dpsynth` is, as in a running JupyterLab
    environment = {
        **os.environ,
        "HOME": str(folder),
        "JUPYTER_DATA_DIR": str(folder / ".local" / "share" / "jupyter"),
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
    }
    client = NotebookClient(notebook, timeout=SECONDS, record_timing=False, extra_arguments=[QUIET])
    client.execute(cwd=str(here), env=environment)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if not from_tensorflow(each) and not is_empty(each)]
    notebook.metadata.pop("widgets", None)  # the state of widgets would need a kernel
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook


def main(names: Sequence[str]) -> None:
    """Execute the notebooks of these names, or all, and write them back."""
    for path in [NOTEBOOKS / f"{Path(name).stem}.ipynb" for name in names] or sorted(
        NOTEBOOKS.glob("*.ipynb")
    ):
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, Path(folder)), path)


if __name__ == "__main__":
    main(sys.argv[1:])
