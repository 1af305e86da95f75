"""What is measured of events, in such a way that a person counts once however many it has.

What is counted of private rows leaves through `Allowance.counts` alone. A person's counts are scaled down to
a norm of `cap` rows and divided by it, in whole parts rounded towards zero: whoever comes or goes changes
what is released by a norm of at most 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = [
    "PARTS",
    "capped_counts",
    "counting_cap",
    "expected_numbers",
    "measure_event_pairs",
    "measure_shares",
    "terminal_cells",
]

PARTS = 1024  # of a person
ENOUGH = 0.5  # of all rows count, where as many of a person count as its cap
FAR_FEWER = 0.5  # of as many rows as would have a next one by chance: more must be ruled out
NOTHING_SEEN = 2.5  # standard deviations of noise: one in 160 cells that end a history is missed


def counting_cap(numbers: NDArray[np.float64]) -> int:
    """As how many rows a person's rows count at most: the least with which half of all rows count.

    Args:
        numbers: Noisy share of persons with 0, 1, ... events.
    """
    most = len(numbers) - 1
    whole = expected_numbers(numbers, most)
    return next((cap for cap in range(1, most) if expected_numbers(numbers, cap) >= ENOUGH * whole), most)


def expected_numbers(numbers: NDArray[np.float64], cap: int, without: int = 0) -> float:
    """Mean number of a person's events: the first `without` do not count, of the others at most `cap`."""
    counted = np.clip(np.arange(len(numbers)) - without, 0, cap)
    return float(numbers @ counted)


def capped_counts(
    codes: NDArray[np.int64], person: NDArray[np.int64], size: int, cap: float
) -> NDArray[np.int64]:
    """How often each cell occurs, in parts of `cap` rows: int64 `[size]`, exact.

    Args:
        codes: Cells of rows, `[R]`, -1 for those that do not count.
        person: Number of each row's person.
        size: How many cells there are.
        cap: Largest L2 norm of a person's counts.

    Privacy:
        Not private. One person with all its rows changes it by at most `PARTS` in L2 norm.
    """
    counted = codes >= 0
    pairs, count = np.unique(person[counted].astype(np.int64) * size + codes[counted], return_counts=True)
    owner, cell = pairs // size, pairs % size
    squares = np.bincount(owner, count.astype(np.float64) ** 2) if len(owner) else np.zeros(0)
    norms = np.sqrt(squares)[owner] if len(owner) else np.zeros(0)
    parts = np.floor(PARTS * count / np.maximum(norms, cap) * (1 - 1e-12)).astype(np.int64)
    out = np.zeros(size, np.int64)
    np.add.at(out, cell, parts)
    return out


def measure_shares(
    codes: NDArray[np.int64], person: NDArray[np.int64], size: int, cap: float, allowance: Allowance
) -> NDArray[np.float64]:
    """Noisy capped counts of a column's cells, `[size]`, in persons."""
    return allowance.counts(capped_counts(codes, person, size, cap), PARTS)


def pair_parts(
    rows: NDArray[np.int64],
    first: int,
    second: int,
    person: NDArray[np.int64],
    shape: tuple[int, int],
    cap: float,
) -> NDArray[np.int64]:
    """How often each pair of cells occurs, in parts of `cap` rows: int64 `shape`, exact.

    Privacy:
        Not private. One person with all its rows changes it by at most `PARTS` in L1 norm.
    """
    one, two = rows[:, first], rows[:, second]
    counted = (one >= 0) & (two >= 0)
    own = np.bincount(person[counted], minlength=1)
    weight = np.floor(PARTS / np.maximum(own, cap)).astype(np.int64)
    cells = one[counted].astype(np.int64) * shape[1] + two[counted]
    # whole numbers below 2^53 are exact in float64
    found = np.bincount(cells, weight[person[counted]], minlength=shape[0] * shape[1])
    return found.astype(np.int64).reshape(shape)


def measure_event_pairs(
    column: Callable[[int], NDArray[np.int64]],
    person: NDArray[np.int64],
    pairs: Sequence[tuple[int, int]],
    shares: Sequence[NDArray[np.float64]],
    counted: Sequence[float],
    cap: float,
    allowance: Allowance,
) -> NDArray[np.float64]:
    """Noisy total-variation distance of pairs of columns from independence, `[pairs]`.

    Args:
        column: Gives the codes of events in a column, `[R]`, -1 for what they have not: private.
        person: Number of each row's person: private.
        pairs: Which columns.
        shares: Noisy share of each cell of every column.
        counted: About how many capped rows have both columns of each pair: noisy.
        cap: As how many rows a person's rows count at most.
        allowance: For all of them together: sensitivity is the root of their number.

    Privacy:
        Everything but the pair's own counts is noisy already, so one person moves each distance by at most 1.
    """
    distances = np.zeros(len(pairs), np.int64)
    for place, ((first, second), total) in enumerate(zip(pairs, counted, strict=True)):
        shape = len(shares[first]), len(shares[second])
        exact = pair_parts(np.stack([column(first), column(second)], axis=1), 0, 1, person, shape, cap)
        expected = total / cap * np.outer(shares[first], shares[second])
        chance = math.sqrt(2 / math.pi) * np.sqrt(expected / cap).sum()
        whole = np.rint(PARTS * expected).astype(np.int64)
        distances[place] = np.abs(exact - whole).sum() - round(PARTS * chance)
    noisy = allowance.counts(distances, PARTS)
    found: NDArray[np.float64] = np.clip(noisy * cap / (2 * np.maximum(counted, 1.0)), 0, 1)
    return found


def terminal_cells(
    followed: NDArray[np.float64], last: NDArray[np.float64], noise: float, sure: float
) -> NDArray[np.bool_]:
    """Which cells end a history, as death does: no event comes after one, `[cells]`.

    Args:
        followed: Noisy counts of the rows of each cell after which another one comes.
        last: The same of rows after which none comes.
        noise: Standard deviation of the noise of each.
        sure: By how many standard deviations it must be sure that far fewer are followed than by chance.
    """
    odds = max(float(followed.sum()), 0.0) / max(float(last.sum()), 1.0)
    fewer = FAR_FEWER * odds * last - followed
    unclear = noise * math.hypot(1.0, FAR_FEWER * odds)
    found: NDArray[np.bool_] = (fewer > sure * unclear) & (followed <= NOTHING_SEEN * noise)
    return found
