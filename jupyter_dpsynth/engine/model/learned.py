"""The result of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
    from jupyter_dpsynth.reports import StopReason


__all__ = ["Learned"]


@dataclass(frozen=True, eq=False)
class Learned:
    """Everything that a finished run leaves, and that is saved: only what epsilon has paid for.

    Attributes:
        codec: Cells of every column.
        model: The trained network.
        reference: The noisy measurements.
        receipt: What was spent on what.
        stop_reason: Why training ended.
        losses: Noisy mean loss of every step, nats a row.
        tape: What the steps released, added up; None of models saved before there were tapes, if no step was
            made, or if it would be too large.
    """

    codec: TableCodec
    model: TabularModel
    reference: MeasuredReference
    receipt: PrivacyReceipt
    stop_reason: StopReason
    losses: NDArray[np.float64]
    tape: Tape | None = None
