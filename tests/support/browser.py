"""A private Jupyter server and a Chromium that drives it, both gone when the `with` block ends."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from playwright.sync_api import Locator, Page
    from typing_extensions import Self

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
KERNEL = "dpsynth-test"  # never 'python3': that name may mean another environment
NO_ANNOUNCEMENTS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
SHOTS = os.environ.get("DPSYNTH_SCREENSHOTS")  # a folder for screenshots, for looking at them
TABLE = """\
%load_ext jupyter_dpsynth
import numpy as np, pandas as pd
random = np.random.default_rng(0)
df = pd.DataFrame({"age": random.integers(18, 90, 4321), "city": random.choice(["Graz", "Wien"], 4321)})
"""
THEMES = "@jupyterlab/apputils-extension:themes"

WAIT_FOR_KERNEL = """async () => {
    for (let k = 0; k < 600; k++) {
        const widget = window.jupyterapp?.shell?.currentWidget;
        const session = widget?.sessionContext ?? widget?.context?.sessionContext;
        if (session) {
            await session.ready;
            const kernel = session.session?.kernel;
            if (kernel) {
                await kernel.info;
                if (kernel.status === 'idle' && kernel.connectionStatus === 'connected') return;
            }
        }
        await new Promise(done => setTimeout(done, 100));
    }
    throw new Error('the kernel never became ready');
}"""


def chromium_path() -> str | None:
    """A Chromium to drive: the one named in the environment, or one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for a condition and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds:g} s for: {what}")


class JupyterServer:
    """JupyterLab (or Notebook) on a free local port, with its own folders and one kernel.

    Args:
        app: 'lab' or 'notebook'.
        theme: Name of the JupyterLab theme.

    Attributes:
        root: Folder of the notebooks.
        requests: Addresses of everything the browser asked for.
        problems: Errors of the page itself.
    """

    def __init__(self, app: str = "lab", theme: str = "JupyterLab Light") -> None:
        self.app, self.theme = app, theme
        self.requests: list[str] = []
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="dpsynth-browser-"))
        self.root = self._folder / "root"
        self.root.mkdir()
        self._write_settings()
        self._token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        try:
            self._start_server()
            self._playwright = sync_playwright().start()
            self._browser = self._playwright.chromium.launch(
                executable_path=chromium_path(), headless=True, timeout=60_000, args=CHROMIUM_FLAGS
            )
            self._context = self._browser.new_context(viewport={"width": 1280, "height": 1000})
        except BaseException:
            self.__exit__()
            raise
        return self

    def _write_settings(self) -> None:
        kernel = self._folder / "data/kernels" / KERNEL
        kernel.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": KERNEL,
            "language": "python",
        }
        (kernel / "kernel.json").write_text(json.dumps(spec))
        settings = self._folder / "settings" / (THEMES.replace(":", "/") + ".jupyterlab-settings")
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"theme": self.theme}))
        page = self._folder / "config/labconfig"
        page.mkdir(parents=True)
        (page / "page_config.json").write_text(json.dumps(NO_ANNOUNCEMENTS))

    def _start_server(self) -> None:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, paths))}
        environment |= {key: str(self._folder / name) for key, name in folders.items()}
        expose = "LabApp" if self.app == "lab" else "JupyterNotebookApp"
        self._log = (self._folder / "server.log").open("w")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter", self.app, "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={self._port}", f"--IdentityProvider.token={self._token}"),
                *(f"--ServerApp.root_dir={self.root}", f"--{expose}.expose_app_in_browser=True"),
            ],
            cwd=self.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        until(self._answers, "the Jupyter server to answer", 90)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "server.log").read_text())
        try:
            with urllib.request.urlopen(self._url("api/status"), timeout=2):
                return True
        except OSError:
            return False

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}?token={self._token}"

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook with these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
        path = self.root / name
        nbformat.write(notebook, path)
        return path

    def open(self, name: str, *, kernel: bool = True) -> NotebookPage:
        """Open a notebook in a new page and wait until its kernel listens."""
        page = self._context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        folder = "lab/tree" if self.app == "lab" else "notebooks"
        page.goto(self._url(f"{folder}/{name}"), timeout=60_000)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        if kernel:
            page.evaluate(WAIT_FOR_KERNEL)
        return NotebookPage(page, self)

    @property
    def pid(self) -> int:
        """Process of the server."""
        return self._process.pid

    @property
    def outside_requests(self) -> list[str]:
        """Addresses asked for that are not this machine."""
        local = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:")
        return sorted({url for url in self.requests if not local.match(url)})

    def __exit__(self, *_: object) -> None:
        for name, end in (("_context", "close"), ("_browser", "close"), ("_playwright", "stop")):
            if hasattr(self, name):
                getattr(getattr(self, name), end)()
        if hasattr(self, "_process"):
            self._process.terminate()  # the server ends its kernels
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class NotebookPage:
    """An open notebook."""

    def __init__(self, page: Page, server: JupyterServer) -> None:
        self.page, self.server = page, server

    def cell(self, index: int) -> Locator:
        """A cell by position."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> str:
        """What a cell shows below its code: never the cell's text, which contains the source."""
        return "\n".join(self.cell(index).locator(".jp-OutputArea-output").all_inner_texts())

    def prompt(self, index: int) -> str:
        """`[ ]:`, `[*]:` or `[3]:`."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text()

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        for _ in range(5):  # a cell that is run before the session is ready is dropped silently
            self.cell(index).locator(".cm-content").click()
            self.page.keyboard.press("Control+Enter")
            for _ in range(100):  # a busy browser is slow to show that it runs; again, it would run twice
                if not re.search(r"\[ ?\]", self.prompt(index)):
                    return
                time.sleep(0.1)
        raise TimeoutError(f"cell {index} does not start")

    def finish(self, index: int, seconds: float = 180) -> str:
        """Wait until a cell has ended and return its output."""
        until(lambda: re.search(r"\[\d+\]", self.prompt(index)), f"cell {index} to end", seconds)
        return self.output(index)

    def run(self, index: int, seconds: float = 180) -> str:
        """Run a cell and return its output."""
        self.start(index)
        return self.finish(index, seconds)

    def type_into(self, field: Locator, text: str) -> None:
        """Type into a field, key by key."""
        field.focus()
        self.page.keyboard.type(text)

    def interrupt(self) -> None:
        """Press the interrupt button."""
        buttons = '[data-command="notebook:interrupt-kernel"], [data-command="kernelmenu:interrupt"]'
        self.page.locator(buttons).first.click()

    def restart(self) -> None:
        """Restart the kernel, agree to it, and wait until it listens."""
        command = "window.jupyterapp.commands.execute('kernelmenu:restart')"
        self.page.evaluate(f"() => {{ window.restarted = {command} }}")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.evaluate("() => window.restarted")  # settled when the old kernel is gone
        self.page.evaluate(WAIT_FOR_KERNEL)

    def save(self) -> None:
        """Save the notebook to its file."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


def shoot(notebook: NotebookPage, name: str) -> None:
    """Take a picture if somebody wants to look at it."""
    if SHOTS:
        notebook.page.screenshot(path=Path(SHOTS) / f"{name}.png")


def until_shown(notebook: NotebookPage, index: int, pattern: str) -> re.Match[str]:
    """Wait for a cell to show a pattern."""
    what = f"cell {index} to show {pattern}"
    try:
        return until(lambda: re.search(pattern, notebook.output(index)), what)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; it shows:\n{notebook.output(index)}") from None
