"""The check-up: looks in the private table for what would spoil a run, before anything is spent.

The findings are for the owner of the data. No part of epsilon pays for them, and every surface that shows
them says so. They hold no value of the table; of a column that is better converted they tell how many rows
that concerns. Bounds and categories that are read off the table are never proposed, because what is declared
is stated to be public.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.model.plan import VALUE_HISTOGRAMS
from jupyter_dpsynth.engine.planning.columns import ExaminedColumn
from jupyter_dpsynth.engine.planning.counting import least_rows, usual_capped
from jupyter_dpsynth.engine.planning.derived import derived_in_all_rows
from jupyter_dpsynth.engine.planning.findings import BANNER, Finding, Place, Remedy, amount
from jupyter_dpsynth.engine.planning.forecast import rarest_published
from jupyter_dpsynth.engine.planning.pairs import dates_of_persons, orders_kept, orders_nearly_kept
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ConfigError, MetadataError, shielded
from jupyter_dpsynth.metadata.columns import (
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
    check_column_names,
)
from jupyter_dpsynth.metadata.extracting import column_meta, gather_declarations
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.sample import LOOKED_AT, MOST_ROWS, rows_for_owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.metadata.columns import ColumnMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["BANNER", "Finding", "Place", "Remedy", "examine"]

LEVELS = ("stop", "care", "hint")
NOISY_SHARE = 0.03  # of the rows: noise of a count beside which all but the most frequent values vanish
PART_ADVICE = (
    "Findings about rows are about these rows only. If the rows of one person are in different parts, name "
    "the column that identifies the person: privacy_unit."
)
EPSILONS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # a coarse grid tells little of the row count


def examine(
    source: Source,
    config: ResolvedConfig,
    *,
    df_meta: DataFrameMeta | None = None,
    declared: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Look for what would spoil a run.

    Args:
        source: The private table; it is closed. Of a table in parts not all rows are looked at, and the
            findings say so.
        config: The parameters of the run.
        df_meta: Its metadata, if there is one already.
        declared: Otherwise, what is declared: arguments of `MetaExtractor.extract`.

    Returns:
        Findings, the gravest first.

    Raises:
        DataError: The table has no columns, or unusable column names.
        MetadataError: A declaration does not fit.

    Privacy:
        None: the findings depend on the rows and no noise is added. For the owner only.
    """
    with source:
        return shielded(lambda: _examine(source, config, df_meta, declared or {}), "the check-up failed")


def _examine(
    source: Source, config: ResolvedConfig, df_meta: DataFrameMeta | None, declared: Mapping[str, Any]
) -> list[Finding]:
    check_column_names(source.described)
    options = gather_declarations(source, **declared)
    odd = [
        Finding(
            "type",
            "stop",
            name,
            f"{name!r} has a type that cannot be learned ({kind}).",
            "Leave it out, or convert it.",
            Remedy("ignore", name),
        )
        for name, kind in source.refused.items()
    ]
    odd += _unread(source)
    source = source.without(list(source.refused)) if source.refused else source
    df, rows = rows_for_owner(source), max(source.rows, 1)
    metas, found = _metadata(FrameSource(df), df_meta, options)
    found += odd
    # the column of the privacy unit is not checked further
    names = [name for name in df.columns if name in metas and name != config.privacy_unit]
    names = [name for name in names if not getattr(metas[name], "derived", "")]  # nor is what is computed
    columns = [ExaminedColumn(df[name], metas[name]) for name in names]
    plan = _plan(config, columns, rows)
    persons = dates_of_persons(columns)
    single = [
        finding for column in columns for finding in column.findings(names_persons=column.name in persons)
    ]
    several = [finding.column for finding in single if finding.kind == "several rows"]
    single = _one_unit(single, config.privacy_unit)
    # the advice is to protect persons, which takes more noise: what is rare then is told
    advised = plan if not several else _plan(replace(config, privacy_unit=several[0]), columns, rows)
    # a value is looked for in fewer rows, where it is rarer
    threshold = _threshold(advised, columns) * len(df) / max(rows, 1)
    grave = {finding.column for finding in single if finding.level != "hint"}
    single += [rare for each in columns if each.name not in grave for rare in each.rare_values(threshold)]
    if config.privacy_unit in df.columns and len(df) == rows:
        single += _rows_left_out(df[config.privacy_unit], config)
    identifiers = {each.column for each in single if each.kind in {"identifier", "several rows"}}
    found += [*_table_findings(rows, config, columns, identifiers), *single]
    # what is missing neither keeps nor breaks an order
    codes = {
        each.column: each.remedy.value for each in single if each.kind == "missing codes" and each.remedy
    }
    columns = [each.without(codes[each.name][each.name]) if each.name in codes else each for each in columns]
    found += [*orders_nearly_kept(columns), *orders_kept(columns), *derived_in_all_rows(columns)]
    if not any(finding.kind == "few rows" for finding in found):
        found += _many_columns(plan)
    if len(df) < rows:
        found.append(Finding("part", "hint", "", LOOKED_AT, PART_ADVICE, rows=len(df)))
    return sorted(found, key=lambda each: LEVELS.index(each.level))


def _one_unit(findings: list[Finding], unit: str | None) -> list[Finding]:
    """The findings with advice on one privacy unit: further columns that name persons are identifiers.

    Args:
        findings: About single columns.
        unit: The privacy unit of the run; None if persons are not protected.
    """
    found = []
    for each in findings:
        if each.kind == "several rows" and unit is not None:
            text = f"{each.column!r} looks like an identifier of persons with several rows, like {unit!r}."
            advice = "Declare it as an identifier: it is then never learned, and gets new numbers."
            found.append(replace(each, text=text, advice=advice, remedy=Remedy("ids", each.column)))
            continue
        unit = each.column if each.kind == "several rows" else unit
        found.append(each)
    return found


def _rows_left_out(units: pd.Series[Any], config: ResolvedConfig) -> list[Finding]:
    """Whether persons have more rows than are used of each."""
    counts = units.value_counts().to_numpy()
    left = int(np.maximum(counts - config.rows_per_unit, 0).sum())
    if not left:
        return []
    text = (
        f"Of each {config.privacy_unit!r} at most {config.rows_per_unit} rows are used (max_rows_per_unit): "
        "further rows are left out."
    )
    advice = "A larger number keeps more of them, but takes more noise in everything."
    return [Finding("rows left out", "hint", "", text, advice, rows=left)]


def _unread(source: Source) -> list[Finding]:
    """Columns of text files in which some texts were read as missing."""
    found = []
    for name, rows in source.unread(MOST_ROWS).items():
        text = f"{name!r} has texts that do not fit what the other rows have: they are read as missing."
        advice = (
            "Correct them in the file, or let them be missing, if they are. Kept as text the column loses "
            "nothing, but each text is then a category without order."
        )
        found.append(Finding("unread", "care", name, text, advice, Remedy("text", name), rows))
    return found


def _metadata(
    source: Source, df_meta: DataFrameMeta | None, declared: dict[str, dict[str, Any]]
) -> tuple[dict[str, ColumnMeta], list[Finding]]:
    """Meta of every column that can be learned, and a finding for every one that cannot."""
    if df_meta is not None:
        df_meta.check(source)
        return {meta.name: meta for meta in df_meta.columns}, []
    metas, found = {}, []
    for name in source.described.columns:
        try:
            metas[name] = column_meta(source, name, declared)
        except MetadataError as error:
            advice = "Leave it out, or convert it."
            found.append(Finding("type", "stop", name, str(error), advice, Remedy("ignore", name)))
    return metas, found


def _plan(config: ResolvedConfig, columns: list[ExaminedColumn], rows: int) -> RunPlan | None:
    """The plan of the run, None if it is impossible, which is a finding of its own."""
    learned = tuple(column.meta for column in columns if not isinstance(column.meta, IdMeta))
    try:
        counted = float(max(rows, 2))
        return plan_run(config, DataFrameMeta(learned), counted, "quick", usual_capped(config, counted))
    except (ConfigError, ZeroDivisionError):
        return None


def _threshold(plan: RunPlan | None, columns: list[ExaminedColumn]) -> float:
    """How many rows a value needs to be published in a column without declared categories."""
    df_meta = DataFrameMeta(tuple(column.meta for column in columns))
    return rarest_published(df_meta, plan) or 0.0


def _many_columns(plan: RunPlan | None) -> list[Finding]:
    """Whether there are so many columns that each is measured with too much noise."""
    if plan is None:
        return []
    if plan.noise_of(VALUE_HISTOGRAMS, Fraction(1, plan.columns)) < NOISY_SHARE * plan.rows:
        return []
    text = (
        "All columns share the budget, and there are many of them for so few rows: little more than the "
        "most frequent values of each will stand out from the noise."
    )
    advice = "Leave out columns that nobody needs, declare bounds and categories, or use a larger epsilon."
    return [Finding("many columns", "care", "", text, advice)]


def _table_findings(
    rows: int, config: ResolvedConfig, columns: list[ExaminedColumn], identifiers: set[str]
) -> list[Finding]:
    """Findings about several columns; no bounds are asked for columns that look like identifiers."""
    found = [*_rows_findings(rows, config), *_repeated_rows(columns)]
    learned = [column.meta for column in columns if not isinstance(column.meta, IdMeta)]
    if not learned:
        text = "There is no column to learn: all are identifiers or have a type that cannot be learned."
        found.append(Finding("nothing to learn", "stop", "", text, "Convert or add columns."))
    unbounded = [
        meta.name
        for meta in learned
        if isinstance(meta, ContinuousMeta | DatetimeMeta)
        and meta.bounds is None
        and meta.name not in identifiers
    ]
    if unbounded:
        shown = ", ".join(map(repr, unbounded[:5])) + (" and more" if len(unbounded) > 5 else "")
        found.append(
            Finding(
                "bounds",
                "hint",
                "",
                f"No bounds are declared for {shown}: they are measured, which uses a part of epsilon.",
                "Declare what is public knowledge, not what you see in the table: bounds = "
                f"{{{unbounded[0]!r}: (lowest, highest)}}.",
                in_terminal="Declare what is public knowledge, not what you see in the table: --bounds "
                f"{shlex.quote(unbounded[0] + '=LOWEST,HIGHEST')}.",
            )
        )
    return found


def _rows_findings(rows: int, config: ResolvedConfig) -> list[Finding]:
    """Whether there are enough rows for epsilon and delta; their number is not shown."""
    if not config.differential_privacy:
        text = "differential_privacy is False: a run would give no guarantee."
        switch = Remedy("differential_privacy", value=True)
        return [Finding("no guarantee", "care", "", text, "Set it to True.", switch)]
    found = []
    if rows < 2 * least_rows(config, rows):
        enough = [e for e in EPSILONS if e > config.epsilon and rows >= 2 * _least_rows_at(e, config, rows)]
        remedy = Remedy("epsilon", enough[0]) if enough else None
        found.append(
            Finding(
                "few rows",
                "stop" if rows < least_rows(config, rows) else "care",
                "",
                f"The table has too few rows for epsilon = {config.epsilon:g}: most of the result would be "
                "noise.",
                "Use more rows or a larger epsilon." if remedy else "Use more rows.",
                remedy,
            )
        )
    if config.delta is not None and config.delta * rows >= 1:
        text = (
            f"delta = {config.delta:g} is not below 1 / number of rows: it would allow publishing whole rows."
        )
        found.append(Finding("delta", "care", "", text, "Leave it automatic.", Remedy("delta", None)))
    return found


def _least_rows_at(epsilon: float, config: ResolvedConfig, rows: int) -> float:
    return least_rows(replace(config, epsilon=epsilon), rows)


def _repeated_rows(columns: list[ExaminedColumn]) -> list[Finding]:
    """Whether there are duplicate rows."""
    usable = [column.codes for column in columns if not isinstance(column.meta, IdMeta)]
    if len(usable) < 2 or not len(usable[0]):
        return []
    key = np.zeros(len(usable[0]), dtype=np.int64)
    for codes in usable:  # numbered anew after each column, so that nothing overflows
        _, key = np.unique(key * (codes.max(initial=0) + 2) + codes + 1, return_inverse=True)
    same = np.bincount(np.unique(key, return_inverse=True)[1])
    share = 1 - len(same) / len(key)
    if share < 0.001:
        return []
    rows = int(same[same > 1].sum())
    return [
        Finding(
            "repeated rows",
            "care" if share > 0.1 else "hint",
            "",
            f"{amount(share).capitalize()} rows are the same as another row.",
            "If they are copies by mistake, remove them: df = df.drop_duplicates(). If one person has "
            "several rows, the guarantee for that person is weaker.",
            rows=None if rows == len(key) else rows,
            in_terminal="If they are copies by mistake, remove them where the file was made. If one person "
            "has several rows, the guarantee for that person is weaker.",
        )
    ]
