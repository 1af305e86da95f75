"""What `jupyter dpsynth demo` refuses; that it works is shown in `test_quickstart`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.cli.demo import require
from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

DEMO = [sys.executable, "-m", "jupyter_dpsynth.cli", "demo"]


def test_the_demo_refuses_a_folder_that_does_not_exist_before_it_learns(tmp_path: Path) -> None:
    output = tmp_path / "nowhere" / "demo.html"
    done = subprocess.run([*DEMO, "--output", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == cli.FAILED
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "the folder does not exist" in done.stderr


def test_a_missing_package_is_named_together_with_the_extra_that_has_it() -> None:
    with pytest.raises(MissingDependencyError, match=r"no_such_package_here.*jupyter_dpsynth\[lab\]"):
        require(("json", "no_such_package_here"))
