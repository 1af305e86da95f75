"""Audits of trainings over several tables: a canary is a person with a whole history.

See `engine.learning.auditing` for the attack. What is simulated has the run's noise, sampling, steps, columns
and largest numbers of rows. How strongly columns interact is not kept of a run, so all interactions that
there are are as strong as each other here; the promise does not depend on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.learning.auditing import (
    CANARIES,
    TABLE_ROWS,
    Simulation,
    audit_simulated,
    recorded_plan,
    shortened,
)
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.training.recording import AuditedTraining, RunRecorder
from jupyter_dpsynth.engine.training.trainer import Start, training_parts
from jupyter_dpsynth.persons.blocks import network_rows, start_shares
from jupyter_dpsynth.persons.events import blocks_of, empty_blocks, event_pairs
from jupyter_dpsynth.persons.histories import Events
from jupyter_dpsynth.persons.planning import CLIP, most_rows, persons_config, plan_persons
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.bounding import PrivacyUnits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.persons.blocks import Blocks
    from jupyter_dpsynth.persons.learned import LearnedPersons
    from jupyter_dpsynth.persons.planning import PersonsConfig
    from jupyter_dpsynth.privacy.audit import TrainingAudit

__all__ = ["audit_persons"]

LEAST_SHARE = 1e-4  # of a cell, so that its logarithm exists


def audit_persons(
    learned: LearnedPersons,
    config: ResolvedConfig,
    seconds: float,
    report: Callable[[TrainingAudit], None],
    stopped: Callable[[], bool],
) -> TrainingAudit:
    """Attack trainings on simulated persons, with the plan of a finished run.

    Args:
        learned: What was learned: only privatised state is looked at.
        config: The parameters of that run.
        seconds: How long.
        report: Told of the state before the first and after each simulated training.
        stopped: Asked before each; True ends the audit with what there is.

    Privacy:
        Post-processing: no private row is read, nothing is spent.
    """
    checked = persons_config(config)

    def simulation(random: np.random.Generator) -> Simulation:
        key = checked.privacy_unit or ""
        empty = empty_blocks(learned.meta, key)
        pairs = tuple(len(event_pairs(empty, place)) for place in range(len(learned.events)))
        planned = plan_persons(checked, learned.meta, pairs, float(learned.reference.rows)).run
        plan = recorded_plan(planned, learned)
        own = tuple(tuple(each.codec.sizes.tolist()) for each in learned.events)
        blocks = blocks_of(learned.meta, tuple(learned.codec.sizes.tolist()), own)
        # persons with as many rows as there may be move a step as much as any
        candidates = _persons(blocks, learned, CANARIES, random, full=True)
        others = _persons(blocks, learned, TABLE_ROWS - CANARIES, random, full=False)
        return Simulation(plan, _recorder(blocks, learned, shortened(plan), checked), candidates, others)

    return audit_simulated(simulation, learned, seconds, report, stopped)


def _persons(
    blocks: Blocks, learned: LearnedPersons, count: int, random: np.random.Generator, *, full: bool
) -> NDArray[np.int32]:
    """Codes of persons of random cells, `[count, 1 + most rows, m]`; rows that there are not have -1 only.

    Args:
        blocks: The columns.
        learned: What was learned.
        count: How many.
        random: Source of randomness.
        full: Whether each has as many rows as there may be.
    """
    person_codes = np.stack([random.integers(size, size=count) for size in blocks.person], axis=1)
    made: dict[str, tuple[Events, NDArray[np.int64], NDArray[np.int64]]] = {}
    none: NDArray[np.int64] = np.zeros(0, np.int64)
    for place in sorted(
        range(len(learned.events)), key=lambda one: learned.events[one].children.of is not None
    ):
        children = learned.events[place].children
        units = np.arange(count) if children.above is None else made[children.above][0].unit
        number = (
            np.full(len(units), children.most) if full else random.integers(0, children.most + 1, len(units))
        )
        owner = np.repeat(np.arange(len(units)), number)
        position = np.arange(len(owner)) - (np.cumsum(number) - number)[owner]
        events = Events(
            pd.DataFrame(index=owner),
            owner,
            owner,
            units[owner],
            position,
            position,
            number,
            None,
            none,
            none,
        )
        codes, states = (
            np.stack([random.integers(size, size=len(owner)) for size in sizes], axis=1)
            for sizes in (blocks.own[place], blocks.states[place])
        )
        if children.gapped:
            codes[position == 0, 0] = -1
        made[children.table] = events, codes, states
    ordered = [made[each.children.table] for each in learned.events]
    each_events, codes_of, states_of = (list(part) for part in zip(*ordered, strict=True))
    rows, whose = network_rows(blocks, person_codes, each_events, codes_of, states_of)
    most = 1 + sum(most_rows(learned.meta, each.children) for each in learned.events)
    out = np.full((count, most, rows.shape[1]), -1)
    owner = np.repeat(np.arange(count), np.diff(whose.starts))
    out[owner, np.arange(len(rows)) - whose.starts[owner]] = rows
    return out.astype(np.int32)


def _recorder(blocks: Blocks, learned: LearnedPersons, plan: RunPlan, config: PersonsConfig) -> RunRecorder:
    """The real training loop of a plan, watched."""
    pairs, tables = blocks.pairs(), blocks.tables
    importance = np.zeros(len(blocks.sizes))
    importance[: len(blocks.person)] = 1.0
    shares = [to_shares(share, LEAST_SHARE) for share in learned.reference.shares]
    for table in tables:
        importance[table.own] = 1.0
    own = [[to_shares(share, LEAST_SHARE) for share in each.shares] for each in learned.events]
    starts = start_shares(blocks, shares, own)
    layout = Layout(blocks.sizes, pairs.astype(np.float64), importance=importance)
    ordered = blocks.ordered(
        [column.ordered_cells for column in learned.codec.columns],
        [[column.ordered_cells for column in each.codec.columns] for each in learned.events],
    )
    clipped = replace(config, l2_norm_clip=layout.clip_norm(starts, CLIP))
    units = PrivacyUnits.adjacent(np.arange(TABLE_ROWS + 1) * plan.unit_rows)
    noise = NoiseSource()
    parts = training_parts(Start(layout, starts, ordered), plan, clipped, noise, units)
    return RunRecorder(AuditedTraining(plan, parts, noise))
