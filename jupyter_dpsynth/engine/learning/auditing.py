"""Audits of the real training loop: attacks on simulated trainings under the plan of a finished run.

Only the optimizer is replaced, by a recorder (`training.recording`) that leaves the parameters where they
are: it sees what every step released, after which all is post-processing.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.engine.training.recording import AuditedTraining, RunRecorder
from jupyter_dpsynth.engine.training.trainer import Start, training_parts
from jupyter_dpsynth.privacy.accounting import compute_epsilon, gaussian_epsilon
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA, TrainingAudit, shift_bound
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.bounding import PrivacyUnits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["audit_training"]

TABLE_ROWS = 768  # of the simulated table
CANARIES = 512
CANDIDATES = 2048
LEAST_SHARE = 1e-4  # of a cell, so that its logarithm exists
LONGEST_PART = 1000  # steps of a simulated training; a longer one is audited in parts


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
        seconds: About how long.
        report: Told of the state after each simulated training.
        stopped: Asked before each; True ends the audit with what there is.

    Privacy:
        Post-processing: no private row is read, nothing is spent.

    Source:
        Steinke, Nasr and Jagielski 2023, 'Privacy auditing with one (1) training run'; Nasr et al. 2023.
    """
    began = time.monotonic()
    random = np.random.default_rng()
    plan = _plan_of(learned, config)
    part = plan.with_training(min(plan.steps, LONGEST_PART), plan.sampling_probability)
    shares = [to_shares(share, LEAST_SHARE) for share in learned.reference.shares]
    ordered = [column.ordered_cells for column in learned.codec.columns]
    starts = np.arange(CANDIDATES + 1) * plan.unit_rows
    units = None if plan.unit_rows == 1 else PrivacyUnits.adjacent(starts)
    start, noise = Start(learned.model.layout, shares, ordered), NoiseSource()
    parts = training_parts(start, part, config, noise, units)
    recorder = RunRecorder(AuditedTraining(part, parts, noise))
    sizes = learned.codec.sizes
    candidates = np.stack([random.integers(size, size=CANDIDATES) for size in sizes], axis=1)
    canaries = recorder.aim(candidates.astype(np.int32), CANARIES)
    others = generate_codes(learned.model, learned.reference.shares, TABLE_ROWS - CANARIES, random)
    attack = _Attack()
    audit = _outcome(attack, plan, part, learned, recorder.norms, began)
    while not (attack.shifts and time.monotonic() - began > seconds) and not stopped():
        member = random.permutation(CANARIES) < CANARIES / 2
        table = np.concatenate([canaries[member], others])
        attack.add(recorder.own_parts(table, np.flatnonzero(member)), member)
        audit = _outcome(attack, plan, part, learned, recorder.norms, began)
        report(audit)
    return audit


def _plan_of(learned: Learned, config: ResolvedConfig) -> RunPlan:
    """The plan of a finished run, rebuilt from its receipt."""
    plan = plan_run(config, learned.codec.df_meta, float(learned.reference.rows))
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
    part: RunPlan,
    learned: Learned,
    norms: NDArray[np.float64],
    began: float,
) -> TrainingAudit:
    """The bound after some simulated trainings."""
    privacy = plan.privacy
    if privacy is None or privacy.training is None:
        raise TypeError
    # parts of a training are alike and independent: their squares add up
    mu = attack.mu(1 - CANARY_ALPHA) * math.sqrt(plan.steps / part.steps)
    steps_alone = replace(privacy, measurements=())
    return TrainingAudit(
        bound=gaussian_epsilon(mu, plan.delta - privacy.reserved_delta) if mu else 0.0,
        claim=compute_epsilon(steps_alone, plan.delta),
        epsilon=float(learned.receipt.epsilon or math.inf),
        delta=plan.delta,
        confidence=1 - CANARY_ALPHA,
        runs=len(attack.shifts),
        steps=part.steps,
        reach=float(norms.max()) * privacy.training.noise_multiplier,
        seconds=time.monotonic() - began,
    )
