"""The training of one run: some steps, the search for interactions, and the rest of the steps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.learning.workers import is_first, several, shard
from jupyter_dpsynth.engine.measuring.interactions import choose_interactions
from jupyter_dpsynth.engine.measuring.weighing import RowWeights
from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.errors import WorkerLostError
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.learning.checkpoint import StepReservations, TrainingTask
    from jupyter_dpsynth.engine.learning.participants import Participants
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.engine.training.adam import AdamUpdate
    from jupyter_dpsynth.engine.training.trainer import DPTrainer, TrainingOutcome, TrainingParts
    from jupyter_dpsynth.privacy.releases import TrainingReleases
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["Training"]

MADE_ROWS = 16_384  # that are drawn from the model, to tell what is new


class Training:
    """Makes the steps of a run; after some of them it looks once for interactions, and extends the network.

    Args:
        task: What was measured, and the state of a training that goes on.
        shares: Noisy shares of each column, with which it starts.
        codes: Private codes of all rows, `[n, m]`.
        units: Which rows belong to which privacy unit; None if every row is one.
        participants: Who takes part.
        module: The training's module.
        reservations: Writes checkpoints and reserves steps, None without.
    """

    def __init__(
        self,
        task: TrainingTask,
        shares: Sequence[NDArray[np.float64]],
        codes: NDArray[np.integer[Any]],
        units: PrivacyUnits | None,
        participants: Participants,
        module: ModuleType,
        reservations: StepReservations | None,
    ) -> None:
        self._task, self._shares, self._participants = task, shares, participants
        self._module, self._reservations = module, reservations
        self._all_codes, self._all_units = codes, units
        self._codes, self._units = shard(participants.workers, codes, units)
        self._losses = task.losses.tolist()
        self._parts = self._parts_of(len(self._losses) + task.lost)
        if task.state:
            self.update.restore(task.state, len(self._losses), task.tape)
        self._trainer = self._trainer_of(self._parts)

    @property
    def update(self) -> AdamUpdate:
        """The optimizer."""
        return self._parts.update

    def _parts_of(self, made: int, earlier: TrainingReleases | None = None) -> TrainingParts:
        task, participants, cells = self._task, self._participants, self._task.cells
        ordered = cells.ordered([column.ordered_cells for column in task.codec.columns])
        layout = cells.layout(task.layout)
        start = self._module.Start(layout, cells.select(self._shares), ordered, cells)
        config, noise, workers = participants.entry.config, participants.noise, participants.workers
        parts: TrainingParts = self._module.training_parts(
            start, task.plan, config, noise, self._units, workers, made, earlier
        )
        return parts

    def _trainer_of(self, parts: TrainingParts) -> DPTrainer:
        trainer: DPTrainer = self._module.DPTrainer(
            self._task.plan,
            parts.release,
            parts.update,
            parts.divisor,
            workers=self._participants.workers,
            losses=self._losses,
        )
        return trainer

    def run(self, after_step: Callable[[int, float, float], None]) -> TrainingOutcome:
        """Make the steps that are planned and left, or fewer if stopped.

        Args:
            after_step: Called with the step's number, the running mean of the noisy loss and its noise.

        Returns:
            What came of it, with the network of all cells.
        """
        outcome = self._run(after_step)
        return replace(outcome, model=self._task.cells.model(outcome.model, self._task.layout))

    @property
    def tape(self) -> Tape | None:
        """What the steps released, added up, as of the network of all cells."""
        tape = self.update.tape
        return None if tape is None else self._task.cells.tape(tape, self._task.layout)

    def _run(self, after_step: Callable[[int, float, float], None]) -> TrainingOutcome:
        pause = self._task.search_step
        outcome = self._trainer.train(self._codes, self._parts.releases, after_step, self._stopped, pause)
        if not outcome.paused:
            return outcome
        if not self._trainer.ends(self._stopped()):
            try:
                self._extend()
            except WorkerLostError:
                return replace(outcome, stop_reason=StopReason.WORKER_LOST)
        return self._trainer.train(self._codes, self._parts.releases, after_step, self._stopped)

    def _stopped(self) -> bool:
        # of several workers all make one more step after a stop request
        ahead = 2 if several(self._participants.workers) else 1
        upcoming = min(len(self._trainer.losses) + ahead, self._task.last_step)
        return self._participants.progress.stop_requested or (
            self._reservations is not None
            and not self._reservations.allows(upcoming, self.update, self._trainer.losses)
        )

    def _extend(self) -> None:
        """Look for interactions, and go on with a network that has derived features for them."""
        derived = self._found()
        self._losses = self._trainer.losses
        self._task = replace(self._task, derived=derived)
        if derived:
            earlier = self._parts
            self._parts = self._parts_of(0, earlier.releases)
            self.update.go_on_from(earlier.update, len(self._losses))
            self._trainer = self._trainer_of(self._parts)
        if self._reservations is not None:
            self._reservations.keep(derived, self.update, self._losses)
        self._participants.progress.report(message="training")

    def _found(self) -> tuple[Derived, ...]:
        """What the first worker chooses, on all workers."""
        workers = self._participants.workers
        derived = self._chosen() if is_first(workers) else ()
        if workers is None or not several(workers):
            return derived
        content = json.dumps([feature.to_dict() for feature in derived]).encode()
        sizes = self._task.codec.sizes.tolist()
        return tuple(Derived.from_dict(each, sizes) for each in json.loads(workers.send(content, last=True)))

    def _chosen(self) -> tuple[Derived, ...]:
        """What is chosen; nothing if another process may have begun to."""
        if self._reservations is not None and not self._reservations.claim_search():
            return ()
        task, progress = self._task, self._participants.progress
        progress.report(message="looking for columns that belong together")
        random = np.random.default_rng(task.seed)
        model, plan = task.cells.model(self.update.model(), task.layout), task.plan
        releases = Releases(self._participants.noise, exact=plan.privacy is None)
        releases.admit(plan.releases_of_search)
        return choose_interactions(
            self._all_codes,
            model,
            task.reference,
            [column.ordered_cells for column in task.codec.columns],
            generate_codes(model, task.reference.shares, MADE_ROWS, random),
            plan,
            releases,
            random,
            progress.tick,
            RowWeights.of(self._all_units, plan),
        )
