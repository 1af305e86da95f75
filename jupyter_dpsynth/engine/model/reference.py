"""Noisy one-way marginals and pair dependences: what the model starts from and is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.privacy.releases import ROW_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec

__all__ = [
    "COMBINATIONS",
    "PAIR_ROWS",
    "MeasuredReference",
    "NamedTable",
    "chance_distance",
    "dependence_from",
    "pair_dependence",
    "pair_distances",
    "reference_from",
    "to_shares",
]


PAIR_ROWS = 131_072  # rows that tell a pair's dependence well enough to weigh it
COMBINATIONS = 200  # of the cells of columns that are counted together


@dataclass(frozen=True, eq=False)
class NamedTable:
    """A table of several columns that was measured with noise.

    Attributes:
        columns: Names of the columns.
        shares: Noisy share of each combination of cells, `[cells of the first, ...]`; some may be negative.
        noise: Standard deviation of each share's noise.
        count_noise: Standard deviation of the noise of the row count that all were divided by, relative to
            it.
    """

    columns: tuple[str, ...]
    shares: NDArray[np.float64]
    noise: float
    count_noise: float

    @property
    def total_noise(self) -> NDArray[np.float64]:
        """Standard deviation of the noise of each share, that of the row count included, same shape."""
        return np.sqrt(self.noise**2 + (self.shares * self.count_noise) ** 2)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "columns": list(self.columns),
            "shares": self.shares.ravel().tolist(),
            "noise": self.noise,
            "count_noise": self.count_noise,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], sizes: dict[str, int]) -> NamedTable:
        """Rebuild from `to_dict`.

        Args:
            values: The form, of the right types.
            sizes: Number of cells of each column.

        Raises:
            ValueError: It does not fit the columns.
        """
        columns = tuple(values["columns"])
        if len(set(columns)) != len(columns) or not set(columns) <= set(sizes):
            raise ValueError("a named table does not fit the columns")
        shares = np.asarray(values["shares"], np.float64).reshape([sizes[name] for name in columns])
        return cls(columns, shares, float(values["noise"]), float(values["count_noise"]))


@dataclass(frozen=True, eq=False)
class MeasuredReference:
    """What was measured of the private table with noise; you may show and keep it for free.

    Attributes:
        columns: Names of the learned columns.
        labels: One text for each cell of each column.
        kinds: 'number', 'category' or 'datetime' for each column.
        shares: Noisy share of each cell, `[cells]` for each column, non-negative, sum 1.
        noise: Standard deviation of each share's noise, same shapes.
        dependence: Total-variation distance of each pair of columns from independence, noisy, corrected
            for its expectation under independence, in [0, 1], `[columns, columns]`, diagonal 0.
        dependence_noise: Standard deviation of the noise in each entry of `dependence`.
        rows: Noisy row count.
        moved: Noisy share of the rows that each column moves into a cell because no synthetic row can have
            their value, `[moved]` for each column in the order of its codec's `moved_into`; noise may take it
            below 0. Empty in models of earlier versions, which did not measure it.
        moved_noise: Standard deviation of the noise in each of these.
        tables: Tables that were named beforehand.

    Privacy:
        The measurements 'one-way marginals', 'pair dependence' and 'named tables' of the plan; the rest is
        post-processing.
    """

    columns: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...]
    shares: tuple[NDArray[np.float64], ...]
    noise: tuple[NDArray[np.float64], ...]
    dependence: NDArray[np.float64]
    dependence_noise: float
    rows: int
    moved: tuple[NDArray[np.float64], ...] = ()
    moved_noise: float = 0.0
    tables: tuple[NamedTable, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models; labels and kinds come from the codec."""
        moved = {"moved": [each.tolist() for each in self.moved], "moved_noise": self.moved_noise}
        return {
            **(moved if self.moved else {}),
            "shares": [share.tolist() for share in self.shares],
            "noise": [noise.tolist() for noise in self.noise],
            "dependence": self.dependence.tolist(),
            "dependence_noise": self.dependence_noise,
            "rows": self.rows,
            **({"tables": [table.to_dict() for table in self.tables]} if self.tables else {}),
        }


def reference_from(codec: TableCodec, values: dict[str, Any]) -> MeasuredReference:
    """Join a codec's names with measured figures (the form of `MeasuredReference.to_dict`)."""
    sizes = {column.meta.name: column.size for column in codec.columns}
    return MeasuredReference(
        columns=codec.names,
        labels=tuple(column.labels for column in codec.columns),
        kinds=tuple(column.kind for column in codec.columns),
        shares=tuple(np.asarray(share, np.float64) for share in values["shares"]),
        noise=tuple(np.asarray(noise, np.float64) for noise in values["noise"]),
        dependence=np.asarray(values["dependence"], np.float64),
        dependence_noise=float(values["dependence_noise"]),
        rows=int(values["rows"]),
        moved=tuple(np.asarray(each, np.float64) for each in values.get("moved", ())),
        moved_noise=float(values.get("moved_noise", 0.0)),
        tables=tuple(NamedTable.from_dict(table, sizes) for table in values.get("tables", ())),
    )


def to_shares(counts: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Counts as probabilities, each cell at least `floor` rows."""
    raised = np.maximum(counts, floor)
    return raised / raised.sum()


def pair_dependence(codes: NDArray[np.integer[Any]], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Total-variation distance of every pair of columns from independence, `[m, m]`, in [0, 1].

    Args:
        codes: Codes `int32 [n, m]`.
        sizes: Number of cells of each column.
    """
    rows = len(codes)
    shares = [np.bincount(codes[:, j], minlength=size) / rows for j, size in enumerate(sizes)]
    return dependence_from(pair_distances(codes, sizes, shares, rows) / ROW_PARTS, len(sizes), rows)


def pair_distances(
    codes: NDArray[np.integer[Any]],
    sizes: NDArray[np.int64],
    shares: Sequence[NDArray[np.float64]],
    rows: float,
    weights: NDArray[np.int64] | None = None,
    parts: float = ROW_PARTS,
) -> NDArray[np.int64]:
    """L1 distance of every pair of columns from independence, in parts of a row, `[m (m - 1) / 2]`, exact.

    The distance that sampling alone would show between independent columns is subtracted.

    Args:
        codes: Codes `int32 [n, m]`.
        sizes: Number of cells of each column.
        shares: One-way shares of each column.
        rows: Number of rows to compare with.
        weights: In parts, of each row; None if each counts as `parts`.
        parts: Of how many parts a row of `rows` is.

    Privacy:
        Not private. One row more or less changes each by at most its parts.
    """
    counts, starts = _pair_counts(codes, sizes, weights), np.concatenate([[0], np.cumsum(sizes)])
    together, found, each = np.concatenate(shares), [], int(parts) if weights is None else 1
    for first, share in enumerate(shares[:-1]):
        own, end = slice(starts[first], starts[first + 1]), starts[first + 1]
        expected = np.outer(share, together[end:])
        whole = np.rint(parts * rows * expected).astype(np.int64)
        blocks = starts[first + 1 : -1] - end
        distances = np.add.reduceat(
            np.abs(each * counts[own, end:].astype(np.int64) - whole).sum(axis=0), blocks
        )
        chances = np.add.reduceat(_chance_distances(expected, rows).sum(axis=0), blocks)
        found.append(distances - np.rint(parts * chances).astype(np.int64))
    return np.concatenate([np.zeros(0, np.int64), *found])


def _pair_counts(
    codes: NDArray[np.integer[Any]], sizes: NDArray[np.int64], weights: NDArray[np.int64] | None
) -> NDArray[np.integer[Any]]:
    """Rows, or parts, in each pair of cells, int32 or int64 `[D, D]`; only above the diagonal.

    Neighbouring columns with few cells are counted together: one pass then tells about several pairs.
    """
    counts = np.zeros((int(sizes.sum()),) * 2, dtype=np.int32 if weights is None else np.int64)
    bundles = list(_bundles(codes, sizes))
    for place, one in enumerate(bundles):
        counts[one.cells, one.cells] = (
            one.member @ np.diag(np.bincount(one.codes, weights, minlength=one.size)) @ one.member.T
        )
        for other in bundles[place + 1 :]:
            # by the type of the result: numpy 1 would multiply in the few bits of the codes
            size = one.size * other.size
            keys = np.multiply(one.codes, other.size, dtype=np.min_scalar_type(size - 1))
            keys += other.codes
            table = np.bincount(keys, weights, size).reshape(one.size, other.size)
            counts[one.cells, other.cells] = one.member @ table @ other.member.T
    return counts


@dataclass(frozen=True, eq=False)
class _Bundle:
    """Neighbouring columns that are counted together.

    Attributes:
        codes: Which combination of their cells each row has, `[n]`.
        size: How many combinations there are.
        cells: Where their cells are among all.
        member: Which combinations contain each of their cells, 0 or 1, float64 `[cells, size]`.
    """

    codes: NDArray[np.integer[Any]]
    size: int
    cells: slice
    member: NDArray[np.float64]


def _bundles(codes: NDArray[np.integer[Any]], sizes: NDArray[np.int64]) -> Iterator[_Bundle]:
    """All columns, as many together as have few combinations."""
    starts, first = np.concatenate([[0], np.cumsum(sizes)]), 0
    while first < len(sizes):
        end = first + 1
        while end < len(sizes) and np.prod(sizes[first : end + 1]) <= COMBINATIONS:
            end += 1
        own = sizes[first:end].tolist()
        together = np.ravel_multi_index(tuple(codes[:, first:end].T), own)
        cells = np.unravel_index(np.arange(int(np.prod(own))), own)
        member = np.concatenate([np.eye(size)[:, cell] for size, cell in zip(own, cells, strict=True)])
        yield _Bundle(
            together.astype(np.min_scalar_type(member.shape[1])),
            member.shape[1],
            slice(int(starts[first]), int(starts[end])),
            member,
        )
        first = end


def dependence_from(distances: NDArray[np.float64], columns: int, rows: float) -> NDArray[np.float64]:
    """Dependence of each pair of columns, `[m, m]`, in [0, 1], from their distances in rows."""
    out = np.zeros((columns, columns))
    out[np.triu_indices(columns, 1)] = np.clip(distances / (2 * rows), 0, 1)
    return out + out.T


def chance_distance(expected: NDArray[np.float64], rows: float) -> float:
    """L1 distance, in rows, between counts and expected shares that chance alone gives."""
    return float(_chance_distances(expected, rows).sum())


def _chance_distances(expected: NDArray[np.float64], rows: float) -> NDArray[np.float64]:
    return np.sqrt(2 / np.pi * rows * expected * (1 - expected))
