"""Audits of the real training loop: the sampler, the clipping, the noise and the division that users run.

Only the optimizer is replaced, by a recorder that leaves the parameters where they are: it sees what
every step released, after which all is post-processing. A canary is a row whose gradient is clipped.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.engine.training.adam import Start
from jupyter_dpsynth.engine.training.release import MicrobatchRelease, UnitRelease
from jupyter_dpsynth.engine.training.trainer import DPTrainer
from jupyter_dpsynth.privacy.accounting import compute_epsilon, gaussian_epsilon
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA, TrainingAudit, shift_bound
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.bounding import Units

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.planning.plan import RunPlan
    from jupyter_dpsynth.engine.training.gradient import Tensor
    from jupyter_dpsynth.engine.training.release import NoisySums

__all__ = ["STATISTICS", "Recorder", "audit_training", "canary_draws"]

#: Of a run: the canary's direction summed over the steps, its largest step, the loss, and all the rest.
STATISTICS = ("sum along the canary", "largest step along the canary", "loss", "energy beside the canary")
TABLE_ROWS = 768  # of the simulated table
CANARIES = 512
CANDIDATES = 2048
LEAST_SHARE = 1e-4  # of a cell, so that its logarithm exists
LONGEST_PART = 1000  # steps of a simulated training; a longer one is audited in parts


class Recorder:
    """Stands in for a trainer's optimizer and before its release; sees what every step released.

    Everything is in whitened units: one standard deviation of the noise that is claimed, in every
    coordinate of the gradient and for the loss. A row moves a release by at most 1 / claimed noise
    multiplier. Where persons are protected every row of the tables here stands for a person with as many
    equal rows as are allowed.

    Args:
        trainer: The trainer to be watched; its parameters stay as they start.
    """

    def __init__(self, trainer: DPTrainer) -> None:
        self.trainer, self.inner = trainer, trainer.release
        self.weights, self.bias = trainer.update.weights, trainer.update.bias
        self.model = trainer.update.model
        plan, clip = trainer.plan, trainer.gradient.clip_norm
        self._divisor = trainer.divisor
        self._units = plan.noise_multiplier * clip, trainer.loss_noise * plan.batch_size
        self._copies = self.inner.unit_rows if isinstance(self.inner, UnitRelease) else 1
        trainer.update = self  # type: ignore[assignment]
        trainer.release = self

    def run(self, codes: NDArray[np.integer[Any]]) -> None:
        """Run the trainer's own loop once on a table."""
        self.trainer.train(codes, _nothing, _never)

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """The rows, or persons: each stands for one."""
        return len(codes)

    def release(
        self,
        weights: Tensor,
        bias: Tensor,
        codes: NDArray[np.integer[Any]],
        indices: NDArray[np.int64],
    ) -> NoisySums:
        """The real release."""
        return self.inner.release(weights, bias, self._rows(codes), indices)

    def _rows(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """The rows of every person, if rows stand for persons."""
        return codes if self._copies == 1 else np.repeat(codes, self._copies, axis=0)

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Look at what a step released."""
        raise NotImplementedError

    def clean(self, codes: NDArray[np.integer[Any]], indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The whitened clipped sum of some rows without noise (of rows that are no secret)."""
        native: Any = getattr(self.inner, "native", self.inner)  # TF-Privacy's own release keeps one
        parameters = tf.constant(self.weights), tf.constant(self.bias)
        return self.whitened(native.clipped_sums(*parameters, self._rows(codes), indices), self._divisor)

    def whitened(self, sums: NoisySums, divisor: float) -> NDArray[np.float64]:
        """A release as the optimizer gets it, divided, in whitened units, `[F + D + 1]`."""
        out = np.concatenate([sums.weights, sums.bias, [sums.loss]])
        out[:-1] /= self._units[0] * divisor / self._divisor
        out[-1] /= self._units[1]
        return out


def _nothing(step: int, loss: float, loss_noise: float) -> None:
    pass


def _never() -> bool:
    return False


class _CanaryRecorder(Recorder):
    """Splits every release into what is along one row's contribution and what is beside it."""

    def __init__(self, trainer: DPTrainer, canary: NDArray[np.integer[Any]]) -> None:
        super().__init__(trainer)
        contribution = self.clean(canary[None], np.array([0]))
        self._direction = contribution / np.linalg.norm(contribution)
        self.steps: list[tuple[float, float, float]] = []
        if not isinstance(self.inner, MicrobatchRelease):
            self._remember_sums()

    def _remember_sums(self) -> None:
        """Compute the clipped sum of the same rows once: parameters stay, and nothing in it is random."""
        inner: Any = self.inner
        compute, known = inner.clipped_sums, {}

        def clipped_sums(weights: Tensor, bias: Tensor, codes: Any, indices: Any) -> Any:  # noqa: ANN401
            key = len(codes), indices.tobytes()
            if key not in known:
                known[key] = compute(weights, bias, codes, indices)
            return known[key]

        inner.clipped_sums = clipped_sums

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Keep three figures of a step."""
        if step == 1:
            self.steps = []
        released = self.whitened(sums, divisor)
        along = float(self._direction @ released)
        self.steps.append((along, float(released[-1]), float(released @ released) - along**2))


def canary_draws(
    trainer: DPTrainer,
    others: NDArray[np.integer[Any]],
    canary: NDArray[np.integer[Any]],
    runs: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures of whole runs of the trainer's loop, without and with one row.

    Args:
        trainer: A trainer with few steps; it is used up.
        others: The other rows of the table, `int32 [n, m]`.
        canary: The row, `int32 [m]`; its gradient should reach the clip norm.
        runs: Runs of each.

    Returns:
        `STATISTICS` of each run, float64 `[runs, 4]`, without and with the canary.
    """
    recorder = _CanaryRecorder(trainer, canary)
    draws = []
    for table in (others, np.concatenate([others, canary[None]])):
        figures = []
        for _ in range(runs):
            recorder.run(table)
            along, loss, beside = np.array(recorder.steps).T
            figures.append((along.sum(), along.max(), loss.sum(), beside.mean()))
        draws.append(np.array(figures))
    return draws[0], draws[1]


class _RunRecorder(Recorder):
    """Adds up the releases of a run: for the canaries' own part only the sum matters."""

    def __init__(self, trainer: DPTrainer) -> None:
        super().__init__(trainer)
        self._total: NDArray[np.float64] = np.zeros(0)
        self._sampled: list[NDArray[np.int64]] = []

    def release(
        self,
        weights: Tensor,
        bias: Tensor,
        codes: NDArray[np.integer[Any]],
        indices: NDArray[np.int64],
    ) -> NoisySums:
        """The real release; remembers which rows were sampled."""
        self._sampled.append(indices)
        return super().release(weights, bias, codes, indices)

    def apply(self, sums: NoisySums, divisor: float, step: int) -> None:
        """Add a release."""
        released = self.whitened(sums, divisor)
        if step == 1:
            self._total = released
        else:
            self._total += released

    def aim(self, candidates: NDArray[np.int32], count: int) -> NDArray[np.int32]:
        """Choose the rows that move a release most as canaries and return them."""
        size = np.array(
            [np.linalg.norm(self.clean(candidates, np.array([i]))) for i in range(len(candidates))]
        )
        chosen = np.argsort(-size)[:count]
        self.norms = size[chosen]
        self._directions = np.stack([self.clean(candidates, chosen[i : i + 1]) for i in range(count)]).astype(
            np.float32
        )
        self._directions /= self.norms[:, None].astype(np.float32)
        return candidates[chosen]

    def own_parts(self, codes: NDArray[np.int32], members: NDArray[np.intp]) -> NDArray[np.float64]:
        """For every canary what a run shows of it, to somebody who knows the other sampled rows.

        Args:
            codes: The table, the canaries that are in it first.
            members: Which those are.
        """
        self._sampled = []
        self.run(codes)
        seen = self._total
        indices = np.concatenate(self._sampled)
        known = not isinstance(self.inner, MicrobatchRelease)  # nobody knows which rows shared a group
        if known:
            seen = seen - self.clean(codes, indices)
        parts = (self._directions @ seen.astype(np.float32)).astype(np.float64)
        if known:
            times = np.bincount(indices, minlength=len(codes))[: len(members)]
            parts[members] += times * self.norms[members]
        return parts / math.sqrt(self.trainer.plan.steps)


def audit_training(
    learned: Learned,
    config: ResolvedConfig,
    seconds: float,
    report: Callable[[TrainingAudit], None],
    stopped: Callable[[], bool],
) -> TrainingAudit:
    """Attack trainings on simulated tables under the very plan that a synthesizer was trained with.

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
    part = replace(plan, steps=min(plan.steps, LONGEST_PART))
    shares = [to_shares(share, LEAST_SHARE) for share in learned.reference.shares]
    ordered = [column.ordered_cells for column in learned.codec.columns]
    starts = np.arange(CANDIDATES + 1) * plan.unit_rows
    units = None if plan.unit_rows == 1 else Units.side_by_side(starts)
    trainer = DPTrainer(Start(learned.model.layout, shares, ordered), part, config, NoiseSource(), units)
    recorder = _RunRecorder(trainer)
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
    """The plan of a finished run, with the figures of its receipt."""
    plan = plan_run(config, learned.codec.df_meta, float(learned.reference.rows))
    told = learned.receipt.plan
    if plan.privacy is None or plan.privacy.training is None or told is None or told.training is None:
        return plan
    ratio = told.training.noise_multiplier / plan.privacy.training.noise_multiplier
    return replace(
        plan,
        privacy=told,
        delta=learned.receipt.delta,
        steps=told.training.steps,
        sampling_probability=told.training.sampling_probability,
        noise_multiplier=plan.noise_multiplier * ratio,
        loss_noise=plan.loss_noise * ratio,
    )


class _Attack:
    """How far the canaries that were in a training and those that were not lie apart, run by run."""

    def __init__(self) -> None:
        self.shifts: list[float] = []
        self._variances: list[float] = []

    def add(self, parts: NDArray[np.float64], member: NDArray[np.bool_]) -> None:
        """Take in one simulated training."""
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
