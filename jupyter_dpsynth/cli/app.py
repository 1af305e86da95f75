"""`jupyter dpsynth app`: a page for people who write no code, shown by Voila on this machine only."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_app"]

CODE = "from jupyter_dpsynth.notebook.app import App\nApp().show()"
KERNEL = "dpsynth-app"


def add_app(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "app",
        help="start a page for people who write no code: choose a table, learn it, download",
        description="Start a page in the browser: choose or upload a table, set epsilon, learn, look at the "
        "report, download. It is served to this machine only, and only to those who have the link with its "
        "secret. Ctrl-C ends it. Needs the extra 'app' (Voila).",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, default=8866, help="the port (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="open no browser; the link is printed")
    parser.set_defaults(run=app)


def app(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        MissingDependencyError: Voila is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("voila") is None:
        raise MissingDependencyError(
            "voila is not installed, and the app needs it: install jupyter_dpsynth[app]."
        )
    with tempfile.TemporaryDirectory(prefix="dpsynth-app-") as folder:
        page = _write_page(Path(folder))
        arguments = [
            *(str(page), "--Voila.ip=127.0.0.1", f"--port={options.port}", "--Voila.auto_token=True"),
            *("--show_tracebacks=False", "--VoilaConfiguration.strip_sources=True"),
            *(("--no-browser",) if options.no_browser else ()),
        ]
        paths = [folder, os.environ.get("JUPYTER_PATH", "")]  # the page's kernel is found there
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
        from voila.app import Voila

        Voila.launch_instance(argv=arguments)
    return 0


def _write_page(folder: Path) -> Path:
    """Write the notebook that Voila shows, and name this Python as its kernel."""
    kernel = folder / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": KERNEL, "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    cell: dict[str, Any] = {"cell_type": "code", "id": "app", "source": CODE}
    cell |= {"execution_count": None, "metadata": {}, "outputs": []}
    named = {"kernelspec": {"name": KERNEL, "display_name": KERNEL, "language": "python"}}
    notebook = {"cells": [cell], "metadata": named, "nbformat": 4, "nbformat_minor": 5}
    page = folder / "private-synthetic-tables.ipynb"
    page.write_text(json.dumps(notebook), encoding="utf-8")
    return page
