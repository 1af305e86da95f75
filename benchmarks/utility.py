"""How good synthetic tables are at equal epsilon: ours, independent columns, and peers that are installed.

    python -m benchmarks.utility --data FOLDER
    python -m benchmarks.utility --data FOLDER --domain --peers dpmm-aim=PYTHON

Figures, each in [0, 1]: tvd1, tvd2, tvd3 are the mean total-variation distances of all one-way and two-way
and of 150 three-way tables; corr is the mean difference of the pairwise Cramer's V; tstr is the ROC AUC on
held-out rows of boosted trees trained on the synthetic table (trtr: on the real one); c2st the AUC of trees
that tell synthetic from held-out rows (0.5 is perfect). Peers get bounds and categories as public knowledge
and are set beside ours with the same domain; `--domain` without a value measures them alone. PYTHON is the
interpreter of the environment that has the peer.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import peers, record
from benchmarks.tables import Table, public_domain, read_tables
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.evaluation.learners import boosted_trees
from jupyter_dpsynth.evaluation.metrics import (
    Discretizer,
    cramers_v,
    mean_total_variation,
    prediction_auc,
    separation_auc,
)

if TYPE_CHECKING:
    import argparse

    import pandas as pd

KEY = ("table", "system", "epsilon", "seed")  # of a result
FIGURES = ("tvd1", "tvd2", "tvd3", "corr", "tstr", "c2st")


def score(table: Table, synthetic: pd.DataFrame) -> dict[str, float]:
    """All figures of one synthetic table."""
    synthetic = synthetic[list(table.train.columns)]
    grid = Discretizer(table.train)
    real, made = grid.codes(table.train), grid.codes(synthetic)
    pairs = np.triu_indices(len(grid.sizes), 1)
    difference = cramers_v(real, grid.sizes, corrected=False) - cramers_v(made, grid.sizes, corrected=False)
    found = {f"tvd{ways}": mean_total_variation(real, made, grid.sizes, ways) for ways in (1, 2, 3)}
    found["corr"] = float(np.abs(difference[pairs]).mean())
    if table.target is not None:
        found["tstr"] = prediction_auc(table.train, synthetic, table.holdout, table.target, boosted_trees)
    found["c2st"] = separation_auc(table.holdout, synthetic)
    return {name: round(value, 4) for name, value in found.items()}


def ours(table: Table, epsilon: float, seed: int, domain: dict[str, Any]) -> tuple[pd.DataFrame, float]:
    """A synthetic table with default settings and the seconds that learning took."""
    import jupyter_dpsynth.engine.training.trainer  # noqa: F401 - its import is not part of the time

    synthesizer = HighDimSynthesizer(
        MetaExtractor.extract(table.train, **domain), HighDimConfig(epsilon=epsilon)
    )
    began = time.perf_counter()
    synthesizer.learn(table.train, callback=lambda _: None, ledger=record.scratch_ledger())
    seconds = time.perf_counter() - began
    return synthesizer.synthesize(len(table.train), seed=seed), seconds


def independent(table: Table) -> pd.DataFrame:
    """Every column by itself, shuffled: what a system without any pairs can reach. Not private."""
    random = np.random.default_rng(0)
    return table.train.apply(lambda series: series.to_numpy()[random.permutation(len(series))])


def measure(table: Table, options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - argparse's namespace
    """All runs on one table."""
    rows: list[dict[str, Any]] = []

    def add(
        system: str, epsilon: float | None, seed: int, made: pd.DataFrame, seconds: float, **more: object
    ) -> None:
        figures = score(table, made)
        row = {"table": table.name, "system": system, "epsilon": epsilon, "seed": seed, **figures}
        rows.append({**row, "seconds": round(seconds, 1), **more})
        print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)

    add("independent columns", None, 0, independent(table), 0.0)
    add("real rows", None, 0, table.train, 0.0)
    known = public_domain(table.train)
    for epsilon, seed in itertools.product(options.epsilon, options.seeds):
        for domain in options.domain:
            made = ours(table, epsilon, seed, known if domain == "declared" else {})
            add(f"ours, {domain}", epsilon, seed, *made)
        for name, python in options.peers:
            outcome = peers.run(name, python, table.train, known, epsilon, seed, options.peer_minutes)
            if isinstance(outcome, str):
                rows.append(
                    {"table": table.name, "system": name, "epsilon": epsilon, "seed": seed, "failed": outcome}
                )
                print(table.name, name, epsilon, outcome, flush=True)
            else:
                facts = outcome.synthetic, outcome.seconds
                add(name, epsilon, seed, *facts, version=outcome.version)
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, with the two-way error as a ratio to that of independent columns."""
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if "failed" not in row:
            groups[row["table"], row["epsilon"] or 0.0, row["system"]].append(row)
    base = {
        table: members[0]["tvd2"]
        for (table, _, system), members in groups.items()
        if system.startswith("indep")
    }
    out = []
    for (table, epsilon, system), members in sorted(groups.items()):
        means = {
            name: float(np.mean([row[name] for row in members]))
            for name in (*FIGURES, "seconds")
            if name in members[0]
        }
        ratio = means["tvd2"] / base[table] if table in base else float("nan")
        out.append(
            {
                "table": table,
                "epsilon": epsilon,
                "system": system,
                "runs": len(members),
                "date": max(row.get("date", "") for row in members),
                **means,
                "ratio": ratio,
            }
        )
    return out


def _peer(text: str) -> tuple[str, str]:
    """A peer's name, and the interpreter of the environment that has it."""
    name, _, python = text.partition("=")
    return name, python or sys.executable


def add_systems(line: argparse.ArgumentParser) -> None:
    """Add the arguments that say what `measure` runs."""
    domains = ["declared", "undeclared"]
    line.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="one run with each")
    line.add_argument("--domain", nargs="*", default=domains, help=f"of ours: {', '.join(domains)}, or none")
    known = ", ".join(peers.PEERS)
    line.add_argument("--peers", nargs="*", default=[], type=_peer, metavar="NAME[=PYTHON]", help=known)
    line.add_argument("--peer-minutes", type=float, default=60)


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--data", type=Path, required=True, help="folder with CSV or Parquet files")
    line.add_argument("--tables", nargs="*", help="file names without endings; by default all")
    line.add_argument("--target", nargs="*", default=[], metavar="TABLE=COLUMN")
    line.add_argument("--epsilon", nargs="*", type=float, default=[0.5, 1.0, 3.0, 10.0])
    add_systems(line)
    options = line.parse_args()
    targets = dict(pair.split("=", 1) for pair in options.target)
    rows = []
    for table in read_tables(options.data, options.tables, targets):
        found = measure(table, options)
        rows += found
        record.update("utility", found, KEY)
    for row in summary(rows):
        print(*(f"{key}={value:.4g}" if isinstance(value, float) else value for key, value in row.items()))


if __name__ == "__main__":
    main()
