"""Comparison plots. Only `matplotlib.figure.Figure` is used: pyplot would share state with the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ColumnComparison", "dependence_figure", "marginal_figures", "pair_figure"]

# Okabe and Ito's palette: told apart with every common kind of colour blindness
REFERENCE, SYNTHETIC, WARNING = "#56B4E9", "#D55E00", "#8a1c00"
INK, GRID = "#222222", "#dddddd"
COLUMNS_ACROSS, PANELS_A_PAGE = 3, 24
MOST_NAMES = 8
LABEL_LENGTH = 14
MOST_MAPPED, MOST_IN_ROW = 30, 14  # columns of a heatmap; and of one that stands beside two others


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
    """A text cut in its middle: names often differ in their last letters only."""
    text = " ".join(text.split())
    if len(text) > length:
        end = (length - 1) // 2
        text = text[: length - 1 - end] + "\u2026" + text[-end:]
    return text.replace("$", r"\$")  # a dollar sign would start a formula


def marginal_figures(
    columns: Sequence[ColumnComparison], reference_name: str, banner: str | None = None
) -> list[Figure]:
    """Overlays of every column's shares, worst first, at most 24 to a figure.

    Args:
        columns: The comparisons, in the order to draw them.
        reference_name: What the bars are, for the legend.
        banner: A warning to print on every figure.
    """
    pages = [columns[start : start + PANELS_A_PAGE] for start in range(0, len(columns), PANELS_A_PAGE)]
    figures = []
    for number, page in enumerate(pages, start=1):
        rows = -(-len(page) // COLUMNS_ACROSS)
        height = 2.5 * rows + 1.0
        figure = Figure(figsize=(11.5, height), dpi=90, facecolor="white")
        axes = figure.subplots(rows, COLUMNS_ACROSS, squeeze=False)
        for axis, column in zip(axes.flat, page, strict=False):
            _draw_column(axis, column)
        for axis in list(axes.flat)[len(page) :]:
            axis.set_visible(False)
        first = axes.flat[0]
        handles, labels = first.get_legend_handles_labels()
        names = {"reference": reference_name, "synthetic": "synthetic table"}
        page_text = f" (page {number} of {len(pages)})" if len(pages) > 1 else ""
        title = f"Share of rows by column, largest difference first{page_text}"
        _frame(figure, title, banner, height)
        figure.legend(
            handles,
            [names[label] for label in labels],
            loc="upper right",
            bbox_to_anchor=(0.995, 1 - 0.02 / height),
            ncols=2,
            frameon=False,
            fontsize=9.5,
            labelcolor=INK,
        )
        figures.append(figure)
    return figures


def _frame(figure: Figure, title: str, banner: str | None, height: float) -> None:
    """Title on the left, banner under it, and room for both above the axes."""
    figure.text(0.012, 1 - 0.12 / height, title, ha="left", va="top", fontsize=12, color=INK, weight="bold")
    top = 0.5
    if banner:
        figure.text(0.012, 1 - 0.42 / height, banner, ha="left", va="top", fontsize=9, color=WARNING)
        top = 0.75
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - top / height), h_pad=0.08, w_pad=0.08)


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
    axis.bar(place, reference, width=0.82, color=REFERENCE, label="reference", zorder=2)
    if noise is not None:
        # drawn on the bars' side, so that the dots stay readable
        axis.errorbar(place, reference, yerr=noise, fmt="none", ecolor="#0b5e8a", elinewidth=1.1, zorder=3)
    axis.plot(
        place,
        synthetic,
        color=SYNTHETIC,
        marker="o",
        markersize=4.5 if len(place) < 24 else 3,
        linewidth=1.0 if column.ordered and len(place) > 4 else 0,
        markeredgecolor="white",
        markeredgewidth=0.5,
        label="synthetic",
        zorder=4,
    )
    axis.set_title(
        f"{_short(column.name, 28)}   difference {column.distance:.1%}",
        fontsize=9.5,
        color=INK,
        loc="left",
    )
    _ticks(axis, labels, ordered=column.ordered)
    axis.set_ylim(0, max(float(reference.max()), float(synthetic.max()), 1e-9) * 1.12)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}" if 0 < value < 0.01 else f"{value:.0%}")
    axis.locator_params(axis="y", nbins=4)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.6, zorder=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color("#999999")


def _shown_cells(column: ColumnComparison) -> NDArray[np.int64]:
    """Every cell of a number that anything is in; the most frequent names."""
    used = np.flatnonzero((column.reference > 0) | (column.synthetic > 0))
    if column.ordered or len(used) <= MOST_NAMES:
        return used
    return used[np.argsort(-column.reference[used], kind="stable")[: MOST_NAMES - 1]]


def _ticks(axis: Any, labels: list[str], *, ordered: bool) -> None:  # noqa: ANN401 - untyped library
    """Few enough labels that none overlaps another."""
    count = len(labels)
    if ordered and count > 5:
        chosen = sorted({round(part * (count - 1) / 4) for part in range(5)})
        names = [labels[place].split(" to ")[0].removeprefix("from ") for place in chosen]
        axis.set_xticks(chosen, [_short(name, 11) for name in names])
        return
    rotation = 0 if count <= 3 else 28
    texts = [_short(label) for label in labels]
    axis.set_xticks(range(count), texts, rotation=rotation, ha="center" if rotation == 0 else "right")


def dependence_figure(
    names: Sequence[str],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    reference_name: str,
    measure: str,
    banner: str | None = None,
) -> Figure:
    """Heatmaps of the dependence of every pair of columns: reference, synthetic, difference.

    Of more than 30 columns those with the largest differences are drawn.

    Args:
        names: Column names.
        reference: Dependence in what is compared with, `[m, m]`.
        synthetic: Dependence in the synthetic table, `[m, m]`.
        reference_name: Title of the first map.
        measure: What the figures are.
        banner: A warning to print.
    """
    count, note = len(names), ""
    if count > MOST_MAPPED:
        worst = np.argsort(-np.abs(synthetic - reference).sum(axis=1), kind="stable")[:MOST_MAPPED]
        kept = np.sort(worst)
        note = f" (the {MOST_MAPPED} of {count} columns with the largest differences)"
        names = [names[place] for place in kept]
        reference, synthetic = (values[np.ix_(kept, kept)] for values in (reference, synthetic))
        count = MOST_MAPPED
    below = count > MOST_IN_ROW  # the third map under the first one, so that names stay readable
    side = max(0.165 * count, 3.4) if below else max(0.2 * count, 2.6)  # inches, of every map
    left, bottom, top, gap, bar = 1.35, 1.35, 1.0, 0.3, 0.85
    across = 2 * side + gap + bar if below else 3 * side + gap + 2 * bar
    floor = bottom + (bottom + 0.35 + side if below else 0.0)
    figure = Figure(figsize=(left + across, floor + side + top), dpi=90, facecolor="white")
    width, height = figure.get_size_inches()
    most = max(float(reference.max(initial=0)), float(synthetic.max(initial=0)), 1e-3)
    difference = synthetic - reference
    widest = max(float(np.abs(difference).max(initial=0)), 0.02)
    third = (left, bottom) if below else (left + 2 * side + gap + bar, floor)
    maps = (
        ((left, floor), reference, reference_name, "viridis", (0.0, most), False),
        ((left + side + gap, floor), synthetic, "synthetic table", "viridis", (0.0, most), True),
        (third, difference, "difference", "RdBu_r", (-widest, widest), True),
    )
    for (x, y), values, title, palette, limits, with_bar in maps:
        axis = figure.add_axes((x / width, y / height, side / width, side / height))
        shown = np.ma.array(values, mask=np.eye(count, dtype=bool))
        image = axis.imshow(shown, cmap=palette, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        axis.set_title(_short(title, 40), fontsize=10, color=INK)
        _name_pairs(axis, names, first=x == left)
        if with_bar:
            box = ((x + side + 0.1) / width, y / height, 0.13 / width, side / height)
            _scale(figure, image, box)
    if below:
        place = (left + side + gap + bar + 0.3) / width, (bottom + side) / height
        figure.text(*place, _worst_pairs(names, reference, synthetic), va="top", fontsize=9, color=INK)
    title = f"Dependence of every pair of columns: {measure}{note}"
    figure.text(0.15 / width, 1 - 0.12 / height, title, va="top", fontsize=12, color=INK, weight="bold")
    if banner:
        figure.text(0.15 / width, 1 - 0.42 / height, banner, va="top", fontsize=9, color=WARNING)
    return figure


def _scale(figure: Figure, image: Any, box: tuple[float, float, float, float]) -> None:  # noqa: ANN401
    """A heatmap's colour scale."""
    scale = figure.colorbar(image, cax=figure.add_axes(box))
    scale.ax.tick_params(labelsize=8, colors=INK, length=0)
    scale.outline.set_visible(False)


def _worst_pairs(names: Sequence[str], reference: NDArray[np.float64], synthetic: NDArray[np.float64]) -> str:
    """The pairs with the largest differences, as lines."""
    first, second = np.triu_indices(len(names), 1)
    order = np.argsort(-np.abs(synthetic - reference)[first, second], kind="stable")[:12]
    chosen = zip(first[order].tolist(), second[order].tolist(), strict=True)
    lines = [
        f"{_short(names[a], 20)} and {_short(names[b], 20)}:  {reference[a, b]:.2f} / {synthetic[a, b]:.2f}"
        for a, b in chosen
    ]
    return "\n".join(["Largest differences (reference / synthetic):", "", *lines])


def pair_figure(
    names: tuple[str, str],
    labels: tuple[Sequence[str], Sequence[str]],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    reference_name: str,
    banner: str | None = None,
) -> Figure:
    """Heatmaps of two columns' joint shares: reference and synthetic.

    Args:
        names: Both columns; the first runs down.
        labels: One text a cell of each.
        reference: Joint shares in what is compared with, `[cells, cells]`.
        synthetic: The same in the synthetic table.
        reference_name: Title of the first map.
        banner: A warning to print.
    """
    used = [np.flatnonzero((reference + synthetic).sum(axis=1 - axis) > 0) for axis in (0, 1)]
    height = 5.2
    figure = Figure(figsize=(11.5, height), dpi=90, facecolor="white")
    axes = figure.subplots(1, 2, sharey=True)
    most = max(float(reference.max(initial=0)), float(synthetic.max(initial=0)), 1e-9)
    titles = (reference_name, "synthetic table")
    for axis, values, title in zip(axes, (reference, synthetic), titles, strict=True):
        shown = values[np.ix_(*used)]
        image = axis.imshow(shown, cmap="viridis", vmin=0, vmax=most, aspect="auto", interpolation="nearest")
        axis.set_title(title, fontsize=10, color=INK)
        axis.set_xlabel(_short(names[1], 40), fontsize=9.5, color=INK)
        _few_ticks(axis.set_xticks, [labels[1][cell] for cell in used[1].tolist()], rotation=28, ha="right")
        _few_ticks(axis.set_yticks, [labels[0][cell] for cell in used[0].tolist()])
        axis.tick_params(colors=INK, labelsize=8, length=0)
    axes[0].set_ylabel(_short(names[0], 40), fontsize=9.5, color=INK)
    _frame(figure, f"Share of rows: {_short(names[0], 30)} and {_short(names[1], 30)}", banner, height)
    scale = figure.colorbar(image, ax=list(axes), format=lambda value, _: f"{value:.1%}")
    scale.ax.tick_params(labelsize=8, colors=INK, length=0)
    scale.outline.set_visible(False)
    return figure


def _few_ticks(set_ticks: Any, labels: list[str], **style: Any) -> None:  # noqa: ANN401 - untyped library
    """At most ten labels along a side."""
    step = -(-len(labels) // 10)
    chosen = range(0, len(labels), step)
    set_ticks(chosen, [_short(labels[place].removeprefix("from ")) for place in chosen], **style)


def _name_pairs(axis: Any, names: Sequence[str], *, first: bool) -> None:  # noqa: ANN401 - untyped library
    """Column names along both sides; on the left of the first map only."""
    size = 8 if len(names) <= 30 else 6
    labels = [_short(name, 18) for name in names]
    axis.set_facecolor("#eeeeee")
    axis.set_xticks(range(len(names)), labels, rotation=90, fontsize=size)
    axis.set_yticks(range(len(names)), labels if first else [""] * len(names), fontsize=size)
    axis.tick_params(colors=INK, length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
