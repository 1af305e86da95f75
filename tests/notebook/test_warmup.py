"""TensorFlow is brought in quietly."""

from __future__ import annotations

import os
import time

import pytest

from jupyter_dpsynth.quiet import quiet_native_stderr
from tests.notebook.conftest import Kernel

NOTES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1700000000.727371 6175 port.cc:153] oneDNN custom operations are on.\n"
    b"2024-05-01 10:00:00.123456: I tensorflow/core/util/port.cc:113] oneDNN custom operations are on.\n"
)
IMPORTED = "'jupyter_dpsynth.engine.training' in __import__('sys').modules"


def test_what_others_write_to_stderr_meanwhile_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_stderr():
        os.write(2, NOTES + b"a line of the user\n")
    assert capfd.readouterr().err == "a line of the user\n"


def test_everything_is_shown_when_the_import_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        os.write(2, NOTES)
        raise ImportError

    with pytest.raises(ImportError), quiet_native_stderr():
        fail()
    assert capfd.readouterr().err == NOTES.decode()


@pytest.mark.tensorflow
@pytest.mark.slow
def test_an_idle_kernel_gets_tensorflow_ready_by_itself() -> None:
    kernel = Kernel()
    try:
        loading = kernel.run("%load_ext jupyter_dpsynth")
        assert kernel.value(IMPORTED) is False
        end = time.monotonic() + 120
        while not kernel.value(IMPORTED):
            assert time.monotonic() < end
            time.sleep(3)  # the kernel counts as idle after a second
        assert loading.text == ""
    finally:
        kernel.close()
