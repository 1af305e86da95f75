"""`jupyter dpsynth demo`: the README's first command."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

DEMO = [sys.executable, "-m", "jupyter_dpsynth.cli", "demo"]


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_demo_shows_progress_epsilon_and_utility_and_writes_the_notebook(tmp_path: Path) -> None:
    output = tmp_path / "demo.html"
    done = subprocess.run([*DEMO, "--output", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Training · step \d+/\d+ · epsilon at most 0\.\d+ of 1", done.stdout)
    summary = done.stdout.rsplit(">>>", 1)[1]
    assert re.search(r"^epsilon = [01][.\d]*, delta = ", summary, re.MULTILINE)
    assert "Synthetic table against the noisy measurements" in summary
    assert done.stdout.rstrip().endswith(str(output))
    page = output.read_text(encoding="utf-8")
    assert "%%</span>" in page or "%%dpsynth" in page
    assert "data:image/png;base64" in page
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)


def test_the_demo_refuses_a_folder_that_does_not_exist_before_it_learns(tmp_path: Path) -> None:
    output = tmp_path / "nowhere" / "demo.html"
    done = subprocess.run([*DEMO, "--output", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == cli.FAILED
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "the folder does not exist" in done.stderr


def test_a_missing_package_is_named_together_with_the_extra_that_has_it() -> None:
    with pytest.raises(MissingDependencyError, match=r"no_such_package_here.*jupyter_dpsynth\[lab\]"):
        cli._require(("json", "no_such_package_here"))
