"""How long an answer with intervals takes, and how large a saved model is, against the number of columns.

    python -m benchmarks.answers
    python -m benchmarks.answers --columns 5 20 80

Columns of five categories, of which each depends on the one before. Training is cut to 40 steps, because
neither figure depends on their number. The first question draws rows of the model and computes their
gradients, further ones use them again.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import record
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, CATEGORIES, STEPS, SEED = 5000, 5, 40, 0


def table(columns: int) -> pd.DataFrame:
    """Columns in a chain."""
    generator = np.random.default_rng(SEED)
    made = [generator.integers(0, CATEGORIES, ROWS)]
    for _ in range(columns - 1):
        same = generator.random(ROWS) < 0.4
        made.append(np.where(same, made[-1], generator.integers(0, CATEGORIES, ROWS)))
    return pd.DataFrame({f"c{place}": values for place, values in enumerate(made)})


def seconds(act: Callable[[], object]) -> float:
    """Processor time of this process."""
    started = time.process_time()
    act()
    return round(time.process_time() - started, 2)


def measure(columns: int, folder: Path) -> dict[str, Any]:
    """Times and sizes for one number of columns."""
    df = table(columns)
    meta = MetaExtractor.extract(df, categories={name: list(range(CATEGORIES)) for name in df})
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=1.0, steps=STEPS))
    synthesizer.learn(df, lambda _: None, noise=NoiseSource(SEED), ledger=record.scratch_ledger())
    path = folder / f"{columns}.dps"
    synthesizer.save(path)
    tape = synthesizer.learned.tape
    loaded = HighDimSynthesizer.load(path)
    return {
        "columns": columns,
        "weights": len(synthesizer.learned.model.layout.free),
        "windows": 0 if tape is None else len(tape.windows),
        "megabytes": round(path.stat().st_size / 1e6, 3),
        "first": seconds(lambda: loaded.infer("I(c1 == 2) ~ c0 + c2", "binomial")),
        "further": seconds(lambda: loaded.infer("c3 ~ c1 + c4")),
        "weighted": seconds(lambda: loaded.weighted(ROWS)),
        "seed": SEED,
    }


def main() -> int:
    """Measure every number of columns that is asked for."""
    parser = record.parser(__doc__ or "")
    parser.add_argument("--columns", nargs="+", type=int, default=[5, 10, 20, 40, 80])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for columns in options.columns:
            found.append(measure(columns, Path(folder)))
            print(found[-1], flush=True)
    record.update("answers", found, ["columns"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
