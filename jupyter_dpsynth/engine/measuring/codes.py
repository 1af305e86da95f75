"""The private table as codes, made part by part, for measuring and training."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW, weighed_counts
from jupyter_dpsynth.sources.base import TableChecksum
from jupyter_dpsynth.sources.fingerprint import row_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["EncodedTable", "Encoder", "encode_apart", "encode_table"]


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """The codes that training and the measurements of marginals read: private.

    Attributes:
        codes: Codes `[n, m]`, in memory or, of a table in parts, in a file that has no name.
        counts: Exact number of rows in each cell, in parts of a row where rows are weighed, one int64
            `[cells + moved]` for each column: first those whose value a synthetic row may have, then those
            that are moved into a cell (`moved_into`).
    """

    codes: NDArray[np.integer[Any]]
    counts: list[NDArray[np.int64]]


class Encoder(Protocol):
    """Gives codes that tell rows whose value no synthetic row has from those of other cells."""

    @property
    def df_meta(self) -> DataFrameMeta:
        """The table's metadata."""

    @property
    def sizes_apart(self) -> NDArray[np.int64]:
        """Number of codes of each column, `[m]`."""

    def encode_apart(self, df: pd.DataFrame) -> NDArray[np.integer[Any]]:
        """Codes of a table, `[n, m]`."""


def encode_table(source: Source, codec: TableCodec, weights: RowWeights = EVERY_ROW) -> EncodedTable:
    """Encode a table in one pass.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        weights: How much each row counts.

    Raises:
        DataError: The rows are not those that the fingerprint was taken of.
    """
    return _encoded(source, codec, codec.joined, codec.code_type, weights)


def encode_apart(source: Source, encoder: Encoder) -> EncodedTable:
    """The same with the codes that the encoder gives.

    Raises:
        DataError: The rows are not those that the fingerprint was taken of.
    """
    code_type = np.min_scalar_type(int(encoder.sizes_apart.max()) - 1)
    return _encoded(source, encoder, lambda codes: codes, code_type)


def _encoded(
    source: Source,
    encoder: Encoder,
    join: Callable[[NDArray[np.integer[Any]]], NDArray[np.integer[Any]]],
    code_type: np.dtype[Any],
    weights: RowWeights = EVERY_ROW,
) -> EncodedTable:
    counts = [np.zeros(size, dtype=np.int64) for size in encoder.sizes_apart]
    sums, first = TableChecksum(), 0
    encode = functools.partial(_encode, encoder=encoder, hashed=source.volatile)

    def parts() -> Iterator[NDArray[np.integer[Any]]]:
        nonlocal sums, first
        for codes, added in source.map(encode, list(encoder.df_meta.names)):
            own = weights.own(first, len(codes))
            for index, exact in enumerate(counts):
                exact += weighed_counts(codes[:, index], own, len(exact))  # noqa: PLW2901 - in place
            sums += added
            first += len(codes)
            yield join(codes)

    codes = source.concatenate(parts(), code_type, len(counts))
    if source.volatile:
        source.require(sums)
    return EncodedTable(codes, counts)


def _encode(df: pd.DataFrame, encoder: Encoder, *, hashed: bool) -> tuple[NDArray[Any], TableChecksum]:
    """Codes of a part, and the sums of its rows' hashes."""
    return encoder.encode_apart(df), TableChecksum.of(row_hashes(df)) if hashed else TableChecksum()
