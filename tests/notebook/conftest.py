"""A shell or a kernel with the extension and a table `df`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.support.notebooks import EXTENSION, TABLE, Kernel, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A fresh shell with the extension and a table `df`."""
    one = Shell()
    assert not one.run(EXTENSION).error
    one.run(TABLE)
    yield one
    one.run("%unload_ext jupyter_dpsynth")
    InteractiveShell.clear_instance()


@pytest.fixture
def kernel(running: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    """A kernel with the extension and a table `df`; its ledger, and other kernels', knows no other test."""
    folder = str(tmp_path / "data")
    monkeypatch.setenv("JUPYTER_DATA_DIR", folder)
    running.run(f"__import__('os').environ['JUPYTER_DATA_DIR'] = {folder!r}")
    return running


@pytest.fixture(scope="session")
def running() -> Iterator[Kernel]:
    """The one kernel of all tests, because each loads TensorFlow anew."""
    one = Kernel()
    assert not one.run(EXTENSION).error
    assert not one.run(TABLE).error
    yield one
    one.close()
