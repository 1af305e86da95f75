"""The forecast of a run over several tables of the same persons, made before anything is read."""

from __future__ import annotations

import math
import statistics
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.model.plan import MARGINALS, VALUE_HISTOGRAMS
from jupyter_dpsynth.engine.planning.forecast import (
    BASE_MEGABYTES,
    BYTES_PER_VALUE,
    CURVE_POINTS,
    FAR,
    TENSORFLOW_SECONDS,
    Forecast,
    expected_cells,
    expected_share_error,
    machine_factors,
    planning_warnings,
)
from jupyter_dpsynth.metadata.columns import CategoricalMeta
from jupyter_dpsynth.persons.blocks import state_sizes
from jupyter_dpsynth.persons.events import empty_blocks, event_pairs, is_windowed
from jupyter_dpsynth.persons.histories import event_meta, person_meta
from jupyter_dpsynth.persons.planning import PERSONS, persons_config, plan_persons
from jupyter_dpsynth.privacy.accounting import epsilon_curve

if TYPE_CHECKING:
    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.planning import PersonsPlan

__all__ = ["forecast_persons", "forecast_title"]

USED = 0.25  # of the most rows that a person may have: how many an assumed person has
# Seconds of a row, by its input cells and the cells that are predicted, on two cores
PER_PRODUCT, PER_CELL, PER_STEP = 1.65e-11, 7e-9, 4e-3
PADDED = 1.7  # rows that are multiplied for each one there is
MEASURING_SECONDS, MEASURING_PER_VALUE = 1.5, 5e-7
REFINING_SECONDS = 0.6  # of the step after training
BYTES_PER_EVENT_CODE = 2


def forecast_persons(config: ResolvedConfig, meta: TablesMeta, persons: float) -> Forecast:
    """Plan a run for an assumed number of persons.

    Args:
        config: The frozen parameters.
        meta: Metadata of all tables.
        persons: Assumed number of persons.

    Raises:
        ConfigError: A parameter is not supported, or the noise cannot keep within epsilon.
        MetadataError: A table lacks the key.

    Privacy:
        Reads no table.
    """
    checked = persons_config(config)
    key = checked.privacy_unit or ""
    meta = meta.with_id(key)
    blocks = empty_blocks(meta, key)
    pairs = tuple(len(event_pairs(blocks, place)) for place in range(len(meta.children)))
    plan = plan_persons(checked, meta, pairs, persons)
    metas = [person_meta(meta, key), *(event_meta(meta, each, key) for each in meta.children)]
    cells = [[expected_cells(column, plan.run) for column in own.learned] for own in metas]
    width = sum(sum(own) for own in cells)
    undeclared = [column for own in metas for column in own.undeclared]
    privacy, training = plan.run.privacy, plan.run.steps
    curve = None
    if privacy is not None:
        curve = epsilon_curve(privacy.with_steps(training), plan.run.delta, CURVE_POINTS["pld"], "pld")
    rows = persons * (1 + sum(_used(meta, each) for each in meta.children))
    inputs = _inputs(meta, cells)
    return Forecast(
        rows=persons,
        target=config.epsilon if config.differential_privacy else math.inf,
        plan=plan.run,
        accountant="pld",
        wanted_steps=training,
        curve=curve,
        lasts=training if privacy is not None else FAR * training,
        width=width,
        most_width=width + sum(plan.run.cells - expected_cells(column, plan.run) for column in undeclared),
        column_error=statistics.fmean(_errors(plan, meta, key, cells)),
        seconds=_seconds(plan, rows / persons, inputs, width, rows * len(blocks.sizes)),
        starting_seconds=0.0 if "tensorflow" in sys.modules else TENSORFLOW_SECONDS,
        megabytes=BASE_MEGABYTES
        + rows * (BYTES_PER_VALUE * max(map(len, cells)) + BYTES_PER_EVENT_CODE * len(blocks.sizes)) / 1e6,
        disk_megabytes=0.0,
        warnings=tuple(planning_warnings(checked, plan.run, persons, "persons")),
        counted="persons",
    )


def _errors(plan: PersonsPlan, meta: TablesMeta, key: str, cells: list[list[int]]) -> list[float]:
    """Expected total-variation distance of each column's shares; of rows of events a person counts once."""
    privacy, found = plan.run.privacy, []
    if privacy is None:
        return [0.0]
    sigmas = {each.measurement.name: each.measurement.sigma for each in plan.releases}
    names = [meta.parent or PERSONS, *(each.table for each in meta.children)]
    metas = [person_meta(meta, key), *(event_meta(meta, each, key) for each in meta.children)]
    for name, own, sizes in zip(names, metas, cells, strict=True):
        share = math.sqrt(float(Fraction(1, max(len(own.learned), 1))))
        values, marginals = (sigmas[f"{each} of {name!r}"] / share for each in (VALUE_HISTOGRAMS, MARGINALS))
        found += [
            expected_share_error(
                size, values, marginals, plan.run.rows, named=isinstance(column, CategoricalMeta)
            )
            for column, size in zip(own.learned, sizes, strict=True)
        ]
    return found


def _inputs(meta: TablesMeta, cells: list[list[int]]) -> int:
    """Cells of all columns of the network."""
    person = sum(cells[0])
    found = person
    for each, own in zip(meta.children, cells[1:], strict=True):
        above = 0 if each.above is None else sum(cells[1 + meta.place(each.above)])
        times = None if each.times is None else len(each.times)
        state = state_sizes(windowed=is_windowed(meta, each), times=times)
        found += person + above + sum(state) + 3 * sum(own)
    return found


def _used(meta: TablesMeta, children: Children) -> float:
    """How many rows of a table an assumed person has."""
    above = meta.above(children)
    own = float(children.most) if children.exactly is not None else USED * children.most
    return own if above is None else own * _used(meta, above)


def _seconds(plan: PersonsPlan, rows: float, inputs: int, width: int, values: float) -> float:
    """Time of measuring and training, of so many rows a person."""
    row = PER_PRODUCT * inputs * width + PER_CELL * (inputs + width)
    step = PER_STEP + PADDED * plan.run.batch_size * rows * row
    refining = REFINING_SECONDS if plan.run.privacy is not None else 0.0
    counting, training = machine_factors()
    measuring = counting * (MEASURING_SECONDS + MEASURING_PER_VALUE * values)
    return measuring + training * (refining + plan.run.steps * step)


def forecast_title(forecast: Forecast, meta: TablesMeta, *, known: bool) -> str:
    """What a forecast is about, in a sentence.

    Args:
        forecast: The forecast.
        meta: Metadata of all tables.
        known: Whether somebody gave the number of persons.
    """
    names = ", ".join(map(repr, meta.tables))
    assumed = "" if known else " (assumed; give your number with --rows, the persons are not counted)"
    return f"Plan for the tables {names} together, about {forecast.rows:,.0f} persons{assumed}."
