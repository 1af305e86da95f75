"""Heat maps of pairs: the dependence of all pairs of columns, and the joint shares of two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.evaluation.plots import DAY, FAINT, INK, blank_figure, short, write_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["MOST_MAPPED", "dependence_figures", "pair_figures", "worst_pairs"]

MOST_MAPPED = 30  # columns of a heatmap
MOST_CELLS = 12  # of a pair's map on each side; neighbours or rare ones are joined
MOST_NUMBERED = 20  # columns of a map in whose cells figures are written
HEAD = 0.3  # inches of a title
LESS, MORE = (0.13, 0.40, 0.67), (0.70, 0.09, 0.17)  # blue and red
PALETTE = 64  # steps of each
HALF_SEEN = 0.5  # of a colour: with less, the page below it is seen
LETTER = 0.068  # inches of one below a map


def _days(labels: Sequence[str]) -> list[str]:
    """Periods labelled by their first day if that distinguishes them; longer labels would be cut off.

    >>> _days(["2021-01-01 to 2021-02-09 14:59:00", "2021-02-09 15:00:00 to 2021-03-20 05:59:00", "missing"])
    ['2021-01-01', '2021-02-09', 'missing']
    """
    days = [found[0] if (found := DAY.match(label)) else label for label in labels]
    return days if len(set(days)) == len(days) else list(labels)


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
    ordered: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> list[Figure]:
    """Heatmaps of two columns' joint shares: reference, synthetic, difference.

    Args:
        names: Both columns; the first runs down.
        labels: One text a cell of each.
        reference: Joint shares in what is compared with, `[cells, cells]`.
        synthetic: The same in the synthetic table.
        reference_name: Title of the first map.
        banner: A warning to print.
        ordered: Which of the cells of each lie on a line.
    """
    there, here, texts = reference, synthetic, [list(each) for each in labels]
    for axis in (0, 1):
        groups = _groups(there + here, ordered[axis], axis)
        there, here = (_joined(values, groups, axis) for values in (there, here))
        texts[axis] = [
            _group_label([texts[axis][cell] for cell in group], on_a_line=group[-1] in set(ordered[axis]))
            for group in groups
        ]
    return _three_maps((texts[0], texts[1]), there, here, reference_name, banner, axes=names)


def _joined(values: NDArray[np.float64], groups: list[list[int]], axis: int) -> NDArray[np.float64]:
    return np.stack([values.take(group, axis).sum(axis) for group in groups], axis)


def _groups(shares: NDArray[np.float64], ordered: Sequence[int], axis: int) -> list[list[int]]:
    """Cells of one side of a map, joined where they are too many to be written out.

    Args:
        shares: Joint shares, of both tables together.
        ordered: Which cells lie on a line: neighbours are joined. Of others the rarest are.
        axis: The side.
    """
    weights = shares.sum(axis=1 - axis)
    used = np.flatnonzero(weights > 0)
    line, names = np.intersect1d(used, ordered).tolist(), np.setdiff1d(used, ordered)
    most = max(MOST_CELLS - min(len(names), 3), 2)
    if len(line) > most:
        line_weights = weights[line]
        middle = (np.cumsum(line_weights) - line_weights / 2) / line_weights.sum()
        number = np.minimum((middle * most).astype(int), most - 1)
        groups = [[line[k] for k in np.flatnonzero(number == each)] for each in np.unique(number)]
    else:
        groups = [[cell] for cell in line]
    room = max(MOST_CELLS - len(groups), 1)
    order = names[np.argsort(-weights[names], kind="stable")].tolist()
    if len(order) > room:
        return [*groups, *([cell] for cell in order[: room - 1]), order[room - 1 :]]
    return [*groups, *([cell] for cell in order)]


def _group_label(labels: list[str], *, on_a_line: bool) -> str:
    if len(labels) == 1:
        return labels[0].removeprefix("from ")
    if not on_a_line:
        return "all others"
    first, last = labels[0].removeprefix("from "), labels[-1].removeprefix("from ")
    return f"{first.split(' to ')[0]} to {last.split(' to ')[-1]}"


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
    maps: tuple[tuple[NDArray[np.float64], str, str | Colormap, tuple[float, float]], ...] = (
        (reference, reference_name, "viridis", (0.0, most)),
        (synthetic, "synthetic table", "viridis", (0.0, most)),
        (difference, "difference: synthetic minus the other", _less_and_more(), (-widest, widest)),
    )
    return [_map(labels, *each, banner, axes) for each in maps]


def _less_and_more() -> Colormap:
    """Blue for less, red for more, and the page itself where there is no difference, be it white or black."""
    from matplotlib.colors import ListedColormap

    strength = np.linspace(1.0, 0.0, PALETTE)
    sides = [np.column_stack([np.tile(side, (PALETTE, 1)), strength]) for side in (LESS, MORE)]
    return ListedColormap(np.concatenate([sides[0], sides[1][::-1]]))


def _map(
    labels: tuple[Sequence[str], Sequence[str]],
    values: NDArray[np.float64],
    title: str,
    palette: str | Colormap,
    limits: tuple[float, float],
    banner: str | None,
    axes: tuple[str, str] | None,
) -> Figure:
    """One heatmap with its colour scale."""
    down, across = len(labels[0]), len(labels[1])
    if axes is None:  # every name is written, so that the map grows with them
        numbered = down <= MOST_NUMBERED
        side = max((0.25 if numbered else 0.17) * down, 2.4)
        sides = (side, side)
    else:
        numbered = True
        sides = (max(0.36 * across, 2.2), max(0.24 * down, 1.6))
    names = [[short(text, 20) for text in _days(texts)] for texts in labels]
    left, right, lower = 1.4, 0.75, (0.35 if axes is None else 0.55) + LETTER * max(map(len, names[1]))
    figure, room = blank_figure(left + sides[0] + right, lower + sides[1] + HEAD + 0.1, banner)
    width, height = figure.get_size_inches()
    write_title(figure, short(title, 46))
    lower += room
    axis = figure.add_axes((left / width, lower / height, sides[0] / width, sides[1] / height))
    image = axis.imshow(
        values, cmap=palette, vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest"
    )
    axis.set_facecolor(FAINT)
    for set_ticks, texts, turned in ((axis.set_yticks, names[0], 0), (axis.set_xticks, names[1], 90)):
        set_ticks(range(len(texts)), texts, rotation=turned)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    axis.spines[:].set_visible(False)
    if axes is not None:
        axis.set_ylabel(short(axes[0], 26), fontsize=9, color=INK)
        axis.set_xlabel(short(axes[1], 26), fontsize=9, color=INK)
    if numbered:
        _write_numbers(axis, image, values, in_percent=axes is not None)
    box = ((left + sides[0] + 0.1) / width, lower / height, 0.13 / width, sides[1] / height)
    shares = None if axes is None else lambda value, _: f"{value:.1%}"
    scale = figure.colorbar(image, cax=figure.add_axes(box), format=shares)
    scale.ax.tick_params(labelsize=8, colors=INK, length=0)
    scale.outline.set_visible(False)
    return figure


def _write_numbers(axis: Any, image: Any, values: NDArray[np.float64], *, in_percent: bool) -> None:  # noqa: ANN401
    """The figure of each cell: dark on light ones, light on dark ones, as other text where it is the page."""
    masked = np.ma.getmaskarray(values)
    colours = image.to_rgba(values)
    for row, column in np.argwhere(~masked):
        value = float(values[row, column])
        text = f"{100 * value:.1f}" if in_percent else f"{value:.2f}".replace("0.", ".")
        if text.strip("-0.") == "":
            text = "0"
        red, green, blue, strength = colours[row, column]
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
        ink = INK if strength < HALF_SEEN else ink
        axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color=ink)
