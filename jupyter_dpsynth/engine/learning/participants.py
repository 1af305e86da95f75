"""Who and what takes part in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_dpsynth.engine.learning.progress import RunProgress
    from jupyter_dpsynth.engine.learning.spending import LedgerEntry
    from jupyter_dpsynth.engine.training.distribute import Workers
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = ["Participants"]


@dataclass(frozen=True, eq=False)
class Participants:
    """Who and what takes part in a run beside the table.

    Attributes:
        entry: The run in the ledger.
        progress: Tells the observer.
        noise: Source of noise.
        workers: Who trains together, None for one device.
        checkpoint: File to keep the training's state in and to go on from, or None.
    """

    entry: LedgerEntry
    progress: RunProgress
    noise: NoiseSource
    workers: Workers | None
    checkpoint: Path | None
