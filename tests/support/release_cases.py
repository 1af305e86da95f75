"""The releases of private figures, each as it is made by the real code on tables that differ in one row.

A case measures a table, and the same table with one more row or without one person. For every release the
change of the exact figures is compared with what the accountant was told. Then it measures quite another
table, which gets the same noisy answers: whatever was found, chosen or counted must be the same, because it
may follow from the answers alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pandas as pd

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.learning import run as run_module
from jupyter_dpsynth.engine.measuring import (
    interactions,
    measure,
)
from jupyter_dpsynth.engine.model.dependence import estimated_dependence
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.plan import (
    ORDERINGS,
)
from jupyter_dpsynth.engine.planning.counting import planned_count
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.evaluation import history_private, private
from jupyter_dpsynth.inference import asking
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.persons import events as persons_events
from jupyter_dpsynth.persons import planning as persons_planning
from jupyter_dpsynth.persons import run as persons_run
from jupyter_dpsynth.persons.histories import person_meta, read_histories
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import PlannedRelease
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.doors import Door, check_cost
from tests.support.hospital import hospital, hospital_meta
from tests.support.households import KEY as HOUSEHOLD
from tests.support.households import households, households_meta
from tests.support.models import untrained

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, PARENTS, MOST_PICKS = 3000, 2, 10


class PassedByError(AssertionError):
    """Something follows from private rows, and not from the noisy answers."""


@dataclass(frozen=True)
class Case:
    """Some releases that are made together.

    Attributes:
        names: Of the measurements.
        run: Measures a table through a door, and gives all that leaves.
        door: A new door, perhaps with another's answers.
        base: A table.
        neighbour: The same with one more row, or without a person.
        other: Another table.
    """

    names: tuple[str, ...]
    run: Callable[[Any, Door], Any]
    door: Callable[[Door | None], Door]
    base: Any
    neighbour: Any
    other: Any


def check(case: Case) -> set[str]:
    """Raise if one row costs too much, or if something does not follow from the answers."""
    first = case.door(None)
    found = case.run(case.base, first)
    second, third = case.door(first), case.door(first)
    case.run(case.neighbour, second)
    changed = check_cost(first, second)
    if plain(case.run(case.other, third)) != plain(found):
        raise PassedByError
    return changed


def plain(value: Any) -> Any:
    """A value as lists, tuples and numbers, to be compared."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, pd.DataFrame):
        return plain(value.reset_index().to_dict("list"))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return f"{value:.9g}" if isinstance(value, float) else value  # sums of floats differ in the last digits


# --- one table ------------------------------------------------------------------------------------------

KNOWN = {"a": [0, 1], "b": [0, 1], "c": list("xyz"), "d": list("pqr")}
BOUNDS = {"low": (0, 30), "middle": (0, 40), "high": (0, 50)}
DATES = dict.fromkeys(("in", "out"), ("2021-01-01", "2023-12-31"))


def table(rows: int, seed: int) -> pd.DataFrame:
    """Columns of all kinds that are looked at together, with values outside what is declared."""
    random = np.random.default_rng(seed)
    a, low = random.integers(2, size=rows), random.integers(0, 20, rows)
    middle = low + random.integers(0, 10, rows)
    day = np.datetime64("2021-01-01", "ns") + random.integers(0, 700, rows).astype("timedelta64[D]")
    towns = np.array([f"t{place}" for place in range(8)])
    town = random.choice(towns, rows, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.06, 0.03, 0.01])
    town[:8] = towns  # the same order of values in every table, so that answers are of the same ones
    return pd.DataFrame(
        {
            "a": a,
            "b": a ^ (random.random(rows) < 0.2),
            "c": random.choice(list("xyzw"), rows),
            "d": random.choice(list("pqr"), rows),
            "low": low,
            "middle": middle,
            "high": middle + random.integers(0, 10, rows),
            "in": day,
            "out": day + random.integers(0, 9, rows).astype("timedelta64[D]"),
            "town": town,
        }
    ).astype({"b": int})


def another_table() -> pd.DataFrame:
    """One in which other columns belong together."""
    df = table(2500, 5)
    return df.assign(middle=df["middle"].to_numpy()[::-1], a=df["a"].to_numpy()[::-1])


def of_one_table() -> Case:
    base = table(ROWS, 0)
    meta = MetaExtractor.extract(base, categories=KNOWN, bounds={**BOUNDS, **DATES})
    plan = plan_run(
        HighDimConfig(epsilon=8.0, delta=1e-4, tables="a*c").resolve(), meta, float(ROWS), "quick"
    )

    def door(given: Door | None) -> Door:
        made = Door(NoiseSource(test_only_seed=1), given=given)
        made.admit(plan.releases)
        return made

    def run(df: pd.DataFrame, at: Door) -> Any:
        found = measure.measure_table(FrameSource(df), meta, plan, at, lambda _: None, (("a", "c"),))
        dependence = estimated_dependence(found.reference, PARENTS)
        layout = Layout.from_dependence(found.codec.sizes, dependence, plan.pair_exponent, PARENTS)
        reference = {key: value for key, value in vars(found.reference).items() if key != "tables"}
        tables = [vars(each) for each in found.reference.tables]
        return found.codec.to_dict(), reference, tables, found.counts, found.untold, layout.scale

    names = tuple(each.measurement.name for each in plan.releases if each.measurement.name != "row count")
    return Case(names, run, door, base, pd.concat([base, base.iloc[[7]]], ignore_index=True), another_table())


def of_the_row_count() -> Case:
    config = HighDimConfig(epsilon=1.0).resolve()

    def door(given: Door | None) -> Door:
        return Door(NoiseSource(test_only_seed=1), (planned_count(config),), given=given)

    entry = SimpleNamespace(config=config, raise_if_stopped=lambda _: None)
    progress = SimpleNamespace(report=lambda **_: None, tick=lambda: None)

    def run(df: pd.DataFrame, at: Door) -> float:
        return run_module._count_rows(FrameSource(df), None, at, entry, progress)

    return Case(("row count",), run, door, table(300, 0), table(301, 0), table(200, 0))


# --- rows of persons ------------------------------------------------------------------------------------


def of_rows_of_persons() -> Case:
    """One table in which persons have up to five rows, from counting them to the last measurement."""
    base = table(ROWS, 0).drop(columns=["a", "b", "middle", "high"])
    base["who"] = np.append(np.arange(8), 8 + np.repeat(np.arange(ROWS), 1 + np.arange(ROWS) % 5)[: ROWS - 8])
    meta = MetaExtractor.extract(
        base, categories={n: KNOWN[n] for n in "cd"}, bounds={"low": BOUNDS["low"], **DATES}
    )
    meta = meta.with_id("who")
    config = HighDimConfig(epsilon=2.0, delta=1e-4, privacy_unit="who", tables="c*d").resolve()
    entry = SimpleNamespace(config=config, raise_if_stopped=lambda _: None)
    progress = SimpleNamespace(report=lambda **_: None, tick=lambda: None)
    first = planned_count(config)

    def door(given: Door | None) -> Door:
        return Door(NoiseSource(test_only_seed=1), (first,), given=given)

    def run(df: pd.DataFrame, at: Door) -> Any:
        kept, units = limit_rows_per_unit(FrameSource(df), "who", 5, np.random.default_rng(0))
        rows, capped = run_module._count_rows(kept, units, at, entry, progress)
        plan = plan_run(config, meta, rows, capped=capped)
        at.admit(plan.releases)
        found = measure.measure_table(kept, meta, plan, at, lambda _: None, (("c", "d"),), units)
        reference = {key: value for key, value in vars(found.reference).items() if key != "tables"}
        tables = [vars(each) for each in found.reference.tables]
        return plan.cap, plan.counted, found.codec.to_dict(), reference, tables, found.counts, found.untold

    plan = plan_run(config, meta, float(ROWS))
    # no two columns are dependent enough to be compared
    names = tuple(each.measurement.name for each in plan.releases if each.measurement.name != ORDERINGS)
    other = another_table().drop(columns=["a", "b", "middle", "high"])
    other["who"] = np.append(np.arange(8), 8 + np.arange(len(other) - 8) // 4)
    whole = base["who"].value_counts()
    gone = base["who"] == whole.index[whole == 5][3]
    base.loc[gone] = base[gone].iloc[0].to_list()  # all five in one cell, which costs most
    return Case(names, run, door, base, base[~gone].reset_index(drop=True), other)


# --- interactions ---------------------------------------------------------------------------------------


def of_interactions() -> Case:
    """The search for interactions, by a model that is sure of four columns of seven: they are 0."""
    random = np.random.default_rng(3)
    codes = np.zeros((ROWS, 7), np.uint8)
    codes[:, :3] = random.integers(2, size=(ROWS, 3))
    codes[:, 6] = codes[:, 0] ^ codes[:, 1]
    df = pd.DataFrame(codes, columns=list("abcdefg"))
    meta = MetaExtractor.extract(df, categories={name: [0, 1] for name in df})
    plan = plan_run(HighDimConfig(epsilon=4.0).resolve(), meta, float(ROWS), "quick")
    plan = replace(plan, picks=MOST_PICKS)
    shares = (*[np.array([0.5, 0.5])] * 3, *[np.array([1.0, 0.0])] * 4)
    dependence = np.full((7, 7), 0.01)
    reference = SimpleNamespace(shares=shares, dependence=dependence, dependence_noise=0.0)
    layout = Layout.from_dependence(np.full(7, 2), dependence, 0.5)
    bias = np.array([0.0] * 6 + [20.0, -20.0] * 4, np.float32)
    model = TabularModel(layout, np.zeros_like(layout.mask), bias)
    made = np.zeros((2000, 7), int)
    made[:, :3] = random.integers(2, size=(2000, 3))

    def door(given: Door | None) -> Door:
        at = Door(NoiseSource(test_only_seed=1), given=given)
        at.admit(plan.releases_of_search)
        return at

    def run(own: Any, at: Door) -> Any:
        found = interactions.choose_interactions(
            own, model, reference, [0] * 7, made, plan, at, np.random.default_rng(0), lambda: None
        )
        return [each.to_dict() for each in found]

    names = tuple(each.measurement.name for each in plan.releases_of_search)
    # a row of which the model expects the opposite changes all scores as much as any row can
    neighbour = np.concatenate([codes, np.array([[0, 0, 0, 1, 1, 1, 1]], np.uint8)])
    return Case(names, run, door, codes, neighbour, random.integers(2, size=(2500, 7)).astype(np.uint8))


# --- questions and quality reports about a learned table ------------------------------------------------


@functools.cache
def synthesizer() -> HighDimSynthesizer:
    return untrained(table(ROWS, 0), categories=KNOWN, bounds={**BOUNDS, **DATES})


def of_a_question() -> Case:
    learned = synthesizer()
    question = asking.Asking(
        learned.config, learned.learned, "b ~ c", "binomial", 0.95, None, 1.0, NoiseSource(test_only_seed=1)
    )
    return of_a_learned_table(question, asking, lambda at: [PlannedRelease(*question.plan.measurements)])


def of_an_evaluation() -> Case:
    learned = synthesizer()
    noise = NoiseSource(test_only_seed=1)
    evaluation = private.PrivateEvaluation(learned, learned.synthesize(500, seed=1), 2.0, "b", noise)
    return of_a_learned_table(evaluation, private, lambda _: evaluation.releases)


PREDICTED = 9  # a row whose value of 'b' a model of the other columns predicts


def of_a_learned_table(measuring: Any, module: Any, planned: Callable[[Any], Any]) -> Case:
    """What measures a table of its own accord."""
    releases = tuple(planned(measuring))

    def door(given: Door | None) -> Door:
        return Door(NoiseSource(test_only_seed=1), releases, given=given)

    def run(df: pd.DataFrame, at: Door) -> Any:
        with mock.patch.object(module, "Releases", return_value=at):
            return vars(measuring.measure(FrameSource(df)))

    names = tuple(each.measurement.name for each in releases)
    base = table(ROWS, 0)
    more = pd.concat([base, base.iloc[[PREDICTED]]], ignore_index=True)
    return Case(names, run, door, base, more, another_table())


# --- persons with histories -----------------------------------------------------------------------------

KEY = "patient_id"


def of_persons() -> Case:
    base = hospital(900, 0)
    gone = base["patients"][KEY].iloc[3]
    return of_levels(base, hospital_meta(base), KEY, gone, hospital(700, 4))


def of_households() -> Case:
    base = households(700, 0)
    sizes = base["visits"].groupby(HOUSEHOLD).size()
    meta = households_meta(base)
    return of_levels(base, meta, HOUSEHOLD, sizes.index[sizes > 3][0], households(500, 4))


class LotsBySize:
    """Lots of the rows of tables, which are told apart by their names in the order in which they are read."""

    def __init__(self, tables: dict[str, pd.DataFrame], names: tuple[str, ...]) -> None:
        drawn = np.random.default_rng(0).random(10**5)
        self._lots = [drawn[tables[name].index] for name in names]

    def random(self, size: int) -> Any:
        lots = self._lots.pop(0)
        assert size == len(lots)
        return lots

    def bytes(self, count: int) -> bytes:
        return b"\7" * count


def of_levels(base: Any, meta: Any, key: str, gone: Any, other: Any) -> Case:
    """What is measured of persons and of all that belongs to them; one with all its rows is gone."""
    meta = meta.with_id(key)
    config = persons_planning.persons_config(HighDimConfig(epsilon=30.0, privacy_unit=key).resolve())
    blocks = persons_events.empty_blocks(meta, key)
    pairs = tuple(len(persons_events.event_pairs(blocks, place)) for place in range(len(meta.children)))
    plan = persons_planning.plan_persons(config, meta, pairs, 900.0)
    named = tuple(each.table for each in sorted(meta.children, key=lambda one: one.of is not None))

    def door(given: Door | None) -> Door:
        at = Door(NoiseSource(test_only_seed=1), plan.releases[:1], given=given)
        at.admit(plan.releases)
        return at

    def run(tables: dict[str, pd.DataFrame], at: Door) -> Any:
        # a row's lot is its own, so that it is the same without another person
        histories = read_histories(tables, meta, key, LotsBySize(tables, named))
        rows = persons_run._count(histories, at, config, lambda _: None)
        found = measure.measure_table(
            FrameSource(histories.df),
            person_meta(meta, key),
            plan.tables[0],
            persons_planning.TableReleases(at, meta.parent),
            lambda _: None,
        )
        events = persons_run._measure_events(histories, meta, key, found, plan, at, lambda _: None)
        private_codes = {"codes", "state", "codec", "children"}
        told = [{name: value for name, value in vars(e).items() if name not in private_codes} for e in events]
        codecs = [each.codec.to_dict() for each in events]
        return rows, found.codec.to_dict(), vars(found.reference), told, codecs

    neighbour = {name: df[df[key] != gone] for name, df in base.items()}
    # no two columns of persons are dependent enough to be compared
    names = tuple(each.measurement.name for each in plan.releases if ORDERINGS not in each.measurement.name)
    return Case(names, run, door, base, neighbour, other)


@functools.cache
def learned_hospital() -> HighDimSynthesizer:
    tables = hospital(300, 3)
    settings = HighDimConfig(epsilon=30.0, privacy_unit=KEY, steps=1, batch_size=50)
    return HighDimSynthesizer(hospital_meta(tables), settings).learn(tables, lambda _: None)


def of_an_evaluation_of_persons() -> Case:
    learned = learned_hospital()
    made = learned.synthesize(400, seed=1)
    evaluation = history_private.HistoryEvaluation(learned, made, 20.0, NoiseSource(test_only_seed=1))
    releases = evaluation.releases

    def door(given: Door | None) -> Door:
        return Door(NoiseSource(test_only_seed=1), releases, given=given)

    def run(tables: dict[str, pd.DataFrame], at: Door) -> Any:
        with mock.patch.object(history_private, "Releases", return_value=at):
            report = evaluation.measure(tables)
        return [[vars(each) for each in group.figures] for group in report.groups], report.persons

    base = hospital(900, 0)
    visits = base["visits"].groupby(KEY).size()
    gone = visits.index[visits > 2][0]
    neighbour = {name: df[df[KEY] != gone] for name, df in base.items()}
    names = tuple(each.measurement.name for each in releases)
    return Case(names, run, door, base, neighbour, hospital(700, 4))


CASES = {
    "row count": of_the_row_count,
    "one table": of_one_table,
    "rows of persons": of_rows_of_persons,
    "interactions": of_interactions,
    "persons": of_persons,
    "households": of_households,
    "question": of_a_question,
    "evaluation": of_an_evaluation,
    "evaluation of persons": of_an_evaluation_of_persons,
}
