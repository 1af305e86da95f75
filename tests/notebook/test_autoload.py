"""docs/installing.md: named in IPython's configuration, the extension is there without %load_ext."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.notebooks import Kernel

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "installing.md").read_text(encoding="utf-8")


def test_the_documented_configuration_loads_the_extension(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = re.search(r"```python\n(c = get_config\(\)\n.*?)```", TEXT, re.DOTALL)
    assert config is not None
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(config.group(1))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    kernel = Kernel()
    try:
        cell = kernel.run("%dpsynth config epsilon")
        assert cell.error == ""
        assert "0.5" in cell.text + cell.shown
        assert kernel.run("%load_ext jupyter_dpsynth").error == ""  # twice does no harm
    finally:
        kernel.close()
