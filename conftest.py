"""What holds for all tests: a ledger of their own instead of the user's, the same examples in every run."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A test has the same examples in every run, as in CI, and no time for them that a busy machine could exceed.
# Others are tried with --hypothesis-profile=default.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

REPEATED = {"property", "statistical"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def pytest_configure(config: pytest.Config) -> None:
    """Name a temporary data directory before anything is imported or started; choose the tests."""
    folder = tempfile.mkdtemp(prefix="dpsynth-tests-")
    os.environ["JUPYTER_DATA_DIR"] = folder
    # TensorFlow would import Keras, which the package does not use, in each of the many processes of the
    # tests. This name of an older Keras, which is not installed, halves the time; see test_quickstart.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if getattr(config.option, "numprocesses", None):
        # Several processes test beside each other: with threads of their own they take a third more time. The
        # workers are started later, and inherit it.
        for name in THREADS:
            os.environ.setdefault(name, "1")
    # jsonschema would import it for a format that no schema here has, and it builds its grammars for 3 s
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # this process chooses for the workers of xdist, which are told all paths and the marks
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr:
        config.option.markexpr = "not long"
    if config.pluginmanager.hasplugin("xdist"):
        config.option.loadscopereorder = False  # files in the order that is given below


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests, and do not trace loops."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])  # at the end a slow file would keep one worker only
    if config.pluginmanager.hasplugin("pytest_cov"):
        # tests that go through the same lines thousands of times would take twice as long
        for item in items:
            if REPEATED & set(item.path.relative_to(Path(__file__).parent).parts):
                item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session", autouse=True)
def ledgers() -> Iterator[None]:
    """Give each test of this process a ledger of its own: tables of many tests have the same columns.

    Processes that a test starts share the session's, and so does a test that names another folder itself.
    """
    from jupyter_dpsynth.privacy.ledger import book

    folder, usual = os.environ["JUPYTER_DATA_DIR"], book.default_path

    def of_this_test() -> Path:
        path = usual()
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        if not path.is_relative_to(folder):
            return path
        return path.parent / hashlib.sha256(test.encode()).hexdigest()[:16] / path.name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "default_path", of_this_test)
        yield
