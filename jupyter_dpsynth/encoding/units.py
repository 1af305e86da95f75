"""Bounds what one unit of privacy (a person with several rows) contributes to a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.series import factorize

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["bound_units"]


def bound_units(
    df: pd.DataFrame, unit: str, most: int, generator: np.random.Generator
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Keep at most so many rows of every unit, which ones being random, and put each unit's rows together.

    Args:
        df: The private table.
        unit: Column that names the unit. Rows in which it is missing are one unit: who they belong to is
            not known.
        most: Most rows of a unit.
        generator: The run's generator.

    Returns:
        The kept rows, and the first row of each unit with the number of rows at the end, `[units + 1]`.

    Privacy:
        Adding or removing one unit adds or removes at most `most` rows and changes no other.
    """
    codes, _ = factorize(df[unit])
    order = generator.permutation(len(df))
    order = order[np.argsort(codes[order], kind="stable")]
    owner = codes[order]
    first = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])) if len(owner) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(first, len(owner)))
    place = np.arange(len(owner)) - np.repeat(first, sizes)
    starts = np.concatenate([[0], np.cumsum(np.minimum(sizes, most))]).astype(np.int64)
    return df.iloc[order[place < most]].reset_index(drop=True), starts
