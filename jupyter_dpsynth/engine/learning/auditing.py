"""Audits of the real training loop: attacks on simulated trainings under the plan of a finished run.

Only the optimizer is replaced, by a recorder (`training.recording`) that leaves the parameters where they
are: it sees what every step released, after which all is post-processing.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.cells import TrainedCells
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.engine.training.recording import LEAST_CANARIES, AuditedTraining, RunRecorder
from jupyter_dpsynth.engine.training.trainer import Start, training_parts
from jupyter_dpsynth.privacy.accounting import compute_epsilon, gaussian_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA, TrainingAudit, shift_bound
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.bounding import PrivacyUnits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["Simulation", "audit_simulated", "audit_training", "recorded_plan", "shortened"]

TABLE_ROWS = 768  # of the simulated table
CANARIES = 512
CANDIDATES = 2048
MOST_NUMBERS = 2**28  # of the directions of all canaries together, four bytes each
LEAST_SHARE = 1e-4  # of a cell, so that its logarithm exists
LONGEST_PART = 1000  # steps of a simulated training; a longer one is audited in parts
AIMING = 0.2  # of the time, for choosing canaries
PROBED_STEPS = 3
WANTED_RUNS = 16  # simulated trainings in the time; with fewer the bound suffers from their small number
QUANTILE = 3.7  # of Student's distribution at the audit's confidence and so many runs


@dataclass(frozen=True, eq=False)
class Simulation:
    """What simulated trainings are made of: nothing private.

    Attributes:
        plan: Noise and steps of the finished run.
        recorder: The real training loop, watched.
        candidates: Rows (or whole persons, `[n, rows, m]`) of which canaries are chosen.
        others: What is in the table beside the canaries.
    """

    plan: RunPlan
    recorder: RunRecorder
    candidates: NDArray[np.int32]
    others: NDArray[np.int32]


def audit_training(
    learned: Learned,
    config: ResolvedConfig,
    seconds: float,
    report: Callable[[TrainingAudit], None],
    stopped: Callable[[], bool],
) -> TrainingAudit:
    """Attack trainings on simulated tables, with the plan that a synthesizer was trained with.

    The table is synthetic. A random half of the canaries is in a simulated training; the
    attacker, who knows every other row and which of them were sampled, watches all that the steps
    release and is asked how far in and out can be told apart. All canaries attack the same run, as in
    one-run auditing; the bound rests on the spread between runs.

    Args:
        learned: What was learned: only privatised state is looked at.
        config: The parameters of that run.
        seconds: How long; the simulated trainings are as short as it takes to keep to it.
        report: Told of the state before the first and after each simulated training.
        stopped: Asked before each; True ends the audit with what there is.

    Privacy:
        Post-processing: no private row is read, nothing is spent.

    Source:
        Steinke, Nasr and Jagielski 2023, 'Privacy auditing with one (1) training run'; Nasr et al. 2023.
    """

    def simulation(random: np.random.Generator) -> Simulation:
        plan = recorded_plan(plan_run(config, learned.codec.df_meta, float(learned.reference.rows)), learned)
        cells = TrainedCells.of(learned.reference.shares)
        sizes = cells.layout(learned.model.layout).sizes
        candidates = np.stack([random.integers(size, size=CANDIDATES) for size in sizes], axis=1)
        others = generate_codes(learned.model, learned.reference.shares, TABLE_ROWS - CANARIES, random)
        recorder = _recorder(learned, cells, shortened(plan), config)
        return Simulation(plan, recorder, candidates.astype(np.int32), cells.codes(others))

    return audit_simulated(simulation, learned, seconds, report, stopped)


def audit_simulated(
    simulation: Callable[[np.random.Generator], Simulation],
    learned: Learned,
    seconds: float,
    report: Callable[[TrainingAudit], None],
    stopped: Callable[[], bool],
) -> TrainingAudit:
    """Attack simulated trainings.

    Args:
        simulation: Makes what they are made of.
        learned: What was learned.
        seconds: As for `audit_training`.
        report: As for `audit_training`.
        stopped: As for `audit_training`.
    """
    began = time.monotonic()
    random = np.random.default_rng()
    made = simulation(random)
    plan, recorder = made.plan, made.recorder
    longest = recorder.plan.steps
    wanted = max(LEAST_CANARIES, min(CANARIES, MOST_NUMBERS // recorder.parameters))
    canaries = recorder.aim(made.candidates, wanted, lambda: time.monotonic() - began > AIMING * seconds)
    attack, count = _Attack(), len(canaries)

    def simulate() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        member = random.permutation(count) < count / 2
        table = np.concatenate([canaries[member], made.others])
        return recorder.own_parts(table, np.flatnonzero(member)), member

    step_seconds = _time_of_a_step(recorder, simulate)
    left = seconds - (time.monotonic() - began)
    recorder.shorten(int(min(max(left / WANTED_RUNS / step_seconds, 1), longest)))
    useful = _useful_seconds(plan, count, step_seconds)
    audit = _outcome(attack, plan, learned, recorder, began, useful)
    report(audit)
    took = 0.0  # by the last training: one more must fit
    while not (attack.shifts and time.monotonic() - began + took > seconds) and not stopped():
        at = time.monotonic()
        attack.add(*simulate())
        took = time.monotonic() - at
        audit = _outcome(attack, plan, learned, recorder, began, useful)
        report(audit)
    return audit


def shortened(plan: RunPlan) -> RunPlan:
    """The plan of a simulated training: of a long one, a part."""
    return plan.with_training(min(plan.steps, LONGEST_PART), plan.sampling_probability)


def _recorder(learned: Learned, cells: TrainedCells, plan: RunPlan, config: ResolvedConfig) -> RunRecorder:
    """The real training loop of a plan, watched; its tables have codes of the cells it is trained on."""
    shares = cells.select([to_shares(share, LEAST_SHARE) for share in learned.reference.shares])
    ordered = cells.ordered([column.ordered_cells for column in learned.codec.columns])
    starts = np.arange(CANDIDATES + 1) * plan.unit_rows
    units = None if plan.unit_rows == 1 else PrivacyUnits.adjacent(starts)
    start, noise = Start(cells.layout(learned.model.layout), shares, ordered), NoiseSource()
    parts = training_parts(start, plan, config, noise, units)
    return RunRecorder(AuditedTraining(plan, parts, noise))


def _time_of_a_step(recorder: RunRecorder, simulate: Callable[[], object]) -> float:
    """Seconds of a training step here, from a few; TensorFlow compiles the first ones."""
    planned = recorder.plan.steps
    recorder.shorten(min(PROBED_STEPS, planned))
    simulate()
    began = time.monotonic()
    simulate()
    return max((time.monotonic() - began) / recorder.plan.steps, 1e-6)


def _useful_seconds(plan: RunPlan, canaries: int, step_seconds: float) -> float | None:
    """About how long an attack must last to prove half of what is claimed of the steps.

    The mean of a run's canaries that were in it and of those that were not differ by the Gaussian-DP
    parameter of the steps at most, and have a noise of one standard deviation for each canary.
    """
    privacy = plan.privacy
    if privacy is None or privacy.training is None:
        return None
    delta = plan.delta - privacy.reserved_delta
    claim = gaussian_mu(compute_epsilon(replace(privacy, measurements=()), plan.delta), delta)
    noise = 2 / math.sqrt(canaries) * QUANTILE
    return step_seconds * plan.steps * (noise / (claim / 2)) ** 2


def recorded_plan(plan: RunPlan, learned: Learned) -> RunPlan:
    """The plan of a finished run: planned again, with the noise and steps that its receipt states."""
    recorded = learned.receipt.plan
    if plan.privacy is None or recorded is None or recorded.training is None:
        return plan
    training = recorded.training
    told = replace(plan, privacy=recorded, delta=learned.receipt.delta)
    return told.with_training(training.steps, training.sampling_probability)


class _Attack:
    """How far apart the canaries that were in a training and those that were not are, run by run."""

    def __init__(self) -> None:
        self.shifts: list[float] = []
        self._variances: list[float] = []

    def add(self, parts: NDArray[np.float64], member: NDArray[np.bool_]) -> None:
        """Add one simulated training."""
        inside, outside = parts[member], parts[~member]
        self.shifts.append(float(inside.mean() - outside.mean()))
        self._variances.append(float(inside.var(ddof=1) + outside.var(ddof=1)) / 2)

    def mu(self, confidence: float) -> float:
        """Lower confidence bound on the Gaussian-DP parameter of one run."""
        if not self.shifts:
            return 0.0
        return shift_bound(np.array(self.shifts) / math.sqrt(np.mean(self._variances)), confidence)


def _outcome(
    attack: _Attack,
    plan: RunPlan,
    learned: Learned,
    recorder: RunRecorder,
    began: float,
    useful: float | None,
) -> TrainingAudit:
    """The bound after some simulated trainings."""
    privacy, steps = plan.privacy, recorder.plan.steps
    if privacy is None or privacy.training is None:
        raise TypeError
    # parts of a training are alike and independent: their squares add up
    mu = attack.mu(1 - CANARY_ALPHA) * math.sqrt(plan.steps / steps)
    steps_alone = replace(privacy, measurements=())
    return TrainingAudit(
        bound=gaussian_epsilon(mu, plan.delta - privacy.reserved_delta) if mu else 0.0,
        claim=compute_epsilon(steps_alone, plan.delta),
        epsilon=float(learned.receipt.epsilon or math.inf),
        delta=plan.delta,
        confidence=1 - CANARY_ALPHA,
        runs=len(attack.shifts),
        steps=steps,
        reach=float(recorder.norms.max()) * privacy.training.noise_multiplier,
        seconds=time.monotonic() - began,
        useful_seconds=useful,
    )
