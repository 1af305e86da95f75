"""Tests keep out of the user's ledger: they have a data directory of their own, and so have their kernels."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Name a temporary data directory before anything is imported or started."""
    folder = tempfile.mkdtemp(prefix="dpsynth-tests-")
    os.environ["JUPYTER_DATA_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
