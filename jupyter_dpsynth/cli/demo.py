"""`jupyter dpsynth demo`: runs the quickstart notebook in the current Python environment.

The terminal shows what happens, and the executed notebook is written as one HTML file.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.tables import checked_output
from jupyter_dpsynth.display.console import ProgressLine
from jupyter_dpsynth.errors import DPSynthError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["demo", "require", "to_html"]

NOTEBOOK = "quickstart.ipynb"
NEEDED = ("nbclient", "nbconvert", "ipykernel", "matplotlib")
QUIET = "--log-level=50"  # the kernel would warn that local messages are not encrypted

#: Run behind the quickstart, on the first synthesizer that it learned.
SUMMARY = """\
from jupyter_dpsynth import HighDimSynthesizer as _Synthesizer
from jupyter_dpsynth import UtilityReport as _Report
from jupyter_dpsynth.display.words import epsilon_text as _text
_learned = [value for value in list(globals().values()) if isinstance(value, _Synthesizer)][0]
print(f"epsilon = {_text(_learned.epsilon)}, delta = {_learned.delta:.2g}")
print(_Report.against_measurements(_learned, _learned.synthesize(seed=0)).summary())
"""


def demo(output: Path) -> None:
    """Run the quickstart, show what it does and save it as HTML.

    Args:
        output: The HTML file.

    Raises:
        MissingDependencyError: Something that running notebooks needs is not installed.
        DPSynthError: A cell failed, or the file cannot be written.
    """
    require(NEEDED)
    checked_output(str(output), replace=True, otherwise="")
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    console = Console()
    console.line(f"Running {NOTEBOOK}: learning a table under differential privacy.")
    notebook = nbformat.reads(_quickstart(), as_version=4)
    summary = nbformat.v4.new_code_cell(SUMMARY)
    shown, notebook.cells = notebook.cells, [*notebook.cells, summary]
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            # a ledger of its own: the sample is synthetic, so that the demo spends nothing of the user's
            _client(notebook, console).execute(env={**os.environ, "JUPYTER_DATA_DIR": folder})
    except CellExecutionError as error:
        raise DPSynthError(f"a cell of {NOTEBOOK} failed: {error.ename}: {error.evalue}") from None
    except DeadKernelError:  # also what an interrupt leaves: nbclient then ends the kernel
        raise DPSynthError(f"the kernel ended before {NOTEBOOK} did; nothing was written.") from None
    notebook.cells = shown
    try:
        output.write_text(to_html(notebook), encoding="utf-8")
    except OSError as error:
        raise DPSynthError(f"--output = {str(output)!r} cannot be written: {error.strerror}.") from None
    console.line(f"The executed notebook is in {output.absolute()}")


def require(names: Sequence[str]) -> None:
    """Raise MissingDependencyError unless these packages are installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"{', '.join(missing)} is not installed, and running notebooks needs it: "
            "install jupyter_dpsynth[lab]."
        )


def _quickstart() -> str:
    """Text of the notebook: from the installed package, or beside it in a checkout."""
    package = resources.files("jupyter_dpsynth")
    candidates = (package / "resources" / NOTEBOOK, Path(str(package)).parent / "notebooks" / NOTEBOOK)
    for candidate in candidates:
        if candidate.is_file():
            return candidate.read_text(encoding="utf-8")
    raise DPSynthError(f"{NOTEBOOK} is missing from this installation: install jupyter_dpsynth again.")


def _client(notebook: Any, console: Console) -> Any:  # noqa: ANN401 - nbclient's and nbformat's types
    """A notebook client that runs this Python and shows the kernel's messages on the console."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class ThisPython(KernelSpecManager):
        """Offers only this Python as a kernel: one named python3 may belong to another environment."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", QUIET]
            return KernelSpec(argv=command, display_name=kernel_name, language="python")

    class Client(NotebookClient):
        """Shows messages while they arrive."""

        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:  # noqa: ANN401
            console.show(msg["msg_type"], msg["content"])
            return super().process_message(msg, cell, cell_index)

    manager = AsyncKernelManager(kernel_name="dpsynth-demo", kernel_spec_manager=ThisPython())
    client = Client(notebook, km=manager, kernel_name="dpsynth-demo", timeout=None)
    client.on_cell_start = lambda cell, cell_index: console.cell(cell)  # noqa: ARG005 - nbclient's names
    return client


def to_html(notebook: Any) -> str:  # noqa: ANN401 - nbformat's type
    """A notebook as one web page that fetches nothing from elsewhere."""
    from nbconvert import HTMLExporter

    # nothing is fetched from elsewhere when the file is opened
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jupyter_widgets_base_url="")
    html, _ = exporter.from_notebook_node(notebook)
    return str(html)


class Console:
    """Shows in the terminal what a notebook does, with progress in a single line if possible."""

    def __init__(self) -> None:
        self._line = ProgressLine(sys.stdout)
        self._open = ""  # the progress that was shown last, if nothing has been written since

    def line(self, text: str) -> None:
        """Write a line."""
        if self._open and self._line.rewrites:
            self._line.show(self._open, end=True)
        self._open = ""
        self._line.keep(text.rstrip("\n"))

    def progress(self, text: str) -> None:
        """Replace the last line; if the output is not a terminal, write below it."""
        if text != self._open:
            self._open = text
            self._line.show(text, task=text)

    def cell(self, cell: Mapping[str, Any]) -> None:
        """Show the code of a cell that starts."""
        if cell["cell_type"] == "code":
            self.line("")
            for line in () if cell["source"] == SUMMARY else cell["source"].splitlines():
                self.line(f">>> {line}")

    def show(self, kind: str, content: Mapping[str, Any]) -> None:
        """Show one message of the kernel as text."""
        if kind == "stream":
            self.line(content["text"])
        elif kind == "update_display_data":
            self.progress(content["data"].get("text/plain", "").split("\n")[0])
        elif kind in {"display_data", "execute_result"} and "image/png" not in content["data"]:
            self.line(content["data"].get("text/plain", ""))
