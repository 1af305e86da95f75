"""Execute the notebooks of this repository in place, so that they are kept with their outputs."""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def main() -> None:
    """Run every notebook from top to bottom and write it back without timings."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:  # a ledger of its own, empty as a reader's is
            client = NotebookClient(notebook, timeout=600, record_timing=False)
            data = str(Path(folder) / ".local" / "share" / "jupyter")
            client.execute(cwd=str(NOTEBOOKS), env={**os.environ, "HOME": folder, "JUPYTER_DATA_DIR": data})
        notebook.metadata.pop("widgets", None)
        notebook.metadata.language_info = {"name": "python"}
        nbformat.write(notebook, path)


if __name__ == "__main__":
    sys.exit(main())
