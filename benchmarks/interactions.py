"""How well values are kept that depend on two or three columns only together, and on none of them alone.

    python -m benchmarks.interactions
    python -m benchmarks.interactions --domain --peers dpmm-aim=PYTHON

Generated tables of 30,000 rows: the columns that belong together, and eight others that tell nothing.
`error` is the total-variation distance of the joint table of those that belong together from that of the
learned rows, with numbers in eight bins of equal weight; `chance` is that of as many new rows of the true
distribution. `kept` is the ROC AUC on new rows of trees that learn from the synthetic table whether the last
column is above its mean, and `possible` that of trees that learn from the rows. *Cells alone* are the
rows themselves, with each number drawn anew within the cell of this package that holds it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import peers, record
from benchmarks.ceilings import cells_alone
from benchmarks.tables import Table, public_domain
from benchmarks.utility import KEY, add_systems, independent, ours

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 30_000
OTHERS = 8
FLIPS = 0.05
BINS = 8


def _sources(random: np.random.Generator, levels: int, count: int) -> dict[str, Any]:
    return {name: random.integers(levels, size=ROWS) for name in "abc"[:count]}


def _flipped(values: Any, levels: int, random: np.random.Generator) -> Any:  # noqa: ANN401 - an array
    """Some rows have any level."""
    return np.where(
        random.random(ROWS) < FLIPS * levels / (levels - 1), random.integers(levels, size=ROWS), values
    )


def _sum(levels: int, count: int) -> Callable[[np.random.Generator], pd.DataFrame]:
    """A sum modulo the number of levels: of two levels the exclusive or."""

    def draw(random: np.random.Generator) -> pd.DataFrame:
        sources = _sources(random, levels, count)
        return pd.DataFrame({**sources, "y": _flipped(sum(sources.values()) % levels, levels, random)})

    return draw


def _sign_of_levels(random: np.random.Generator) -> pd.DataFrame:
    """An ordered column that is reversed in half of the rows."""
    a, b = random.integers(2, size=ROWS), random.integers(5, size=ROWS)
    return pd.DataFrame({"a": a, "b": b, "y": _flipped(np.where(a == 1, b, 4 - b), 5, random)})


def _sign_of_numbers(random: np.random.Generator) -> pd.DataFrame:
    """A number of which half of the rows have the negative, with noise."""
    a, b = random.integers(2, size=ROWS), random.normal(size=ROWS)
    y = np.where(a == 1, b, -b) + 0.3 * random.normal(size=ROWS)
    return pd.DataFrame({"a": a, "b": b.round(3), "y": y.round(3)})


def _sign_decides(random: np.random.Generator) -> pd.DataFrame:
    """A category that depends on the sign of a number, the other way round in half of the rows."""
    a, b = random.integers(2, size=ROWS), random.normal(size=ROWS)
    return pd.DataFrame({"a": a, "b": b.round(3), "y": _flipped((b > 0) ^ (a == 1), 2, random).astype(int)})


TABLES: dict[str, Callable[[np.random.Generator], pd.DataFrame]] = {
    "exclusive or of 2": _sum(2, 2),
    "exclusive or of 3": _sum(2, 3),
    "sum of 2 modulo 4": _sum(4, 2),
    "sign of an ordered column": _sign_of_levels,
    "sign of a number": _sign_of_numbers,
    "sign of a number decides": _sign_decides,
}


def draw(name: str, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """A table, and the columns of it that belong together."""
    random = np.random.default_rng([seed, list(TABLES).index(name)])
    own = TABLES[name](random)
    others = {f"n{place}": random.integers(2, size=ROWS) for place in range(OTHERS)}
    return own.assign(**others)[[*list(own)[:-1], *others, "y"]], list(own)


def cells(df: pd.DataFrame, real: pd.DataFrame, names: list[str]) -> pd.Series:
    """Share of each cell of the joint table."""
    codes = {}
    for name in names:
        if real[name].nunique() > 2 * BINS:
            edges = np.quantile(real[name], np.arange(1, BINS) / BINS)
            codes[name] = np.searchsorted(edges, df[name].astype(float), side="right")
        else:
            codes[name] = df[name].astype(float).round().to_numpy()
    return pd.DataFrame(codes).value_counts(normalize=True)


def score(made: pd.DataFrame, real: pd.DataFrame, new: pd.DataFrame, names: list[str]) -> dict[str, float]:
    """Error of the joint table, and how well trees predict the last column of new rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    gap = cells(made, real, names).subtract(cells(real, real, names), fill_value=0).abs().sum() / 2
    middle = real["y"].mean()
    sources = names[:-1]
    trees = HistGradientBoostingClassifier(random_state=0).fit(
        made[sources].astype(float), made["y"].astype(float) > middle
    )
    kept = roc_auc_score(new["y"] > middle, trees.predict_proba(new[sources].astype(float))[:, 1])
    return {"error": round(float(gap), 4), "kept": round(float(kept), 4)}


def measure(name: str, options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - argparse's namespace
    """All runs on one table; each seed has rows of its own."""
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        real, names = draw(name, seed)
        new, _ = draw(name, 1000 + seed)
        table = Table(name, real, new, "y")
        known = public_domain(real)
        facts = {"table": name, "seed": seed}
        bounds = {
            "chance": score(new, real, new, names)["error"],
            "possible": score(real, real, new, names)["kept"],
        }

        def add(system: str, epsilon: float | None, made: pd.DataFrame, **more: object) -> None:
            found = score(made, real, new, names)  # noqa: B023 - called before the next turn
            rows.append({**facts, "system": system, "epsilon": epsilon, **found, **bounds, **more})  # noqa: B023
            print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)

        add("independent columns", None, independent(table))
        if options.domain:
            add("cells alone", None, cells_alone(table, max(options.epsilon), known))
        for epsilon, domain in itertools.product(options.epsilon, options.domain):
            made, _ = ours(table, epsilon, seed, known if domain == "declared" else {})
            add(f"ours, {domain}", epsilon, made)
        for epsilon, (peer, python) in itertools.product(options.epsilon, options.peers):
            outcome = peers.run(peer, python, real, known, epsilon, seed, options.peer_minutes)
            if isinstance(outcome, str):
                rows.append({**facts, "system": peer, "epsilon": epsilon, "failed": outcome})
                print(name, peer, epsilon, outcome, flush=True)
            else:
                add(peer, epsilon, outcome.synthetic, version=outcome.version)
    return rows


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--tables", nargs="*", default=list(TABLES), choices=TABLES)
    line.add_argument("--epsilon", nargs="*", type=float, default=[1.0, 10.0])
    add_systems(line)
    options = line.parse_args()
    for name in options.tables:
        record.update("interactions", measure(name, options), KEY)


if __name__ == "__main__":
    main()
