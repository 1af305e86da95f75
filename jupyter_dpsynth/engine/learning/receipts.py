"""The receipt of a finished run: what was planned, what was done, and with which software."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from typing import TYPE_CHECKING, Literal

from jupyter_dpsynth.engine.training.tf_privacy import tf_privacy_statement
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt, relation_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.engine.learning.spending import LedgerEntry
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["make_receipt", "software_versions"]


def make_receipt(
    plan: RunPlan,
    entry: LedgerEntry,
    steps: int,
    workers: int,
    imposed: Sequence[str] = (),
    untold: Sequence[str] = (),
    together: Sequence[str] = (),
    losses: Sequence[str] = (),
) -> PrivacyReceipt:
    """The receipt of a run after so many steps.

    Args:
        plan: What was planned.
        entry: The run in the ledger.
        steps: How many steps may have been made, at most.
        workers: How many workers there were.
        imposed: Relations between columns that every synthetic row keeps, in words.
        untold: What the noise hides of the table's structure, in words.
        together: Interactions of three or four columns that the network has learned, in words.
        losses: What columns lose on the way to synthetic rows, in words.
    """
    config = entry.config
    noise = (
        "training: TensorFlow Privacy's GaussianSumQuery on tf.random, whose float32 normals are cut "
        "at 5.7 sigma; measurements: operating-system entropy (ChaCha20), rounded to whole numbers"
        if config.dp_backend == "tensorflow_privacy"
        else "operating-system entropy (ChaCha20), rounded to whole numbers"
    )
    if workers > 1:
        noise += f", in {workers} shares whose variances add up to the planned one"
    guarantee: Literal["dp", "none"] = "dp" if config.differential_privacy else "none"
    epsilon, delta = entry.reserved or (None, plan.delta)
    by_unit = config.privacy_unit is not None
    sampled = "unit" if by_unit else "row"
    return PrivacyReceipt(
        plan=plan.privacy,
        delta=delta,
        epsilon=epsilon,
        epsilon_target=config.epsilon if config.differential_privacy else math.inf,
        epsilon_completed_steps=None if epsilon is None else _epsilon_of(plan, steps),
        planned_steps=plan.steps,
        completed_steps=steps,
        sampler=f"Poisson: every {sampled} is drawn independently in every step",
        noise=noise,
        row_count_private=not config.n_public and config.differential_privacy,
        backend=config.dp_backend,
        versions=software_versions(),
        # TF-Privacy's statement is about examples, not about persons
        second_opinion=None if epsilon is None or by_unit else tf_privacy_statement(plan),
        unit=config.unit_text,
        relation=relation_of(config.unit_text),
        guarantee="test-only" if entry.test_only else guarantee,
        ledger_entry=entry.run,
        imposed=tuple(imposed),
        untold=tuple(untold),
        together=tuple(together),
        losses=tuple(losses),
    )


def _epsilon_of(plan: RunPlan, steps: int) -> float:
    """Epsilon if so many steps had been planned; infinite without differential privacy."""
    if plan.privacy is None or steps == plan.steps:
        return plan.epsilon
    return min(compute_epsilon(plan.privacy.with_steps(steps), plan.delta), plan.epsilon)


def software_versions() -> dict[str, str]:
    """Versions of what the guarantee rests on."""
    found = {"python": platform.python_version()}
    for name in ("jupyter_dpsynth", "tensorflow", "dp-accounting", "numpy", "tensorflow-privacy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
