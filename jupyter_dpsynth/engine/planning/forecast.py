"""The forecast of a run, made before anything is read: noise, epsilon over the steps, error, time, memory.

Everything here is a function of the parameters, the public metadata and a row count that somebody names. The
table is not touched.
"""

from __future__ import annotations

import functools
import math
import os
import statistics
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.repeated import selected_columns
from jupyter_dpsynth.engine.model.plan import MARGINALS, RARE_CATEGORIES, VALUE_HISTOGRAMS
from jupyter_dpsynth.engine.model.reference import COMBINATIONS, PAIR_ROWS
from jupyter_dpsynth.engine.planning.counting import least_rows, usual_capped
from jupyter_dpsynth.engine.planning.plan import plan_run, usual_steps
from jupyter_dpsynth.engine.training.arrangement import blocks_pay
from jupyter_dpsynth.engine.training.timing import measured_step_seconds
from jupyter_dpsynth.errors import ConfigError, MetadataError
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DataFrameMeta, IdMeta
from jupyter_dpsynth.privacy.accounting import epsilon_curve, max_steps
from jupyter_dpsynth.privacy.releases import partition_threshold
from jupyter_dpsynth.privacy.sampling import MOST_ROWS
from jupyter_dpsynth.reports import StopReason
from jupyter_dpsynth.sources.partitions import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.columns import ColumnMeta
    from jupyter_dpsynth.privacy.accounting import Accountant, EpsilonCurve

__all__ = [
    "ASSUMED_CATEGORIES",
    "Forecast",
    "assumed_metadata",
    "expected_cells",
    "expected_column_error",
    "expected_share_error",
    "forecast",
    "machine_factors",
    "planning_warnings",
    "rarest_published",
    "round_up",
]

ASSUMED_ROWS = 10_000  # where nobody says how many: a fixed number, so that it tells nothing
ASSUMED_COLUMNS = 12
ASSUMED_CATEGORIES = 6  # of a column whose categories are to be learned
TREE_COST = 8  # how much noisier a bin of a number is after discovery than one histogram would be
BINS_USED = 0.65  # of the bins of a number: few values need fewer
CURVE_POINTS = {"quick": 40, "pld": 12}
FAR = 20  # times the planned steps: how far the end of the budget is looked for

# Seconds of a step by its parts, fitted to runs of 70 to 2,000 cells and batches of 256 to 27,000 rows on two
# cores, and how long the yardsticks below took there. They serve until a step can be timed.
PER_STEP, PER_PRODUCT, PER_CELL, PER_WEIGHT, PER_ROW = 9.5e-4, 1.65e-11, 7e-9, 1.85e-8, 2e-9
# The same in blocks: of each row, an input cell, a weight, and a cell
PER_BLOCK_INPUT, PER_BLOCK_WEIGHT, PER_BLOCK_CELL = 2.3e-10, 1e-10, 4e-9
EXPONENTIAL_SECONDS, COUNTING_SECONDS = 4.5e-10, 7e-10
YARDSTICK_VALUES, YARDSTICK_RUNS = 200_000, 9
PER_GROUP = 1e-3  # seconds of a microbatch
REFINING_PER_CELL, REFINING_PER_WEIGHT = 1.5e-7, 5.5e-10  # of a row that is drawn for the step after training
MEASURING_SECONDS, MEASURING_PER_COLUMN = 0.8, 0.01
MEASURING_PER_VALUE, MEASURING_PER_PAIR = 6.5e-8, 1.5e-9  # of a row
ACCOUNTING_SECONDS = 0.2  # by epsilon, up to 10
TENSORFLOW_SECONDS = 9.0
READ_COPIES, BYTES_PER_HASH, BYTES_PER_COPIED = 5, 16, 8
BYTES_PER_NUMBER = 60  # of a row of a table in memory while one of its columns is measured
# of a row while the rows of each unit are chosen (40, and 16 more of a Dask DataFrame), and afterwards
BYTES_TO_BOUND, BYTES_PER_OWNER = 56, 17
BOUNDING_SECONDS = 1e-6  # a row, where each unit's rows are bounded
READING_AGAIN = 2.0  # times as long as in memory: every value is decoded three times
BASE_MEGABYTES, BYTES_PER_VALUE, BYTES_PER_CELL, BYTES_PER_WEIGHT = 790, 12, 32, 60
BYTES_IN_BLOCKS, BYTES_PER_PAIR = 100e6, 20  # where there is no matrix of weights, but counts of pairs


@dataclass(frozen=True)
class Forecast:
    """A run as planned for an assumed number of rows.

    Attributes:
        rows: The assumed number.
        target: The budget; infinite without differential privacy.
        plan: Every figure of the run.
        accountant: 'pld' if epsilon is what a run would report, 'quick' if it is an upper bound on it.
        wanted_steps: Steps that were asked for; the budget may end before.
        curve: Epsilon over the steps, as far as is worth showing; None without differential privacy.
        lasts: Step at which the budget ends, or `FAR` times the steps if it has not ended by then.
        width: Cells of all columns together, if columns of undeclared categories have few.
        most_width: The same if they have as many as are told apart.
        column_error: Expected total-variation distance of one column's shares from the true ones, mean
            over the columns.
        seconds: How long the run takes on this machine; None where no figure is known.
        starting_seconds: How long starting TensorFlow takes before it, 0 if it is there.
        megabytes: Memory of the kernel at its peak, beside the tables that are in it.
        disk_megabytes: Temporary files on disk, 0 for a table in memory.
        warnings: What to think about, one sentence each.
        open_columns: How many columns have categories that are to be measured.
        rare_below: Rows that a category of such a column needs to be published; None without
            such columns.
        counted: What is counted: rows, or persons with all their rows.
    """

    rows: float
    target: float
    plan: RunPlan
    accountant: Accountant
    wanted_steps: int
    curve: EpsilonCurve | None
    lasts: int
    width: int
    most_width: int
    column_error: float
    seconds: float | None
    starting_seconds: float
    megabytes: float
    disk_megabytes: float
    warnings: tuple[str, ...]
    open_columns: int = 0
    rare_below: float | None = None
    counted: str = "rows"

    @property
    def ends_early(self) -> bool:
        """Whether the budget ends before the steps that were asked for."""
        return self.plan.ends_by is StopReason.BUDGET


def assumed_metadata(columns: int = ASSUMED_COLUMNS, privacy_unit: str | None = None) -> DataFrameMeta:
    """Metadata for a table that was not given: half numbers, half categories, and the privacy unit."""
    numbers = [ContinuousMeta(f"number {i + 1}", "float64") for i in range(columns // 2)]
    names = [CategoricalMeta(f"name {i + 1}", "str") for i in range(columns - columns // 2)]
    units = () if privacy_unit is None else (IdMeta(privacy_unit, "int64"),)
    return DataFrameMeta((*units, *numbers, *names))


def forecast(
    config: ResolvedConfig,
    df_meta: DataFrameMeta,
    rows: float,
    accountant: Accountant = "pld",
    *,
    timed: bool = False,
    partitioned: bool = False,
    copied: bool = False,
) -> Forecast:
    """Plan a run for an assumed number of rows.

    Args:
        config: The frozen parameters.
        df_meta: The table's metadata.
        rows: Assumed number of rows.
        accountant: 'pld' for what a run would report (up to seconds); 'quick' for an upper bound in
            milliseconds.
        timed: Whether to time some steps on made-up rows, if TensorFlow is there: about half a second.
        partitioned: Whether the table is read part by part, from files or a Dask DataFrame.
        copied: Whether it is copied into a private file before, as CSV is.

    Raises:
        ConfigError: The noise cannot keep within epsilon, or there is no column to learn.

    Privacy:
        Reads no table.
    """
    if config.privacy_unit is not None:
        try:
            df_meta = df_meta.with_id(config.privacy_unit)
        except MetadataError as error:
            message = f"privacy_unit = {config.privacy_unit!r} is not possible: {error}"
            raise ConfigError(message) from None
    if not df_meta.learned:
        raise ConfigError("every column is an identifier or ignored: there is nothing to learn.")
    plan = plan_run(config, df_meta, rows, accountant, usual_capped(config, rows))
    sizes = [expected_cells(meta, plan) for meta in df_meta.learned]
    width = sum(sizes)
    wanted, lasts, curve = _budget(config, plan, accountant)
    batch = min(plan.batch_size, MOST_ROWS)
    memory, disk = _room(rows, sizes, partitioned=partitioned, bounded=config.privacy_unit is not None)
    memory += _network_bytes(plan, width, batch)
    disk += BYTES_PER_COPIED * rows * len(sizes) if copied else 0
    return Forecast(
        rows=rows,
        target=config.epsilon if config.differential_privacy else math.inf,
        plan=plan,
        accountant=accountant,
        wanted_steps=wanted,
        curve=curve,
        lasts=lasts,
        width=width,
        most_width=width + sum(plan.cells - expected_cells(meta, plan) for meta in df_meta.undeclared),
        column_error=statistics.fmean(
            _column_error(meta, size, plan) for meta, size in zip(df_meta.learned, sizes, strict=True)
        ),
        seconds=_seconds(config, plan, width, len(sizes), timed=timed, partitioned=partitioned),
        starting_seconds=0.0 if "tensorflow" in sys.modules else TENSORFLOW_SECONDS,
        megabytes=BASE_MEGABYTES + memory / 1e6,
        disk_megabytes=disk / 1e6,
        warnings=tuple(planning_warnings(config, plan, rows)),
        open_columns=len(df_meta.undeclared),
        rare_below=rarest_published(df_meta, plan),
    )


def rarest_published(df_meta: DataFrameMeta, plan: RunPlan | None) -> float | None:
    """How many rows a value needs to be published in a column without declared categories.

    Args:
        df_meta: The table's metadata.
        plan: The plan; None if there is none.

    Returns:
        None without such columns, and without noise.
    """
    many = len(df_meta.undeclared)
    if plan is None or plan.privacy is None or not many:
        return None
    # both measurements of a column's categories, with the second one shared by all of them
    first = plan.noise_of(VALUE_HISTOGRAMS, Fraction(1, plan.columns))
    second = plan.noise_of(RARE_CATEGORIES, Fraction(1, many))
    sigma = 1 / math.sqrt(1 / first**2 + 1 / second**2)
    delta = plan.selection_delta / selected_columns(df_meta)
    return partition_threshold(sigma, delta, plan.counted, plan.unit_rows)


def _room(rows: float, sizes: list[int], *, partitioned: bool, bounded: bool) -> tuple[float, float]:
    """Bytes in memory and on disk for reading the table.

    Of a table in parts, the parts that are read at once are in memory, and what of the temporary files the
    system keeps there; the files hold the codes, a hash of each row, and one column at a time. Where the
    rows of each unit are bounded, they hold which rows these are; of a table in memory it is there as well.
    """
    bounding, owners = (BYTES_TO_BOUND, BYTES_PER_OWNER) if bounded else (0, 0)
    if not partitioned:
        return rows * max(BYTES_PER_VALUE * len(sizes) + owners, BYTES_PER_NUMBER, bounding), 0.0
    code_bytes = 1 if max(sizes) <= 256 else 2
    disk = rows * max(code_bytes * len(sizes) + BYTES_PER_HASH + owners, bounding)
    at_once = min(8 * rows * len(sizes), MAX_BYTES * (os.cpu_count() or 1))
    return disk + READ_COPIES * at_once, disk


def _budget(
    config: ResolvedConfig, plan: RunPlan, accountant: Accountant
) -> tuple[int, int, EpsilonCurve | None]:
    """Steps asked for, the step where the budget ends, and epsilon over the steps that are shown."""
    training = None if plan.privacy is None else plan.privacy.training
    if plan.privacy is None or training is None:
        return plan.steps, FAR * plan.steps, None
    wanted = lasts = plan.steps
    if plan.ends_by is StopReason.BUDGET:
        wanted = config.steps or usual_steps(config, plan.columns)
        if config.epochs is not None:
            wanted = max(1, round(config.epochs / plan.sampling_probability))
    elif config.noise_multiplier is not None:
        lasts = max_steps(
            config.epsilon,
            plan.delta - plan.privacy.reserved_delta,
            training.sampling_probability,
            training.noise_multiplier,
            plan.privacy.base_mu,
            limit=FAR * plan.steps,
            accountant="quick",
        )
        lasts = max(lasts, plan.steps)
    shown = plan.privacy.with_steps(min(wanted, 2 * plan.steps))
    return wanted, lasts, epsilon_curve(shown, plan.delta, CURVE_POINTS[accountant], accountant)


def expected_cells(meta: ColumnMeta, plan: RunPlan) -> int:
    """Cells of a column, as far as they are known without reading it."""
    if not isinstance(meta, CategoricalMeta):
        return round(BINS_USED * plan.bins) + meta.nullable
    known = ASSUMED_CATEGORIES if meta.categories is None else len(meta.categories)
    return min(known, plan.cells - 2) + 1 + meta.nullable


def _column_error(meta: ColumnMeta, cells: int, plan: RunPlan) -> float:
    """Half the expected absolute noise of all shares of a column, measured once and again."""
    if plan.privacy is None:
        return 0.0
    column = Fraction(1, plan.columns)
    first, second = plan.noise_of(VALUE_HISTOGRAMS, column), plan.noise_of(MARGINALS, column)
    return expected_share_error(cells, first, second, plan.rows, named=isinstance(meta, CategoricalMeta))


def expected_share_error(cells: int, first: float, second: float, rows: float, *, named: bool) -> float:
    """Half the expected absolute noise of all shares of a column.

    Args:
        cells: How many shares.
        first: Standard deviation of the noise of the counts by which its values are found.
        second: That of the counts afterwards.
        rows: How many rows, or units, are counted.
        named: Whether its values are categories, not numbers or times.
    """
    found = first**2 * (1 if named else TREE_COST)
    sigma = 1 / math.sqrt(1 / found + 1 / second**2)
    return min(1.0, cells * sigma * math.sqrt(2 / math.pi) / (2 * rows))


def expected_column_error(meta: ColumnMeta, plan: RunPlan) -> float:
    """Expected total-variation distance of one column's shares from the true ones.

    Args:
        meta: The column's metadata.
        plan: Every figure of the run.
    """
    return _column_error(meta, expected_cells(meta, plan), plan)


def _seconds(
    config: ResolvedConfig, plan: RunPlan, width: int, columns: int, *, timed: bool, partitioned: bool
) -> float | None:
    """Time of measuring and training."""
    counting, training = machine_factors()
    per_value = MEASURING_PER_VALUE * (READING_AGAIN if partitioned else 1)
    measuring = MEASURING_SECONDS + (MEASURING_PER_COLUMN + per_value * plan.rows) * columns
    together = max(1, math.floor(math.log(COMBINATIONS, max(width / columns, 2))))  # that are counted at once
    measuring += MEASURING_PER_PAIR * min(plan.rows, PAIR_ROWS) * (columns / together) ** 2 / 2
    measuring += BOUNDING_SECONDS * plan.rows if config.privacy_unit is not None else 0.0
    measuring = counting * (measuring + ACCOUNTING_SECONDS * min(config.epsilon, 10.0))
    measuring += training * _refining_seconds(plan, width)
    step = measured_step_seconds(config, plan, columns, width) if timed else None
    if step is not None:
        return measuring + plan.steps * (step + counting * PER_ROW * plan.rows)
    if config.dp_backend != "native":
        return None
    step = _step_seconds(plan, width) + PER_STEP + PER_GROUP * (config.num_microbatches or 0)
    return measuring + plan.steps * (training * step + counting * PER_ROW * plan.rows)


def _refining_seconds(plan: RunPlan, width: int) -> float:
    """Time of the step after training, on the machine of the constants."""
    weights = _in_blocks(plan, width)[1] + width
    if weights > plan.most_refined or not plan.sums_rows:
        return 0.0
    return plan.refining_rows * (REFINING_PER_CELL * width + REFINING_PER_WEIGHT * weights)


def _step_seconds(plan: RunPlan, width: int) -> float:
    """Time of computing and applying the sums of a step, of a batch of usual size."""
    inputs, weights = _in_blocks(plan, width)
    if blocks_pay(inputs, weights, width**2):
        row = PER_BLOCK_INPUT * inputs + PER_BLOCK_WEIGHT * weights + PER_BLOCK_CELL * width
        return plan.batch_size * row + PER_WEIGHT * weights
    return plan.batch_size * (PER_PRODUCT * width**2 + PER_CELL * width) + PER_WEIGHT * width**2


def _in_blocks(plan: RunPlan, width: int) -> tuple[float, float]:
    """Input cells of all columns, and weights that exist."""
    parents = min((plan.columns - 1) / 2, plan.parents or plan.columns)  # the first columns have fewer
    return parents * width, parents * width**2 / plan.columns


def _network_bytes(plan: RunPlan, width: int, batch: float) -> float:
    """Memory for training."""
    if blocks_pay(*_in_blocks(plan, width), width**2):
        return BYTES_IN_BLOCKS + BYTES_PER_PAIR * width**2
    return BYTES_PER_CELL * batch * width + BYTES_PER_WEIGHT * width**2


@functools.lru_cache(maxsize=1)
def machine_factors() -> tuple[float, float]:
    """How much slower this machine counts, and trains, than that of the constants; takes some 10 ms.

    What a processor's vector units do, such as training, differs more than what they do not.
    """
    values = np.linspace(-3, 3, YARDSTICK_VALUES, dtype=np.float32)
    numbers = np.random.default_rng(0).integers(100, size=YARDSTICK_VALUES)
    counting = _quickest(lambda: np.bincount(numbers)) / COUNTING_SECONDS
    return counting, _quickest(lambda: np.exp(values)) / EXPONENTIAL_SECONDS


def _quickest(work: Callable[[], object]) -> float:
    """Seconds of each value in the quickest of some runs: what else the machine does is not counted."""
    took = []
    for _ in range(YARDSTICK_RUNS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took) / YARDSTICK_VALUES


def planning_warnings(config: ResolvedConfig, plan: RunPlan, rows: float, counted: str = "rows") -> list[str]:
    """Warnings about what is allowed but may be a mistake.

    Args:
        config: The frozen parameters.
        plan: Every figure of the run.
        rows: How many rows are assumed.
        counted: What these are.
    """
    if not config.differential_privacy:
        return ["differential_privacy is False: there is NO privacy guarantee."]
    found = []
    needed = least_rows(config, rows)
    if rows < needed:
        found.append(
            f"{rows:,.0f} {counted} are too few for epsilon = {config.epsilon:g}: about "
            f"{round_up(needed):,.0f} are needed for anything to stand out from the noise. Use a larger "
            "epsilon."
        )
    if plan.delta * rows >= 1:
        found.append(
            f"delta = {plan.delta:g} is not below 1 / {rows:,.0f} {counted}: such a guarantee would allow "
            "publishing whole rows. Leave delta empty, or use a smaller one."
        )
    return found


def round_up(value: float) -> float:
    """Up to two digits.

    >>> round_up(1234.0), round_up(87.2)
    (1300, 88)
    """
    size = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / size) * size
