"""One run, step by step: what is reserved, released, measured, trained and recorded, in this order."""

from __future__ import annotations

import functools
import logging
import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.learning.checkpoint import TrainingTask
from jupyter_dpsynth.engine.learning.fitting import train_model
from jupyter_dpsynth.engine.learning.participants import Participants
from jupyter_dpsynth.engine.learning.receipts import make_receipt
from jupyter_dpsynth.engine.learning.workers import (
    compare_tables,
    is_first,
    preparing,
    receive,
    several,
    workers_of,
)
from jupyter_dpsynth.engine.measuring.codes import encode_table
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.weighing import UNIT_PARTS, capped_rows
from jupyter_dpsynth.engine.model.dependence import estimated_dependence
from jupyter_dpsynth.engine.model.evidence import (
    derived_text,
    function_text,
    interaction_text,
    ordering_text,
)
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.losses import column_losses, loss_lines
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.model.plan import ROW_COUNT, unit_caps
from jupyter_dpsynth.engine.planning.counting import least_rows, planned_count
from jupyter_dpsynth.engine.planning.plan import LARGE_DELTA, check_feasible, plan_run
from jupyter_dpsynth.engine.sampling.refining import refined
from jupyter_dpsynth.engine.sampling.relations import sharpen
from jupyter_dpsynth.engine.training.loading import BackgroundImport
from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.metadata.formulas import written
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.learning.fitting import FittedModel
    from jupyter_dpsynth.engine.learning.progress import RunProgress
    from jupyter_dpsynth.engine.learning.spending import LedgerEntry
    from jupyter_dpsynth.engine.measuring.measure import MeasuredTable
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.training.distribute import Workers
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["learn_table"]

logger = logging.getLogger(__name__)

SEED_BITS = 63


def learn_table(
    source: Source,
    df_meta: DataFrameMeta,
    entry: LedgerEntry,
    progress: RunProgress,
    noise: NoiseSource,
    strategy: Any = None,  # noqa: ANN401 - TensorFlow ships no types
    checkpoint: Path | None = None,
) -> Learned:
    """Run `HighDimSynthesizer.learn` to its end, or to a stop.

    Args:
        source: The private table.
        df_meta: Its metadata.
        entry: The run's entry in the ledger, which knows the parameters.
        progress: Tells the observer.
        noise: Source of noise.
        strategy: The `tf.distribute` strategy to train with, or None.
        checkpoint: File to keep the training's state in and to go on from, or None.

    Raises:
        ArtifactError: The ledger cannot record the run; nothing was measured. Or the checkpoint is damaged.
        BudgetExhaustedError: The dataset's cap does not allow the run.
        ConfigError: The noise cannot keep within epsilon.
        DataError: Too few rows for anything but noise.
        NotLearnedError: Stopped before the measurements were complete.
    """
    config = entry.config
    progress.report()
    source.after_part = lambda: _report(entry, progress)
    # 1. Who trains together: a worker that is not the first one trains on what that one measures.
    workers = workers_of(strategy, config)
    participants = Participants(entry, progress, _own_noise(noise, workers), workers, checkpoint)
    if workers is not None and not is_first(workers):
        return _learn_after_the_first_worker(source, df_meta, participants, workers)
    with preparing(workers), entry.recording_end() as record_end:
        # 2. What cannot work is refused before anything is spent; an interrupted run was checked then.
        task = None if checkpoint is None else TrainingTask.read(checkpoint)
        if task is None:
            _refuse_what_cannot_work(source, df_meta, config)
        # 3. Several workers must have the same table; all of them will keep the same rows of a privacy unit.
        generator = compare_tables(workers, source, config) or participants.noise.generator
        # 4. The whole budget is entered into the ledger; an interrupted run has what is left of its own.
        if task is None:
            entry.reserve(source, progress)
        else:
            task = _resume(task, source, df_meta, entry, progress)
        progress.note_reserved(entry.reserved)
        importer = BackgroundImport()  # takes seconds, while the table is read
        # 5. At most so many rows of each privacy unit are kept.
        limited, units = _bound(source, config, generator, progress)
        if task is None:
            # 6. The row count is released: everything else follows from it.
            count = planned_count(config)
            exact = not config.differential_privacy
            releases = Releases(participants.noise, () if count is None else (count,), exact=exact)
            rows, capped = _count_rows(limited, units, releases, entry, progress)
            # 7. The plan replaces the reservation in the ledger; then only what it has may be released.
            plan = _plan(rows, capped, df_meta, entry, progress)
            entry.record_plan(plan)
            progress.note_reserved(entry.reserved)
            releases.admit(plan.releases)
            _warn_of_large_delta(plan, config)
            # 8. Domains, marginals, dependences and orderings are measured.
            tell = functools.partial(_report, entry, progress)
            measured = measure_table(limited, df_meta, plan, releases, tell, config.named_tables, units)
            codes, task = measured.codes, _task_of(measured, plan, entry)
        else:
            codes = encode_table(limited, task.codec).codes
        # 9. The network is trained.
        fitted = train_model(task, codes, units, participants, importer)
        # 10. What is left is post-processing: the model, and the receipt of what was spent.
        learned = _finish(task, fitted, participants)
        record_end(learned.stop_reason)
    return learned


def _own_noise(noise: NoiseSource, workers: Workers | None) -> NoiseSource:
    """This worker's noise, independent of that of the others."""
    return noise.of_worker(workers.worker) if workers is not None and several(workers) else noise


def _learn_after_the_first_worker(
    source: Source, df_meta: DataFrameMeta, participants: Participants, workers: Workers
) -> Learned:
    """The run of another worker: it trains on its shard what the first one measured."""
    entry, progress = participants.entry, participants.progress
    generator = compare_tables(workers, source, entry.config) or participants.noise.generator
    progress.report(phase="measuring", message="waiting for the first worker to measure")
    task = TrainingTask.from_bytes(receive(workers))
    task.check(entry.config, df_meta)
    entry.take_part_in(task)
    progress.note_reserved(entry.reserved)
    importer = BackgroundImport()
    source.after_part = progress.tick  # a stop request holds from the first step on: the others wait for it
    limited, units = _bound(source, entry.config, generator, progress)
    codes = encode_table(limited, task.codec).codes
    return _finish(task, train_model(task, codes, units, participants, importer), participants)


def _report(entry: LedgerEntry, progress: RunProgress, what: str = "") -> None:
    """Report what is measured next, or that time passes; end the run if somebody asked for that.

    Args:
        entry: Knows whether anything is spent.
        progress: Tells the observer.
        what: What is measured next; empty between two parts of a table.
    """
    if what:
        progress.report(phase="measuring", message=what)
    else:
        progress.tick()
    entry.raise_if_stopped(progress)


def _refuse_what_cannot_work(source: Source, df_meta: DataFrameMeta, config: ResolvedConfig) -> None:
    """Raise, before anything is spent, what follows from public figures."""
    count_is_private = config.differential_privacy and not config.n_public
    if not count_is_private and source.rows == 0:
        raise DataError("df is empty: pass a table with rows.")
    check_feasible(config, df_meta, source.rows if config.n_public else None)
    if config.n_public and config.differential_privacy:
        _refuse_few_rows(config, float(source.rows), f"it has {source.rows:,}", "Nothing was spent.")


def _refuse_few_rows(config: ResolvedConfig, rows: float, found: str, spent: str) -> None:
    """Raise DataError if nothing would stand out from the noise.

    Args:
        config: The frozen parameters.
        rows: Noisy row count, or the exact one if it is public.
        found: What is known of the row count, in words.
        spent: What finding it out has cost, as a sentence.
    """
    needed = least_rows(config, rows)
    if rows < needed:
        raise DataError(
            f"the table has too few rows for epsilon = {config.epsilon:g}: {found}, but about {needed:,.0f} "
            f"are needed for anything to stand out from the noise. {spent} Use more rows or a larger epsilon."
        )


def _resume(
    task: TrainingTask, source: Source, df_meta: DataFrameMeta, entry: LedgerEntry, progress: RunProgress
) -> TrainingTask:
    """Let the ledger say how much of an interrupted run is left; nothing new is spent."""
    task.check(entry.config, df_meta)
    released = entry.resume(source, task)
    done, planned = len(task.losses), task.plan.steps
    progress.report(message=f"resuming after step {done} of {planned}: nothing new is spent")
    source.after_part = progress.tick  # a stop request holds from the first step on: there is a model already
    return replace(task, released=max(released, done))


def _bound(
    source: Source, config: ResolvedConfig, generator: np.random.Generator, progress: RunProgress
) -> tuple[Source, PrivacyUnits | None]:
    """Keep at most so many rows of each privacy unit."""
    if config.privacy_unit is None:
        return source, None
    progress.report(message="choosing the rows of each person")
    return limit_rows_per_unit(source, config.privacy_unit, config.max_rows_per_unit, generator)


def _count_rows(
    source: Source,
    units: PrivacyUnits | None,
    releases: Releases,
    entry: LedgerEntry,
    progress: RunProgress,
) -> tuple[float, tuple[float, ...]]:
    """The noisy row count, or the exact one if it is public; and how many rows count under each cap."""
    config, exact = entry.config, source.rows
    if config.n_public or not config.differential_privacy:
        return float(exact), ()
    needed = least_rows(config, 2.0)
    # the epsilon is not named again: of a run for tests there is none
    _report(entry, progress, f"counting rows (at least about {needed:,.0f} are needed)")
    caps = np.array(unit_caps(config.rows_per_unit))
    allowance = releases.allowance(ROW_COUNT, sensitivity=math.sqrt(len(caps)))
    if units is None:
        noisy = allowance.counts(np.array([exact]))
    else:  # each figure relative to its cap, and then to the largest one, as whose rows the noise is given
        most = caps[-1]
        noisy = caps / most * allowance.counts(capped_rows(units, caps.tolist()), UNIT_PARTS / most)
    return max(float(noisy[-1]), 2.0), tuple(noisy.tolist())


def _plan(
    rows: float,
    capped: Sequence[float],
    df_meta: DataFrameMeta,
    entry: LedgerEntry,
    progress: RunProgress,
) -> RunPlan:
    """Fix everything else, if the rows are enough for more than noise.

    Privacy:
        Where the run ends here, that follows from the noisy row count, which is all that was released: the
        ledger then counts no more than that.
    """
    config, counted = entry.config, f"about {rows:,.0f} were counted (with noise)"
    found = f"it has {rows:,.0f}" if config.n_public else counted
    progress.report(phase="calibrating", message="calibrating the noise")
    try:
        if config.differential_privacy:
            _refuse_few_rows(config, rows, found, "")
        return plan_run(config, df_meta, rows, capped=capped)
    except (DataError, ConfigError) as error:  # feasible for some row counts, but not for this one
        spent = entry.record_count_only()
        progress.note_reserved(entry.reserved)
        raise type(error)(f"{error} {spent}".replace("  ", " ")) from None


def _warn_of_large_delta(plan: RunPlan, config: ResolvedConfig) -> None:
    if config.delta is not None and plan.delta * plan.rows >= 1:
        logger.warning(LARGE_DELTA, plan.delta, plan.rows, "Leave delta = None, or use a smaller one.")


def _task_of(measured: MeasuredTable, plan: RunPlan, entry: LedgerEntry) -> TrainingTask:
    """What training needs of the measurements."""
    dependence = estimated_dependence(measured.reference, plan.parents)
    layout = Layout.from_dependence(measured.codec.sizes, dependence, plan.pair_exponent, plan.parents)
    return TrainingTask(
        config=entry.config.to_dict(),
        plan=plan,
        codec=measured.codec,
        reference=measured.reference,
        counts=tuple(measured.counts),
        entry=entry.run or "",
        reserved=entry.reserved or (None, plan.delta),
        seed=secrets.randbits(SEED_BITS),
        untold=measured.untold,
        imposed=measured.imposed,
        # other processes that take part, or go on, must not come to another choice by a last digit
        scale=None if plan.parents is None else layout.scale,
    )


def _finish(task: TrainingTask, fitted: FittedModel, participants: Participants) -> Learned:
    """What the run leaves."""
    workers = 1 if participants.workers is None else participants.workers.workers
    model = refined(fitted.model, fitted.tape, task.reference, task.plan)
    model, functions = sharpen(model, task.reference, np.random.default_rng(task.seed))
    names = task.codec.names
    imposed = [ordering_text(low, high) for low, high in task.codec.orderings]
    imposed += [function_text(names[a], names[b]) for a, b in functions.kept]
    imposed += [derived_text(*each) for each in task.codec.formulas]
    imposed += [derived_text(name, written(formula)) for name, formula in task.codec.df_meta.derivations]
    imposed += task.imposed
    untold = [*task.untold, *(f"whether {function_text(names[a], names[b])}" for a, b in functions.untold)]
    together = [
        interaction_text([names[source] for source in feature.sources], names[feature.target])
        for feature in model.layout.derived
    ]
    losses = loss_lines(column_losses(task.codec, task.reference))
    receipt = make_receipt(
        task.plan, participants.entry, fitted.released, workers, imposed, untold, together, losses
    )
    reason = fitted.stop_reason
    participants.progress.report(phase="finished", message=reason.value, epsilon=receipt.epsilon)
    return Learned(task.codec, model, task.reference, receipt, reason, fitted.losses, fitted.tape)
