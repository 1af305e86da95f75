"""Browser tests need a Chromium; on a CI machine its absence is a failure, elsewhere a skip."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.browser import JupyterServer


def _missing() -> str:
    try:
        from tests.support.browser import chromium_path
    except ImportError as error:
        return f"{error.name} is not installed"
    return "" if chromium_path() else "no Chromium on the path and none named in CHROMIUM"


@pytest.fixture
def jupyter() -> Iterator[Callable[..., JupyterServer]]:
    """Starts Jupyter servers that end with the test."""
    missing = _missing()
    if missing and not os.environ.get("CI"):
        pytest.skip(f"browser tests need a browser: {missing}")
    assert not missing, missing
    from contextlib import ExitStack

    from tests.support.browser import JupyterServer

    with ExitStack() as servers:
        yield lambda **settings: servers.enter_context(JupyterServer(**settings))
