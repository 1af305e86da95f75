"""The page for people who write no code, without a browser: what it opens, refuses and offers."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.notebook.app import App
from tests.support.models import untrained

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell


@pytest.fixture
def table(shell: Shell, tmp_path: Path) -> Path:
    path = tmp_path / "patients.csv"
    shell.names["df"].to_csv(path, index=False)
    return path


def test_an_uploaded_file_is_kept_for_the_owner_only_and_opened(table: Path) -> None:
    app = App()
    content = memoryview(table.read_bytes())
    about = {"type": "text/csv", "size": len(content), "last_modified": dt.datetime.now(dt.timezone.utc)}
    app._upload.value = ({"name": "../patients.csv", "content": content, **about},)
    assert app._upload.value == ()  # the rows do not stay in the widget's state
    assert app.panel is not None
    assert "patients.csv is open" in app._message.value
    assert "%%dpsynth learn" in app.panel.code()
    assert list(app.panel.schema.columns) == ["age", "income", "city"]
    folder = app._folder.name
    assert re.search(r"dpsynth-app-", folder)
    app._folder.cleanup()


def test_how_a_file_is_read_is_told_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("a;b\n" + "1,5;x\n2,5;y\n" * 20)
    app = App()
    app.open(str(path))
    assert "read with &#39;;&#39; between fields, a decimal comma" in app._message.value


def test_what_is_no_file_is_refused_in_a_sentence(table: Path) -> None:
    app = App()
    app._path.value = str(table.with_name("none.csv"))
    app._open.click()
    assert "there is no file" in app._message.value
    assert app.panel is None


def test_everything_that_can_be_downloaded_is_a_link_that_holds_it(shell: Shell, table: Path) -> None:
    app = App()
    app.open(str(table))
    assert app.panel is not None
    app.panel._actions._used = untrained(shell.names["df"])
    app.make_links()
    names = re.findall(r'<a download="([^"]+)" href="data:application/octet-stream;base64,', app._links.value)
    assert names == ["synthetic.csv", "report.html", "receipt.html", "receipt.json", "model.dps"]
