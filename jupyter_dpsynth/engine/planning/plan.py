"""From a config and a noisy row count to every figure of a run, before another value is read.

All default rules are functions of public or already noisy figures: the row count, the number of columns,
epsilon and delta. `snr` is the signal of one unit-sensitivity count relative to a table of 9,000 / mu
rows; the shares below are shares of the squared Gaussian-DP parameter mu of (epsilon, delta).

That the plan follows from the noisy row count is an adaptive choice of privacy parameters, which the
composition theorem does not cover by itself. It holds here because, for a given delta, every plan has the
same mu left after the count (whose noise is fixed before): the plans differ in how they spend it, which
moves the composed delta by less than `COUNT_DELTA` of it. Where delta itself is 1 / (10 x noisy rows), plan
and count are correlated; that adds up to half the count's relative noise, and is left unused too. The
promise of the whole run is then (epsilon, expected delta), for every row count: a test integrates over the
count's noise.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.engine.measuring.formulas import planned_formulas
from jupyter_dpsynth.engine.measuring.orderings import planned_differences, planned_orderings
from jupyter_dpsynth.engine.measuring.repeated import opened_columns, selected_columns
from jupyter_dpsynth.engine.measuring.resolution import is_resolved, needs_resolution
from jupyter_dpsynth.engine.measuring.spans import planned_spans
from jupyter_dpsynth.engine.model.plan import (
    DIFFERENCES,
    INTERACTIONS,
    MARGINALS,
    NAMED_TABLES,
    OF_ROWS,
    OF_UNITS,
    ORDERINGS,
    PAIRS,
    RARE_CATEGORIES,
    RESOLUTION_HISTOGRAMS,
    SPANS,
    STRENGTHS,
    VALUE_HISTOGRAMS,
    RunPlan,
)
from jupyter_dpsynth.engine.planning.counting import COUNT_SHARE, chosen_cap, planned_count, share_sigma
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.parameters import columns_of, crossed, formulas
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    calibrate_noise_multiplier,
    compute_epsilon,
    gaussian_mu,
    max_steps,
)
from jupyter_dpsynth.privacy.releases import GRADIENT_NOISE, PlannedRelease
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.accounting import Accountant

__all__ = [
    "LARGE_DELTA",
    "MICROBATCH_SENSITIVITY",
    "check_feasible",
    "count_delta",
    "measurement_shares",
    "model_rules",
    "plan_run",
    "training_length",
    "usual_steps",
]

LARGEST_RESOLUTION_SHARE = 0.03
ROUNDING_PART = 0.2  # of the share of resolutions, where only how round values are is to be told
PAIR_SHARE = 0.05
ORDER_SHARE = 0.01
FORMULA_SHARE = 0.005  # sums, and times between dates: see `measuring.formulas.PART`
SPAN_SHARE = 0.03  # which dates are close to each other, and tests of their orders
TABLE_SHARE = 0.1  # for named tables, however many
MOST_TABLES = 50
RARE_SHARE = 0.06
RARE_NUMBERS_SHARE = 0.03  # where only numbers may be codes
INTERACTION_SHARE = STRENGTH_SHARE = 0.005
MOST_PICKS = 8  # interactions that are chosen
SEARCH_SIGNAL = 0.2  # least snr: below it the noise hides all interactions but those of most rows
MOST_SEARCHED_COLUMNS = 60  # of wider tables only a small part of all sets of columns could be looked at
SEARCH_STEPS = 60  # least steps: with fewer no derived feature is learned
SELECTION_SHARE = 0.1  # of delta, for publishing undeclared categories and single values of numbers
COUNT_DELTA = 0.01  # of delta, left unused because the plan follows from the noisy row count
LARGEST_COUNT_DELTA = 0.2
LARGE_DELTA = (  # with delta, the noisy row count, and what to do
    "delta = %g is not below 1 / number of rows (about %d rows): such a guarantee would allow publishing "
    "whole rows. %s"
)
MANY_ROWS = 1e9  # the most favourable table: what is infeasible there is infeasible everywhere
DEFAULT_STEPS, WIDE_STEPS = 200, 60  # the second from `WIDE_COLUMNS` columns on
MIN_BATCH = 256
MAX_BATCH = 32_768  # a larger one tells no more of a table that is large enough for it
MAX_WIDTH = 4_096  # about the most cells of all columns: a model is kept as a matrix of the square of it
MIN_CELLS = 8  # of a column, however many there are: with fewer most categories would count as 'other'
MAX_COLUMNS = 1_024
MAX_CELLS = 128
MOST_DENSE_COLUMNS = 24  # up to so many columns each depends on all earlier ones
WIDE_COLUMNS = 100  # from there on a step is expensive, and most of the error is that of single columns
FEW_PARENTS = 8  # of a column of a wider table: what the others tell is less than the noise of their weights
USUAL_SIGNAL = 1.4  # snr for which that holds
LEAST_PARENTS = 4
REFERENCE_ROWS = 9000
MICROBATCH_SENSITIVITY = 2.0  # one row changes one group's mean: from one clipped vector to another


def check_feasible(config: ResolvedConfig, df_meta: DataFrameMeta, rows: int | None) -> None:
    """Refuse, before a value is read, a noise multiplier that exceeds epsilon with a single step.

    Args:
        config: The frozen parameters.
        df_meta: The table's metadata.
        rows: The row count if it is public; otherwise the most favourable one is tried.

    Raises:
        ConfigError: Not even one step fits, or there are too many columns; the message says what would do.
    """
    _check_columns(len(df_meta.learned))
    _check_tables(config, df_meta)
    if config.differential_privacy and config.noise_multiplier is not None:
        plan_run(config, df_meta, MANY_ROWS if rows is None else rows)


def _check_columns(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise ConfigError(
            f"the table has {columns:,} columns to learn; at most {MAX_COLUMNS:,} are possible, and far "
            "fewer give good results, because all of them share the budget and the network's cells. Leave "
            "some out (ignore), or learn groups of columns that belong together as separate tables."
        )


def _check_tables(config: ResolvedConfig, df_meta: DataFrameMeta) -> None:
    """Raise ConfigError unless named tables and analyses are of learned columns."""
    names = [meta.name for meta in df_meta.learned]
    named = {
        "tables": [name for table in crossed(config.tables) for name in table],
        "analyses": [name for formula in formulas(config.analyses) for name in columns_of(formula)],
    }
    for parameter, given in named.items():
        for name in given:
            if name not in names:
                hint = did_you_mean(name, names)
                raise ConfigError(f"{parameter}: {shown(name)} is not a column to learn.{hint}")
    tables = len(config.named_tables)
    if tables > MOST_TABLES:
        what = "tables" if config.analyses is None else "tables and pairs of columns of analyses"
        raise ConfigError(
            f"{tables} named {what} are too many, since all share the budget: name at most {MOST_TABLES}."
        )


def plan_run(
    config: ResolvedConfig,
    df_meta: DataFrameMeta,
    rows: float,
    accountant: Accountant = "pld",
    capped: Sequence[float] = (),
) -> RunPlan:
    """Fix every figure of a run.

    Args:
        config: The frozen parameters.
        df_meta: The table's metadata.
        rows: Noisy row count, or the exact one if it is public.
        accountant: 'pld' for a run; 'quick' for a forecast in milliseconds.
        capped: Noisy number of rows that count under each of `unit_caps`; by default as if every person had
            as many as it may have.

    Raises:
        ConfigError: Not even one step with this noise multiplier keeps within epsilon.
    """
    columns = len(df_meta.learned)
    _check_columns(columns)
    _check_tables(config, df_meta)
    if not config.differential_privacy:
        return _plan_without_noise(config, df_meta, rows)
    delta = config.delta or 1 / (10 * rows)
    mu = gaussian_mu(config.epsilon, delta)
    cap, counted, once = chosen_cap(config, rows, capped, functools.partial(_column_sigma, df_meta, rows, mu))
    snr = rows * mu / (REFERENCE_ROWS * counted)
    picks = _picks(config, columns) if snr >= SEARCH_SIGNAL else 0
    tables = len(config.named_tables)
    count, shares = planned_count(config), measurement_shares(df_meta, snr, picks, tables)
    usual = f"; a person counts as at most {cap:g} rows" if config.rows_per_unit > 1 else ""
    told = dict.fromkeys(OF_ROWS, "") | dict.fromkeys(OF_UNITS, "; a person counts once" if usual else "")
    measurements = tuple(
        GaussianMeasurement(name, share_sigma(share, mu), detail + told.get(name, usual))
        for name, (share, detail) in shares.items()
    )
    base = PrivacyPlan(
        measurements if count is None else (count.measurement, *measurements),
        None,
        SELECTION_SHARE * delta if selected_columns(df_meta) else 0.0,
        count_delta(count, config, rows, delta),
        config.unit_text,
    )
    left = math.sqrt(1 - sum((share for share, _ in shares.values()), COUNT_SHARE))
    steps, probability = training_length(config, rows, columns, left * mu)
    sensitivity = MICROBATCH_SENSITIVITY if config.num_microbatches else 1.0
    widening = sensitivity * GRADIENT_NOISE  # noise of the gradient over the accountant's noise
    steps, effective, ends_by = _calibrate(config, base, delta, steps, probability, widening, accountant)
    privacy = replace(base, training=SampledTraining(steps, probability, effective))
    return RunPlan(
        rows=rows,
        columns=columns,
        delta=delta,
        privacy=privacy,
        epsilon=compute_epsilon(privacy, delta, accountant),
        snr=snr,
        picks=picks,
        ends_by=ends_by,
        unit_rows=config.rows_per_unit,
        cap=cap,
        counted=counted,
        once=once,
        gradient_sensitivity=sensitivity,
        **model_rules(config, columns, snr),
    )


def usual_steps(config: ResolvedConfig, columns: int) -> int:
    """Steps of a training where the user asks for no number.

    The step towards the tape after training (`sampling.refining`) makes up for what few steps have not
    reached: with 200 instead of 400 the error of nine tables was the same at epsilon 1, 3 and 10, with 100 it
    was 3 to 6 % more in one of them. Where that step does not follow, twice as many are made: persons' rows
    had 5 % more error with half of them. In wide tables every weight has so much noise that it is learned
    within few steps: 60 left the same error as 100 in 100 and 300 columns of four categories.

    Args:
        config: The frozen parameters.
        columns: Columns that are learned.
    """
    steps = DEFAULT_STEPS if columns < WIDE_COLUMNS else WIDE_STEPS
    clips_rows = config.rows_per_unit == 1 and config.num_microbatches is None
    return steps if clips_rows else 2 * steps


def _column_sigma(df_meta: DataFrameMeta, rows: float, mu: float, counted: float) -> float:
    """Noise of a column's histograms over their sensitivity, if a person counts as so many rows."""
    shares = _histogram_shares(df_meta, rows * mu / (REFERENCE_ROWS * counted))
    return share_sigma(sum(shares) / len(df_meta.learned), mu)


def _picks(config: ResolvedConfig, columns: int) -> int:
    """How many interactions of three and four columns are chosen at most; 0 if none are looked for."""
    steps = config.steps or DEFAULT_STEPS
    if steps < SEARCH_STEPS or columns > MOST_SEARCHED_COLUMNS:
        return 0
    return min(MOST_PICKS, math.comb(columns, 3) + math.comb(columns, 4))


def measurement_shares(
    df_meta: DataFrameMeta, snr: float, picks: int, tables: int = 0
) -> dict[str, tuple[float, str]]:
    """For each measurement but the row count its share of the squared budget, and what it consists of."""
    columns, undeclared, opened = len(df_meta.learned), len(df_meta.undeclared), opened_columns(df_meta)
    pairs = columns * (columns - 1) // 2
    rounded = [meta for meta in df_meta.learned if needs_resolution(meta)]
    orderings, differences = planned_orderings(df_meta), planned_differences(df_meta)
    formulas = planned_formulas(df_meta)
    relations = [f"up to {orderings} pairs"] * bool(orderings) + [f"up to {formulas} sums or times"] * bool(
        formulas
    )
    spans = planned_spans(df_meta)
    histograms, marginals = _histogram_shares(df_meta, snr)
    each = histograms / (columns + differences)
    # a resolution that most rows have is seen in many rows with little
    fine = min(0.01 / math.sqrt(snr), LARGEST_RESOLUTION_SHARE) if rounded else 0.0
    if all(is_resolved(meta) for meta in rounded):
        fine *= ROUNDING_PART
    shares = {
        RESOLUTION_HISTOGRAMS: (fine, f"{len(rounded)} columns"),
        VALUE_HISTOGRAMS: (each * columns, f"{columns} columns, bounds and categories"),
        RARE_CATEGORIES: (
            RARE_SHARE if undeclared else RARE_NUMBERS_SHARE * bool(opened),
            f"of up to {opened} columns",
        ),
        SPANS: (SPAN_SHARE if spans else 0.0, f"of {spans} pairs, and their orders"),
        DIFFERENCES: (each * differences, f"up to {differences} pairs"),
        MARGINALS: (marginals, f"{columns} columns"),
        PAIRS: (PAIR_SHARE if pairs else 0.0, f"{pairs} pairs"),
        NAMED_TABLES: (TABLE_SHARE if tables else 0.0, f"{tables} tables"),
        ORDERINGS: (
            ORDER_SHARE * bool(orderings) + FORMULA_SHARE * bool(formulas),
            ", ".join(relations),
        ),
        INTERACTIONS: (INTERACTION_SHARE if picks else 0.0, f"up to {picks} of three or four columns"),
        STRENGTHS: (STRENGTH_SHARE if picks else 0.0, f"of {picks} interactions"),
    }
    return {name: each for name, each in shares.items() if each[0]}


def count_delta(count: PlannedRelease | None, config: ResolvedConfig, rows: float, delta: float) -> float:
    """Part of delta that stays unused because the plan follows from the noisy row count."""
    if count is None:
        return 0.0
    follows = 0.0 if config.delta else 0.5 * count.noise() / rows
    return delta * min(COUNT_DELTA + follows, LARGEST_COUNT_DELTA)


def _histogram_shares(df_meta: DataFrameMeta, snr: float) -> tuple[float, float]:
    """Shares of the squared budget for discovering domains and for the one-way marginals.

    The less signal, the more of it goes into histograms. Undeclared domains take up to 2.4 times as
    much as declared ones, because what discovery misses no later step brings back: on a table of 15
    open columns at epsilon 1 that lowered the two-way error from .0348 to .0324. Of small tables most of
    the error is that of single columns: 1,200 rows with declared domains had 3 to 6 % less with .6 for both
    than with .45. With more the forecast's quick bound leaves nothing for training.
    """
    openness = sum(_is_open(meta) for meta in df_meta.learned) / len(df_meta.learned)
    most = 0.2875 - 0.0625 * openness
    base = min(max(0.1 / math.sqrt(snr), 0.05), most)
    return min(base * (1 + 1.4 * openness), 0.35), base


def _is_open(meta: ColumnMeta) -> bool:
    """Whether a column's values must be measured."""
    if isinstance(meta, CategoricalMeta):
        return meta.categories is None
    return isinstance(meta, ContinuousMeta | DatetimeMeta) and meta.bounds is None


def training_length(config: ResolvedConfig, rows: float, columns: int, mu: float) -> tuple[int, float]:
    """Steps and sampling probability; by default batches are large, so that sampling adds no error.

    The noise relative to the signal hardly falls with larger batches once the noise multiplier is 2: by 4 %
    from there to 3, and by 9 % from 1.5. Wide tables, where a row costs most, leave it at less.

    Args:
        config: The frozen parameters.
        rows: Noisy row count.
        columns: Number of columns.
        mu: Gaussian-DP parameter that is left for training.
    """
    steps = config.steps or usual_steps(config, columns)
    if config.batch_size is not None:
        probability = min(1.0, config.batch_size / rows)
    else:
        if columns > MOST_DENSE_COLUMNS:
            wanted_noise = 2.0 if columns < WIDE_COLUMNS else 1.5
        else:
            wanted_noise = 3.0 if mu < 0.4 else 2.0
        wanted = min(wanted_noise * mu / math.sqrt(steps), MAX_BATCH / rows)
        probability = min(1.0, max(MIN_BATCH / rows, wanted))
    if config.epochs is not None:
        steps = max(1, round(config.epochs / probability))
    return steps, probability


def _calibrate(
    config: ResolvedConfig,
    base: PrivacyPlan,
    delta: float,
    steps: int,
    probability: float,
    widening: float,
    accountant: Accountant,
) -> tuple[int, float, StopReason]:
    """Compute the noise from the steps, or the steps from the noise."""
    left = delta - base.reserved_delta
    if config.noise_multiplier is None:
        sigma = calibrate_noise_multiplier(config.epsilon, left, steps, probability, base.base_mu, accountant)
        return steps, sigma, StopReason.FINISHED
    effective = config.noise_multiplier / widening
    figures = config.epsilon, left, probability, effective, base.base_mu
    most = max_steps(*figures, limit=steps, accountant=accountant)
    if most == 0:
        enough = widening * calibrate_noise_multiplier(
            config.epsilon, left, steps, probability, base.base_mu, accountant
        )
        raise ConfigError(
            f"noise_multiplier = {config.noise_multiplier:g} is too small for epsilon = {config.epsilon:g}: "
            f"a single step would cost more. Use noise_multiplier >= {enough:.3g} (for {steps} steps), a "
            "larger epsilon, a smaller batch_size, or None to compute it from epsilon."
        )
    return most, effective, StopReason.FINISHED if most == steps else StopReason.BUDGET


def model_rules(config: ResolvedConfig, columns: int, snr: float) -> dict[str, Any]:
    """Default rules of the model, all functions of the signal-to-noise ratio and the number of columns.

    With more signal weak dependences are worth learning too: a smaller pair exponent, and a larger
    learning rate, without which they are not reached within the steps.
    """
    room = max(MIN_CELLS, MAX_WIDTH // columns)
    if config.num_bins is not None and config.num_bins > room:
        raise ConfigError(
            f"num_bins = {config.num_bins} is too many for {columns} columns: the network's size is the "
            f"square of the number of all cells. Use at most {room}, or 'auto' for a number that fits."
        )
    signal = min(max(snr, 1.0), 10.0)
    weak = 0.5 * max(0.0, -math.log10(snr))
    return {
        "bins": config.num_bins or min(32 if snr > 2 else 20, room),
        "cells": min(MAX_CELLS, room),
        "learning_rate": config.learning_rate or 0.045 * signal**0.3,
        "weight_decay": 1e-3 / snr,
        "clip_factor": 1.5 * snr**0.25,
        "pair_exponent": min(1.0, 0.5 + weak) - 0.2 * math.log10(signal),
        "parents": _parents(columns, snr),
    }


def _parents(columns: int, snr: float) -> int | None:
    """On how many earlier columns each column depends at most; None for all.

    What a further parent tells must be more than the noise of its weights: with more signal it is.
    """
    if columns <= MOST_DENSE_COLUMNS:
        return None
    wanted = max(LEAST_PARENTS, round(FEW_PARENTS * (snr / USUAL_SIGNAL) ** (2 / 3)))
    parents = min(wanted, 2 * FEW_PARENTS) if columns >= WIDE_COLUMNS else wanted
    return parents if parents < columns - 1 else None


def _plan_without_noise(config: ResolvedConfig, df_meta: DataFrameMeta, rows: float) -> RunPlan:
    """The same run with every noise at zero: no guarantee, epsilon infinite."""
    probability = min(1.0, (config.batch_size or 4 * MIN_BATCH) / rows)
    steps = config.steps or 4 * DEFAULT_STEPS
    if config.epochs is not None:
        steps = max(1, round(config.epochs / probability))
    snr = max(rows / 1000, 1.0)
    return RunPlan(
        rows=rows,
        columns=len(df_meta.learned),
        delta=0.0,
        privacy=None,
        epsilon=math.inf,
        snr=snr,
        picks=_picks(config, len(df_meta.learned)),
        exact_training=SampledTraining(steps, probability, 1.0),
        ends_by=StopReason.FINISHED,
        unit_rows=config.rows_per_unit,
        cap=config.rows_per_unit,
        counted=config.rows_per_unit,
        once=config.rows_per_unit,
        gradient_sensitivity=MICROBATCH_SENSITIVITY if config.num_microbatches else 1.0,
        **model_rules(config, len(df_meta.learned), snr),
    )
