"""Measure what a visitor of the Binder meets: time to the first synthetic table, and peak of memory.

usage, in an environment that binder/postBuild has made: python -m tools.measure_binder

A real JupyterLab is started, the quickstart opened in Chromium and all its cells run. Memory is the
proportional set size (PSS) of the server and all its processes, summed; the browser is the visitor's and does
not count.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import nbformat
import psutil

from tests.support.browser import KERNEL, JupyterServer, until

QUICKSTART = Path(__file__).resolve().parent.parent / "notebooks" / "quickstart.ipynb"
EVERY = 0.2  # seconds
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }"
OUTPUTS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
    .filter(cell => cell.type === 'code').map(cell => JSON.stringify(cell.outputs.toJSON()))"""
FIRST_TABLE = "10,000 synthetic rows"
EMPTY = "[]"


def server_megabytes(pid: int) -> float:
    """PSS of the Jupyter server and what it has started."""
    total = 0
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def main() -> None:
    """Open, run, print the figures."""
    highest, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(EVERY):
            highest = max(highest, server_megabytes(server.pid))

    with JupyterServer() as server:
        notebook = nbformat.read(QUICKSTART, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        notebook.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
        nbformat.write(notebook, server.root / QUICKSTART.name)
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        page = server.open(QUICKSTART.name).page
        ready = time.monotonic() - began
        page.evaluate(RUN_ALL)
        until(lambda: FIRST_TABLE in "".join(page.evaluate(OUTPUTS)), "the first synthetic table", 600)
        first = time.monotonic() - began
        until(lambda: page.evaluate(OUTPUTS)[-1] != EMPTY, "the last cell", 600)
        done.set()
        watcher.join()
    print(f"notebook ready after {ready:.0f} s, first synthetic table after {first:.0f} s")
    print(f"peak of the server's memory: {highest:,.0f} MB")


if __name__ == "__main__":
    main()
