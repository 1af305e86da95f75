"""The plan of a run over several tables of the same persons: one composed account, in persons.

The rules are those of one table (`engine.planning.plan`) with persons for rows. What one table would spend on
its measurements is divided by how many columns each table has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import ResolvedConfig
from jupyter_dpsynth.engine.measuring.repeated import selected_columns
from jupyter_dpsynth.engine.model.plan import (
    DIFFERENCES,
    MARGINALS,
    ORDERINGS,
    PAIRS,
    RARE_CATEGORIES,
    SPANS,
    VALUE_HISTOGRAMS,
    RunPlan,
)
from jupyter_dpsynth.engine.planning.counting import COUNT_SHARE, planned_count, share_sigma
from jupyter_dpsynth.engine.planning.plan import (
    PAIR_SHARE,
    REFERENCE_ROWS,
    SELECTION_SHARE,
    count_delta,
    measurement_shares,
    model_rules,
    training_length,
)
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta
from jupyter_dpsynth.metadata.tables import NO_UNIT
from jupyter_dpsynth.persons.histories import event_meta, person_meta
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    calibrate_noise_multiplier,
    compute_epsilon,
    gaussian_mu,
)
from jupyter_dpsynth.privacy.receipt import IN_ALL_TABLES
from jupyter_dpsynth.privacy.releases import WHOLE, PlannedRelease, Releases
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = [
    "FOLLOWED",
    "PERSONS",
    "PersonsConfig",
    "PersonsPlan",
    "TableReleases",
    "most_rows",
    "persons_config",
    "plan_persons",
]

PERSONS = "persons"  # what the table of persons is called where it has no name
FOLLOWED = "events after which another comes"
FOLLOWED_SHARE = 0.03
DISCOVERY = 0.25  # of an event column's histograms find its values; with the rest all rows are counted
EVENT_COLUMN = 1.5  # columns of persons that get as much: of a capped count each person adds less than one
NOT_OF_EVENTS = (DIFFERENCES, ORDERINGS, SPANS)
LITTLE = 0.1  # columns of persons that get as much as one whose only value is public
STEPS = 400
UNCLIPPED = 4.0
CLIP = 0.75  # of the root mean square gradient norm of a person at the start


@dataclass(frozen=True)
class PersonsConfig(ResolvedConfig):
    """The parameters of a run in which a person counts once.

    Attributes:
        protected: The privacy unit, in words.
    """

    protected: str = ""

    @property
    def rows_per_unit(self) -> int:
        """A person is one."""
        return 1

    @property
    def unit_text(self) -> str:
        """The privacy unit, in words."""
        return self.protected

    def to_dict(self) -> dict[str, object]:
        """The parameters by name."""
        found = super().to_dict()
        del found["protected"]
        return found


def persons_config(config: ResolvedConfig) -> PersonsConfig:
    """The parameters of a run over several tables.

    Raises:
        ConfigError: There is no privacy unit, or a parameter has no meaning here; nothing was spent.
    """
    if config.privacy_unit is None:
        raise ConfigError(NO_UNIT)
    if config.noise_multiplier is not None:
        raise ConfigError(
            "noise_multiplier is given: with several tables it is computed from epsilon. Leave it at None."
        )
    for name in ("tables", "analyses"):
        if getattr(config, name) is not None:
            raise ConfigError(
                f"{name} is given: with several tables nothing is measured by name. Leave it at None."
            )
    # whatever the tables are and however many rows are used: so that runs on a dataset can be added up
    words = f"one value of {config.privacy_unit!r}, {IN_ALL_TABLES}"
    return PersonsConfig(**config.to_dict(), protected=words)


@dataclass(frozen=True, eq=False)
class PersonsPlan:
    """Every figure of a run, fixed before another value than the number of persons is read.

    Attributes:
        run: Noise, steps and sizes of the training.
        releases: What is measured.
        tables: Sizes for each table, that of persons first.
    """

    run: RunPlan
    releases: tuple[PlannedRelease, ...]
    tables: tuple[RunPlan, ...]


def plan_persons(
    config: PersonsConfig, meta: TablesMeta, pairs: tuple[int, ...], persons: float
) -> PersonsPlan:
    """Fix every figure of a run.

    Args:
        config: The parameters.
        meta: Metadata of all tables; every one has the key.
        pairs: For each table of events, how many pairs of columns of the network are measured.
        persons: Noisy number of persons.
    """
    key = config.privacy_unit or ""
    metas = [person_meta(meta, key), *(event_meta(meta, each, key) for each in meta.children)]
    columns = sum(len(each.learned) for each in metas)
    unit_rows = 1 + sum(most_rows(meta, each) for each in meta.children)
    rules = {**model_rules(config, columns, 1.0), "parents": None}
    common: dict[str, Any] = {
        "rows": persons,
        "columns": columns,
        "ends_by": StopReason.FINISHED,
        "unit_rows": unit_rows,
        "picks": 0,
    }
    if not config.differential_privacy:
        probability = min(1.0, (config.batch_size or 512) / persons)
        training = SampledTraining(config.steps or STEPS, probability, 1.0)
        rules = {**model_rules(config, columns, max(persons / 1000, 1.0)), "parents": None}
        run = RunPlan(
            delta=0.0,
            privacy=None,
            epsilon=math.inf,
            snr=max(persons / 1000, 1.0),
            exact_training=training,
            **common,
            **rules,
        )
        return PersonsPlan(run, (), _table_plans(run, metas, ()))
    delta = config.delta or 1 / (10 * persons)
    mu = gaussian_mu(config.epsilon, delta)
    snr = persons * mu / REFERENCE_ROWS
    rules = {**model_rules(config, columns, snr), "parents": None}
    count = planned_count(config)
    planned: list[PlannedRelease] = [] if count is None else [count]
    spent = COUNT_SHARE
    names = [meta.parent or PERSONS, *(each.table for each in meta.children)]
    persons_columns = len(metas[0].learned)
    own_pairs = persons_columns * (persons_columns - 1) // 2
    of_persons = persons_columns if _is_learned(metas[0]) else LITTLE
    weights = of_persons + EVENT_COLUMN * (columns - persons_columns)
    for place, (name, own) in enumerate(zip(names, metas, strict=True)):
        part = (len(own.learned) * EVENT_COLUMN if place else of_persons) / weights
        told = (pairs[place - 1] if place else own_pairs) / max(own_pairs + sum(pairs), 1)
        shares = _shares(own, snr, part, told, pairs[place - 1] if place else None)
        if place and meta.children[place - 1].exactly is not None:  # nothing ends a history before its end
            shares.pop(FOLLOWED, None)
        for measurement, (share, detail, sensitivity) in shares.items():
            sigma = share_sigma(share, mu)
            planned.append(
                PlannedRelease(GaussianMeasurement(_name(measurement, name), sigma, detail), sensitivity)
            )
            spent += share
    selected = [selected_columns(own) for own in metas]
    base = PrivacyPlan(
        tuple(each.measurement for each in planned),
        None,
        SELECTION_SHARE * delta if any(selected) else 0.0,
        count_delta(count, config, persons, delta),
        config.unit_text,
    )
    steps, probability = training_length(config, persons, columns, math.sqrt(1 - spent) * mu)
    left = delta - base.reserved_delta
    sigma = calibrate_noise_multiplier(config.epsilon, left, steps, probability, base.base_mu)
    privacy = replace(base, training=SampledTraining(steps, probability, sigma))
    run = RunPlan(
        delta=delta, privacy=privacy, epsilon=compute_epsilon(privacy, delta), snr=snr, **common, **rules
    )
    return PersonsPlan(run, tuple(planned), _table_plans(run, metas, selected))


def _is_learned(persons: DataFrameMeta) -> bool:
    """Whether there is anything to learn of persons by themselves: more than a number that is public."""
    first = persons.learned[0]
    constant = (
        isinstance(first, ContinuousMeta) and first.bounds is not None and first.bounds[0] == first.bounds[1]
    )
    return len(persons.learned) > 1 or not constant


def most_rows(meta: TablesMeta, children: Children) -> int:
    """Most rows of one person in a table."""
    above = meta.above(children)
    return children.most if above is None else above.most * children.most


def _table_plans(
    run: RunPlan, metas: list[DataFrameMeta], selected: list[int] | tuple[()]
) -> tuple[RunPlan, ...]:
    """Sizes for each table, with its part of the delta for publishing values."""
    found = []
    for place, own in enumerate(metas):
        privacy = run.privacy
        if privacy is not None:
            part = selected[place] / max(sum(selected), 1)
            privacy = replace(privacy, selection_delta=privacy.selection_delta * part)
        found.append(replace(run, privacy=privacy, columns=len(own.learned), unit_rows=1))
    return tuple(found)


def _shares(
    own: DataFrameMeta, snr: float, part: float, told: float, pairs: int | None
) -> dict[str, tuple[float, str, float]]:
    """For each measurement of a table its share of the squared budget, its detail, and its sensitivity.

    Args:
        own: The table's metadata.
        snr: Signal relative to noise.
        part: Its share of all columns.
        told: Its share of all pairs.
        pairs: Of events, how many pairs are measured; None for the table of persons.
    """
    columns = len(own.learned)
    # what codes do not need of a second measurement goes to marginals, which events count otherwise
    left_out = NOT_OF_EVENTS if own.undeclared else (*NOT_OF_EVENTS, RARE_CATEGORIES)
    found = {
        name: (part * share, detail, 1.0)
        for name, (share, detail) in measurement_shares(own, snr, 0).items()
        if pairs is None or name not in left_out
    }
    if pairs is None:
        if PAIRS in found:
            found[PAIRS] = told * PAIR_SHARE, found[PAIRS][1], math.sqrt(columns * (columns - 1) // 2)
        return found
    values, marginals = found[VALUE_HISTOGRAMS], found[MARGINALS]
    moved = (1 - DISCOVERY) * values[0]
    found[VALUE_HISTOGRAMS] = (values[0] - moved, values[1], 1.0)
    found[MARGINALS] = (marginals[0] + moved, f"{columns} columns; a person counts once", 1.0)
    found[PAIRS] = (told * PAIR_SHARE, f"{pairs} pairs; a person counts once", math.sqrt(pairs))
    named = sum(isinstance(each, CategoricalMeta) for each in own.learned)
    if named:
        found[FOLLOWED] = (part * FOLLOWED_SHARE, f"{named} columns; a person counts once", 1.0)
    return found


def _name(measurement: str, table: str) -> str:
    return f"{measurement} of {table!r}"


class TableReleases(Releases):
    """The measurements of one table among those of a run.

    Args:
        whole: What is planned for all tables.
        table: The table's name.
    """

    def __init__(self, whole: Releases, table: str) -> None:
        self.exact, self._whole, self._table = whole.exact, whole, table

    def plans(self, name: str) -> bool:
        """Whether a measurement of this name is planned of this table."""
        return self._whole.plans(_name(name, self._table))

    def allowance(self, name: str, share: Fraction = WHOLE, *, sensitivity: float = 1.0) -> Allowance:
        """As of all releases; the name is that of a measurement of this table."""
        return self._whole.allowance(_name(name, self._table), share, sensitivity=sensitivity)

    def subsample(self, rows: int, probability: float) -> NDArray[np.int64]:
        """As of all releases."""
        return self._whole.subsample(rows, probability)
