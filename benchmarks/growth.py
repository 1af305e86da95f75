"""Time and peak memory of a run against rows and columns, beside what the plan said beforehand.

    python -m benchmarks.growth
    python -m benchmarks.growth --rows 10000 100000 --columns 10 30

Tables are drawn from a model of the packaged census sample; further columns are copies whose values are
mixed among rows, so that neighbouring columns depend on each other. Every run is a process of its own that
counts from the start of `learn` with TensorFlow imported; its memory is the process's largest resident
size from then on, libraries and table included. Processor seconds, of all threads together, hardly depend on
what else the machine does.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record

if TYPE_CHECKING:
    import pandas as pd

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = (10, 30, 100, 300)
FIXED_ROWS, FIXED_COLUMNS = 50_000, 15
MIXED = 0.3  # of a copied column's values come from another row


def table(rows: int, columns: int) -> pd.DataFrame:
    """A table with so many rows and columns."""
    from jupyter_dpsynth.datasets import load_census_sample

    sample = load_census_sample()
    random = np.random.default_rng(0)
    df = sample.iloc[random.integers(len(sample), size=rows)].reset_index(drop=True)
    names = list(sample.columns)
    copies = {}
    for number in range(columns):
        name = names[number % len(names)]
        values = df[name].to_numpy().copy()
        if number >= len(names):
            moved = random.random(rows) < MIXED
            values[moved] = values[random.integers(rows, size=int(moved.sum()))]
        copies[f"{name} {number // len(names)}"] = values
    return type(df)(copies)


def forget_peak() -> None:
    """Count the largest resident size from now on; where the system cannot, from the process's start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_megabytes() -> float:
    """Largest resident size of this process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(rows: int, columns: int) -> None:
    """Learn one table in this process and print what it took as JSON."""
    import tensorflow as tf  # noqa: F401 - its import is not part of the time

    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
    from jupyter_dpsynth.engine.planning.forecast import forecast

    df = table(rows, columns)
    df_meta = MetaExtractor.extract(df)
    config = HighDimConfig(epsilon=1.0)
    said = forecast(config.resolve(), df_meta, rows)
    phases: dict[str, float] = {}

    def note(report: Any) -> None:  # noqa: ANN401
        phases[report.phase] = report.seconds

    ledger = record.scratch_ledger()
    forget_peak()
    began, used = time.perf_counter(), time.process_time()
    synthesizer = HighDimSynthesizer(df_meta, config).learn(df, callback=note, ledger=ledger)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    peak = peak_megabytes()
    made = min(rows, 100_000)
    began = time.perf_counter()
    synthesizer.synthesize(made, seed=0)
    figures = {
        "rows": rows,
        "columns": columns,
        "seconds": round(seconds, 2),
        "processor seconds": round(used, 2),
        "before training": round(phases.get("calibrating", 0.0), 2),
        "planned seconds": round(said.seconds or 0.0, 2),
        "megabytes": round(peak),
        "planned megabytes": round(said.megabytes + df.memory_usage(deep=False).sum() / 1e6),
        "cells": int(synthesizer.codec.sizes.sum()),
        "sampled rows a second": round(made / (time.perf_counter() - began)),
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--rows", nargs="*", type=int, default=ROWS)
    line.add_argument("--columns", nargs="*", type=int, default=COLUMNS)
    line.add_argument("--one", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="measure in this process")
    options = line.parse_args()
    if options.one:
        one(*options.one)
        return
    found = []
    for rows, columns in [(n, FIXED_COLUMNS) for n in options.rows] + [
        (FIXED_ROWS, m) for m in options.columns
    ]:
        command = [sys.executable, "-m", "benchmarks.growth", "--one", str(rows), str(columns)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(rows, columns, "failed:", (done.stderr.strip().splitlines() or ["no message"])[-1])
            continue
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(*(f"{key}={value}" for key, value in found[-1].items()), flush=True)
    record.write("growth", found)


if __name__ == "__main__":
    main()
