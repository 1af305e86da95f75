"""How good synthetic tables are at equal epsilon: ours, independent columns, and peers that are installed.

    python -m benchmarks.utility --data FOLDER
    python -m benchmarks.utility --data FOLDER --tables census --domain declared --peers dpmm-aim=PYTHON

Figures, each in [0, 1]: tvd1, tvd2, tvd3 are the mean total-variation distances of all one-way and two-way
and of 150 three-way tables; corr is the mean difference of the pairwise Cramer's V; tstr is the ROC AUC on
held-out rows of boosted trees trained on the synthetic table (trtr: on the real one); c2st the AUC of trees
that tell synthetic from held-out rows (0.5 is perfect). Peers get bounds and categories as public knowledge
and are set beside ours with the same domain, in the same run; their results are kept in a file of their own,
to which every run adds. PYTHON is the interpreter of the environment that has the peer.
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
    import pandas as pd

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
    ) -> dict[str, Any]:
        figures = score(table, made)
        row = {"table": table.name, "system": system, "epsilon": epsilon, "seed": seed, **figures}
        rows.append({**row, "seconds": round(seconds, 1), **more})
        print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
        return rows[-1]

    add("independent columns", None, 0, independent(table), 0.0)
    add("real rows", None, 0, table.train, 0.0)
    known = public_domain(table.train)
    for epsilon, seed in itertools.product(options.epsilon, range(options.seeds)):
        found = {
            domain: add(
                f"ours, {domain}",
                epsilon,
                seed,
                *ours(table, epsilon, seed, known if domain == "declared" else {}),
            )
            for domain in options.domain
        }
        for name, python in options.peers.items():
            outcome = peers.run(name, python, table.train, known, epsilon, seed, options.peer_minutes)
            if isinstance(outcome, str):
                rows.append(
                    {"table": table.name, "system": name, "epsilon": epsilon, "seed": seed, "failed": outcome}
                )
                print(table.name, name, epsilon, outcome, flush=True)
            else:
                beside = {key: found["declared"].get(key) for key in (*FIGURES, "seconds")}
                more = {"version": outcome.version, "ours": beside}
                add(name, epsilon, seed, outcome.synthetic, outcome.seconds, **more)
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
                **means,
                "ratio": ratio,
            }
        )
    return out


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--data", type=Path, required=True, help="folder with CSV or Parquet files")
    line.add_argument("--tables", nargs="*", help="file names without endings; by default all")
    line.add_argument("--target", nargs="*", default=[], metavar="TABLE=COLUMN")
    line.add_argument("--epsilon", nargs="*", type=float, default=[0.5, 1.0, 3.0, 10.0])
    line.add_argument("--seeds", type=int, default=3, help="runs of each")
    domains = ("declared", "undeclared")
    line.add_argument("--domain", nargs="*", default=domains, choices=domains)
    line.add_argument("--peers", nargs="*", default=[], metavar="NAME[=PYTHON]", help=", ".join(peers.PEERS))
    line.add_argument("--peer-minutes", type=float, default=30)
    options = line.parse_args()
    if options.peers and "declared" not in options.domain:
        line.error("--peers are told the domain, and so must ours be beside them: add --domain declared")
    options.peers = {
        name: python or sys.executable for name, _, python in (p.partition("=") for p in options.peers)
    }
    targets = dict(pair.split("=", 1) for pair in options.target)
    rows = [
        row for table in read_tables(options.data, options.tables, targets) for row in measure(table, options)
    ]
    for row in summary(rows):
        print(*(f"{key}={value:.4g}" if isinstance(value, float) else value for key, value in row.items()))
    if options.peers:
        record.write("peers", rows, keep=True)
    else:
        record.write("utility", rows)


if __name__ == "__main__":
    main()
