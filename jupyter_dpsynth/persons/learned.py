"""What a run over several tables leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.model.learned import Learned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta

__all__ = ["LearnedEvents", "LearnedPersons"]


@dataclass(frozen=True, eq=False)
class LearnedEvents:
    """What is known of one table of events: only what epsilon has paid for.

    Attributes:
        children: Which rows belong to a person, and in which order.
        codec: Cells of the columns of an event, the gap to the one before first if there is an order.
        weights: Weights from the cells of what tells about an event, `[inputs, cells]`: the person's columns,
            the state, the event before, the one before that, and the event's own columns.
        bias: Biases, `[cells]`.
        shares: Noisy share of each cell of every column.
        terminal: Cells after which no event comes, bool `[cells]`.
    """

    children: Children
    codec: TableCodec
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    shares: tuple[NDArray[np.float64], ...]
    terminal: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LearnedPersons(Learned):
    """Several tables of the same persons; what is inherited is about the persons.

    Attributes:
        meta: What is public about the tables.
        key: The column that names the person.
        events: What is known of each table of events.
    """

    meta: TablesMeta = field(kw_only=True)
    key: str = field(kw_only=True)
    events: tuple[LearnedEvents, ...] = field(kw_only=True)
