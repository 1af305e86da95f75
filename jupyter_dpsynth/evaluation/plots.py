"""Comparison plots of columns. Only `matplotlib.figure.Figure` is used: pyplot shares state with the user.

Every picture is small and complete in itself, so that a notebook can put as many side by side as fit. The
ground is transparent and the ink a grey that is readable on a white and on a black page, because a saved
picture cannot follow the theme.

Numbers and times lie on a true axis: the area of a bar is the share of the rows in it, however long it is.
What has no place on the axis (missing values, rows that are moved into the range) stands beside it.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from jupyter_dpsynth.display.html import picture
from jupyter_dpsynth.evaluation.apart import SEEN, cells_apart
from jupyter_dpsynth.evaluation.metrics import RARE
from jupyter_dpsynth.evaluation.scales import SPIKE, Scale, round_values, scale_of

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.axes import CellAxis, Quantile

__all__ = [
    "DAY",
    "FAINT",
    "INK",
    "REFERENCE",
    "SYNTHETIC",
    "ColumnComparison",
    "blank_figure",
    "column_figure",
    "picture_html",
    "short",
    "write_title",
]

# Okabe and Ito's palette: told apart with every common kind of colour blindness
REFERENCE, SYNTHETIC, WARNING = "#56B4E9", "#D55E00", "#c4560b"
INK, FAINT, NOISE = "#7a7a7a", "#7a7a7a59", "#0f6ba8"  # a grey with a contrast of 4 on white and on black
WIDTH, HEIGHT = 3.55, 2.35  # inches of a column's picture: two fit into a narrow notebook
HEAD, SECOND_LINE, WARNING_LINE = 0.3, 0.17, 0.17  # inches of a title, of figures below, of a warning
MOST_NAMES, MOST_NUMBERS = 9, 13
LABEL_LENGTH = 20  # signs
COLOURS = 96  # in a stored picture
SHOWN_DPI, DRAWN_DPI = 81, 150  # of a page; of the picture, so that it stays sharp on dense screens
ABOVE_OTHERS = 2.5  # a spike is cut at so many times the highest other bar
DAY = re.compile(r"\d{4}-\d\d-\d\d(?= |$)")
MOVED = ("below ", "above ", "less than ", "more than ")  # how labels of rows beyond the ends begin
UPRIGHT = 4  # signs of a label that needs not be turned
LABEL_WIDTH = 0.4  # of the axis, that the shares beside a spike take
EMPTY_END = 1e-3  # share of the rows at an end of an axis that is not drawn
CLEAR = 3.0  # standard deviations of noise that it must exceed
LEAST_BESIDE = 0.2  # a share that fills the picture of cells beside an axis; more fills it too


@dataclass(frozen=True, eq=False)
class ColumnComparison:
    """One column's shares in two tables.

    Attributes:
        name: Column name.
        labels: One text a cell.
        reference: Shares in what is compared with, `[cells]`.
        synthetic: Shares in the synthetic table, `[cells]`.
        noise: Standard deviation of the reference's noise, None if it is exact.
        axis: Where the first cells lie on a line; None if they are names.
        distance: Total-variation distance.
        good: What it would be for a perfect synthetic table.
        quantiles: Of numbers and times, in both tables.
    """

    name: str
    labels: tuple[str, ...]
    reference: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    noise: NDArray[np.float64] | None
    axis: CellAxis | None
    distance: float
    good: float
    quantiles: tuple[Quantile, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether the cells lie on a line."""
        return self.axis is not None

    @property
    def on_line(self) -> list[int]:
        """The cells that lie on a line with others: all bins but those of values apart."""
        bins = 0 if self.axis is None else len(self.axis.starts)
        return sorted(set(range(bins)) - set(self.placed[0]))

    @property
    def texts(self) -> tuple[str, ...]:
        """The labels; of intervals beside the axis, whether they lie between it and a value, or beyond."""
        far, on = self.placed
        labels = list(self.labels)
        for cell in far:
            if " to " in labels[cell]:
                farther = min(far) < cell if cell < on[0] else max(far) > cell
                labels[cell] = "between" if farther else "beyond"
        return tuple(labels)

    @cached_property
    def placed(self) -> tuple[list[int], NDArray[np.int64]]:
        """The cells of a line that stand beside its axis, and those on it."""
        if self.axis is None:
            return [], np.zeros(0, np.int64)
        bins = len(self.axis.starts)
        return cells_apart(self.axis, np.maximum(self.reference, self.synthetic)[:bins])


def short(text: str, length: int = LABEL_LENGTH) -> str:
    """A text shortened in the middle, because names often differ only in their last letters."""
    text = " ".join(text.split()) or "(empty)"
    if len(text) > length:
        end = (length - 1) // 2
        text = text[: length - 1 - end] + "\u2026" + text[-end:]
    return text.replace("$", r"\$")  # a dollar sign would start a formula


def picture_html(figure: Figure, words: str, scale: float = 1.0) -> Markup:
    """A figure as an `<img>` that its neighbours flow around and that no page is too narrow for.

    Args:
        figure: Drawn by this module.
        words: What is to be seen in it, for those who do not see it.
        scale: How much larger than usual it is shown.
    """
    from PIL import Image

    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DRAWN_DPI, transparent=True)
    # a palette makes it a third as large, in every notebook that is saved with it
    palette = Image.open(drawn).convert("RGBA").quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    palette.save(stored, format="png", optimize=True)
    width = round(figure.get_size_inches()[0] * SHOWN_DPI * scale)
    return picture(stored.getvalue(), words, width)


def blank_figure(width: float, height: float, banner: str | None) -> tuple[Figure, float]:
    """An empty picture with the first sentence of a warning at its lower edge, and the inches that takes."""
    room = WARNING_LINE if banner else 0.0
    figure = Figure(figsize=(width, height + room), dpi=100)
    figure.patch.set_alpha(0)
    if banner:
        words = banner.partition(",")[0]
        figure.text(0.1 / width, 0.05 / (height + room), words, va="bottom", fontsize=6.8, color=WARNING)
    return figure, room


def write_title(figure: Figure, words: str, below: str = "") -> None:
    """A title at the upper edge of a picture, and a line of figures under it."""
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.09 / height, words, va="top", fontsize=10, color=INK, weight="bold")
    if below:
        figure.text(0.1 / width, 1 - HEAD / height, below, va="top", fontsize=8.5, color=INK)


def column_figure(column: ColumnComparison, banner: str | None = None) -> Figure:
    """A column's shares in both tables: filled for the reference, a line or dots for the synthetic table.

    Args:
        column: The comparison.
        banner: A warning to print.
    """
    figure, room = blank_figure(WIDTH, HEIGHT, banner)
    height = HEIGHT + room
    write_title(figure, short(column.name, 36), f"difference {column.distance:.1%}, good {column.good:.1%}")
    # placed by hand: a layout engine draws every picture several times to find out where things go
    upper = height - HEAD - SECOND_LINE - 0.14

    def axes(left: float, width: float, lower: float) -> Any:  # noqa: ANN401 - untyped library
        box = (left / WIDTH, (room + lower) / height, width / WIDTH, (upper - room - lower) / height)
        return figure.add_axes(box)

    if column.axis is None:
        names = _named_cells(column)
        _draw_names(axes(1.42, WIDTH - 1.6, 0.3), *names)
        return figure
    bins = len(column.axis.starts)
    far, near = column.placed
    beside = [*far, *(cell for cell in range(bins, len(column.labels)) if _is_seen(column, cell))]
    wide = 0.3 + 0.34 * len(beside) if beside else 0.0
    _draw_line(axes(0.52, WIDTH - 0.68 - wide, 0.42), column, near)
    if beside:
        _draw_beside(axes(WIDTH - wide + 0.12, wide - 0.26, 0.62), column, beside)
    return figure


def _is_seen(column: ColumnComparison, cell: int) -> bool:
    """Whether a cell has rows, in either table, that are no noise."""
    noise = 0.0 if column.noise is None else CLEAR * float(column.noise[cell])
    return bool(column.reference[cell] > max(SEEN, noise) or column.synthetic[cell] > SEEN)


def _reached(shares: NDArray[np.float64]) -> slice:
    """The cells of an axis but those at its ends where next to no row is.

    A range that was found with noise may reach far beyond the rows, which would then share a few points.
    """
    first = int(np.searchsorted(np.cumsum(shares), EMPTY_END, side="right"))
    last = len(shares) - int(np.searchsorted(np.cumsum(shares[::-1]), EMPTY_END, side="right"))
    return slice(first, last) if last - first > 1 else slice(len(shares))  # one cell has no surroundings


def _draw_line(axis: Any, column: ColumnComparison, cells: NDArray[np.int64]) -> None:  # noqa: ANN401
    """Some cells of a number or time, on their true axis."""
    if column.axis is None:
        raise TypeError
    line = replace(column.axis, starts=column.axis.starts[cells], ends=column.axis.ends[cells])
    tables = [shares[cells] for shares in (column.reference, column.synthetic)]
    scale = scale_of(line, *tables)
    if scale.linear:  # a logarithmic axis has room for a long end
        near = _reached(np.max(tables, axis=0))
        cells, line = cells[near], replace(line, starts=line.starts[near], ends=line.ends[near])
        tables = [shares[near] for shares in tables]
        scale = scale_of(line, *tables)
    reference, synthetic = tables
    half = line.step / 2 if scale.linear else 0.0  # the bar of one value stands above it
    starts, ends = scale.place(line.starts - half), scale.place(line.ends - half)
    low, high = float(starts[0]), float(max(ends[-1], starts[0] + 1e-9))
    least = SPIKE * (high - low)
    widths = np.maximum(ends - starts, least)
    there, here = (shares * scale.step / widths for shares in (reference, synthetic))
    axis.bar(starts, there, width=widths, align="edge", color=REFERENCE, linewidth=0, zorder=2)
    if column.noise is not None:
        error = column.noise[cells] * scale.step / widths
        axis.errorbar(
            starts + widths / 2, there, yerr=error, fmt="none", ecolor=NOISE, elinewidth=1.0, zorder=3
        )
    thick = 1.2 if np.median(widths) > 2 * least else 0.7  # or it would cover narrow bars
    axis.plot(*_outline(starts, starts + widths, here), color=SYNTHETIC, linewidth=thick, zorder=4)
    top = _top(
        np.maximum(there, here),
        ends - starts <= least,
        np.maximum(reference, synthetic),
        1.0 if scale.linear else np.inf,
    )
    written: list[float] = []
    for bar in np.flatnonzero(np.maximum(there, here) > top)[:4]:
        words = f"{reference[bar]:.0%}, {synthetic[bar]:.0%}"
        side = "left" if starts[bar] < (low + high) / 2 else "right"
        text = f" {words}" if side == "left" else f"{words} "
        lines = sum(abs(starts[bar] - place) < LABEL_WIDTH * (high - low) for place in written)
        look = {"va": "top", "ha": side, "fontsize": 7.5, "color": INK, "zorder": 5}
        axis.text(starts[bar], top * (0.99 - 0.11 * lines), text, **look)
        written.append(float(starts[bar]))
    axis.set_ylim(0, top)
    margin = 0.02 * (high - low)
    axis.set_xlim(low - margin, high + margin)
    _ticks(axis, scale, top)
    _style(axis, "y")


def _outline(
    starts: NDArray[np.float64], ends: NDArray[np.float64], heights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The upper edge of bars as a line, which falls to 0 between bars that are apart."""
    gap = np.append(starts[1:] > ends[:-1], [True])
    x = np.column_stack([starts, ends, ends, np.append(starts[1:], ends[-1:])])
    y = np.column_stack([heights, heights, np.where(gap, 0, heights), np.where(gap, 0, heights)])
    return np.append(starts[:1], x.ravel()), np.append(0.0, y.ravel())


def _top(
    heights: NDArray[np.float64], spikes: NDArray[np.bool_], shares: NDArray[np.float64], whole: float
) -> float:
    """How high the axis goes: single values that tower above everything else, or above `whole`, are cut."""
    most = max(float(heights.max()), 1e-9)
    rest = heights[~spikes]
    if len(rest) and shares[: len(heights)][~spikes].sum() > 0.02:
        highest = max(float(rest.max()), 1e-9)
        most = min(most, ABOVE_OTHERS * highest, max(whole, highest))
    return 1.12 * most


def _ticks(axis: Any, scale: Scale, top: float) -> None:  # noqa: ANN401 - untyped library
    places, labels = scale.ticks(*axis.get_xlim())
    axis.set_xticks(places, labels)
    axis.set_xlabel(scale.words, fontsize=7.5, color=INK, labelpad=1.5)
    if scale.linear:
        heights = round_values(0.0, top, 4)
        axis.set_yticks(heights, [_share_text(height) for height in heights])
    else:  # heights have no unit that says anything
        axis.set_yticks([])


def _share_text(value: float) -> str:
    return f"{100 * value:.2g}%" if value < 0.1 else f"{value:.0%}"


def _style(axis: Any, grid: str) -> None:  # noqa: ANN401 - untyped library
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.grid(visible=True, axis=grid, color=FAINT, linewidth=0.6, zorder=0)
    axis.patch.set_alpha(0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(INK)


def _draw_beside(axis: Any, column: ColumnComparison, cells: list[int]) -> None:  # noqa: ANN401
    """Shares of what has no place on the axis."""
    there, here = column.reference[cells], column.synthetic[cells]
    x = np.arange(len(cells))
    axis.bar(x, there, width=0.7, color=REFERENCE, hatch="///", edgecolor=NOISE, linewidth=0, zorder=2)
    axis.plot(x, here, color=SYNTHETIC, marker="o", markersize=4.5, linewidth=0, zorder=4)
    texts = column.texts
    labels = [_beside_label(texts[cell]) for cell in cells]
    if max(map(len, labels)) <= UPRIGHT:
        axis.set_xticks(x, labels)
    else:
        axis.set_xticks(x, labels, rotation=38, ha="right")
    axis.set_xlim(-0.7, len(cells) - 0.3)
    axis.set_ylim(0, max(float(there.max()), float(here.max()), LEAST_BESIDE) * 1.25)
    for place, share in enumerate(there):
        look = {"va": "bottom", "ha": "center", "fontsize": 6.5, "color": INK}
        axis.text(place, max(share, here[place]), f"{share:.1%}", **look)
    axis.set_yticks([])
    _style(axis, "y")
    axis.tick_params(labelsize=7)


def _beside_label(label: str) -> str:
    """Short enough to stand under one bar: the axis says where its ends are."""
    day = DAY.match(label)
    if day:
        return f"{day[0][:5]}\n{day[0][5:]}"
    return label.partition(" ")[0] if label.startswith(MOVED) else short(label, 11)


def _named_cells(
    column: ColumnComparison,
) -> tuple[list[str], NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Labels and shares of the most frequent categories; the others are one more bar."""
    named = np.array([label != RARE for label in column.labels])  # these are among all others
    used = np.flatnonzero(named & ((column.reference > 0) | (column.synthetic > 0)))
    most = np.maximum(column.reference, column.synthetic)
    numbers = [_as_number(column.labels[cell]) for cell in used]
    in_order = len(used) <= MOST_NUMBERS and numbers.count(None) <= 1 < len(used)  # one: missing values
    if len(used) > MOST_NAMES and not in_order:
        used = used[np.argsort(-most[used], kind="stable")[: MOST_NAMES - 1]]
    if in_order:
        used = used[np.argsort([np.inf if number is None else number for number in numbers], kind="stable")]
    else:
        used = used[np.argsort(-column.reference[used], kind="stable")]
    labels = [short(column.labels[cell]) for cell in used]
    reference, synthetic = column.reference[used], column.synthetic[used]
    noise = None if column.noise is None else column.noise[used]
    others = 1 - reference.sum(), 1 - synthetic.sum()
    if max(others) > SEEN:
        reference, synthetic = np.append(reference, others[0]), np.append(synthetic, others[1])
        noise = None if noise is None else np.append(noise, 0)
        labels.append("all others")
    return labels, reference, synthetic, noise


def _as_number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _draw_names(
    axis: Any,  # noqa: ANN401 - untyped library
    labels: list[str],
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    noise: NDArray[np.float64] | None,
) -> None:
    """Bars of categories below each other, so that their names have room."""
    place = np.arange(len(labels))
    axis.barh(place, reference, height=0.72, color=REFERENCE, zorder=2)
    if noise is not None:
        axis.errorbar(reference, place, xerr=noise, fmt="none", ecolor=NOISE, elinewidth=1.1, zorder=3)
    axis.plot(
        synthetic,
        place,
        color=SYNTHETIC,
        marker="o",
        markersize=5,
        linewidth=0,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=4,
    )
    axis.set_yticks(place, labels)
    axis.set_ylim(max(len(labels), 2) - 0.4, -0.6)
    axis.set_xlim(0, max(float(reference.max()), float(synthetic.max()), 1e-9) * 1.1)
    shares = round_values(0.0, axis.get_xlim()[1], 4)
    axis.set_xticks(shares, [_share_text(share) for share in shares])
    _style(axis, "x")
    axis.spines["bottom"].set_visible(False)
    axis.spines["left"].set_visible(True)
    axis.spines["left"].set_color(INK)
