"""Whole runs of the real training loop without and with a canary, whose gradient is clipped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from jupyter_dpsynth.engine.training.recording import AuditedTraining, Recorder
from jupyter_dpsynth.engine.training.release import GradientRelease, MicrobatchRelease, NativeRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.training.release import NoisySums

#: Of a run: the canary's direction summed over the steps, its largest step, the loss, and all the rest.
STATISTICS = ("sum along the canary", "largest step along the canary", "loss", "energy in other directions")


class CanaryRecorder(Recorder):
    """Splits every release into the part along the canary's contribution and the rest."""

    def __init__(self, training: AuditedTraining, canary: NDArray[np.integer[Any]]) -> None:
        super().__init__(training)
        contribution = self.clean(canary[None], np.array([0]))
        self._direction = contribution / np.linalg.norm(contribution)
        self.steps: list[tuple[float, float, float]] = []

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Keep three figures of a step."""
        if step == 1:
            self.steps = []
        released = self.whitened(sums, divisor)
        along = float(self._direction @ released)
        self.steps.append((along, float(released[-1]), float(released @ released) - along**2))


def _sums_computed_once(release: GradientRelease) -> contextlib.AbstractContextManager[Any]:
    """Compute the clipped sums of the same rows once: parameters stay, and nothing in them is random."""
    if not isinstance(release, NativeRelease) or isinstance(release, MicrobatchRelease):
        return contextlib.nullcontext()
    compute = release.whole_sums
    known: dict[tuple[int, bytes], NDArray[np.float64]] = {}

    def whole_sums(weights: Any, bias: Any, codes: NDArray[Any], batches: Any) -> NDArray[np.float64]:
        chunks = list(batches)
        key = len(codes), np.sort(np.concatenate([rows[present] for rows, present in chunks])).tobytes()
        if key not in known:
            known[key] = compute(weights, bias, codes, chunks)
        return known[key].copy()  # the noise is added in place

    return mock.patch.object(release, "whole_sums", whole_sums)


def canary_draws(
    training: AuditedTraining,
    others: NDArray[np.integer[Any]],
    canary: NDArray[np.integer[Any]],
    runs: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures of whole runs of the real training loop, without and with one row.

    Args:
        training: A training of few steps.
        others: The other rows of the table, `int32 [n, m]`.
        canary: The row, `int32 [m]`; its gradient should reach the clip norm.
        runs: Runs of each.

    Returns:
        `STATISTICS` of each run, float64 `[runs, 4]`, without and with the canary.
    """
    recorder = CanaryRecorder(training, canary)
    draws = []
    with _sums_computed_once(recorder.inner):
        for table in (others, np.concatenate([others, canary[None]])):
            figures = []
            for _ in range(runs):
                recorder.run(table)
                along, loss, beside = np.array(recorder.steps).T
                figures.append((along.sum(), along.max(), loss.sum(), beside.mean()))
            draws.append(np.array(figures))
    return draws[0], draws[1]
