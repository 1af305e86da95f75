"""One run over several tables of the same persons, step by step. See `engine.learning.run` for one table."""

from __future__ import annotations

import functools
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.learning.fitting import epsilon_by_step
from jupyter_dpsynth.engine.learning.receipts import make_receipt
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.model.evidence import ordering_text
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.losses import loss_lines
from jupyter_dpsynth.engine.model.plan import ROW_COUNT
from jupyter_dpsynth.engine.planning.counting import least_rows, planned_count
from jupyter_dpsynth.engine.training.loading import BackgroundImport
from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.persons.blocks import network_rows
from jupyter_dpsynth.persons.drawing import calibrated
from jupyter_dpsynth.persons.events import MeasuredEvents, empty_blocks, event_pairs, measure_events
from jupyter_dpsynth.persons.grouping import read_tables
from jupyter_dpsynth.persons.histories import person_meta
from jupyter_dpsynth.persons.layout import PersonsNetwork, layout_of
from jupyter_dpsynth.persons.learned import LearnedEvents, LearnedPersons
from jupyter_dpsynth.persons.left import losses_of_tables
from jupyter_dpsynth.persons.making import NOTHING_ASKED, Holders, draw_tables, make_persons, order_start
from jupyter_dpsynth.persons.planning import PERSONS, PersonsConfig, PersonsPlan, TableReleases, plan_persons
from jupyter_dpsynth.persons.refining import refined_persons
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.scratch import scratch_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.learning.progress import RunProgress
    from jupyter_dpsynth.engine.learning.spending import LedgerEntry
    from jupyter_dpsynth.engine.measuring.measure import MeasuredTable
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.engine.training.trainer import TrainingOutcome
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.histories import Histories
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["learn_persons"]

POLL_SECONDS = 0.25
CALIBRATION_PERSONS = 20_000


def learn_persons(
    tables: Mapping[str, Source],
    meta: TablesMeta,
    entry: LedgerEntry,
    config: PersonsConfig,
    progress: RunProgress,
    noise: NoiseSource,
) -> LearnedPersons:
    """Learn several tables of the same persons.

    Args:
        tables: The opened private tables by name.
        meta: Their metadata, with the key as an identifier.
        entry: The run's entry in the ledger.
        config: The parameters, those of the entry.
        progress: Tells the observer.
        noise: Source of noise.

    Raises:
        ArtifactError: The ledger cannot record the run; nothing was measured.
        BudgetExhaustedError: The dataset's cap does not allow the run.
        ConfigError: The noise cannot keep within epsilon.
        DataError: Too few persons for anything but noise.
        NotLearnedError: Stopped before there was a model.
    """
    key = config.privacy_unit or ""
    progress.report()
    report = functools.partial(_report, entry, progress)
    with entry.recording_end() as record_end:
        # 1. The whole budget is entered into the ledger, under the table of persons, with all others.
        first = meta.parent or meta.children[0].table
        others = {name: each for name, each in tables.items() if name != first}
        entry.reserve(tables[first], progress, others)
        progress.note_reserved(entry.reserved)
        importer = BackgroundImport()
        # 2. Every person gets its own rows, in order, and no more than are declared.
        report("putting the rows of each person in order")
        histories = read_tables(tables, meta, key, noise.generator)
        # 3. The number of persons is released, and everything else is planned from it.
        count = planned_count(config)
        releases = Releases(noise, () if count is None else (count,), exact=not config.differential_privacy)
        persons = _count(histories, releases, config, report)
        plan = _plan(persons, meta, key, entry, config, progress)
        entry.record_plan(plan.run)
        progress.note_reserved(entry.reserved)
        releases.admit(plan.releases)
        # 4. Persons are measured like any table; of events a person counts once.
        name = meta.parent or PERSONS
        measured = measure_table(
            FrameSource(histories.df),
            person_meta(meta, key),
            plan.tables[0],
            TableReleases(releases, name),
            report,
        )
        events = _measure_events(histories, meta, key, measured, plan, releases, report)
        # 5. The network is trained: all rows of a person are one contribution.
        network = layout_of(measured, events, meta, plan.run)
        codes, units = network_rows(
            network.blocks,
            measured.codes,
            histories.events,
            [e.codes for e in events],
            [e.state for e in events],
            scratch_array if any(each.partitioned for each in tables.values()) else None,
        )
        outcome, tape = _train(network, codes, units, plan, entry, config, progress, noise, importer)
        # 6. What is left is post-processing.
        learned = _finish(measured, events, network, outcome, tape, plan, entry, meta, key)
        progress.report(phase="finished", message=outcome.stop_reason.value, epsilon=learned.receipt.epsilon)
        record_end(outcome.stop_reason)
    return learned


def _measure_events(
    histories: Histories,
    meta: TablesMeta,
    key: str,
    persons: MeasuredTable,
    plan: PersonsPlan,
    releases: Releases,
    report: Any,  # noqa: ANN401
) -> list[MeasuredEvents]:
    """Measure the tables of events, rows above first."""
    found: dict[str, MeasuredEvents] = {}
    listed = list(zip(histories.events, meta.children, plan.tables[1:], strict=True))
    for own, each, sizes in sorted(listed, key=lambda one: one[1].of is not None):
        above = None if each.above is None else found[each.above]
        of_table = TableReleases(releases, each.table)
        found[each.table] = measure_events(own, meta, each, key, persons, above, sizes, of_table, report)
    return [found[each.table] for each in meta.children]


def _report(entry: LedgerEntry, progress: RunProgress, what: str = "") -> None:
    """Report what is measured next; end the run if somebody asked for that."""
    progress.report(phase="measuring", message=what)
    entry.raise_if_stopped(progress)


def _count(histories: Histories, releases: Releases, config: PersonsConfig, report: Any) -> float:  # noqa: ANN401
    """The noisy number of persons."""
    exact = len(histories.df)
    if releases.exact:
        return float(max(exact, 2))
    report(f"counting persons (at least about {least_rows(config, 2.0):,.0f} are needed)")
    return max(float(releases.allowance(ROW_COUNT).counts(np.array([exact]))[0]), 2.0)


def _plan(
    persons: float,
    meta: TablesMeta,
    key: str,
    entry: LedgerEntry,
    config: PersonsConfig,
    progress: RunProgress,
) -> PersonsPlan:
    """Fix everything else, if the persons are enough for more than noise.

    Privacy:
        Where the run ends here, that follows from the noisy number of persons: all that was released.
    """
    progress.report(phase="calibrating", message="calibrating the noise")
    blocks = empty_blocks(meta, key)
    pairs = tuple(len(event_pairs(blocks, place)) for place in range(len(meta.children)))
    try:
        if config.differential_privacy:
            _refuse_few_persons(config, persons)
        return plan_persons(config, meta, pairs, persons)
    except (DataError, ConfigError) as error:
        spent = entry.record_count_only()
        progress.note_reserved(entry.reserved)
        raise type(error)(f"{error} {spent}") from None


def _refuse_few_persons(config: PersonsConfig, persons: float) -> None:
    """Raise DataError if nothing would stand out from the noise."""
    needed = least_rows(config, persons)
    if persons < needed:
        raise DataError(
            f"there are too few persons for epsilon = {config.epsilon:g}: about {persons:,.0f} were counted "
            f"(with noise), but about {needed:,.0f} are needed for anything to stand out from the noise. Use "
            "more persons or a larger epsilon."
        )


def _train(
    network: PersonsNetwork,
    codes: NDArray[np.int16],
    units: PrivacyUnits,
    plan: PersonsPlan,
    entry: LedgerEntry,
    config: PersonsConfig,
    progress: RunProgress,
    noise: NoiseSource,
    importer: BackgroundImport,
) -> tuple[TrainingOutcome, Tape | None]:
    """Make the planned steps; what they released, added up, is told too."""
    run = plan.run
    spent = epsilon_by_step(run, test_only=entry.test_only)
    progress.report(total_steps=run.steps, delta=run.delta, epsilon=spent(0))
    progress.report(phase="starting", message="starting TensorFlow (the first time takes 10 to 20 s)")
    while not importer.wait(POLL_SECONDS):
        entry.raise_if_stopped(progress)
        progress.report()
    trainer = importer.trainer
    start = trainer.Start(network.layout, network.shares, network.ordered)
    clipped = replace(config, l2_norm_clip=network.clip_norm)
    parts = trainer.training_parts(start, run, clipped, noise, units)
    progress.report(phase="training", message="training")

    def after_step(step: int, loss: float, loss_noise: float) -> None:
        rows = round(step * run.batch_size)
        progress.report(step=step, epsilon=spent(step), loss=loss, loss_noise=loss_noise, rows=rows)

    made = trainer.DPTrainer(run, parts.release, parts.update, parts.divisor)
    outcome = made.train(codes, parts.releases, after_step, lambda: progress.stop_requested)
    return outcome, parts.update.tape


def _most_text(children: Children) -> str:
    """How many rows of a person there are, in words."""
    chosen = "by a lot" if children.order is None else f"the first by {children.order!r}"
    whose = "a person" if children.above is None else f"a row of {children.above!r}"
    if children.times is not None:
        return f"{whose} has a row in {children.table!r} at each of {children.most} declared times"
    if children.exactly is not None:
        return f"{whose} has exactly {children.most} rows in {children.table!r}, as declared"
    return f"{whose} has at most {children.most} rows in {children.table!r} (of the real ones, {chosen})"


def _finish(
    measured: MeasuredTable,
    events: Sequence[MeasuredEvents],
    network: PersonsNetwork,
    outcome: TrainingOutcome,
    tape: Tape | None,
    plan: PersonsPlan,
    entry: LedgerEntry,
    meta: TablesMeta,
    key: str,
) -> LearnedPersons:
    """What the run leaves: the network in parts, with biases that fit what was measured."""
    imposed = [ordering_text(low, high) for low, high in measured.codec.orderings]
    imposed += [
        f"no row in {e.children.table!r} comes after one with {text}" for e in events for text in e.ends
    ]
    imposed += [_most_text(each) for each in meta.children]
    # the tests of formulas know no number of rows, which follows from none
    numbers = tuple(f"whether {each.number!r} is " for each in meta.children)
    untold = [text for text in measured.untold if not text.startswith(numbers) or " is never above " in text]
    receipt = make_receipt(plan.run, entry, len(outcome.losses), 1, imposed, untold)

    def parts(model: TabularModel) -> tuple[Learned, list[LearnedEvents]]:
        person = Learned(
            measured.codec,
            network.person_model(model),
            measured.reference,
            receipt,
            outcome.stop_reason,
            outcome.losses,
        )
        return person, [
            LearnedEvents(
                each.children,
                each.codec,
                *network.event_weights(model, place),
                tuple(each.shares),
                each.terminal,
            )
            for place, each in enumerate(events)
        ]

    trained = parts(outcome.model)
    person, drawing = parts(refined_persons(outcome.model, tape, *trained, network.blocks, meta, plan.run))
    generator = np.random.default_rng(secrets.randbits(63))
    rows = int(min(CALIBRATION_PERSONS, 4 * measured.reference.rows))
    df, codes = make_persons(person, meta, rows, generator, NOTHING_ASKED)
    everybody = Holders(df, codes, measured.codec.sizes, np.arange(len(df)))
    cap = {each.children.table: each.cap for each in events}

    def adjusted(own: LearnedEvents, above: Holders) -> LearnedEvents:
        number = above.df[own.children.number].to_numpy(np.int64)
        start = order_start(above.df, meta, own.children)
        most = float(cap[own.children.table])
        return calibrated(own, above.sizes, above.codes, number, *start, above.unit, most, generator)

    tables = draw_tables(drawing, meta, everybody, generator, adjusted)
    made = {each.events.children.table: each.events for each in tables}
    learned = LearnedPersons(
        **vars(person), meta=meta, key=key, events=tuple(made[each.table] for each in meta.children)
    )
    return replace(learned, receipt=replace(receipt, losses=tuple(loss_lines(losses_of_tables(learned)))))
