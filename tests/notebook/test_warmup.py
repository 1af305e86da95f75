"""TensorFlow is brought in quietly."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time

import pytest

from jupyter_dpsynth.quiet import has_stderr_of_its_own, quiet_native_stderr
from tests.support.notebooks import Kernel

NOTES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1700000000.727371 6175 port.cc:153] oneDNN custom operations are on.\n"
    b"2024-05-01 10:00:00.123456: I tensorflow/core/util/port.cc:113] oneDNN custom operations are on.\n"
)
IMPORTED = "'jupyter_dpsynth.engine.training.trainer' in __import__('sys').modules"


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


def test_blocks_of_several_threads_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_native_stderr():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    with quiet_native_stderr():
        os.write(2, NOTES + b"one\n")
        leave.set()
        thread.join()
        os.write(2, b"two\n")
    os.write(2, b"three\n")
    assert capfd.readouterr().err == "one\ntwo\nthree\n"


def test_only_where_python_does_not_write_to_descriptor_2_may_it_be_redirected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = "from jupyter_dpsynth.quiet import has_stderr_of_its_own as own; print(own())"
    script = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert script.stdout.strip() == "False"
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert has_stderr_of_its_own()


PLAIN_LEARN = """
import os, sys, threading
import numpy as np, pandas as pd
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
df = pd.DataFrame({"a": np.arange(1500) % 7, "b": np.arange(1500) % 3 + 0.25})
meta = MetaExtractor.extract(df, bounds={"a": (0, 6), "b": (0, 5)})
start = threading.Timer(2, os.write, (2, b"a native line\\n"))
start.start()
learned = HighDimSynthesizer(meta, HighDimConfig(epsilon=4, steps=3, batch_size=100_000_000)).learn(df)
start.join()
os.write(2, b"another native line\\n")
print("printed", "tensorflow" in sys.modules)
"""


@pytest.mark.long
@pytest.mark.tensorflow
@pytest.mark.slow
def test_learning_without_the_magics_is_as_quiet_and_loses_no_other_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    kernel = Kernel()
    try:
        cell = kernel.run(PLAIN_LEARN)
    finally:
        kernel.close()
    assert not cell.error
    assert "finished: step 3/3" in cell.text
    assert "printed True" in cell.text
    native = capfd.readouterr().err  # under pytest a kernel leaves its descriptor 2 where it is
    assert "a native line" in native
    assert "another native line" in native
    for note in ("cuda", "CUDA", "cuInit", "oneDNN", "absl", "cpu_feature_guard"):
        assert note not in native + cell.text


@pytest.mark.long
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
