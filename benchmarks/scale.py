"""Rows per second and peak memory of learning from Parquet and of writing synthetic Parquet, by row count.

    python -m benchmarks.scale
    python -m benchmarks.scale --rows 200_000 2_000_000 --wide 0 --folder FOLDER
    python -m benchmarks.scale --rows

A model of 30 columns (two persons of the packaged census sample side by side) makes the tables, which are
learned at epsilon 1. A wide table follows: 300 columns of that sample, ten of 100,000 names, one of long free
text. Every step runs in a process of its own, whose peak memory is what the system counted, mapped files
included. The tables lie in a temporary folder and are removed.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import growth, record

ROWS = (200_000, 2_000_000, 20_000_000)
EPSILON = 1.0
WIDE_ROWS, WIDE_COLUMNS, GROUP_ROWS = 500_000, 289, 50_000
NAMED_COLUMNS, NAMES = 10, 100_000
LETTERS = 500  # of a text


def two_persons() -> Any:  # noqa: ANN401 - a pandas DataFrame
    """The census sample twice, side by side: 30 columns."""
    import pandas as pd

    from jupyter_dpsynth.datasets import load_census_sample

    df = load_census_sample()
    other = df.sample(frac=1, random_state=0).reset_index(drop=True).add_suffix("_2")
    return pd.concat([df, other], axis=1)


def peak_gigabytes() -> float:
    """Most memory that this process had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def make_model(folder: Path) -> dict[str, Any]:
    """Learn the model that makes the tables."""
    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor

    df = two_persons()
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=10.0))
    synthesizer.learn(df, callback=lambda _: None, ledger=record.scratch_ledger())
    synthesizer.save(folder / "model.dps")
    return {}


def write(folder: Path, rows: int) -> dict[str, Any]:
    """Write a table of so many rows."""
    from jupyter_dpsynth import HighDimSynthesizer

    synthesizer = HighDimSynthesizer.load(folder / "model.dps")
    began = time.perf_counter()
    files = synthesizer.synthesize(rows, seed=0, to=folder / "table" / "*.parquet")
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in files) / 1e9
    return {"seconds": seconds, "gigabytes on disk": size}


def write_wide(folder: Path, rows: int) -> dict[str, Any]:
    """Write a table of many columns, some of many names, one of free text."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    began = time.perf_counter()
    (folder / "table").mkdir()
    writer = None
    for start in range(0, rows, GROUP_ROWS):
        many = min(GROUP_ROWS, rows - start)
        names = {f"name {number}": random.integers(NAMES, size=many) for number in range(NAMED_COLUMNS)}
        named = pd.DataFrame(names).astype(str)
        texts = random.integers(97, 123, (many, LETTERS), dtype=np.uint8)
        named["note"] = [bytes(text).decode("ascii") for text in texts]
        group = pa.Table.from_pandas(growth.table(many, WIDE_COLUMNS).join(named), preserve_index=False)
        writer = writer or pq.ParquetWriter(folder / "table" / "wide.parquet", group.schema)
        writer.write_table(group)
    if writer is not None:
        writer.close()
    return {"seconds": time.perf_counter() - began}


def learn(folder: Path, rows: int) -> dict[str, Any]:
    """Learn the table that was written, and say what was planned."""
    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
    from jupyter_dpsynth.engine.planning.forecast import forecast

    pattern = folder / "table" / "*.parquet"
    df_meta, config = MetaExtractor.extract(pattern), HighDimConfig(epsilon=EPSILON)
    plan = forecast(config.resolve(), df_meta, float(rows), "quick", partitioned=True)
    began = time.perf_counter()
    phases: dict[str, float] = {}

    def note(report: Any) -> None:  # noqa: ANN401 - a StepReport
        phases.setdefault(report.phase, time.perf_counter() - began)

    HighDimSynthesizer(df_meta, config).learn(pattern, callback=note, ledger=record.scratch_ledger())
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "seconds of training": phases.get("finished", seconds) - phases.get("training", seconds),
        "gigabytes planned": plan.megabytes / 1000,
        "gigabytes of temporary files planned": plan.disk_megabytes / 1000,
    }


def in_process(step: str, folder: Path, rows: int) -> dict[str, Any]:
    """One step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--folder", str(folder)]
    command += ["--rows", str(rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "seconds" in found:
        found = {"what": step, "rows": rows, "rows/s": rows / found["seconds"], **found}
        print(", ".join(f"{key} {_short(value)}" for key, value in found.items()), flush=True)
    return found


def _short(value: Any) -> str:  # noqa: ANN401 - a number or a word
    return value if isinstance(value, str) else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--rows", type=lambda text: int(text.replace("_", "")), nargs="*", default=list(ROWS))
    line.add_argument("--wide", type=int, default=WIDE_ROWS, help="rows of the wide table; 0 for none")
    line.add_argument("--folder", type=Path, help="where to; a temporary folder by default")
    line.add_argument("--step", help="one step, for the script itself")
    options = line.parse_args()
    if options.step:
        steps = {"model": lambda folder, _: make_model(folder), "write": write, "write wide": write_wide}
        steps |= {"learn": learn, "learn wide": learn}
        found = steps[options.step](options.folder, options.rows[0])
        print(json.dumps({**found, "gigabytes at the peak": peak_gigabytes()}))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="dpsynth-scale-"))
    folder.mkdir(exist_ok=True)
    try:
        if options.rows:
            in_process("model", folder, 0)
            long = []
            for many in options.rows:
                long += [in_process(step, folder, many) for step in ("write", "learn")]
                shutil.rmtree(folder / "table")
            record.write("scale", long)
        if options.wide:
            wide = [in_process(f"{step} wide", folder, options.wide) for step in ("write", "learn")]
            record.write("wide", wide)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
