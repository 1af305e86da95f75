"""Noisy one-way marginals and pair dependences."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.engine.model.cells import TrainedCells
from jupyter_dpsynth.engine.model.plan import NAMED_TABLES, PAIRS
from jupyter_dpsynth.engine.model.reference import PAIR_ROWS, dependence_from, pair_distances
from jupyter_dpsynth.privacy.releases import ROW_PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.privacy.releases import Allowance, Releases

__all__ = ["measure_one_way", "measure_pairs", "measure_tables"]

CLEAR_MOVED = 3.0  # standard deviations of noise that rows which are moved into a cell must exceed to count


def measure_one_way(
    exact: Sequence[NDArray[np.int64]],
    discovered: Sequence[Discovered],
    allowance: Allowance,
    row: float = 1.0,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Noisy counts of every column's cells, combined with the earlier measurement by their precision.

    Rows whose value no synthetic row can have are counted apart, and added to the cell that holds them if
    they stand out from the noise. In a column whose categories were found they are all that the pool holds,
    and most that groups of codes hold.

    Args:
        exact: Exact counts of every column's cells, and of rows that are moved into one: private.
        discovered: What discovery measured.
        allowance: For one column's histogram.
        row: Of how many parts a row is in the exact counts.

    Returns:
        Counts and their noise variances, one `[cells]` array for each column; and counts of moved rows,
        `[moved]` for each column.

    Privacy:
        One histogram a column, in which one row counts in one cell.
    """
    counts, variances, lost, sigma = [], [], [], allowance.noise
    for apart, column in zip(exact, discovered, strict=True):
        codec = column.codec
        cells, into = codec.size, np.array(codec.moved_into)
        own, moved = apart[:cells].copy(), apart[cells:]
        whole = isinstance(codec, CategoryCodec) and codec.meta.categories is None
        if whole:
            pool, into = into[:1], into[1:]
            own[pool] += moved[:1]
            moved = moved[1:]
        noisy = allowance.counts(np.append(own, moved), row)
        found, variance = noisy[:cells], np.full(cells, sigma**2)
        lost.append(np.append(found[pool], noisy[cells:]) if whole else noisy[cells:])
        clear = (noisy[cells:] > CLEAR_MOVED * sigma) | whole
        np.add.at(found, into[clear], noisy[cells:][clear])
        np.add.at(variance, into[clear], sigma**2)
        if sigma == 0:
            counts.append(found)
            variances.append(variance)
            continue
        precision = 1 / variance + 1 / column.variances
        counts.append((found / variance + column.counts / column.variances) / precision)
        variances.append(1 / precision)
    return counts, variances, lost


def measure_pairs(
    codes: NDArray[np.integer[Any]],
    shares: Sequence[NDArray[np.float64]],
    rows: float,
    releases: Releases,
    weights: RowWeights = EVERY_ROW,
) -> tuple[NDArray[np.float64], float]:
    """Noisy total-variation distance of every pair of columns from independence.

    Only cells that have a share are counted. A row of another cell counts as of the first one.

    Args:
        codes: Private codes `int32 [n, m]`.
        shares: Noisy one-way shares of each column.
        rows: Noisy row count; the distance is taken to this many independent rows.
        releases: What is planned.
        weights: How much each row counts.

    Returns:
        The distances, `[m, m]`, and the standard deviation of each one's noise.

    Privacy:
        One row changes one cell of a pair's table by one, and nothing else (shares and rows are already
        noisy constants), so each distance has sensitivity 1, and all together the root of their number. In
        tables of more than `PAIR_ROWS` rows only a Poisson sample of about that many is counted. That can
        only lower the sensitivity; the noise is planned as if it did not.
    """
    columns = len(shares)
    if columns < 2:
        return np.zeros((columns, columns)), 0.0
    allowance = releases.allowance(PAIRS, sensitivity=math.sqrt(columns * (columns - 1) // 2))
    own = weights.weights
    if rows > PAIR_ROWS:
        sample = releases.subsample(len(codes), PAIR_ROWS / rows)
        codes, rows = codes[sample], PAIR_ROWS
        own = None if own is None else own[sample]
    cells = TrainedCells.of(shares)
    sizes = np.array([int(kept.sum()) for kept in cells.kept])
    parts = ROW_PARTS if own is None else weights.row
    exact = pair_distances(cells.table(codes), sizes, cells.select(shares), rows, own, parts)
    distances = allowance.counts(exact, parts)
    return dependence_from(distances, columns, rows), allowance.noise / (2 * rows)


def measure_tables(
    codes: NDArray[np.integer[Any]],
    codec: TableCodec,
    tables: Sequence[tuple[str, ...]],
    rows: float,
    count_noise: float,
    releases: Releases,
) -> list[dict[str, Any]]:
    """The named tables, as `NamedTable.to_dict` writes them.

    Args:
        codes: Private codes `[n, m]`.
        codec: The cells.
        tables: Columns of each table.
        rows: Noisy row count.
        count_noise: Standard deviation of its noise, in rows.
        releases: What is planned.

    Privacy:
        One histogram a table, in which one row counts in one cell; all have the same share. Rows are not
        weighed, also those of persons: figures of rows with intervals are computed of named tables.
    """
    measured = []
    for columns in tables:
        places = [codec.names.index(name) for name in columns]
        shape = tuple(int(codec.sizes[place]) for place in places)
        cells = np.ravel_multi_index(tuple(codes[:, place].astype(np.int64) for place in places), shape)
        allowance = releases.allowance(NAMED_TABLES, Fraction(1, len(tables)))
        counts = allowance.counts(np.bincount(cells, minlength=math.prod(shape)).astype(np.int64))
        measured.append(
            {
                "columns": list(columns),
                "shares": counts / rows,
                "noise": allowance.noise / rows,
                "count_noise": count_noise / rows,
            }
        )
    return measured
