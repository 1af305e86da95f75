"""Pictures of persons with histories: timelines, what follows what, and numbers of rows by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from jupyter_dpsynth.display.html import BRAND, GRID, INK, MUTED, heading, join, note
from jupyter_dpsynth.sources.values import comparable, missing_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.tables import Children, TablesMeta

__all__ = ["group_numbers", "named_column", "timelines", "transitions"]

SHOWN_PERSONS = 12
SHOWN_CATEGORIES = 8
WIDTH, LEFT, LINE = 860, 150, 26  # of the timelines, in pixels
LETTERS = 3  # of a category, above its row, unless those of the row before are there
LETTER_WIDTH = 17


def named_column(df: pd.DataFrame, leave_out: Sequence[str]) -> str | None:
    """The first column of categories, with more than one and not too many; None if there is none."""
    for name in df.columns:
        values = df[name]
        kinds = pd.api.types
        numbers = kinds.is_numeric_dtype(values.dtype) and not kinds.is_bool_dtype(values.dtype)
        times = kinds.is_datetime64_any_dtype(values.dtype) or kinds.is_timedelta64_dtype(values.dtype)
        if str(name) in leave_out or numbers or times:
            continue
        if 1 < values.astype(str).nunique() <= 4 * SHOWN_CATEGORIES:
            return str(name)
    return None


def timelines(tables: Mapping[str, pd.DataFrame], meta: TablesMeta, children: Children, key: str) -> Markup:
    """The rows of some synthetic persons, on the scale of their order.

    Args:
        tables: Synthetic tables by name.
        meta: Their metadata.
        children: Whose rows.
        key: The column that names the person.
    """
    df = tables[children.table]
    if children.column is None or df.empty:
        return Markup("")
    when = comparable(df[children.column]).astype(np.float64)
    counts = df[key].value_counts(sort=False)
    shown = counts[counts > 1].index[:SHOWN_PERSONS]
    shown = counts.index[:SHOWN_PERSONS] if not len(shown) else shown
    rows = np.flatnonzero(df[key].isin(shown) & ~missing_values(df[children.column]))
    if not len(rows):
        return Markup("")
    name = named_column(df, (key, children.column))
    low, high = float(when[rows].min()), float(when[rows].max())
    scale = (WIDTH - LEFT - 40) / max(high - low, 1e-300)
    height = LINE * len(shown) + 28
    lines = []
    for place, person in enumerate(shown):
        own = rows[(df[key].iloc[rows] == person).to_numpy()]
        dots, free = [], 0.0
        for row in own[np.argsort(when[own], kind="stable")]:
            x = LEFT + scale * (when[row] - low)
            dots.append(_dot(x, LINE * place + 20, df.iloc[row], name if x >= free else None, key))
            free = x + LETTER_WIDTH if x >= free else free
        label = _person_words(tables, meta, key, person)
        lines.append(_line(LINE * place + 20, label, dots))
    ends = [str(df[children.column].iloc[rows[np.argmin(when[rows])]])[:10]]
    ends.append(str(df[children.column].iloc[rows[np.argmax(when[rows])]])[:10])
    svg = Markup(
        '<svg role="img" viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;'
        'font-size:11px;font-family:inherit"><title>{title}</title>{lines}'
        '<text x="{left}" y="{low}" style="fill:{muted}">{first}</text>'
        '<text x="{right}" y="{low}" text-anchor="end" style="fill:{muted}">{last}</text></svg>'
    ).format(
        width=WIDTH,
        height=height,
        title=f"Rows of {len(shown)} synthetic persons in {children.table}, by {children.column}",
        lines=join(lines),
        left=LEFT,
        right=WIDTH - 40,
        low=height - 6,
        muted=MUTED,
        first=ends[0],
        last=ends[1],
    )
    words = "" if name is None else f"Letters are those of {name!r}; a row says all of it under the pointer."
    return join([heading(f"Some synthetic persons: {children.table} by {children.column}"), svg, note(words)])


def _person_words(tables: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str, person: Any) -> str:  # noqa: ANN401
    """A synthetic person in a few words."""
    if meta.parent is None:
        return f"{key} {person}"
    df = tables[meta.parent]
    own = df[df[key] == person]
    values = [str(own[name].iloc[0]) for name in df.columns if name != key][:3] if len(own) else []
    return ", ".join(values)[:24]


def _line(y: float, label: str, dots: list[Markup]) -> Markup:
    return Markup(
        '<text x="0" y="{text}" style="fill:{ink}">{label}</text><line x1="{left}" x2="{right}" y1="{y}" '
        'y2="{y}" style="stroke:{grid}"/>{dots}'
    ).format(text=y + 4, ink=INK, label=label, left=LEFT, right=WIDTH - 40, y=y, grid=GRID, dots=join(dots))


def _dot(x: float, y: float, row: pd.Series, name: str | None, key: str) -> Markup:
    """One row of a person, with all its values under the pointer."""
    said = ", ".join(f"{column} {value}" for column, value in row.items() if column != key)
    return Markup(
        '<g><title>{said}</title><circle cx="{x:.1f}" cy="{y}" r="4" style="fill:{brand}"/>'
        '<text x="{x:.1f}" y="{above}" text-anchor="middle" style="fill:{muted};font-size:9px">{letters}'
        "</text></g>"
    ).format(
        said=said,
        x=x,
        y=y,
        brand=BRAND,
        above=y - 6,
        muted=MUTED,
        letters="" if name is None else str(row[name])[:LETTERS],
    )


def transitions(
    values: Mapping[str, tuple[pd.Series, NDArray[np.int64]]], name: str, children: Children
) -> Markup:
    """Of the rows after each category, how many have which one: a heat map for each of some tables.

    Args:
        values: By what they are called: the column in order of persons and rows, and each row's place in its
            person's history, from 0.
        name: The column.
        children: Whose rows.
    """
    first = next(iter(values.values()))[0].astype(str)
    common = first.value_counts().index[:SHOWN_CATEGORIES].tolist()
    maps = [
        _heat_map(called, _shares(column, place, common), common)
        for called, (column, place) in values.items()
    ]
    row = Markup('<div style="display:flex;flex-wrap:wrap;gap:24px">{}</div>').format(join(maps))
    words = f"{name!r} of a row, by that of the person's row before; each line adds up to 100 %."
    return join([heading(f"What follows what in {children.table}"), row, note(words)])


def _shares(column: pd.Series, position: NDArray[np.int64], common: list[str]) -> NDArray[np.float64]:
    """Share of each next category after each one, `[c, c]`; NaN after one that has none."""
    codes = column.astype(str).map({each: place for place, each in enumerate(common)}).to_numpy(np.float64)
    later = np.flatnonzero(position > 0)
    before, after = codes[later - 1], codes[later]
    known = ~np.isnan(before) & ~np.isnan(after)
    size = len(common)
    cells = before[known].astype(np.int64) * size + after[known].astype(np.int64)
    counts = np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.float64)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return found


def _heat_map(called: str, shares: NDArray[np.float64], names: list[str]) -> Markup:
    """A table whose cells are the fuller the larger their figure is."""
    cell = Markup(
        '<td style="text-align:right;padding:2px 6px;background:rgba(25, 118, 210, {fill:.2f})">{words}</td>'
    )
    head = Markup('<th style="font-weight:normal;text-align:right;padding:2px 6px">{}</th>')
    lines = [Markup("<tr><th></th>{}</tr>").format(join(head.format(name[:10]) for name in names))]
    for name, line in zip(names, shares, strict=True):
        cells = [
            cell.format(fill=0, words="")
            if np.isnan(share)
            else cell.format(fill=0.75 * share, words=f"{share:.0%}")
            for share in line
        ]
        lines.append(Markup("<tr>{}{}</tr>").format(head.format(name[:16]), join(cells)))
    table = Markup(
        '<table style="border-collapse:collapse;font-size:12px"><caption style="text-align:left">{}</caption>'
        "{}</table>"
    )
    return table.format(called, join(lines))


def group_numbers(
    numbers: Mapping[str, tuple[pd.Series, NDArray[np.int64]]], name: str, children: Children
) -> Markup:
    """Mean number of rows of a person by a person's category, side by side.

    Args:
        numbers: By what they are called: the persons' column, and how many rows each has.
        name: The column.
        children: Whose rows.
    """
    means = {
        called: pd.Series(count).groupby(group.astype(str).to_numpy()).mean()
        for called, (group, count) in numbers.items()
    }
    common = next(iter(numbers.values()))[0].astype(str).value_counts().index[:SHOWN_CATEGORIES]
    top = max((float(mean.max()) for mean in means.values() if len(mean)), default=1.0) or 1.0
    bar = Markup(
        '<tr><td style="text-align:right;padding:1px 8px">{group}</td>'
        '<td style="color:{muted};padding:1px 8px">{called}</td><td style="width:320px">'
        '<div style="background:{brand};opacity:{opacity};height:11px;'
        'width:{wide:.1f}%"></div></td><td style="text-align:right;padding:1px 8px">{mean:.2f}</td></tr>'
    )
    lines = [
        bar.format(
            group=group if not place else "",
            called=called,
            muted=MUTED,
            brand=BRAND,
            opacity=1 if not place else 0.45,
            wide=100 * float(mean.get(group, 0.0)) / top,
            mean=float(mean.get(group, 0.0)),
        )
        for group in common
        for place, (called, mean) in enumerate(means.items())
    ]
    table = Markup('<table style="border-collapse:collapse;font-size:12px">{}</table>').format(join(lines))
    return join([heading(f"Mean number of {children.table} by {name}"), table])
