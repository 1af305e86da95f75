"""How close synthetic tables of persons with histories come to the real ones: for the owner's eyes only.

Names in brackets are those of SDMetrics, which measures 1 less the same distance, or the same on other cells.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.display.html import callout, card, join, note, paragraph, shown_by_summary, table
from jupyter_dpsynth.engine.model.losses import glance
from jupyter_dpsynth.errors import ConfigError, DataError, shielded
from jupyter_dpsynth.evaluation.comparison_html import NOT_PRIVATE
from jupyter_dpsynth.evaluation.history_pictures import (
    group_numbers,
    named_column,
    timelines,
    transitions,
)
from jupyter_dpsynth.evaluation.losses_html import losses_html
from jupyter_dpsynth.evaluation.page import TITLE, page, report_content
from jupyter_dpsynth.files.archive import write_file
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.persons.left import losses_of_tables
from jupyter_dpsynth.sources.values import comparable, missing_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from markupsafe import Markup
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.persons.histories import Histories
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["HistoryReport", "compare_histories", "kept_rules", "pictures_of"]

BANNER = "For your eyes only: these figures are exact, and epsilon does not cover them."
CATEGORIES = 12  # the commonest, as cells
FEW_VALUES = 12  # of a number: each is a cell; else tenths of the rows are
FREE = "Compared with noisy measurements that epsilon has paid for: free, and may be shown."
HALVES = "floor"
DISTANCE = "distance: share that would have to change for both to be equal (total-variation distance)"
OF_NOISE = "noise: what the noise of the measurements alone would make"
OF_HALVES = "floor: the same between two halves of the real persons"
SCORES = "score: the same under the names of SDMetrics, 1 is best"


@shown_by_summary
@dataclass(frozen=True, eq=False)
class HistoryReport:
    """Distances of synthetic tables from real ones, or from what was measured of these.

    Attributes:
        metrics: One row a metric, or a column, with the columns 'table', 'metric', 'distance' (0 is equal, 1
            is disjoint), and 'floor': the same distance between two halves of the real persons. Of a
            comparison with measurements 'noise' is instead what their noise alone would make.
        integrity: Share of synthetic rows whose key is a synthetic person's (ReferentialIntegrity), by table.
        ordered: Share of synthetic rows that are not before the person's previous row, by table.
        scores: The same under the names of SDMetrics, 1 is best: columns 'table', 'metric', 'score' and
            'floor'. Empty of a comparison with measurements.
        banner: A warning if original rows were used, which epsilon does not cover.
        pictures: Timelines, what follows what, and numbers of rows by group, as markup.
        losses: What is left of each column, as learning measured and paid for it.
    """

    metrics: pd.DataFrame
    integrity: dict[str, float]
    ordered: dict[str, float]
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    banner: str = BANNER
    pictures: str = ""
    losses: tuple[ColumnLoss, ...] = ()

    def summary(self) -> str:
        """The figures in monospaced tables."""
        free = [] if self.banner else [FREE]
        parts = ["\n".join([*free, *glance(self.losses), self._rules()])]
        for figures, meaning in self._figures():
            parts.append(f"{meaning}.\n{figures.round(4).to_string(index=False)}")
        return "\n\n".join([*parts, *([self.banner] if self.banner else [])])

    def save(self, path: str | Path, *, guarantee: str = "") -> Path:
        """Write everything as one HTML page without scripts, to be mailed or printed.

        Args:
            path: The file; one that is there is replaced.
            guarantee: What protects the tables that were learned, in one sentence.

        Raises:
            ArtifactError: The file cannot be written.
        """
        target = Path(path)
        write_file(target, self.to_page(guarantee).encode("utf-8"))
        return target

    def to_page(self, guarantee: str = "") -> str:
        """Everything as an HTML page of its own.

        Args:
            guarantee: What protects the tables that were learned, in one sentence; empty for none.
        """
        return page(TITLE, report_content(self, guarantee))

    def _figures(self) -> list[tuple[pd.DataFrame, str]]:
        """Tables of figures, and what they say."""
        good = OF_HALVES if HALVES in self.metrics.columns else OF_NOISE
        both = (self.metrics, f"{DISTANCE}; {good}"), (self.scores, f"{SCORES}; {OF_HALVES}")
        return [(figures, meaning) for figures, meaning in both if len(figures)]

    def _rules(self) -> str:
        """What holds in the synthetic tables, in a line."""
        kept = [f"{share:.1%} of the keys of {name!r} fit" for name, share in self.integrity.items()]
        kept += [f"{share:.1%} of the rows of {name!r} are in order" for name, share in self.ordered.items()]
        return f"In the synthetic tables {'; '.join(kept)}."

    def __html__(self) -> str:
        """The same as `to_html`: templates take it for markup."""
        return self.to_html()

    def to_html(self) -> str:
        """Figures and pictures as one piece of HTML, without scripts."""
        banner = callout(self.banner, colour=NOT_PRIVATE) if self.banner else paragraph(FREE)
        parts = [banner, losses_html(self.losses), paragraph(self._rules())]
        for figures, meaning in self._figures():
            rows = [[str(each) for each in row] for row in figures.round(4).itertuples(index=False)]
            names = [str(name) for name in figures.columns]
            parts += [note(f"{meaning}."), table(rows, names, numbers={2, 3}, bold=False)]
        return str(card(*parts, self.pictures, kind="histories"))


def compare_histories(
    synthesizer: HighDimSynthesizer,
    tables: Mapping[str, pd.DataFrame],
    tables_synth: Mapping[str, pd.DataFrame],
) -> HistoryReport:
    """Compare synthetic tables of persons with the real ones: for the owner's eyes only.

    Args:
        synthesizer: The synthesizer that learned them.
        tables: The real tables by name.
        tables_synth: Synthetic tables, as `synthesize` makes them.

    Returns:
        Total-variation distances: of the number of rows of a person (CardinalityShapeSimilarity) and its
        table with each of the person's columns; of tables of a person's column and a row's (intertable
        trends), of two columns of a row, of a column and the same or another one in the row before and in the
        one before that; of gaps and first values. Cells are those of the real rows: tenths, or the commonest
        categories. And Kolmogorov-Smirnov distances of a person's mean (StatisticMSAS) and mean step
        (InterRowMSAS).

    Raises:
        ConfigError: One table was learned, not several.
        DataError: The tables are not those that were learned.

    Privacy:
        Not covered by epsilon: figures are exact.
    """
    from jupyter_dpsynth.persons.learned import LearnedPersons

    learned = synthesizer.learned
    if not isinstance(learned, LearnedPersons):
        raise ConfigError(
            "one table was learned: compare it with UtilityReport.against_original(df, df_synth)."
        )
    meta, key = learned.meta, learned.key
    for given in (tables, tables_synth):
        if set(given) != set(meta.tables):
            raise DataError(f"pass the tables {', '.join(map(repr, meta.tables))} as a dict of DataFrames.")
        for name, each in meta.tables.items():
            each.check(given[name])
    report = shielded(lambda: _compared(tables, tables_synth, meta, key), "the comparison failed")
    return replace(report, losses=losses_of_tables(learned))


def _compared(
    tables: Mapping[str, pd.DataFrame], tables_synth: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str
) -> HistoryReport:
    halves = _halves(tables, meta, key)
    found: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    rules = kept_rules(tables_synth, meta, key)
    for place, children in enumerate(meta.children):
        views = [_View(each, meta, place, key) for each in (tables, tables_synth, *halves)]
        cells = views[0].cells()
        coded = [{name: cells[name](view.columns[name]) for name in cells} for view in views]
        figures = _distances(cells, views[0], coded[0], views[1], coded[1])
        floors = _distances(cells, views[2], coded[2], views[3], coded[3])
        found += [
            {"table": children.table, "metric": name, "distance": value, HALVES: floors.get(name, np.nan)}
            for name, value in figures.items()
        ]
        scores = _named_scores(views[0], views[1], figures, rules[0][children.table])
        floor = _named_scores(views[2], views[3], floors, 1.0)
        named += [
            {"table": children.table, "metric": name, "score": value, HALVES: floor[name]}
            for name, value in scores.items()
        ]
    return HistoryReport(
        pd.DataFrame(found),
        *rules,
        scores=pd.DataFrame(named),
        pictures=pictures_of({"real": tables, "synthetic": tables_synth}, meta, key),
    )


def pictures_of(tables: Mapping[str, Mapping[str, pd.DataFrame]], meta: TablesMeta, key: str) -> Markup:
    """Pictures of tables of persons.

    Args:
        tables: By what they are called, the synthetic ones last: of these alone single persons are shown.
        meta: Their metadata.
        key: The column that names the person.
    """
    parts, last = [], list(tables)[-1]
    for place, children in enumerate(meta.children):
        views = {called: _View(each, meta, place, key) for called, each in tables.items()}
        if children.of is None:
            parts.append(timelines(tables[last], meta, children, key))
        events = {called: view.events for called, view in views.items()}
        name = named_column(next(iter(events.values())).df, (children.gap,))
        if name is not None and children.order is not None:
            columns = {called: (own.df[name], own.position) for called, own in events.items()}
            parts.append(transitions(columns, name, children))
        persons = next(iter(views.values()))
        group = named_column(persons.holders[persons.persons], ())
        if group is not None and children.exactly is None:
            numbers = {c: (view.holders[group], view.events.number) for c, view in views.items()}
            parts.append(group_numbers(numbers, group, children))
    return join(parts)


def _named_scores(one: _View, two: _View, figures: dict[str, float], integrity: float) -> dict[str, float]:
    """Figures under the names that SDMetrics gives them: 1 is best."""
    real, made = one.events.number, two.events.number
    low, high = (int(real.min()), int(real.max())) if len(real) else (0, 0)
    found = {
        "CardinalityShapeSimilarity": 1 - _ks(real.astype(float), made.astype(float)),
        "CardinalityBoundaryAdherence": float(np.mean((made >= low) & (made <= high))) if len(made) else 1.0,
        "SequenceLengthSimilarity": 1 - _ks(real[real > 0].astype(float), made[made > 0].astype(float)),
        "ReferentialIntegrity": integrity,
        "IntertableTrends": 1 - figures["person's column x row's"],
    }
    for metric, value in figures.items():
        _, bracket, name = metric.removesuffix(")").partition(" (")
        if bracket:  # the name of SDMetrics stands behind ours
            found[name] = 1 - value
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _halves(
    tables: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The rows of every other person, and those of the others."""
    known = pd.unique(pd.concat([tables[meta.parent or meta.children[0].table][key]]))
    first = set(np.random.default_rng(0).permutation(known)[: len(known) // 2].tolist())
    inside = {name: df[key].isin(first) for name, df in tables.items()}
    return (
        {name: df[inside[name]].reset_index(drop=True) for name, df in tables.items()},
        {name: df[~inside[name]].reset_index(drop=True) for name, df in tables.items()},
    )


def kept_rules(
    tables: Mapping[str, pd.DataFrame], meta: TablesMeta, key: str
) -> tuple[dict[str, float], dict[str, float]]:
    """What must hold in synthetic tables: shares of keys that fit, and of rows in order, by table.

    Args:
        tables: Synthetic tables by name.
        meta: Their metadata.
        key: The column that names the person.
    """
    integrity, ordered = {}, {}
    for each in meta.children:
        df = tables[each.table]
        fits = df[key].isin(tables[meta.parent][key]) if meta.parent else pd.Series(data=True, index=df.index)
        named = [key]
        if each.above is not None and each.row_key is not None:
            named = [key, each.row_key]
            above = pd.MultiIndex.from_frame(tables[each.above][named])
            fits = pd.Series(pd.MultiIndex.from_frame(df[named]).isin(above))
        integrity[each.table] = float(fits.mean()) if len(df) else 1.0
        if each.column is not None:
            values = pd.Series(comparable(df[each.column]).astype(np.float64))
            steps = values.groupby([df[name].to_numpy() for name in named]).diff().dropna()
            right = steps <= 0 if each.descending else steps >= 0
            ordered[each.table] = float(right.mean()) if len(steps) else 1.0
    return integrity, ordered


class _Cells:
    """Cells of a column of the real rows."""

    def __init__(self, values: pd.Series) -> None:
        numbers = _numbers(values)
        self._edges = self._names = None
        if numbers is None or len(np.unique(numbers[~np.isnan(numbers)])) <= FEW_VALUES:
            common = values.dropna().astype(str).value_counts().index[:CATEGORIES]
            self._names = {name: place for place, name in enumerate(common)}
            self.size = len(self._names) + 2
        else:
            self._edges = np.unique(np.nanquantile(numbers, np.arange(1, 10) / 10))
            self.size = len(self._edges) + 2

    def __call__(self, values: pd.Series) -> NDArray[np.int64]:
        """The cell of each value; the last one is that of missing ones."""
        absent = missing_values(values)
        if self._edges is not None:
            numbers = _numbers(values)
            found = np.searchsorted(self._edges, np.zeros(len(values)) if numbers is None else numbers)
        else:
            named = self._names or {}
            found = values.astype(str).map(named).fillna(self.size - 2).to_numpy(np.int64)
        return np.where(absent, self.size - 1, found).astype(np.int64)


def _numbers(values: pd.Series) -> NDArray[np.float64] | None:
    """Numbers, times and durations as float64, NaN where missing; None for anything else."""
    kinds = pd.api.types
    if kinds.is_bool_dtype(values.dtype):
        return None
    if kinds.is_numeric_dtype(values.dtype):
        return values.to_numpy(np.float64, na_value=np.nan)
    if kinds.is_datetime64_any_dtype(values.dtype) or kinds.is_timedelta64_dtype(values.dtype):
        found = comparable(values).astype(np.float64)
        return np.where(missing_values(values), np.nan, found)
    return None


def _holders(histories: Histories, meta: TablesMeta, children: Children) -> pd.DataFrame:
    """To whom the rows of a table belong: persons, or rows above beside what is known of their persons."""
    if children.above is None:
        return histories.df
    rows = histories.events[meta.place(children.above)]
    persons = histories.df.iloc[rows.unit].reset_index(drop=True)
    return pd.concat([rows.df, persons[[name for name in persons if name not in rows.df]]], axis=1)


class _View:
    """One table of events beside its persons."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], meta: TablesMeta, place: int, key: str) -> None:
        histories = read_histories(tables, meta, key, np.random.default_rng(0))
        self.holders = _holders(histories, meta, meta.children[place])
        self.children: Children = meta.children[place]
        self.events = histories.events[place]
        number = f"{self.children.number}"
        others = {each for one in meta.children for each in (one.number, one.first)}
        ids = {key} | {
            each.name
            for each in (meta.tables[meta.parent].columns if meta.parent else ())
            if each.kind == "id"
        }
        self.persons = [name for name in self.holders if name not in others | ids]
        self.rows = [name for name in self.events.df if name not in {self.children.gap, *others}]
        self.columns: dict[tuple[str, str], pd.Series] = {("number", ""): self.holders[number].astype(str)}
        self.columns |= {("person", name): self.holders[name] for name in self.persons}
        self.columns |= {("row", name): self.events.df[name] for name in self.rows}
        if self.children.gapped:
            self.columns["gap", ""] = self.events.df[self.children.gap]
            self.columns["first", ""] = self.holders[self.children.first]

    def cells(self) -> dict[tuple[str, str], _Cells]:
        """Cells of its columns."""
        return {name: _Cells(values) for name, values in self.columns.items()}

    def after(self, steps: int) -> NDArray[np.int64]:
        """Rows that are so many places behind another one of their person."""
        return np.flatnonzero(self.events.position >= steps)


Codes = dict[tuple[str, str], "NDArray[np.int64]"]


def _distances(
    cells: dict[tuple[str, str], _Cells], one: _View, real: Codes, two: _View, made: Codes
) -> dict[str, float]:
    """Every metric, by name."""
    both = ((one, real), (two, made))

    def apart(first: tuple[str, str], second: tuple[str, str] | None, pick: Callable[[_View], Any]) -> float:
        """Distance of the joint distributions of one or two columns, of what `pick` chooses of each."""
        tables = []
        for view, codes in both:
            chosen = pick(view)
            cell = codes[first][chosen[0]]
            if second is not None:
                cell = cell * cells[second].size + codes[second][chosen[1]]
            counts = np.bincount(cell, minlength=cells[first].size * (cells[second].size if second else 1))
            tables.append(counts / max(counts.sum(), 1))
        return float(0.5 * np.abs(tables[0] - tables[1]).sum())

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else np.nan

    def of_person(_: _View) -> Any:  # noqa: ANN401 - indices
        return slice(None), slice(None)

    def with_person(view: _View) -> Any:  # noqa: ANN401 - indices
        return view.events.person, slice(None)

    def before(steps: int) -> Callable[[_View], Any]:
        return lambda view: (view.after(steps) - steps, view.after(steps))

    number, persons, rows = (
        ("number", ""),
        [("person", n) for n in one.persons],
        [("row", n) for n in one.rows],
    )
    found = {
        "number of rows": apart(number, None, of_person),
        "number x person's column": mean([apart(number, each, of_person) for each in persons]),
        "person's column x row's": mean([apart(p, r, with_person) for p in persons for r in rows]),
        "number x row's column": mean([apart(number, each, with_person) for each in rows]),
        "row's column": mean([apart(each, None, of_person) for each in rows]),
        "two columns of a row": mean([apart(*pair, of_person) for pair in itertools.combinations(rows, 2)]),
        "row before x row, same column": mean([apart(each, each, before(1)) for each in rows]),
        "row before x row, two columns": mean([apart(a, b, before(1)) for a in rows for b in rows if a != b]),
        "two rows before x row, same column": mean([apart(each, each, before(2)) for each in rows]),
    }
    if one.children.gapped:
        gap = ("gap", "")
        found["gap"] = apart(gap, None, lambda view: (view.after(1), None))
        found["gap x row before"] = mean([apart(each, gap, before(1)) for each in rows])
        found["first value"] = apart(("first", ""), None, of_person)
    return found | _of_persons(one, two)


def _of_persons(one: _View, two: _View) -> dict[str, float]:
    """Kolmogorov-Smirnov distances of a person's mean value and mean step, of numbers."""
    means, steps = [], []
    for name in one.rows:
        values = [_numbers(view.columns["row", name]) for view in (one, two)]
        if values[0] is None or values[1] is None:
            continue
        pairs = list(zip((one, two), values, strict=True))
        means.append(
            _ks(*(_by_person(numbers, view.events.person) for view, numbers in pairs if numbers is not None))
        )
        steps.append(_ks(*(_steps(numbers, view) for view, numbers in pairs if numbers is not None)))
    if not means:
        return {}
    return {
        "mean of a person (StatisticMSAS)": float(np.mean(means)),
        "mean step of a person (InterRowMSAS)": float(np.mean(steps)),
    }


def _steps(numbers: NDArray[np.float64], view: _View) -> NDArray[np.float64]:
    later = view.after(1)
    return _by_person(numbers[later] - numbers[later - 1], view.events.person[later])


def _by_person(numbers: NDArray[np.float64], person: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = pd.Series(numbers).groupby(person).mean().dropna().to_numpy()
    return found


def _ks(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    from scipy.stats import ks_2samp

    if not len(one) or not len(two):
        return float(len(one) != len(two))
    # the statistic alone is wanted; an exact p-value may warn that it could not be computed
    return float(ks_2samp(one, two, method="asymp").statistic)
