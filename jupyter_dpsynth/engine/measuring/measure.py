"""Everything that is measured of a table before training, in the order in which it is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.measuring.codes import encode_table
from jupyter_dpsynth.engine.measuring.differences import measure_differences
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.formulas import agree_with_orders, measure_formulas
from jupyter_dpsynth.engine.measuring.marginals import measure_one_way, measure_pairs, measure_tables
from jupyter_dpsynth.engine.measuring.orderings import measure_orderings
from jupyter_dpsynth.engine.measuring.repeated import opened_columns
from jupyter_dpsynth.engine.measuring.smoothing import likely_counts
from jupyter_dpsynth.engine.measuring.warnings import (
    warn_of_lost_columns,
    warn_of_moved_rows,
    warn_of_others,
)
from jupyter_dpsynth.engine.measuring.weighing import RowWeights
from jupyter_dpsynth.engine.model.evidence import (
    RARE_BREAKS,
    certainty,
    complete_text,
    derived_text,
    ordering_text,
    several,
)
from jupyter_dpsynth.engine.model.plan import DIFFERENCES, MARGINALS, RARE_CATEGORIES, ROW_COUNT, SPANS
from jupyter_dpsynth.engine.model.reference import reference_from, to_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import ColumnCodec, TableCodec
    from jupyter_dpsynth.engine.measuring.orderings import Orderings
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Allowance, Releases
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["MeasuredTable", "drop_absent_cells", "measure_table"]

LEAST_COUNT = 0.3  # rows of an empty cell, so that no probability is zero


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """What a run has before training.

    Attributes:
        codec: Cells of every column.
        reference: The noisy measurements.
        codes: Codes of all rows, `[n, m]`: private.
        counts: Likely count of each cell, `[cells]` for each column.
        untold: What the noise hides, in words.
        imposed: What all synthetic rows have in common beside orders, in words.
    """

    codec: TableCodec
    reference: MeasuredReference
    codes: NDArray[np.integer[Any]]
    counts: list[NDArray[np.float64]]
    untold: tuple[str, ...] = ()
    imposed: tuple[str, ...] = ()


def measure_table(
    source: Source,
    df_meta: DataFrameMeta,
    plan: RunPlan,
    releases: Releases,
    report: Callable[[str], None],
    tables: Sequence[tuple[str, ...]] = (),
    units: PrivacyUnits | None = None,
) -> MeasuredTable:
    """Measure domains, times between columns, one-way marginals, pair dependences and orderings of columns.

    Args:
        source: The private table.
        df_meta: Its metadata.
        plan: Sizes.
        releases: What is planned.
        report: Called with what comes next, in words; may raise to stop.
        tables: Columns of each named table.
        units: Which rows belong to which privacy unit; None if each is one.
    """
    weights = RowWeights.of(units, plan, source)
    once = RowWeights.of(units, plan, source, once=True)
    discovered = discover_table(
        source, df_meta, releases, plan, lambda name: report(f"measuring column {name!r}"), weights
    )
    moments = measure_differences(source, discovered, plan, weights, once, releases, report)
    discovered, codec = moments.discovered, moments.discovered.codec
    warn_of_lost_columns(codec, discovered.columns, plan.rows)
    warn_of_moved_rows(discovered.columns, plan.rows)
    report("encoding")
    table = encode_table(source, codec, weights)
    report("measuring marginals")
    left = {DIFFERENCES: moments.unused}
    if plan.unit_rows == 1:  # else a privacy unit changes these by less than a marginal
        left[SPANS] = moments.untested
    marginal = _marginal_allowance(df_meta, releases, left, measured_again=discovered.measured_again)
    counts, variances, moved = measure_one_way(table.counts, discovered.columns, marginal, weights.row)
    likely = likely_counts(counts, variances, codec.columns, plan.rows, plan.noise_of(ROW_COUNT) ** 2)
    shares = [to_shares(count, LEAST_COUNT) for count in likely]
    imposed, hidden = _settle_optional_cells(codec, plan, shares, counts, variances)
    report("measuring pairs of columns")
    dependence, dependence_noise = measure_pairs(table.codes, shares, plan.rows, releases, weights)
    measured = {
        "shares": shares,
        "noise": [np.sqrt(variance) / plan.rows for variance in variances],
        "dependence": dependence,
        "dependence_noise": dependence_noise,
        "rows": max(1, round(plan.rows)),
        "moved": [lost / plan.rows for lost in moved],
        "moved_noise": marginal.noise / plan.rows,
    }
    if tables:
        report("measuring the named tables")
        of_count = plan.noise_of(ROW_COUNT)
        measured["tables"] = measure_tables(table.codes, codec, tables, plan.rows, of_count, releases)
    reference = reference_from(codec, measured)
    warn_of_others(codec, reference.shares)
    codec, untold = _relations(source, codec, reference, once, releases, moments.orderings)
    untold += hidden
    if discovered.rounded:
        names = several(discovered.rounded)
        untold.append(f"whether rare rows of {names} have finer values: they are rounded")
    if elsewhere := [column.codec.meta.name for column in discovered.columns if not column.told]:
        untold.append(
            f"whether rare rows of {several(elsewhere)} have other last digits, times or days: none are made"
        )
    return MeasuredTable(codec, reference, table.codes, likely, tuple(untold), tuple(imposed))


def _settle_optional_cells(
    codec: TableCodec,
    plan: RunPlan,
    shares: list[NDArray[np.float64]],
    counts: list[NDArray[np.float64]],
    variances: list[NDArray[np.float64]],
) -> tuple[list[str], list[str]]:
    """Set, in place, to zero the shares of cells that need not exist and do not stand out of the noise.

    Args:
        codec: Codecs of the columns.
        plan: Its row count, and the noise of that.
        shares: Share of each cell, `[cells]` for each column.
        counts: Noisy count of each.
        variances: Variance of its noise.

    Returns:
        What all synthetic rows then have in common, and what the noise hides, in words.
    """
    sure = certainty(sum(len(column.optional_cells) for column in codec.columns))
    complete: list[str] = []
    lost: list[str] = []
    partly: list[str] = []
    empty: list[str] = []
    for column, share, count, variance in zip(codec.columns, shares, counts, variances, strict=True):
        if _are_values_absent(column, count, variance, plan, sure):
            share[:] = np.eye(column.size)[-1]
            empty.append(column.meta.name)
            continue
        dropped = drop_absent_cells(list(column.optional_cells), share, count, variance, sure)
        if not dropped.any():
            continue
        most = float((count + sure * np.sqrt(variance))[dropped].max())
        whole = dropped.sum() == len(column.optional_cells)
        if most > RARE_BREAKS * plan.rows:
            (lost if whole else partly).append(column.meta.name)
        elif whole:
            complete.append(column.meta.name)
    hidden = {
        "whether rare rows of {} are missing or 'other': none are made": lost,
        "whether rare rows of {} have a number or time: none are made": empty,
        "whether more rows of {} are missing or 'other' than are made": partly,
    }
    imposed = [complete_text(complete)] if complete else []
    return imposed, [text.format(several(names)) for text, names in hidden.items() if names]


def _are_values_absent(
    codec: ColumnCodec, count: NDArray[np.float64], variance: NDArray[np.float64], plan: RunPlan, sure: float
) -> bool:
    """Whether all values of a column of numbers or times may be missing: where the others are is then noise.

    Args:
        codec: The column's codec.
        count: Noisy count of each cell, `[cells]`.
        variance: Variance of the noise of each.
        plan: Its row count, and the noise of that.
        sure: By how many standard deviations values must stand out.
    """
    if not codec.ordered_cells or codec.ordered_cells == codec.size:
        return False
    present = plan.rows - float(count[-1])
    noise = np.sqrt(float(variance[-1]) + plan.noise_of(ROW_COUNT) ** 2)
    return bool(present < sure * noise and count[-1] > plan.rows / 2)


def _relations(
    source: Source,
    codec: TableCodec,
    reference: MeasuredReference,
    weights: RowWeights,
    releases: Releases,
    of_moments: Orderings,
) -> tuple[TableCodec, list[str]]:
    """The codec with orders and formulas, and in words which ones the noise does not tell.

    An order that a computed column could break is left out, and so is a formula that could break an order of
    dates or one that is declared.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        reference: The noisy measurements.
        weights: How much each row counts.
        releases: What is planned.
        of_moments: Orders of points in time.
    """
    formulas = measure_formulas(source, codec, reference, weights, releases)
    orderings = measure_orderings(source, codec, reference, weights, releases, 1 - formulas.used)
    certain = codec.df_meta.orders + of_moments.kept
    computed = tuple(each for each in formulas.kept if agree_with_orders(*each, certain, codec))
    found = [
        pair for pair in orderings.kept if all(agree_with_orders(*each, [pair], codec) for each in computed)
    ]
    untold = [f"whether {ordering_text(*pair)}" for pair in of_moments.untold + orderings.untold]
    untold += [f"whether {derived_text(*each)}" for each in formulas.untold]
    return replace(codec, orderings=(*certain, *found), formulas=computed), untold


def _marginal_allowance(
    df_meta: DataFrameMeta, releases: Releases, left: Mapping[str, Fraction], *, measured_again: bool
) -> Allowance:
    """For one column's marginal; what is left of what was measured before is added.

    Args:
        df_meta: The table's metadata.
        releases: What is planned.
        left: Share that is left of earlier measurements, by name.
        measured_again: Whether the second measurement of rare values was used.
    """
    share = Fraction(1, len(df_meta.learned))
    marginal = releases.allowance(MARGINALS, share)
    if opened_columns(df_meta) and not measured_again:
        marginal = marginal.joined(releases.allowance(RARE_CATEGORIES, share))
    for name, unused in left.items():
        if unused:
            marginal = marginal.joined(releases.allowance(name, share * unused))
    return marginal


def drop_absent_cells(
    cells: list[int],
    share: NDArray[np.float64],
    count: NDArray[np.float64],
    variance: NDArray[np.float64],
    sure: float,
) -> NDArray[np.bool_]:
    """Set, in place, the shares of optional cells to zero that do not stand out of the noise.

    Otherwise complete columns would have missing values. Where noise hides more than few rows, that is told.

    Args:
        cells: The optional cells: missing, and 'other'.
        share: Share of each cell, `[cells]`.
        count: Noisy count of each.
        variance: Variance of its noise.
        sure: By how many standard deviations a cell must stand out: `certainty` of all tests of this kind.

    Returns:
        Which cells these are, `[cells]`.
    """
    absent = count[cells] < sure * np.sqrt(variance[cells])
    dropped = np.zeros(len(share), dtype=bool)
    dropped[np.array(cells, dtype=int)[absent]] = True
    share[dropped] = 0.0
    if not share.any():  # nothing stood out anywhere: the likeliest cell is all there is
        share[np.argmax(count)] = 1.0
    share[:] = share / share.sum()
    return dropped
