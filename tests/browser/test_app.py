"""`jupyter dpsynth app` in a browser: a colleague opens a file, trains, compares and downloads."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.tensorflow]
LINK = re.compile(r"http://\S+[?&]token=\w{20,}")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file of 3,000 rows."""
    random = np.random.default_rng(0)
    columns = {"age": random.integers(18, 90, 3000), "city": random.choice(["Graz", "Wien"], 3000)}
    path = tmp_path / "patients.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """Where the app is served, with its secret."""
    pytest.importorskip("voila")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter_dpsynth.cli", "app", "--no-browser", f"--port={port}"]
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
    from tests.support.browser import until

    def found() -> str:
        assert process.poll() is None, "".join(said)
        return next((match[0] for line in said if (match := LINK.search(line))), "")

    try:
        yield until(found, "the link", 90)
    finally:
        process.terminate()
        process.wait(30)


def test_a_colleague_opens_a_file_trains_looks_and_downloads(link: str, table: Path, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    from tests.support.browser import CHROMIUM_FLAGS, chromium_path

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=CHROMIUM_FLAGS
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(link, timeout=120_000)
        page.get_by_placeholder("a path on this machine").fill(str(table))
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Open").click()
        page.wait_for_selector("text=patients.csv is open.", timeout=60_000)
        sent = {"name": "sent.csv", "mimeType": "text/csv", "buffer": table.read_bytes()}
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Upload").click()
        chooser.value.set_files(sent)
        page.wait_for_selector("text=sent.csv is open.", timeout=60_000)
        page.get_by_role("button", name="Train").click()
        page.wait_for_selector("text=Learned as", timeout=300_000)
        page.get_by_role("button", name="Synthesize").click()
        page.wait_for_selector("text=This cost no epsilon", timeout=60_000)
        page.get_by_role("button", name="Compare").click()
        page.wait_for_selector("text=Dependence of every pair of columns", timeout=120_000)
        page.get_by_role("button", name="Make downloads").click()
        with page.expect_download() as download:
            page.click("a[download='synthetic.csv']", timeout=60_000)
        download.value.save_as(tmp_path / "synthetic.csv")
        browser.close()
    made = pd.read_csv(tmp_path / "synthetic.csv")
    assert list(made.columns) == ["age", "city"]
    assert set(made["city"]) <= {"Graz", "Wien", "other"}


def test_without_the_secret_nobody_gets_the_page(link: str) -> None:
    import urllib.request

    for path in ("", "api/kernels"):
        with urllib.request.urlopen(link.partition("?")[0] + path, timeout=30) as answer:
            assert "/login?" in answer.url
