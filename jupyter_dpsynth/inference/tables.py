"""Tables, means and quantiles of one column with intervals in closed form, from measured one-way shares.

The noise of a share is known, and so is the sampling of the table; the variances of the two add up.

Source:
    Woodruff 1952 (intervals of quantiles through the distribution function).
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec, from_steps
from jupyter_dpsynth.engine.model.plan import VALUE_HISTOGRAMS
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.inference.inferring import ALIKE, PROMISE, REPLICATES, check_level, intervals
from jupyter_dpsynth.inference.results import PARTS, Estimates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.reference import NamedTable
    from jupyter_dpsynth.inference.rows import ModelRows

__all__ = ["joint", "mean", "place_of", "quantiles", "shares"]

ONE_WAY_PROMISE = (
    "Intervals for the population that the table was drawn from. They count the sampling of the table and "
    "the noise that was added, both exactly known in size. They do not count how values were cut into bins "
    "and pools, values moved to bounds, and errors in the table."
)
FINEST = math.sqrt(2)  # noise of a leaf in parts of a histogram's: with 1, 88 to 92 % of means were held
BENT = 0.1  # of a bin's share: so far the distribution function may be from a straight line inside
LEFT_OUT = "Left out are combinations with values that did not stand out from the noise."
MEAN_NOTE = (
    "Values of a bin are taken to be spread evenly over its parts; the interval counts that they may not be."
)


def place_of(learned: Learned, column: str) -> int:
    """The place of a learned column; raises ConfigError for any other."""
    names = learned.codec.names
    if column not in names:
        raise ConfigError(f"{shown(column)} is not a learned column.{did_you_mean(str(column), names)}")
    return names.index(column)


def shares(learned: Learned, column: str, level: float, alike: int = 1) -> Estimates:
    """The share of each cell of a column.

    Args:
        learned: The released state.
        column: Its name.
        level: Share of such intervals that are meant to hold the true figure.
        alike: How many rows may be of one person, and so like one.
    """
    check_level(level)
    place, reference = place_of(learned, column), learned.reference
    share, noise = reference.shares[place], reference.noise[place]
    # a share is a count over the sum of all counts of its column, so part of the noise cancels
    added = (1 - share) ** 2 * noise**2 + share**2 * ((noise**2).sum() - noise**2)
    frame = _frame(share, alike * share * (1 - share) / reference.rows, added, level, reference.labels[place])
    frame[["low", "high"]] = frame[["low", "high"]].clip(0, 1)
    frame["source"] = "measured"
    return Estimates(f"Shares of {column}", frame, level, ONE_WAY_PROMISE, _of_persons(alike))


def joint(
    learned: Learned, rows: Callable[[], ModelRows], columns: Sequence[str], level: float, alike: int = 1
) -> Estimates:
    """The share of each combination of cells of several columns.

    Args:
        learned: The released state.
        rows: Gives rows of the model, which are needed unless the table was named beforehand.
        columns: Names of the columns.
        level: Share of such intervals that are meant to hold the true figure.
        alike: How many rows may be of one person, and so like one.
    """
    check_level(level)
    places = [place_of(learned, column) for column in columns]
    if len(set(places)) != len(places):
        raise ConfigError("a table needs different columns.")
    named = next((each for each in learned.reference.tables if set(each.columns) == set(columns)), None)
    return (
        _weighted(rows(), columns, level) if named is None else _named(learned, named, columns, level, alike)
    )


def _weighted(rows: ModelRows, columns: Sequence[str], level: float) -> Estimates:
    """The shares of a table that was not named, by weights."""
    learned = rows.learned
    places = [place_of(learned, column) for column in columns]
    sizes = [int(learned.codec.sizes[place]) for place in places]
    cells = np.ravel_multi_index(tuple(rows.codes[:, place] for place in places), sizes)
    count = int(np.prod(sizes))
    labels = [learned.reference.labels[place] for place in places]
    names = pd.MultiIndex.from_product(labels, names=list(columns))
    weights = rows.weigh(list(columns), REPLICATES, seed=1)
    frame = intervals(
        weights,
        lambda each: np.bincount(cells, each, count).astype(np.float64),
        [" and ".join(each) for each in names],
        level,
        1.0,
    )
    frame.index = names
    frame[["low", "high"]] = frame[["low", "high"]].clip(0, 1)
    frame["source"] = "weighted"
    # what no row of the model has says nothing of how many rows of the table may have it
    frame.loc[frame["estimate"] == 0, ["se", "low", "high", *PARTS]] = np.nan
    present = [learned.reference.shares[place] > 0 for place in places]
    made = np.logical_and.reduce(np.meshgrid(*present, indexing="ij")).ravel()
    alike = rows.config.resolve().rows_per_unit
    notes = (*(() if made.all() else (LEFT_OUT,)), *_of_persons(alike))
    return Estimates(f"Shares of {' and '.join(columns)}", frame[made], level, PROMISE, notes)


def _named(
    learned: Learned, table: NamedTable, columns: Sequence[str], level: float, alike: int
) -> Estimates:
    """The shares of a named table, in closed form."""
    order = [table.columns.index(name) for name in columns]
    share, noise = (each.transpose(order).ravel() for each in (table.shares, table.total_noise))
    labels = [learned.reference.labels[place_of(learned, name)] for name in columns]
    names = pd.MultiIndex.from_product(labels, names=list(columns))
    likely = np.clip(share, 0, 1)
    frame = _frame(share, alike * likely * (1 - likely) / learned.reference.rows, noise**2, level, names)
    frame[["low", "high"]] = frame[["low", "high"]].clip(0, 1)
    frame["source"] = "measured"
    title = f"Shares of {' and '.join(columns)}"
    return Estimates(title, frame, level, ONE_WAY_PROMISE, _of_persons(alike))


def mean(learned: Learned, column: str, level: float, alike: int = 1) -> Estimates:
    """The mean of a column of numbers, of the rows in which it is not missing; see `shares`."""
    check_level(level)
    single = _of_values(learned, column)
    if single is not None:
        values, share, noise, rows = single
        centre = float(share @ values)
        squares = (values - centre) ** 2
        sampling, added_noise = alike * (share @ squares) / rows, noise**2 @ squares
        frame = _frame(np.array([centre]), np.array([sampling]), np.array([added_noise]), level, [column])
        return Estimates(f"Mean of {column}", frame, level, ONE_WAY_PROMISE, _of_persons(alike))
    codec, share, noise, rows = _ordered(learned, column)
    if codec.kind != "number":
        raise ConfigError(
            f"{shown(column)} is no column of numbers: its median is in quantile({column!r}), its shares are "
            f"in table({column!r})."
        )
    leaves, masses = _leaves(codec, share)
    step = 1.0 if codec.resolution > 0 else 0.0  # a leaf of one whole point has one value
    scale = codec.resolution or 1.0
    middle = _values(codec, leaves.sum(axis=1) / 2 - step / 2)
    width, open_width = scale * (leaves[:, 1] - leaves[:, 0]), scale * (leaves[:, 1] - leaves[:, 0] - step)
    centre = float(masses @ middle)
    spread = float(masses @ ((middle - centre) ** 2 + (width**2 - (scale * step) ** 2) / 12))
    bins = np.add.reduceat(masses * middle, codec.first_leaf) / np.maximum(share, 1e-300)
    added = float((noise**2 * (bins - centre) ** 2).sum())
    # how a bin's rows are spread over its leaves was found with noise
    inside = np.repeat(bins, np.diff(np.append(codec.first_leaf, len(leaves))))
    added += (alike * _leaf_noise(learned) / rows) ** 2 * float(((middle - inside) ** 2).sum())
    # the mean of a leaf's values is somewhere in it
    added += float(((masses * open_width) ** 2).sum()) / 12
    frame = _frame(np.array([centre]), np.array([alike * spread / rows]), np.array([added]), level, [column])
    return Estimates(f"Mean of {column}", frame, level, ONE_WAY_PROMISE, (MEAN_NOTE, *_of_persons(alike)))


def _leaf_noise(learned: Learned) -> float:
    """Standard deviation of the noise with which the leaves of bins were found, in rows; 0 without any.

    A column's histograms share it level by level, so the finest have more noise than one; what a leaf's
    parents and neighbours tell takes some of it away.
    """
    plan = learned.receipt.plan
    found = () if plan is None else plan.measurements
    sigma = next((each.sigma for each in found if each.name.startswith(VALUE_HISTOGRAMS)), 0.0)
    return FINEST * sigma * math.sqrt(len(learned.codec.columns))


def quantiles(
    learned: Learned, column: str, wanted: Sequence[float], level: float, alike: int = 1
) -> Estimates:
    """Quantiles of a column of numbers or dates, of the rows in which it is not missing; see `shares`."""
    check_level(level)
    if not all(isinstance(each, float) and 0 < each < 1 for each in wanted):
        raise ConfigError(
            f"q = {shown(list(wanted))} is not allowed: give numbers between 0 and 1, such as 0.5."
        )
    single = _of_values(learned, column)
    if single is not None:
        return _quantiles_of_values(column, single, wanted, level, alike)
    codec, share, noise, rows = _ordered(learned, column)
    leaves, masses = _leaves(codec, share)
    reached = np.concatenate([[0], np.cumsum(share)])
    below = np.concatenate([[0], np.cumsum(noise**2)])
    at = np.array(wanted)
    # the noise of the share below a point: of the bins below and above it
    under = np.interp(at, reached, below)
    added = (1 - at) ** 2 * under + at**2 * (below[-1] - under) + _shape(codec, share, reached, at) ** 2
    margin = norm.ppf((1 + level) / 2) * np.sqrt(alike * at * (1 - at) / rows + added)
    points = np.stack([leaves[:, 0], leaves[:, 1]], axis=1).ravel()
    heights = np.repeat(np.concatenate([[0], np.cumsum(masses)]), 2)[1:-1]
    low, found, high = (_point(codec, points, heights, at + shift) for shift in (-margin, 0.0, margin))
    frame = pd.DataFrame(
        {"estimate": found, "se": (high - low) / 2 / norm.ppf((1 + level) / 2), "low": low, "high": high},
        index=pd.Index([f"{each:g} quantile" for each in wanted]),
    )
    return Estimates(f"Quantiles of {column}", frame, level, ONE_WAY_PROMISE, _of_persons(alike))


def _quantiles_of_values(
    column: str,
    single: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float],
    wanted: Sequence[float],
    level: float,
    alike: int,
) -> Estimates:
    """Quantiles of a column of few numbers, see `_of_values`: each is one of them."""
    values, share, noise, rows = single
    reached, below, at = np.cumsum(share), np.cumsum(noise**2), np.array(wanted)
    places = np.minimum(np.searchsorted(reached, at), len(values) - 1)
    added = (1 - at) ** 2 * below[places] + at**2 * (below[-1] - below[places])
    margin = norm.ppf((1 + level) / 2) * np.sqrt(alike * at * (1 - at) / rows + added)
    low, found, high = (
        values[np.searchsorted(reached, np.clip(at + shift, 0, 1)).clip(0, len(values) - 1)]
        for shift in (-margin, 0.0, margin)
    )
    frame = pd.DataFrame(
        {"estimate": found, "se": (high - low) / 2 / norm.ppf((1 + level) / 2), "low": low, "high": high},
        index=pd.Index([f"{each:g} quantile" for each in wanted]),
    )
    return Estimates(f"Quantiles of {column}", frame, level, ONE_WAY_PROMISE, _of_persons(alike))


def _of_persons(alike: int) -> tuple[str, ...]:
    """What is to be known where a person may have several rows."""
    return (ALIKE,) if alike > 1 else ()


def _shape(
    codec: NumericCodec,
    share: NDArray[np.float64],
    reached: NDArray[np.float64],
    at: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Standard error of the distribution function inside a bin: it need not be straight there."""
    bins = np.clip(np.searchsorted(reached, at, side="right") - 1, 0, len(share) - 1)
    last = np.append(codec.first_leaf[1:], len(codec.starts))[bins] - 1
    width = codec.ends[last] - codec.starts[codec.first_leaf[bins]]
    one_value = (codec.resolution > 0) & (width <= 1)
    return np.where(one_value, 0.0, BENT * share[bins])


def _frame(
    estimate: NDArray[np.float64],
    sampling: NDArray[np.float64],
    added: NDArray[np.float64],
    level: float,
    labels: Sequence[str] | pd.Index,
) -> pd.DataFrame:
    """Estimates with the variances of the table's sampling and of what was added."""
    spread = np.sqrt(sampling + added)
    margin = norm.ppf((1 + level) / 2) * spread
    return pd.DataFrame(
        {
            "estimate": estimate,
            "se": spread,
            "low": estimate - margin,
            "high": estimate + margin,
            "table": np.sqrt(sampling),
            "noise": np.sqrt(added),
        },
        index=pd.Index(labels) if not isinstance(labels, pd.Index) else labels,
    )


def _of_values(
    learned: Learned, column: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float] | None:
    """The values of a column of few numbers, each a category, with their shares and noise; None for others.

    Rows that are missing or have another value do not count.
    """
    place = place_of(learned, column)
    codec, reference = learned.codec.columns[place], learned.reference
    if not isinstance(codec, CategoryCodec) or not all(_is_number(each) for each in codec.published):
        return None
    values = np.array(codec.published, np.float64)
    order = np.argsort(values)
    share, noise = (each[: len(values)][order] for each in (reference.shares[place], reference.noise[place]))
    present = float(share.sum())
    return values[order], share / present, noise / present, reference.rows * present


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _ordered(
    learned: Learned, column: str
) -> tuple[NumericCodec, NDArray[np.float64], NDArray[np.float64], float]:
    """A column of numbers or dates: codec, shares and noise of its bins, and rows that are not missing."""
    place = place_of(learned, column)
    codec, reference = learned.codec.columns[place], learned.reference
    if not isinstance(codec, NumericCodec):
        raise ConfigError(
            f"{shown(column)} has no bins of numbers or dates: its shares are in table({column!r})."
        )
    bins = codec.ordered_cells
    share, noise = reference.shares[place][:bins], reference.noise[place][:bins]
    present = float(share.sum())
    return codec, share / present, noise / present, reference.rows * present


def _leaves(
    codec: NumericCodec, share: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last point of each leaf, `[leaves, 2]`, and its share of the rows."""
    count = np.diff(np.append(codec.first_leaf, len(codec.starts)))
    within = codec.weights / np.repeat(np.add.reduceat(codec.weights, codec.first_leaf), count)
    return np.stack([codec.starts, codec.ends], axis=1), np.repeat(share, count) * within


def _values(codec: NumericCodec, points: NDArray[np.float64]) -> NDArray[Any]:
    """Points as numbers, or as dates or times."""
    if codec.kind == "datetime":
        return codec.values_of(points)
    values: NDArray[np.float64] = from_steps(points, codec.resolution) if codec.resolution > 0 else points
    return values


def _point(
    codec: NumericCodec,
    points: NDArray[np.float64],
    heights: NDArray[np.float64],
    at: NDArray[np.float64],
) -> NDArray[Any]:
    """The values at which the distribution function reaches some heights."""
    rising = heights + np.arange(len(heights)) * 1e-12  # leaves without rows would leave it open
    found = np.interp(np.clip(at, 0, 1), rising, points)
    if codec.resolution > 0:
        found = np.floor(np.minimum(found, points[-1] - 1))
    return _values(codec, found)
