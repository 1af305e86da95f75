"""This checkout beside another one, such as an earlier version, in one run on one machine.

    git worktree add ../earlier COMMIT
    python -m benchmarks.before_after ../earlier
    python -m benchmarks.before_after ../earlier --only wide --wide 50_000x300 50_000x100
    python -m benchmarks.before_after ../earlier --only scale --scale 2_000_000

Both take turns, each figure in a process of its own. `growth`, `speed`, `step_cost` and `scale` are each
checkout's own benchmarks of these names, with the same tables. `wide` learns columns of four categories that
follow twelve hidden factors, at epsilon 1, and draws as many rows; its error is the mean total-variation
distance of pairs of columns from the original table. Ratios are of the other checkout to this one: above 1
this one takes less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

HERE = Path(__file__).resolve().parent.parent
KINDS = ("wide", "growth", "speed", "step_cost", "scale")
FACTORS, CATEGORIES = 12, "abcd"
PAIRS = 3_000  # whose distance is looked at
SPEED = """
import json
from benchmarks.speed import measure
from jupyter_dpsynth.datasets import load_census_sample
print(json.dumps({row["what"]: row["value"] for row in measure(load_census_sample())}))
"""
STEPS = """
import json
from benchmarks.step_cost import BATCHES, measure, random_codes, variants
ours = {"ours, private": variants(random_codes(max(BATCHES)))["ours, private"]}
print(json.dumps({f"ms a step of {size}": measure(size, ours)["ours, private"] for size in BATCHES}))
"""


def table(rows: int, columns: int, seed: int = 0) -> pd.DataFrame:
    """Columns of four categories; each follows one of twelve hidden factors in part of its rows."""
    import pandas as pd

    random, names = np.random.default_rng(seed), np.array(list(CATEGORIES))
    factors = random.integers(len(names), size=(rows, FACTORS))
    made = {}
    for number in range(columns):
        follows = random.random(rows) < random.uniform(0.3, 0.8)
        factor = random.permutation(len(names))[factors[:, random.integers(FACTORS)]]
        own = random.choice(len(names), size=rows, p=random.dirichlet(np.full(len(names), 3.0)))
        made[f"answer {number}"] = names[np.where(follows, factor, own)]
    return pd.DataFrame(made)


def two_way_error(df: pd.DataFrame, made: pd.DataFrame) -> float:
    """Mean total-variation distance of the tables of some pairs of columns."""
    codes = [
        np.stack([np.searchsorted(list(CATEGORIES), each[name].to_numpy().astype(str)) for name in df])
        for each in (df, made)
    ]
    random, size, found = np.random.default_rng(0), len(CATEGORIES) + 1, []  # and 'other'
    for _ in range(PAIRS):
        one, other = random.choice(len(df.columns), 2, replace=False)
        shares = [np.bincount(c[one] * size + c[other], minlength=size**2) / c.shape[1] for c in codes]
        found.append(np.abs(shares[0] - shares[1]).sum() / 2)
    return float(np.mean(found))


def wide(rows: int, columns: int) -> dict[str, float]:
    """Learn and draw one table in this process, with the package that is on the path."""
    import tensorflow as tf  # noqa: F401 - its import is not part of the time

    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, PrivacyLedger

    df = table(rows, columns)
    ledger = PrivacyLedger(Path(tempfile.mkdtemp(prefix="dpsynth-benchmark-")) / "ledger.sqlite3")
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=1.0))
    began, used = time.perf_counter(), time.process_time()
    synthesizer.learn(df, callback=lambda _: None, ledger=ledger)
    found = {
        "learned in s": time.perf_counter() - began,
        "learned in processor s": time.process_time() - used,
    }
    synthesizer.synthesize(rows, seed=0)
    began, used = time.perf_counter(), time.process_time()
    made = synthesizer.synthesize(rows, seed=1)
    found["drawn in s"] = time.perf_counter() - began
    found["drawn in processor s"] = time.process_time() - used
    with Path("/proc/self/status").open(encoding="ascii") as status:
        found["peak GB"] = next(int(line.split()[1]) / 1e6 for line in status if line.startswith("VmHWM"))
    return {**found, "two-way error": two_way_error(df, made)}


def told(checkout: Path, *command: str) -> dict[str, Any]:
    """What a command prints in its last line, with the package and the benchmarks of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def commands(kind: str, sizes: Sequence[tuple[int, ...]], folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What is measured, in words, and the command that does it."""
    if kind in ("speed", "step_cost"):
        yield kind, ["-c", SPEED if kind == "speed" else STEPS]
    for size in sizes:
        name = f"{kind} {' x '.join(f'{each:,}' for each in size)}"
        words = list(map(str, size))
        if kind == "wide":
            yield name, [str(Path(__file__).resolve()), "--one", *words]
        elif kind == "growth":
            yield name, ["-m", "benchmarks.growth", "--one", *words]
        elif kind == "scale":
            step = ["-m", "benchmarks.scale", "--folder", str(folder), "--rows", *words, "--step"]
            for make in ("model", "write"):
                told(HERE, *step, make)
            yield name, [*step, "learn"]


def compared(name: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The figures that both have, and their ratios."""
    for what, value in now.items():
        if isinstance(value, int | float) and value and what in before:
            figures = {"before": before[what], "now": value, "ratio": before[what] / value}
            yield {"what": f"{name}: {what}", **{key: float(f"{each:.4g}") for key, each in figures.items()}}


def main() -> None:
    """Measure and print."""
    from benchmarks import record

    def size(text: str) -> tuple[int, ...]:
        return tuple(int(part.replace("_", "")) for part in text.split("x"))

    line = record.parser(__doc__)
    line.add_argument("other", type=Path, nargs="?", help="folder of the other checkout")
    line.add_argument("--only", nargs="*", choices=KINDS, default=KINDS)
    line.add_argument("--wide", nargs="*", type=size, default=[(50_000, 300), (50_000, 100)])
    line.add_argument("--growth", nargs="*", type=size, default=[(50_000, 15), (50_000, 30), (50_000, 100)])
    line.add_argument("--scale", nargs="*", type=size, default=[(2_000_000,)])
    line.add_argument("--one", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="for the script itself")
    options = vars(line.parse_args())
    if options["one"]:
        print(json.dumps(wide(*options["one"])))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in options["only"]:
            for name, command in commands(kind, options.get(kind) or (), Path(folder)):
                before, now = told(options["other"].resolve(), *command), told(HERE, *command)
                for row in compared(name, before, now):
                    rows.append(row)
                    print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    record.write("before_after", rows)


if __name__ == "__main__":
    sys.path.insert(0, os.environ.get("PYTHONPATH", str(HERE)))  # not the folder of this file
    main()
