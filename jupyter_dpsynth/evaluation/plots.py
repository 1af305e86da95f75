"""Comparison plots. Only `matplotlib.figure.Figure` is used: pyplot would share state with the user.

Every picture is small and complete in itself, so that a notebook can put as many side by side as fit. The
background is a soft white with dark ink, because no ink is readable on both a white and a black page.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from jupyter_dpsynth.display.html import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

__all__ = [
    "ColumnComparison",
    "column_figure",
    "dependence_figures",
    "pair_figures",
    "picture_html",
    "worst_pairs",
]

# Okabe and Ito's palette: told apart with every common kind of colour blindness
REFERENCE, SYNTHETIC, WARNING = "#56B4E9", "#D55E00", "#8a1c00"
INK, GRID, PAPER, EMPTY = "#222222", "#d8dade", "#f7f8fa", "#e4e6ea"
WIDTH, HEIGHT = 2.85, 2.3  # inches of a column's picture: two fit into a narrow notebook
HEAD, SECOND_LINE, WARNING_LINE = 0.3, 0.17, 0.17  # inches of a title, of figures below, of a warning
MOST_NAMES = 8
MOST_LEVEL, MOST_NAMED = 3, 5  # labels beside each other; cells of a number that are all labelled
LABEL_LENGTH, ROOM = 12, 30  # signs of a label, and of all that stand level
MOST_MAPPED = 30  # columns of a heatmap
MOST_TICKS = 12  # of a pair's heatmap
COLOURS = 128  # in a stored picture
DAY = re.compile(r"\d{4}-\d\d-\d\d(?= |$)")
SHOWN_DPI, DRAWN_DPI = 88, 160  # of a page; of the picture, so that it stays sharp on dense screens


@dataclass(frozen=True, eq=False)
class ColumnComparison:
    """One column's shares in two tables.

    Attributes:
        name: Column name.
        labels: One text a cell.
        reference: Shares in what is compared with, `[cells]`.
        synthetic: Shares in the synthetic table, `[cells]`.
        noise: Standard deviation of the reference's noise, None if it is exact.
        ordered: Whether the cells lie on a line.
        distance: Total-variation distance.
        good: What it would be for a perfect synthetic table.
    """

    name: str
    labels: tuple[str, ...]
    reference: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    noise: NDArray[np.float64] | None
    ordered: bool
    distance: float
    good: float


def _short(text: str, length: int = LABEL_LENGTH) -> str:
    """A text shortened in the middle, because names often differ only in their last letters."""
    text = " ".join(text.split())
    if len(text) > length:
        end = (length - 1) // 2
        text = text[: length - 1 - end] + "\u2026" + text[-end:]
    return text.replace("$", r"\$")  # a dollar sign would start a formula


def _days(labels: Sequence[str]) -> list[str]:
    """Periods labelled by their first day if that distinguishes them; longer labels would be cut off.

    >>> _days(["2021-01-01 to 2021-02-09 14:59:00", "2021-02-09 15:00:00 to 2021-03-20 05:59:00", "missing"])
    ['2021-01-01', '2021-02-09', 'missing']
    """
    days = [found[0] if (found := DAY.match(label)) else label for label in labels]
    return days if len(set(days)) == len(days) else list(labels)


def picture_html(figure: Figure, words: str, scale: float = 1.0) -> Markup:
    """A figure as an `<img>` that its neighbours flow around and that no page is too narrow for.

    Args:
        figure: Drawn by this module.
        words: What is to be seen in it, for those who do not see it.
        scale: How much larger than usual it is shown.
    """
    from PIL import Image

    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DRAWN_DPI)
    # a palette makes it a third as large, in every notebook that is saved with it
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(stored, format="png", optimize=True)
    width = round(figure.get_size_inches()[0] * SHOWN_DPI * scale)
    return picture(stored.getvalue(), words, width)


def _paper(width: float, height: float, banner: str | None) -> tuple[Figure, float]:
    """An empty picture with the first sentence of a warning at its lower edge, and the inches that takes."""
    room = WARNING_LINE if banner else 0.0
    figure = Figure(figsize=(width, height + room), dpi=100, facecolor=PAPER)
    if banner:
        words = banner.partition(",")[0]
        figure.text(0.1 / width, 0.05 / (height + room), words, va="bottom", fontsize=6.8, color=WARNING)
    return figure, room


def _title(figure: Figure, words: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.09 / height, words, va="top", fontsize=10, color=INK, weight="bold")


def column_figure(column: ColumnComparison, banner: str | None = None) -> Figure:
    """A column's shares in both tables: bars for the reference, dots for the synthetic table.

    Args:
        column: The comparison.
        banner: A warning to print.
    """
    figure, room = _paper(WIDTH, HEIGHT, banner)
    height = HEIGHT + room
    _title(figure, _short(column.name, 30))
    words = f"difference {column.distance:.1%}, good {column.good:.1%}"
    figure.text(0.1 / WIDTH, 1 - HEAD / height, words, va="top", fontsize=8.5, color=INK)
    # placed by hand: a layout engine draws every picture several times to find out where things go
    lower = room + (0.24 if _level(column) else 0.68)
    upper = height - HEAD - SECOND_LINE - 0.12
    box = (0.52 / WIDTH, lower / height, 1 - 0.62 / WIDTH, (upper - lower) / height)
    _draw_column(figure.add_axes(box), column)
    return figure


def _draw_column(axis: Any, column: ColumnComparison) -> None:  # noqa: ANN401 - untyped library
    shown = _shown_cells(column)
    reference, synthetic = column.reference[shown], column.synthetic[shown]
    labels = [column.labels[cell] for cell in shown]
    noise = None if column.noise is None else column.noise[shown]
    if len(shown) < len(column.labels) and not column.ordered:
        others = 1 - reference.sum(), 1 - synthetic.sum()
        if max(others) > 5e-4:  # a share that can be seen
            reference, synthetic = np.append(reference, others[0]), np.append(synthetic, others[1])
            noise = None if noise is None else np.append(noise, 0)
            labels.append("all others")
    place = np.arange(len(labels))
    axis.bar(place, reference, width=0.82, color=REFERENCE, zorder=2)
    if noise is not None:
        # drawn on the bars' side, so that the dots stay readable
        axis.errorbar(place, reference, yerr=noise, fmt="none", ecolor="#0b5e8a", elinewidth=1.1, zorder=3)
    axis.plot(
        place,
        synthetic,
        color=SYNTHETIC,
        marker="o",
        markersize=5.5 if len(place) < 24 else 3.5,
        linewidth=1.0 if column.ordered and len(place) > 4 else 0,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=4,
    )
    _ticks(axis, labels, ordered=column.ordered)
    axis.set_xlim(-0.7, max(len(labels), 2) - 0.3)  # a single bar stays a bar
    axis.set_ylim(0, max(float(reference.max()), float(synthetic.max()), 1e-9) * 1.12)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}" if 0 < value < 0.01 else f"{value:.0%}")
    axis.locator_params(axis="y", nbins=4)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.6, zorder=0)
    axis.set_facecolor(PAPER)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color("#999999")


def _shown_cells(column: ColumnComparison) -> NDArray[np.int64]:
    """All bins of a number that are not empty; the most frequent categories."""
    used = np.flatnonzero((column.reference > 0) | (column.synthetic > 0))
    if column.ordered or len(used) <= MOST_NAMES:
        return used
    return used[np.argsort(-column.reference[used], kind="stable")[: MOST_NAMES - 1]]


def _level(column: ColumnComparison) -> bool:
    """Whether the labels below a column's picture stand level."""
    shown = _shown_cells(column)
    return (column.ordered and len(shown) > MOST_NAMED) or _fit([column.labels[cell] for cell in shown])


def _fit(labels: list[str]) -> bool:
    """Whether labels have room beside each other."""
    return len(labels) <= MOST_LEVEL and len(labels) * max(len(_short(each)) for each in labels) <= ROOM


def _ticks(axis: Any, labels: list[str], *, ordered: bool) -> None:  # noqa: ANN401 - untyped library
    """Few enough labels that none overlaps another."""
    count = len(labels)
    if ordered and count > MOST_NAMED:
        starts = [label.split(" to ")[0].removeprefix("from ") for label in labels]
        texts = [_short(start, 10) for start in _days(starts)]
        longest = max(len(text) for text in texts if not text.startswith("below "))
        parts = 4 if longest < 5 else 3 if longest < 7 else 2 if longest < 10 or count > 10 else 1
        # rounded down, because the last label reaches to the left of its place
        chosen = sorted({part * (count - 1) // parts for part in range(parts + 1)})
        names = [texts[place] for place in chosen]
        if names[0].startswith("below "):  # there is no room for what the second label says as well
            names[0] = ""
        axis.set_xticks(chosen, names)
        axis.get_xticklabels()[-1].set_horizontalalignment("right")  # else it leaves the picture
        return
    rotation = 0 if _fit(labels) else 40
    texts = [_short(label) for label in labels]
    axis.set_xticks(range(count), texts, rotation=rotation, ha="center" if rotation == 0 else "right")


def worst_pairs(
    names: Sequence[str], reference: NDArray[np.float64], synthetic: NDArray[np.float64], most: int
) -> list[tuple[str, str, float, float]]:
    """The pairs of columns whose dependence differs most: both names and both figures, worst first.

    Args:
        names: Column names.
        reference: Dependence in what is compared with, `[m, m]`.
        synthetic: Dependence in the synthetic table, `[m, m]`.
        most: How many to give.
    """
    first, second = np.triu_indices(len(names), 1)
    order = np.argsort(-np.abs(synthetic - reference)[first, second], kind="stable")[:most]
    chosen = zip(first[order].tolist(), second[order].tolist(), strict=True)
    return [(names[a], names[b], float(reference[a, b]), float(synthetic[a, b])) for a, b in chosen]


def dependence_figures(
    names: Sequence[str],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    reference_name: str,
    banner: str | None = None,
) -> list[Figure]:
    """Heatmaps of the dependence of every pair of columns: reference, synthetic, difference.

    Of more than 30 columns those with the largest differences are drawn.

    Args:
        names: Column names.
        reference: Dependence in what is compared with, `[m, m]`.
        synthetic: Dependence in the synthetic table, `[m, m]`.
        reference_name: Title of the first map.
        banner: A warning to print.
    """
    if len(names) > MOST_MAPPED:
        worst = np.argsort(-np.abs(synthetic - reference).sum(axis=1), kind="stable")[:MOST_MAPPED]
        kept = np.sort(worst)
        names = [names[place] for place in kept]
        reference, synthetic = (values[np.ix_(kept, kept)] for values in (reference, synthetic))
    diagonal = np.eye(len(names), dtype=bool)
    there, here = (np.ma.array(values, mask=diagonal) for values in (reference, synthetic))
    return _three_maps((names, names), there, here, reference_name, banner)


def pair_figures(
    names: tuple[str, str],
    labels: tuple[Sequence[str], Sequence[str]],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    reference_name: str,
    banner: str | None = None,
) -> list[Figure]:
    """Heatmaps of two columns' joint shares: reference, synthetic, difference.

    Args:
        names: Both columns; the first runs down.
        labels: One text a cell of each.
        reference: Joint shares in what is compared with, `[cells, cells]`.
        synthetic: The same in the synthetic table.
        reference_name: Title of the first map.
        banner: A warning to print.
    """
    used = [np.flatnonzero((reference + synthetic).sum(axis=1 - axis) > 0) for axis in (0, 1)]
    texts = tuple(
        [texts[cell].removeprefix("from ") for cell in cells.tolist()]
        for texts, cells in zip(labels, used, strict=True)
    )
    there, here = (values[np.ix_(*used)] for values in (reference, synthetic))
    return _three_maps((texts[0], texts[1]), there, here, reference_name, banner, axes=names)


def _three_maps(
    labels: tuple[Sequence[str], Sequence[str]],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    reference_name: str,
    banner: str | None,
    axes: tuple[str, str] | None = None,
) -> list[Figure]:
    """Two tables on one scale and their difference; shares in percent if the axes are columns."""
    most = max(float(reference.max()), float(synthetic.max()), 1e-3)
    difference = synthetic - reference
    widest = max(float(np.abs(difference).max()), 0.02 if axes is None else 1e-3)
    maps = (
        (reference, reference_name, "viridis", (0.0, most)),
        (synthetic, "synthetic table", "viridis", (0.0, most)),
        (difference, "difference: synthetic minus the other", "RdBu_r", (-widest, widest)),
    )
    return [_map(labels, *each, banner, axes) for each in maps]


def _map(
    labels: tuple[Sequence[str], Sequence[str]],
    values: NDArray[np.float64],
    title: str,
    palette: str,
    limits: tuple[float, float],
    banner: str | None,
    axes: tuple[str, str] | None,
) -> Figure:
    """One heatmap with its colour scale."""
    if axes is None:  # every name is written, so that the map grows with them
        side = max(0.17 * len(labels[0]), 2.4)
        sides = (side, side)
    else:
        sides = (3.0, 2.5)
    left, right, lower = 1.25, 0.75, 1.25
    figure, room = _paper(left + sides[0] + right, lower + sides[1] + HEAD + 0.1, banner)
    width, height = figure.get_size_inches()
    _title(figure, _short(title, 44))
    lower += room
    axis = figure.add_axes((left / width, lower / height, sides[0] / width, sides[1] / height))
    image = axis.imshow(
        values, cmap=palette, vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest"
    )
    axis.set_facecolor(EMPTY)
    for set_ticks, texts, turned in ((axis.set_yticks, labels[0], 0), (axis.set_xticks, labels[1], 90)):
        step = 1 if axes is None else -(-len(texts) // MOST_TICKS)
        places, names = range(0, len(texts), step), _days(texts)
        set_ticks(places, [_short(names[place], 18) for place in places], rotation=turned)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.spines[:].set_visible(False)
    if axes is not None:
        axis.set_ylabel(_short(axes[0], 26), fontsize=9, color=INK)
        axis.set_xlabel(_short(axes[1], 26), fontsize=9, color=INK)
    box = ((left + sides[0] + 0.1) / width, lower / height, 0.13 / width, sides[1] / height)
    shares = None if axes is None else lambda value, _: f"{value:.1%}"
    scale = figure.colorbar(image, cax=figure.add_axes(box), format=shares)
    scale.ax.tick_params(labelsize=8, colors=INK, length=0)
    scale.outline.set_visible(False)
    return figure
