"""The progress reports of a running training; they contain noisy or public figures only."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

__all__ = ["Phase", "StepReport", "StopReason"]

Phase = Literal["starting", "measuring", "calibrating", "training", "finished"]


class StopReason(enum.Enum):
    """Why a training ended."""

    FINISHED = "finished"
    BUDGET = "budget"
    STOPPED = "stopped"
    WORKER_LOST = "worker lost"


@dataclass(frozen=True)
class StepReport:
    """One moment of a run.

    Attributes:
        phase: What is being done.
        message: The same in words, with the column's name while columns are measured.
        step: Completed training steps.
        total_steps: Planned training steps, 0 before they are known.
        epsilon: What the completed steps would cost if their number had been fixed beforehand; infinite
            without differential privacy, None for a test-only seed. It is no figure to stop by: see
            `reserved`.
        epsilon_target: The budget.
        delta: Delta of both, None before it is known.
        loss: Private running mean of the loss in nats a row, None before training.
        loss_noise: Standard deviation of the noise in `loss`.
        rows: Expected number of row visits so far (steps x expected batch size).
        seconds: Time since `learn` was called.
        ledger: What the data has cost so far, in words for its owner; empty before it is known. It is
            derived from the exact rows: no part of epsilon covers it.
        reserved: Epsilon that the ledger has recorded for the run, and that counts however it ends, because
            a stop may follow from what was shown; 0 before it is recorded. At the end it is
            `HighDimSynthesizer.epsilon`.
    """

    phase: Phase
    message: str
    step: int = 0
    total_steps: int = 0
    epsilon: float | None = 0.0
    epsilon_target: float = 0.0
    delta: float | None = None
    loss: float | None = None
    loss_noise: float | None = None
    rows: int = 0
    seconds: float = 0.0
    ledger: str = ""
    reserved: float | None = 0.0
