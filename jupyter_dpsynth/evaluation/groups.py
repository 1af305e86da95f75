"""A comparison by groups: the columns of each category of one column, beside each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from jupyter_dpsynth.display.html import heading, join, note
from jupyter_dpsynth.errors import DataError, did_you_mean, shown
from jupyter_dpsynth.evaluation.distances import chance_floor
from jupyter_dpsynth.evaluation.plots import column_figure, picture_html

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.comparison import Comparison
    from jupyter_dpsynth.evaluation.plots import ColumnComparison

__all__ = ["by_group", "groups_html"]

MOST_GROUPS, MOST_COLUMNS = 6, 8
LEAST_GROUP = 0.005  # of the rows
NOT_MEASURED = (
    "Joint shares were not measured. Filled is the whole synthetic table, so that you see how the groups "
    "differ in it; compare --original shows how they do in the original."
)
NO_GROUPS = "There is no group of which both tables have rows: no value of '{}' is in both."


def by_group(report: Comparison, by: str) -> dict[str, tuple[ColumnComparison, ...]]:
    """Every other column within each group, those that differ most first.

    Against measurements, which know no joint shares, the whole synthetic table is the reference.

    Args:
        report: The comparison.
        by: A column of categories.

    Returns:
        For each of the largest groups that both tables have rows of its columns; the same ones in the same
        order for all.

    Raises:
        DataError: There is no such column, or it has numbers or times.
    """
    found = {column.name: column for column in report.columns}
    if not isinstance(by, str) or by not in found:
        hint = did_you_mean(by if isinstance(by, str) else "", found)
        raise DataError(f"by = {shown(by)} is not a column that is compared.{hint}")
    if found[by].axis is not None:
        raise DataError(f"by = {by!r} has numbers or times: choose a column of categories.")
    most = np.maximum(found[by].reference, found[by].synthetic)
    cells = [cell for cell in np.argsort(-most, kind="stable").tolist() if most[cell] >= LEAST_GROUP]
    groups = {found[by].labels[cell]: cell for cell in cells[:MOST_GROUPS]}
    place = report.names.index(by)
    within: dict[str, dict[str, ColumnComparison]] = {label: {} for label in groups}
    for other in report.names:
        if other == by:
            continue
        joint = report.joint(place, report.names.index(other))
        for label, cell in groups.items():
            made = _within(report, found[other], (joint[0][cell], joint[1][cell]))
            if made is not None:
                within[label][other] = made
    within = {label: columns for label, columns in within.items() if columns}
    names = [name for name in report.names if all(name in columns for columns in within.values())]
    largest = {name: max((within[label][name].distance for label in within), default=0.0) for name in names}
    names.sort(key=lambda name: -largest[name])
    return {label: tuple(within[label][name] for name in names if name != by) for label in within}


def _within(report: Comparison, column: ColumnComparison, joint: tuple[Any, Any]) -> ColumnComparison | None:
    """One column within a group, from the group's joint shares in both tables; None if one has no rows."""
    there, here = joint
    if here.sum() <= 0 or (there.sum() <= 0 and not report.noisy):
        return None
    made = here / here.sum()
    reference = column.synthetic if report.noisy else there / there.sum()
    rows = report.rows[1] if report.noisy else report.rows[0] * there.sum()
    good = chance_floor(
        reference, np.zeros(len(reference)), 1 / max(rows, 1) + 1 / (report.rows[1] * here.sum())
    )
    distance = 0.5 * float(np.abs(reference - made).sum())
    return replace(
        column, reference=reference, synthetic=made, noise=None, distance=distance, good=good, quantiles=()
    )


def groups_html(report: Comparison, by: str) -> Markup:
    """Pictures of the columns within each group.

    Args:
        report: The comparison.
        by: A column of categories.
    """
    groups = by_group(report, by)
    parts = [heading(f"By {by}"), note(NOT_MEASURED) if report.noisy else ""]
    parts.append("" if groups else note(NO_GROUPS.format(by)))
    for number in range(min(MOST_COLUMNS, len(next(iter(groups.values()), ())))):
        pictures = []
        for label, columns in groups.items():
            column = columns[number]
            titled = replace(column, name=f"{column.name}, {by} = {label}")
            words = f"{titled.name}: shares in both tables; difference {column.distance:.1%}"
            pictures.append(picture_html(column_figure(titled, report.banner), words))
        parts.append(Markup("<div>{}</div>").format(join(pictures)))
    return join(parts)
