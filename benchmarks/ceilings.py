"""What binds at a large epsilon: chance, the cells of numbers and names, or the model and its noise.

    python -m benchmarks.ceilings --data FOLDER

*Halves* sets one half of the rows that are learned beside the other half: two independent tables of half the
size differ by that much. *Cells alone* are the rows themselves, each value drawn anew within its cell of a
plan at epsilon 10. The figures are those of `benchmarks.utility`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from benchmarks.tables import public_domain, read_tables
from benchmarks.utility import score
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.tables import Table

EPSILON = 10.0


def cells_alone(table: Table, epsilon: float, known: dict[str, Any]) -> pd.DataFrame:
    """The rows as the cells of this package hold them; not private."""
    config = HighDimConfig(epsilon=epsilon, steps=1)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(table.train, **known), config)
    synthesizer.learn(table.train, callback=lambda _: None, ledger=record.scratch_ledger())
    codec = synthesizer.learned.codec
    return codec.decode(codec.encode(table.train).astype(np.int32), np.random.default_rng(0))


def measure(table: Table) -> list[dict[str, Any]]:
    """Both ceilings of one table."""
    middle = len(table.train) // 2
    first, second = table.train.iloc[:middle].reset_index(drop=True), table.train.iloc[middle:]
    made = {
        "halves": (replace(table, train=first), second.reset_index(drop=True)),
        "cells alone": (table, cells_alone(table, EPSILON, public_domain(table.train))),
    }
    rows = [{"table": table.name, "what": what, **score(*pair)} for what, pair in made.items()]
    for row in rows:
        print(*row.values(), flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--data", type=Path, required=True, help="folder with CSV or Parquet files")
    line.add_argument("--tables", nargs="*", help="file names without endings; by default all")
    options = line.parse_args()
    for table in read_tables(options.data, options.tables, {}):
        record.update("ceilings", measure(table), ("table", "what"))


if __name__ == "__main__":
    main()
