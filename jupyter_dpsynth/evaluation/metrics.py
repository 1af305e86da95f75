"""Utility metrics of a synthetic table against an original one. None of them is private.

All work on codes: numbers and dates are divided into quantile bins of the original, rare categories are
pooled, and missing values have a cell of their own.

Models, ROC AUC and cross-validation are scikit-learn's, quantiles and sums numpy's. Distances of marginals
are a line of numpy each: they are those of SDMetrics (TVComplement, ContingencySimilarity), which is not a
dependency. It states them without the value that as many real rows would have, takes values that it does not
know for equal, and has no cells that `private` could count with noise. Bias-corrected Cramer's V is in none
of scipy, scikit-learn and SDMetrics.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.evaluation.apart import edges_around
from jupyter_dpsynth.evaluation.axes import MICROSECONDS, CellAxis, value_text
from jupyter_dpsynth.evaluation.learners import FairLearner, boosting, half_the_processors
from jupyter_dpsynth.metadata.kinds import column_kind, kind_of
from jupyter_dpsynth.sources.objects import as_float, as_text, durations, moments
from jupyter_dpsynth.sources.values import factorize, is_duration, is_time, stored_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.axes import Unit

__all__ = [
    "RARE",
    "Discretizer",
    "as_numbers",
    "cell_counts",
    "cramers_v",
    "is_number",
    "mean_total_variation",
    "one_way_shares",
    "prediction_auc",
    "prediction_counter",
    "separation_auc",
    "total_variation",
    "unit_of",
]

BINS = 20
LONG_GAP = 0.3  # of the range without a value
MOST_CATEGORIES = 50
DENSE_CELLS = 4_000_000
TRIPLES = 150
FEW_VALUES = 20
CLEARLY = 4.0  # standard deviations
MOST_CODES = 200  # categories of a feature; scikit-learn's trees take no more than 255
RARE = "all rarer ones"


def as_numbers(series: pd.Series) -> NDArray[np.float64]:
    """Numbers, dates and durations as float64 `[n]`, NaN where missing."""
    if is_time(series.dtype):
        found, missing = stored_times(series)
        return np.where(missing, np.nan, found.astype(np.float64))
    if series.dtype == object:
        for read in (moments, durations):  # what one cannot read is missing to it
            found, missing = read(series)
            if not missing.all():
                return np.where(missing, np.nan, found.astype(np.float64))
        return np.array([as_float(value) for value in series])
    return np.asarray(pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan))


def is_number(series: pd.Series) -> bool:
    """Whether a column holds numbers of many values, or times."""
    types = pd.api.types
    if series.dtype == object:
        kind = column_kind(series)
        return kind == "datetime" or (kind == "number" and len(factorize(series)[1]) > FEW_VALUES)
    if is_time(series.dtype):
        return True
    numeric = types.is_numeric_dtype(series.dtype) and not types.is_bool_dtype(series.dtype)
    return bool(numeric and series.nunique() > FEW_VALUES)


def _as_text(series: pd.Series) -> pd.Series:
    """Values as text, the same for equal values such as 1 and 1.0, but not for '1' and '01'.

    Missing ones are '<missing>'.
    """

    def name(value: Any) -> str:  # noqa: ANN401 - a cell
        if isinstance(value, bool | str):
            return str(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return as_text(value)
        return repr(int(number)) if np.isfinite(number) and number == int(number) else repr(number)

    codes, distinct = factorize(series)
    names = np.array([*(name(value) for value in distinct), "<missing>"], dtype=object)
    return pd.Series(names[codes], dtype=object)  # pandas would infer text, and fail at some


@dataclass(frozen=True, eq=False)
class _Cells:
    """How one column is coded: the bin edges of a number, or the frequent categories."""

    edges: NDArray[np.float64] | None
    categories: tuple[str, ...]
    unit: Unit = "number"
    ends: tuple[float, float] = (0.0, 0.0)
    gaps: tuple[tuple[int, float], ...] = ()  # bins that end in a long stretch of nothing, and the last value

    @property
    def size(self) -> int:
        return (len(self.categories) + 1) if self.edges is None else len(self.edges) + 2

    def codes(self, series: pd.Series) -> NDArray[np.int64]:
        if self.edges is None:
            index = {value: place for place, value in enumerate(self.categories)}
            codes, distinct = pd.factorize(_as_text(series))
            table = np.array([index.get(value, len(self.categories)) for value in distinct], dtype=np.int64)
            return table[codes]
        values = as_numbers(series)
        missing = len(self.edges) + 1
        return np.where(np.isnan(values), missing, np.searchsorted(self.edges, values, side="right"))

    def labels(self) -> list[str]:
        if self.edges is None:
            return [*self.categories, RARE]
        axis = self.axis()
        span = float(axis.ends[-1] - axis.starts[0])
        starts, ends = ([value_text(v, self.unit, span) for v in edges] for edges in (axis.starts, axis.ends))
        bins = [a if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
        return [*bins, "missing"]

    def axis(self) -> CellAxis:
        """Where the bins lie; those of categories nowhere."""
        if self.edges is None:
            raise TypeError
        low, high = self.ends
        scale = 1 if self.unit == "number" else MICROSECONDS
        edges = np.concatenate([[low], self.edges, [high]]) / scale
        ends = np.maximum(edges[1:], edges[:-1])
        for place, last in self.gaps:
            ends[place] = last / scale
        return CellAxis(edges[:-1], ends, self.unit)


def _around_spikes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges that give each value which many rows share a cell of its own."""
    found, counts = np.unique(values, return_counts=True)
    spikes = np.flatnonzero(counts >= len(values) / BINS)
    edges = np.append(found[spikes], found[np.minimum(spikes + 1, len(found) - 1)])
    return edges[(edges > found[0]) & (edges <= found[-1])] if len(found) else found


def _long_gaps(
    inner: NDArray[np.float64], ends: tuple[float, float], *values: NDArray[np.float64]
) -> tuple[tuple[int, float], ...]:
    """Bins that mostly hold nothing: their places, and the last value in each (before 9999-12-31)."""
    found = np.sort(np.concatenate(values))
    found = found[np.isfinite(found)]
    edges = np.append(inner, ends[1])
    last = found[np.maximum(np.searchsorted(found, edges, side="left") - 1, 0)] if len(found) else edges
    starts = np.append(ends[0], inner)
    long = (edges - last > LONG_GAP * (ends[1] - ends[0])) & (last >= starts)
    return tuple((int(place), float(last[place])) for place in np.flatnonzero(long))


def unit_of(series: pd.Series) -> Unit:
    """What a column of numbers or times holds."""
    if is_duration(series.dtype) or (series.dtype == object and kind_of(series)[1].lower() == "timedelta"):
        return "duration"
    return "date" if column_kind(series) == "datetime" else "number"


def _range_of(*values: NDArray[np.float64]) -> tuple[float, float]:
    """The lowest and the highest of some numbers."""
    together = np.concatenate(values)
    together = together[np.isfinite(together)]
    return (float(together.min()), float(together.max())) if len(together) else (0.0, 0.0)


def _more_frequent(counts: pd.Series, synthetic: pd.Series) -> list[str]:
    """Values that a synthetic column has clearly more often than the original, whose counts are given."""
    made = synthetic.value_counts().iloc[:MOST_CATEGORIES]
    expected = (counts.reindex(made.index).fillna(0) + 1) * len(synthetic) / max(int(counts.sum()), 1)
    return list(made.index[made > expected + CLEARLY * np.sqrt(expected + 1)])


class Discretizer:
    """Codes tables with the bins and categories of an original table.

    Args:
        original: The table whose quantiles and frequent categories define the cells.
        synthetic: A table whose frequent categories have cells as well: what is in it alone, such as 'other',
            is then not taken for the rare categories of the original.
    """

    def __init__(self, original: pd.DataFrame, synthetic: pd.DataFrame | None = None) -> None:
        self.columns: dict[str, _Cells] = {}
        for name in original.columns:
            series = original[name]
            if is_number(series):
                values = as_numbers(series)
                others = values if synthetic is None else as_numbers(synthetic[name])
                values = values[~np.isnan(values)]
                steps = np.linspace(0, 1, BINS + 1)
                inner = np.unique(np.quantile(values, steps))[1:-1] if len(values) else np.zeros(0)
                if synthetic is not None:
                    around = _around_spikes(values), edges_around(values, others)
                    inner = np.unique(np.concatenate([inner, *around]))
                ends = _range_of(values, inner, others)
                gaps = _long_gaps(inner, ends, values, others)
                self.columns[name] = _Cells(inner, (), unit_of(series), ends, gaps)
            else:
                counts = _as_text(series).value_counts()
                more = [] if synthetic is None else _more_frequent(counts, _as_text(synthetic[name]))
                frequent = dict.fromkeys([*counts.index[:MOST_CATEGORIES], *more])
                self.columns[name] = _Cells(None, tuple(frequent))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.columns)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of cells of each column."""
        return tuple(cells.size for cells in self.columns.values())

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """One text a cell of each column."""
        return tuple(tuple(cells.labels()) for cells in self.columns.values())

    @property
    def axes(self) -> tuple[CellAxis | None, ...]:
        """Where each column's bins lie; None for categories."""
        return tuple(None if cells.edges is None else cells.axis() for cells in self.columns.values())

    def codes(self, df: pd.DataFrame) -> NDArray[np.int64]:
        """Codes `int64 [n, columns]`."""
        return np.stack([cells.codes(df[name]) for name, cells in self.columns.items()], axis=1)


def _joint_codes(
    codes: NDArray[np.integer[Any]], sizes: Sequence[int], columns: Sequence[int]
) -> NDArray[np.int64]:
    """One code `[n]` for each row's cell of a marginal."""
    key = np.zeros(len(codes), dtype=np.int64)
    for column in columns:
        key = key * sizes[column] + codes[:, column]
    return key


def cell_counts(
    codes: NDArray[np.integer[Any]], sizes: Sequence[int], columns: Sequence[int]
) -> NDArray[np.int64]:
    """Rows in each joint cell of some columns, `[product of their sizes]`."""
    key = _joint_codes(codes, sizes, columns)
    return np.bincount(key, minlength=math.prod(sizes[column] for column in columns)).astype(np.int64)


def _shares(
    codes: NDArray[np.int64], sizes: Sequence[int], columns: Sequence[int]
) -> dict[int, float] | NDArray[np.float64]:
    """Joint shares of some columns: an array, or a mapping where the cells are too many for one."""
    if math.prod(sizes[column] for column in columns) <= DENSE_CELLS:
        return np.asarray(cell_counts(codes, sizes, columns) / len(codes))
    found, counts = np.unique(_joint_codes(codes, sizes, columns), return_counts=True)
    return dict(zip(found.tolist(), (counts / len(codes)).tolist(), strict=True))


def total_variation(
    first: NDArray[np.int64], second: NDArray[np.int64], sizes: Sequence[int], columns: Sequence[int]
) -> float:
    """Total-variation distance of one marginal between two coded tables, in [0, 1]."""
    p, q = _shares(first, sizes, columns), _shares(second, sizes, columns)
    if isinstance(p, dict) or isinstance(q, dict):
        p, q = dict(p), dict(q)
        return 0.5 * sum(abs(p.get(cell, 0) - q.get(cell, 0)) for cell in p.keys() | q.keys())
    return 0.5 * float(np.abs(p - q).sum())


def mean_total_variation(
    first: NDArray[np.int64], second: NDArray[np.int64], sizes: Sequence[int], ways: int
) -> float:
    """Mean total-variation distance over all marginals of `ways` columns (150 random ones of three)."""
    sets: Iterable[tuple[int, ...]] = list(itertools.combinations(range(len(sizes)), ways))
    sets = list(sets)
    if ways > 2 and len(sets) > TRIPLES:
        order = np.random.default_rng(0).permutation(len(sets))[:TRIPLES]
        sets = [sets[place] for place in order]
    if not sets:
        return float("nan")
    return float(np.mean([total_variation(first, second, sizes, columns) for columns in sets]))


def one_way_shares(codes: NDArray[np.int64], sizes: Sequence[int]) -> tuple[NDArray[np.float64], ...]:
    """Share of every cell of every column."""
    return tuple(
        np.bincount(codes[:, column], minlength=size) / len(codes) for column, size in enumerate(sizes)
    )


def cramers_v(
    codes: NDArray[np.int64], sizes: Sequence[int], *, corrected: bool = True
) -> NDArray[np.float64]:
    """Cramer's V of every pair of columns, `[columns, columns]`, in [0, 1], diagonal 0.

    Args:
        codes: Codes `[n, columns]`.
        sizes: Number of cells of each column.
        corrected: Whether it is corrected for its bias. Without that, independent columns of many cells seem
            the more dependent, the fewer rows there are.

    Source:
        Bergsma, 'A bias-correction for Cramer's V and Tschuprow's T', Journal of the Korean Statistical
        Society 42, 2013.
    """
    columns, rows = len(sizes), len(codes)
    out = np.zeros((columns, columns))
    for first, second in itertools.combinations(range(columns), 2):
        joint = np.asarray(_shares(codes, sizes, (first, second))).reshape(sizes[first], sizes[second])
        expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        seen = expected > 0
        levels = [int((joint.sum(axis) > 0).sum()) for axis in (1, 0)]
        if min(levels) < 2 or rows < 2:
            continue
        phi = float(((joint - expected)[seen] ** 2 / expected[seen]).sum())
        freedom = min(levels) - 1.0
        if corrected:
            phi = max(0.0, phi - (levels[0] - 1) * (levels[1] - 1) / (rows - 1))
            freedom = min(level - (level - 1) ** 2 / (rows - 1) for level in levels) - 1
        if freedom > 0:
            out[first, second] = out[second, first] = min(1.0, math.sqrt(phi / freedom))
    return out


def _features(original: pd.DataFrame, *tables: pd.DataFrame) -> tuple[list[NDArray[np.float64]], list[int]]:
    """Feature matrices: numbers as they are, categories as codes; and the places of the latter."""
    out: list[list[NDArray[np.float64]]] = [[] for _ in tables]
    coded = []
    for place, name in enumerate(original.columns):
        if is_number(original[name]):
            for columns, table in zip(out, tables, strict=True):
                columns.append(as_numbers(table[name]))
            continue
        coded.append(place)
        frequent = _as_text(original[name]).value_counts().index[:MOST_CODES]
        index = {value: place for place, value in enumerate(frequent)}
        for columns, table in zip(out, tables, strict=True):
            codes = _as_text(table[name]).map(index).fillna(len(index))
            columns.append(codes.to_numpy(np.float64))
    return [np.stack(columns, axis=1) for columns in out], coded


def prediction_auc(
    original: pd.DataFrame,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    target: str,
    learner: Callable[[Sequence[int], int], Any] = FairLearner,
) -> float:
    """ROC AUC on `holdout` of a model that learned to predict `target` from `train`.

    Targets of several classes are averaged one against the rest. 0.5 if `train` has one class only.
    Classes that the original does not have (an undeclared 'other', a missing target) are left out.
    """
    boosting(1)
    from sklearn.metrics import roc_auc_score

    classes = {name: place for place, name in enumerate(sorted(set(_as_text(original[target]))))}
    features = original.drop(columns=target)
    tables = (train, holdout)
    inputs, coded = _features(features, *(table.drop(columns=target) for table in tables))
    labels = [_as_text(table[target]).map(classes).fillna(-1).to_numpy() for table in tables]
    learned = np.unique(labels[0][labels[0] >= 0])
    known = [np.isin(label, learned) for label in labels]
    (x_train, x_hold), (y_train, y_hold) = (
        [values[keep] for values, keep in zip(parts, known, strict=True)] for parts in (inputs, labels)
    )
    present = np.unique(y_hold)
    if len(learned) < 2 or len(present) < 2:
        return 0.5
    model = learner(coded, features.shape[1])
    with half_the_processors():
        model.fit(x_train, y_train)
        chances = model.predict_proba(x_hold)[:, np.isin(learned, present)] + 1e-9
    chances /= chances.sum(axis=1, keepdims=True)
    if len(present) == 2:
        return float(roc_auc_score(y_hold, chances[:, 1]))
    return float(roc_auc_score(y_hold, chances, multi_class="ovr", labels=present))


def prediction_counter(
    train: NDArray[np.integer[Any]], target: int, names: Sequence[int] = ()
) -> Callable[[NDArray[np.integer[Any]]], int]:
    """Train a model of one column given the others; returns a function that counts its correct predictions.

    Args:
        train: Codes of a public table, `[n, m]`.
        target: Place of the column to predict.
        names: Places of columns whose codes have no order.

    Returns:
        How many rows of some codes `[n, m]` the model predicts rightly. It treats every row by itself: one
        row more or less changes the count by at most one.
    """
    labels = train[:, target].astype(np.int64)
    coded = [place - (place > target) for place in names if place != target]
    model = FairLearner(coded, train.shape[1] - 1)
    only = int(labels[0]) if (labels == labels[0]).all() else None
    if only is None:
        with half_the_processors():
            model.fit(np.delete(train, target, axis=1).astype(np.float64), labels)

    def count(codes: NDArray[np.integer[Any]]) -> int:
        if only is not None or len(codes) == 0:
            return int((codes[:, target] == only).sum())
        with half_the_processors():
            guesses = model.predict(np.delete(codes, target, axis=1).astype(np.float64))
        return int((guesses == codes[:, target]).sum())

    return count


def separation_auc(original: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Cross-validated ROC AUC of gradient boosting that tells synthetic from original rows.

    0.5 means that it cannot, 1 that it always can.
    """
    model = boosting(100)
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    rows = min(len(original), len(synthetic))
    tables = [table.sample(rows, random_state=0) for table in (original, synthetic)]
    features = np.vstack(_features(original, *tables)[0])
    labels = np.repeat([0.0, 1.0], rows)
    with half_the_processors():
        chances = cross_val_predict(model, features, labels, cv=3, method="predict_proba")
    return float(roc_auc_score(labels, chances[:, 1]))
