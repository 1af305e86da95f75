"""What the ledger gets to know of a table, from one pass over its rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.privacy.ledger.likeness import column_key
from jupyter_dpsynth.sources.fingerprint import table_digest
from jupyter_dpsynth.sources.sketch import RowSketch, hashes_and_sketch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = ["columns_of", "identify_table", "joint_content"]


def columns_of(source: Source) -> tuple[str, ...]:
    """The names of a table's columns as the ledger compares them: public."""
    return tuple(column_key(name) for name in source.described.columns)


def identify_table(source: Source, dataset: str | None, label: str, *, new: bool = False) -> TableIdentity:
    """A table as the ledger knows it again, and knows its versions.

    Args:
        source: The table.
        dataset: The dataset's name as the user gave it, or None.
        label: What the ledger calls a new dataset without a name.
        new: Whether the user says that it is about other people than all tables in the ledger.

    Raises:
        DataError: The table is another one than when a fingerprint was taken before.

    Privacy:
        A function of the exact rows: only the ledger may get it.
    """
    sketch = RowSketch()

    def rows() -> Iterator[NDArray[np.uint64]]:
        for hashes, part in source.map(hashes_and_sketch, list(source.described.columns)):
            sketch.add(part)
            yield hashes

    content = table_digest(source, rows())
    return TableIdentity(content, dataset, label, columns_of(source), sketch.packed(), new=new)


def joint_content(tables: Sequence[TableIdentity]) -> bytes | None:
    """The fingerprint of tables that are learned together, in any order; of one table its own.

    Privacy:
        A function of the exact rows: only the ledger may get it.
    """
    contents = [each.content for each in tables if each.content is not None]
    if len(contents) < len(tables):
        return None
    if len(contents) == 1:
        return contents[0]
    digests = sorted(hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(b"".join(digests)).digest()
