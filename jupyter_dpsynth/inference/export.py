"""Weighted rows for other programs: replicate weights that survey software understands, and how to read them.

Source:
    Fay's method of balanced repeated replication, as in the R package survey and Stata's svy: a replicate
    that goes the part 1 - f of the way, and a variance that is divided by (1 - f)^2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from jupyter_dpsynth.errors import ConfigError, MissingDependencyError, shown
from jupyter_dpsynth.inference.inferring import PROMISE

if TYPE_CHECKING:
    from jupyter_dpsynth.inference.rows import ModelRows

__all__ = ["WEIGHT", "weighted_rows", "write_weighted"]

WEIGHT, REPLICATE = "_weight", "_rep_"
MOST_REPLICATES = 999
LEAST_REPLICATES = 10
ENDINGS = (".parquet", ".csv", ".csv.gz")


def weighted_rows(rows: ModelRows, replicates: int, seed: int) -> pd.DataFrame:
    """Rows with a weight and replicate weights behind the other columns.

    Args:
        rows: Rows of the model.
        replicates: How many replicate weights.
        seed: Fixes them on one machine.

    Returns:
        The rows; weights add up to the noisy row count. `attrs["weights"]` describes them.

    Raises:
        ConfigError: The number of replicates is not allowed, or a column has the name of a weight.
    """
    allowed = isinstance(replicates, int) and not isinstance(replicates, bool)
    if not allowed or not LEAST_REPLICATES <= replicates <= MOST_REPLICATES:
        raise ConfigError(
            f"replicates = {shown(replicates)} is not allowed: give a whole number from {LEAST_REPLICATES} "
            f"to {MOST_REPLICATES}."
        )
    taken = [name for name in rows.df.columns if str(name).startswith((WEIGHT, REPLICATE))]
    if taken:
        raise ConfigError(f"the column {shown(taken[0])} has a name that weights need: rename it.")
    found = rows.weigh(rows.learned.codec.names, replicates, seed)
    total = rows.learned.reference.rows
    columns = {WEIGHT: total * found.weights}
    columns |= {f"{REPLICATE}{b:03d}": total * own for b, own in enumerate(found.replicates, start=1)}
    weighted = pd.concat([rows.df, pd.DataFrame(columns, index=rows.df.index)], axis=1)
    weighted.attrs["weights"] = _description(replicates, found.step)
    return weighted


def _description(replicates: int, step: float) -> dict[str, Any]:
    """What survey software must be told, and the lines that tell it."""
    fay, scale = 1 - step, 1 / (step**2 * replicates)
    return {
        "type": "Fay",
        "fay": fay,
        "replicates": replicates,
        "scale": scale,
        "mse": True,
        "degf": replicates - 1,
        "weight": WEIGHT,
        "replicate_weights": f"{REPLICATE}001 to {REPLICATE}{replicates:03d}",
        "says": PROMISE,
        "R": (
            f"survey::svrepdesign(data = d, weights = ~`{WEIGHT}`, repweights = '^{REPLICATE}', "
            f"type = 'other', scale = {scale!r}, rscales = rep(1, {replicates}), combined.weights = TRUE, "
            f"mse = TRUE, degf = {replicates - 1})"
        ),
        "Stata": f"svyset [pw={WEIGHT}], brrweight({REPLICATE}*) fay({fay!r}) vce(brr) mse",
        "Python": (
            f"v = f(d, d['{WEIGHT}']); reps = [c for c in d if c.startswith('{REPLICATE}')]; "
            f"se = numpy.sqrt(numpy.mean([(f(d, d[c]) - v) ** 2 for c in reps], axis=0)) / {step!r}"
        ),
    }


def write_weighted(weighted: pd.DataFrame, path: str | Path, *, overwrite: bool) -> list[Path]:
    """Write weighted rows, and beside them what the weights are: rows.parquet and rows.weights.json.

    Args:
        weighted: What `weighted_rows` gave.
        path: A .parquet, .csv or .csv.gz file.
        overwrite: Whether files that are there may be replaced.

    Returns:
        Both files.

    Raises:
        ConfigError: The file has another ending, or one of both is there.
        MissingDependencyError: Parquet needs the extra `scale`.
    """
    target = Path(path)
    ending = next((each for each in ENDINGS if target.name.endswith(each)), None)
    if ending is None:
        raise ConfigError(
            f"to = {shown(str(path))} is not allowed for weights: name a .parquet or .csv file."
        )
    described = target.with_name(target.name.removesuffix(ending) + ".weights.json")
    for each in (target, described):
        if each.exists() and not overwrite:
            raise ConfigError(
                f"to: {shown(str(each))} exists already. Choose another name, or set overwrite = True "
                "(--overwrite) to replace it."
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = weighted.copy(deep=False)
    plain.attrs = {}
    if ending == ".parquet":
        try:
            plain.to_parquet(target, index=False)
        except ImportError:
            raise MissingDependencyError(
                "Parquet files need pyarrow: pip install 'jupyter_dpsynth[scale]'."
            ) from None
    else:
        plain.to_csv(target, index=False)
    described.write_text(json.dumps(weighted.attrs["weights"], indent=1) + "\n", encoding="utf-8")
    return [target, described]
