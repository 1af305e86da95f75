"""Time to a result: loading, encoding, calibrating, learning, sampling.

    python -m benchmarks.speed
    python -m benchmarks.speed --data FOLDER      (the census table in it instead of the packaged sample)

Every figure is the best of a few runs: what the machine can do when it is left alone. Times that include
imports are measured in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

REPEATS = 3
ENCODED_ROWS, SAMPLED_ROWS = 1_000_000, 500_000

LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_line_magic("load_ext", "jupyter_dpsynth")
print(time.perf_counter() - began)
"""
FIRST_FRAME = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
from jupyter_dpsynth.datasets import load_census_sample
from jupyter_dpsynth.notebook.show.progress import TrainingProgress
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_dpsynth")
shell.user_ns["df"] = load_census_sample()
opened = TrainingProgress.open
def first(self):
    opened(self)
    sys.stderr.write(f"first {time.perf_counter() - began}\\n")
TrainingProgress.open = first
began = time.perf_counter()
shell.run_cell_magic("dpsynth", "learn df", "steps = 5")
"""


def best(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Shortest time of a few calls, seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def in_process(code: str, mark: str = "") -> float:
    """The number that a fresh Python prints (behind a mark, to either stream)."""
    found = []
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(record.scratch_ledger().path.parent)}
    for _ in range(REPEATS):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        lines = [text for text in (done.stdout + done.stderr).splitlines() if text.startswith(mark)]
        found.append(float(lines[-1].removeprefix(mark)))
    return min(found)


def measure(df: pd.DataFrame) -> list[dict[str, Any]]:
    """All figures."""
    load, frame = in_process(LOAD), in_process(FIRST_FRAME, "first ")
    import tensorflow as tf  # noqa: F401 - its import is not part of what follows

    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
    from jupyter_dpsynth.engine.planning.plan import plan_run
    from jupyter_dpsynth.privacy import accounting

    df_meta, config = MetaExtractor.extract(df), HighDimConfig(epsilon=1.0)
    made: list[HighDimSynthesizer] = []
    ledger = record.scratch_ledger()

    def learn() -> None:
        made[:] = [HighDimSynthesizer(df_meta, config).learn(df, callback=lambda _: None, ledger=ledger)]

    def calibrate() -> None:
        accounting._epsilon.cache_clear()  # noqa: SLF001 - what was computed before must not be reused
        plan_run(config.resolve(), df_meta, float(len(df)))

    first = best(learn, 1)  # with everything that is compiled and loaded once
    seconds = best(learn)
    codec = made[0].codec
    many = df.iloc[np.random.default_rng(0).integers(len(df), size=ENCODED_ROWS)].reset_index(drop=True)
    sampling = best(lambda: made[0].synthesize(SAMPLED_ROWS, seed=0))
    rows = [
        ("%load_ext jupyter_dpsynth", load, "s"),
        ("first display of the learn cell, before TensorFlow is imported", frame, "s"),
        ("calibration", best(calibrate), "s"),
        ("learn() to a usable synthesizer, first run", first, "s"),
        ("learn() to a usable synthesizer, later runs", seconds, "s"),
        (
            f"encoding {ENCODED_ROWS:,} rows of {len(df.columns)} columns",
            best(lambda: codec.encode(many)),
            "s",
        ),
        ("synthesizing", SAMPLED_ROWS / sampling, "rows/s"),
    ]
    return [{"what": what, "value": round(value, 3), "unit": unit} for what, value, unit in rows]


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--data", type=Path, help="folder with census.csv.gz")
    options = line.parse_args()
    if options.data:
        from benchmarks.tables import read_tables

        df = read_tables(options.data, ["census"], {})[0].train
    else:
        from jupyter_dpsynth.datasets import load_census_sample

        df = load_census_sample()
    rows = measure(df)
    for row in rows:
        print(f"{row['what']:60s} {row['value']:>12,} {row['unit']}")
    record.write("speed", rows)


if __name__ == "__main__":
    main()
