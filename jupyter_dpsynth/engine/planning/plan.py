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

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.engine.measuring.domains import TableSettings
from jupyter_dpsynth.engine.measuring.orderings import MAX_ORDERINGS, comparable
from jupyter_dpsynth.engine.measuring.resolution import needs_unit
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    calibrate_noise_multiplier,
    compute_epsilon,
    gaussian_mu,
    max_steps,
)
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.accounting import Accountant

__all__ = ["RunPlan", "check_feasible", "count_sigma", "least_rows", "plan_run"]

# Below this product of noisy rows and mu, the noise of one count is over a fiftieth of the table; the row
# count's own noise is a tenth of that, so a handful of rows passes by chance once in a million runs.
MIN_SIGNAL = 50.0
COUNT_SHARE = 0.01
LARGEST_UNIT_SHARE = 0.03
PAIR_SHARE = 0.05
ORDER_SHARE = 0.005
LOOK_SHARE = 0.06
SELECTION_SHARE = 0.1  # of delta, for publishing unlisted categories
COUNT_DELTA = 0.01  # of delta, left unused because the plan follows from the noisy row count
LARGEST_COUNT_DELTA = 0.2
LOSS_COST = 0.01  # extra squared sensitivity of a step for the loss that is shown
NOMINAL_DELTA = 1e-6  # where delta depends on a row count that is not known yet
MANY_ROWS = 1e9  # the most favourable table: what is infeasible there is infeasible everywhere
DEFAULT_STEPS = 400
MIN_BATCH = 256
MAX_BATCH = 32_768  # a larger one tells no more of a table that is large enough for it
MAX_WIDTH = 4_096  # about the most cells of all columns: the network has the square of it as weights
MIN_CELLS = 4  # of a column, however many there are
MAX_COLUMNS = MAX_WIDTH // MIN_CELLS
MAX_CELLS = 128
REFERENCE_ROWS = 9000
MICROBATCH_SENSITIVITY = 2.0  # one row changes one group's mean: from one clipped vector to another


@dataclass(frozen=True)
class RunPlan:
    """Every figure of one run, fixed before training.

    Attributes:
        rows: Noisy row count (exact if it is public).
        delta: Delta of the run; 0 without differential privacy.
        privacy: What is released, for the accountant; None without differential privacy.
        epsilon: The bound on everything in `privacy`, infinite without it.
        snr: Signal relative to noise, see the module's text.
        unit_sigma: Noise of each histogram of decimals or time resolutions.
        codec_sigma: Noise that one histogram a column has in discovery.
        marginal_sigma: Noise of each one-way marginal.
        finer_marginal_sigma: The same where no column needs the second look: they get its budget too.
        pair_sigma: Noise of each pair's dependence score.
        order_sigma: Noise of the counts that tell whether one column is never above another; None if
            no two columns could be compared.
        look_sigma: Noise of the second look at columns of names, if it were at one column; 0 if all
            names are declared.
        bins: About how many bins a number gets.
        cells: Most cells of a column of names.
        steps: Training steps.
        sampling_probability: Chance of each row to be in a step's batch.
        noise_multiplier: Noise of the gradient sum in units of the clip norm.
        loss_noise: Noise of the loss sum in units of what one unit can add to it.
        learning_rate: Peak learning rate.
        weight_decay: Strength of the pull of the weights to zero.
        clip_factor: The clip norm relative to the root mean square gradient norm at the start.
        pair_exponent: How strongly a pair's dependence scales its weights.
        ends_by: Whether training ends because the steps are done or because the budget is.
        unit_rows: Most rows of one unit of privacy, by which all noise is scaled.
    """

    rows: float
    delta: float
    privacy: PrivacyPlan | None
    epsilon: float
    snr: float
    unit_sigma: float
    codec_sigma: float
    marginal_sigma: float
    finer_marginal_sigma: float
    pair_sigma: float
    order_sigma: float | None
    look_sigma: float
    bins: int
    cells: int
    steps: int
    sampling_probability: float
    noise_multiplier: float
    loss_noise: float
    learning_rate: float
    weight_decay: float
    clip_factor: float
    pair_exponent: float
    ends_by: StopReason
    unit_rows: int

    @property
    def batch_size(self) -> float:
        """Expected rows of a step; what every sum is divided by (the actual number is private)."""
        return self.sampling_probability * self.rows

    @property
    def table_settings(self) -> TableSettings:
        """Noise and sizes of the discovery of domains."""
        return TableSettings(
            rows=self.rows,
            unit_sigma=self.unit_sigma,
            codec_sigma=self.codec_sigma,
            look_sigma=self.look_sigma,
            selection_delta=0.0 if self.privacy is None else self.privacy.selection_delta,
            bins=self.bins,
            cells=self.cells,
            unit_rows=self.unit_rows,
        )


def count_sigma(config: ResolvedConfig) -> float:
    """Noise of the row count over its sensitivity: 1 % of the squared budget.

    Privacy:
        Depends on the config only, since it is needed before anything is known of the table.
    """
    mu = gaussian_mu(config.epsilon, config.delta or NOMINAL_DELTA)
    return 1 / (math.sqrt(COUNT_SHARE) * mu)


def least_rows(config: ResolvedConfig, rows: float) -> float:
    """How many rows a table must have for more than noise.

    Args:
        config: The frozen parameters.
        rows: Noisy row count, for the default delta.
    """
    mu = gaussian_mu(config.epsilon, config.delta or min(1 / (10 * rows), NOMINAL_DELTA))
    return MIN_SIGNAL * config.rows_per_unit / mu


def check_feasible(config: ResolvedConfig, df_meta: DataFrameMeta, rows: int | None) -> None:
    """Refuse, before a value is read, a noise multiplier that cannot keep within epsilon.

    Args:
        config: The frozen parameters.
        df_meta: The table's schema.
        rows: The row count if it is public; otherwise the most favourable one is tried.

    Raises:
        ConfigError: Not even one step fits, or there are too many columns; the message says what would do.
    """
    _check_columns(len(df_meta.learned))
    if config.differential_privacy and config.noise_multiplier is not None:
        plan_run(config, df_meta, MANY_ROWS if rows is None else rows)


def _check_columns(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise ConfigError(
            f"the table has {columns:,} columns to learn; at most {MAX_COLUMNS:,} are possible, and far "
            "fewer are told apart well, because all of them share the budget and the network's cells. Leave "
            "some out (ignore), or learn groups of columns that belong together as tables of their own."
        )


def plan_run(
    config: ResolvedConfig, df_meta: DataFrameMeta, rows: float, accountant: Accountant = "pld"
) -> RunPlan:
    """Fix every figure of a run.

    Args:
        config: The frozen parameters.
        df_meta: The table's schema.
        rows: Noisy row count, or the exact one if it is public.
        accountant: 'pld' for a run; 'quick' for a forecast in milliseconds.

    Raises:
        ConfigError: Not even one step with this noise multiplier keeps within epsilon.
    """
    columns = len(df_meta.learned)
    _check_columns(columns)
    if not config.differential_privacy:
        return _plan_without_noise(config, df_meta, rows)
    delta = config.delta or 1 / (10 * rows)
    mu = gaussian_mu(config.epsilon, delta)
    unit_rows = config.rows_per_unit
    snr = rows * mu / (REFERENCE_ROWS * unit_rows)
    count = () if config.n_public else (GaussianMeasurement("row count", count_sigma(config)),)
    unit_columns = sum(needs_unit(meta) for meta in df_meta.learned)
    # a step that most rows have is seen in many rows with little
    unit_share = min(0.01 / math.sqrt(snr), LARGEST_UNIT_SHARE) if unit_columns else 0.0
    domain_share, marginal_share = _histogram_shares(df_meta, snr)
    pairs = columns * (columns - 1) // 2
    pair_share = PAIR_SHARE if pairs else 0.0
    look_share = LOOK_SHARE if df_meta.open_names else 0.0
    ordered = min(_comparable_pairs(df_meta), MAX_ORDERINGS)
    order_share = ORDER_SHARE if ordered else 0.0

    unit_total = _share_sigma(unit_share, mu)
    domain_total = _share_sigma(domain_share, mu)
    marginal_total = _share_sigma(marginal_share, mu)
    pair_total = _share_sigma(pair_share, mu)
    order_total = _share_sigma(order_share, mu)
    look_total = _share_sigma(look_share, mu)
    measurements = (
        *count,
        *_measurement("decimals and time resolutions", unit_total, f"{unit_columns} columns"),
        *_measurement("value histograms", domain_total, f"{columns} columns, bounds and categories"),
        *_measurement("second look at unlisted names", look_total, f"of {len(df_meta.open_names)} columns"),
        *_measurement("one-way marginals", marginal_total, f"{columns} columns"),
        *_measurement("pair dependence", pair_total, f"{pairs} pairs"),
        *_measurement("orderings of columns", order_total, f"up to {ordered} pairs"),
    )
    selection_delta = SELECTION_SHARE * delta if df_meta.open_names else 0.0
    base = PrivacyPlan(
        measurements, None, selection_delta, _count_delta(config, rows, delta), config.unit_text
    )

    shares = COUNT_SHARE + unit_share + domain_share + look_share + marginal_share + pair_share + order_share
    left = math.sqrt(1 - shares)
    steps, probability = _training_length(config, rows, left * mu)
    sensitivity = MICROBATCH_SENSITIVITY if config.num_microbatches else 1.0
    widening = sensitivity * math.sqrt(1 + LOSS_COST)  # gradient noise over the accountant's noise
    steps, effective, ends_by = _calibrate(config, base, delta, steps, probability, widening, accountant)
    training = SampledTraining(steps, probability, effective)
    privacy = replace(base, training=training)
    return RunPlan(
        rows=rows,
        delta=delta,
        privacy=privacy,
        epsilon=compute_epsilon(privacy, delta, accountant),
        snr=snr,
        unit_sigma=unit_rows * unit_total * math.sqrt(unit_columns) if unit_columns else 0.0,
        codec_sigma=unit_rows * domain_total * math.sqrt(columns),
        look_sigma=unit_rows * look_total,
        marginal_sigma=unit_rows * marginal_total * math.sqrt(columns),
        finer_marginal_sigma=unit_rows * _share_sigma(marginal_share + look_share, mu) * math.sqrt(columns),
        pair_sigma=unit_rows * pair_total * math.sqrt(pairs) if pairs else 0.0,
        order_sigma=unit_rows * order_total * math.sqrt(ordered) if ordered else None,
        steps=steps,
        sampling_probability=probability,
        noise_multiplier=effective * widening,
        loss_noise=effective * math.sqrt((1 + LOSS_COST) / LOSS_COST),
        ends_by=ends_by,
        unit_rows=unit_rows,
        **_model_rules(config, columns, snr),
    )


def _count_delta(config: ResolvedConfig, rows: float, delta: float) -> float:
    """Part of delta that stays unused because the plan follows from the noisy row count."""
    if config.n_public:
        return 0.0
    follows = 0.0 if config.delta else 0.5 * config.rows_per_unit * count_sigma(config) / rows
    return delta * min(COUNT_DELTA + follows, LARGEST_COUNT_DELTA)


def _histogram_shares(df_meta: DataFrameMeta, snr: float) -> tuple[float, float]:
    """Shares of the squared budget for discovering domains and for the one-way marginals.

    The less signal, the more of it goes into histograms. Undeclared domains take up to 2.4 times as
    much as declared ones, because what discovery misses no later step brings back: on a table of 15
    open columns at epsilon 1 that lowered the two-way error from .0348 to .0324.
    """
    openness = sum(_is_open(meta) for meta in df_meta.learned) / len(df_meta.learned)
    base = min(max(0.1 / math.sqrt(snr), 0.05), 0.225)
    return min(base * (1 + 1.4 * openness), 0.35), base


def _comparable_pairs(df_meta: DataFrameMeta) -> int:
    return sum(comparable(*pair) for pair in itertools.combinations(df_meta.learned, 2))


def _is_open(meta: ColumnMeta) -> bool:
    """Whether a column's domain is to be learned."""
    if isinstance(meta, CategoricalMeta):
        return meta.categories is None
    return isinstance(meta, ContinuousMeta | DatetimeMeta) and meta.bounds is None


def _share_sigma(share: float, mu: float) -> float:
    """Noise over sensitivity of a measurement that takes a share of the squared budget."""
    return 1 / (math.sqrt(share) * mu) if share else 0.0


def _measurement(name: str, sigma: float, detail: str) -> tuple[GaussianMeasurement, ...]:
    return (GaussianMeasurement(name, sigma, detail),) if sigma else ()


def _training_length(config: ResolvedConfig, rows: float, mu: float) -> tuple[int, float]:
    """Steps and sampling probability; by default large batches, so that sampling costs nothing.

    Args:
        config: The frozen parameters.
        rows: Noisy row count.
        mu: Gaussian-DP parameter that is left for training.
    """
    steps = config.steps or DEFAULT_STEPS
    if config.batch_size is not None:
        probability = min(1.0, config.batch_size / rows)
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
    """Solve the noise from the steps, or the steps from the noise; returns the accountant's noise."""
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
            f"noise_multiplier = {config.noise_multiplier:g} cannot keep within epsilon = "
            f"{config.epsilon:g}: a single step costs more. Give noise_multiplier >= {enough:.3g} (for "
            f"{steps} steps), a larger epsilon, a smaller batch_size, or None to solve it from epsilon."
        )
    return most, effective, StopReason.FINISHED if most == steps else StopReason.BUDGET


def _model_rules(config: ResolvedConfig, columns: int, snr: float) -> dict[str, Any]:
    """Default rules of the model, all functions of the signal-to-noise ratio and the number of columns.

    With more signal weak dependences are worth learning too: a smaller pair exponent, and a larger
    learning rate, without which they are not reached within the steps.
    """
    room = max(MIN_CELLS, MAX_WIDTH // columns)
    if config.num_bins is not None and config.num_bins > room:
        raise ConfigError(
            f"num_bins = {config.num_bins} is too many for {columns} columns: the network's size is "
            f"the square of all cells together. Give at most {room}, or None for a number that fits."
        )
    signal = min(max(snr, 1.0), 10.0)
    weak = 0.5 * max(0.0, -math.log10(snr))
    return {
        "bins": config.num_bins or min(32 if snr > 2 else 20, room),
        "cells": min(MAX_CELLS, room),
        "learning_rate": config.learning_rate or 0.045 * signal**0.3,
        "weight_decay": 1e-3 / snr,
        "clip_factor": min(1.5, max(0.75, 0.9 * snr**0.25)),
        "pair_exponent": min(1.0, 0.5 + weak) - 0.2 * math.log10(signal),
    }


def _plan_without_noise(config: ResolvedConfig, df_meta: DataFrameMeta, rows: float) -> RunPlan:
    """The same run with every noise at zero: no guarantee, epsilon infinite."""
    probability = min(1.0, (config.batch_size or 4 * MIN_BATCH) / rows)
    steps = config.steps or 2 * DEFAULT_STEPS
    if config.epochs is not None:
        steps = max(1, round(config.epochs / probability))
    snr = max(rows / 1000, 1.0)
    return RunPlan(
        rows=rows,
        delta=0.0,
        privacy=None,
        epsilon=math.inf,
        snr=snr,
        unit_sigma=0.0,
        codec_sigma=0.0,
        marginal_sigma=0.0,
        finer_marginal_sigma=0.0,
        pair_sigma=0.0,
        order_sigma=0.0 if _comparable_pairs(df_meta) else None,
        look_sigma=0.0,
        steps=steps,
        sampling_probability=probability,
        noise_multiplier=0.0,
        loss_noise=0.0,
        ends_by=StopReason.FINISHED,
        unit_rows=config.rows_per_unit,
        **_model_rules(config, len(df_meta.learned), snr),
    )
