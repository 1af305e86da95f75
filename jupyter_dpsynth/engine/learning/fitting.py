"""Training on what was measured, with checkpoints, until the steps are made or somebody stops it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.learning.checkpoint import StepReservations
from jupyter_dpsynth.engine.learning.training import Training
from jupyter_dpsynth.engine.learning.workers import is_first, send
from jupyter_dpsynth.engine.model.network import TabularModel
from jupyter_dpsynth.engine.model.plan import MARGINALS
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.accounting import epsilon_curve
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.learning.checkpoint import TrainingTask
    from jupyter_dpsynth.engine.learning.participants import Participants
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.engine.training.adam import AdamUpdate
    from jupyter_dpsynth.engine.training.loading import BackgroundImport
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["START_FLOOR", "FittedModel", "epsilon_by_step", "train_model"]

logger = logging.getLogger(__name__)

START_FLOOR = 0.25  # least count of a cell at the start of training, in standard deviations
POLL_SECONDS = 0.25


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What training leaves.

    Attributes:
        model: The network.
        stop_reason: Why training ended.
        losses: Noisy mean loss of every step, nats a row.
        released: How many steps may have been made, at most.
        tape: What the steps released, added up; None if no step was made, or if it would be too large.
    """

    model: TabularModel
    stop_reason: StopReason
    losses: NDArray[np.float64]
    released: int
    tape: Tape | None = None


def train_model(
    task: TrainingTask,
    codes: NDArray[np.integer[Any]],
    units: PrivacyUnits | None,
    participants: Participants,
    importer: BackgroundImport,
) -> FittedModel:
    """Train as planned; a stop before the first step keeps the noisy marginals as the model.

    Args:
        task: What was measured, and the state of a training that goes on.
        codes: Private codes of all rows, `[n, m]`.
        units: Which rows belong to which privacy unit; None if every row is one.
        participants: Who takes part.
        importer: Brings the training's module.
    """
    plan, progress = task.plan, participants.progress
    spent = epsilon_by_step(plan, test_only=participants.entry.test_only)
    progress.report(total_steps=plan.steps, delta=plan.delta, epsilon=spent(task.lost))
    floor = START_FLOOR * plan.noise_of(MARGINALS, Fraction(1, plan.columns)) + 1
    shares = [to_shares(count, floor) for count in task.counts]
    if not _wait_for_tensorflow(task, participants, importer):
        return FittedModel(_untrained(task, shares), StopReason.STOPPED, task.losses, task.lost)

    task, reservations = _share(task, participants)
    training = Training(task, shares, codes, units, participants, importer.trainer, reservations)
    progress.report(phase="training", message="training")

    def after_step(step: int, loss: float, loss_noise: float) -> None:
        rows = round(step * plan.batch_size)
        progress.report(
            step=step, epsilon=spent(step + task.lost), loss=loss, loss_noise=loss_noise, rows=rows
        )

    outcome = training.run(after_step)
    released = _close(reservations, training.update, outcome.losses.tolist(), outcome.stop_reason, task)
    return FittedModel(outcome.model, outcome.stop_reason, outcome.losses, released, training.tape)


def epsilon_by_step(plan: RunPlan, *, test_only: bool) -> Callable[[int], float | None]:
    """Upper bound on epsilon after each step; none for a test-only seed."""
    if test_only:
        return lambda _: None
    if plan.privacy is None:
        return lambda _: plan.epsilon
    curve = epsilon_curve(plan.privacy, plan.delta)
    return lambda step: min(curve.at(step), plan.epsilon)


def _wait_for_tensorflow(task: TrainingTask, participants: Participants, importer: BackgroundImport) -> bool:
    """Whether training can begin; a stop before it keeps what was measured in the checkpoint."""
    progress, checkpoint = participants.progress, participants.checkpoint
    progress.report(phase="starting", message="starting TensorFlow (the first time takes 10 to 20 s)")
    while not importer.wait(POLL_SECONDS):
        if progress.stop_requested and participants.workers is None and not task.state:
            if checkpoint is not None:
                task.write(checkpoint)
            return False
        progress.report()
    return True


def _untrained(task: TrainingTask, shares: Sequence[NDArray[np.float64]]) -> TabularModel:
    """The noisy marginals as a model."""
    bias = np.concatenate([np.log(share) for share in shares]).astype(np.float32)
    return TabularModel(task.layout, np.zeros_like(task.layout.mask), bias)


def _share(task: TrainingTask, participants: Participants) -> tuple[TrainingTask, StepReservations | None]:
    """Begin the checkpoint, if there is to be one, and tell the other workers what to do."""
    if not is_first(participants.workers):
        return task, None
    reservations = None
    if participants.checkpoint is not None:
        reservations = StepReservations(participants.checkpoint, participants.entry.ledger, task)
        task = reservations.task
    send(participants.workers, task.to_bytes)
    return task, reservations


def _close(
    reservations: StepReservations | None,
    update: AdamUpdate,
    losses: Sequence[float],
    reason: StopReason,
    task: TrainingTask,
) -> int:
    """Keep the last state; returns how many steps have been made, at most."""
    planned = task.plan.steps
    lost = reason is StopReason.WORKER_LOST
    if lost:
        logger.warning(
            "another worker ended or cannot be reached: training ended after step %d of %d, and its model "
            "is kept. The whole plan counts as spent.%s",
            len(losses),
            planned,
            " To resume, start all workers again with the same checkpoint." if reservations else "",
        )
    if reservations is not None:
        try:
            return reservations.close(update, losses, reason)
        except ArtifactError as error:  # the model is not lost for that
            logger.warning("the last checkpoint could not be saved: %s", error)
    return min(len(losses) + task.lost + lost, planned)
