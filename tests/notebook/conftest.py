"""A shell or a kernel with the extension and a table `df`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.support.notebooks import EXTENSION, TABLE, Kernel, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A fresh shell with the extension and a table `df`."""
    one = Shell()
    assert not one.run(EXTENSION).error
    one.run(TABLE)
    yield one
    one.run("%unload_ext jupyter_dpsynth")
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    """A kernel with the extension and a table `df`."""
    one = Kernel()
    assert not one.run(EXTENSION).error
    assert not one.run(TABLE).error
    yield one
    one.close()
