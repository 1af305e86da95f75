"""The private table as codes, made part by part, for measuring and training."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.sources.base import TableChecksum
from jupyter_dpsynth.sources.fingerprint import row_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.sources.base import Source

__all__ = ["EncodedTable", "encode_table"]


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """The codes that training and the measurements of marginals read: private.

    Attributes:
        codes: Codes `[n, m]`, in memory or, of a table in parts, in a file that has no name.
        counts: Exact number of rows in each cell, one int64 `[cells]` for each column.
    """

    codes: NDArray[np.integer[Any]]
    counts: list[NDArray[np.int64]]


def encode_table(source: Source, codec: TableCodec) -> EncodedTable:
    """Encode a table in one pass.

    Raises:
        DataError: The rows are not those that the fingerprint was taken of.
    """
    counts = [np.zeros(size, dtype=np.int64) for size in codec.sizes]
    sums = TableChecksum()
    encode = functools.partial(_encode, codec=codec, hashed=source.volatile)

    def parts() -> Iterator[NDArray[np.integer[Any]]]:
        nonlocal sums
        for codes, added in source.map(encode, list(codec.df_meta.names)):
            for index, exact in enumerate(counts):
                exact += np.bincount(codes[:, index], minlength=len(exact))  # noqa: PLW2901 - in place
            sums += added
            yield codes

    codes = source.concatenate(parts(), codec.code_type, len(counts))
    if source.volatile:
        source.require(sums)
    return EncodedTable(codes, counts)


def _encode(df: pd.DataFrame, codec: TableCodec, *, hashed: bool) -> tuple[NDArray[Any], TableChecksum]:
    """Codes of a part, and the sums of its rows' hashes."""
    return codec.encode(df), TableChecksum.of(row_hashes(df)) if hashed else TableChecksum()
