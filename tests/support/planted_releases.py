"""Mistakes in releases, each planted in a double of the real function: they cost too much, or pass by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.learning import run as run_module
from jupyter_dpsynth.engine.measuring import (
    categories,
    codes,
    interactions,
    marginals,
    measure,
    numbers,
    orderings,
    reading,
    resolution,
    spans,
    weighing,
)
from jupyter_dpsynth.engine.model.plan import (
    DIFFERENCES,
    INTERACTIONS,
    MARGINALS,
    NAMED_TABLES,
    ORDERINGS,
    PAIRS,
    RARE_CATEGORIES,
    RESOLUTION_HISTOGRAMS,
    ROW_COUNT,
    SPANS,
    STRENGTHS,
    VALUE_HISTOGRAMS,
    unit_caps,
)
from jupyter_dpsynth.engine.model.reference import dependence_from, pair_distances
from jupyter_dpsynth.evaluation import history_private, private, private_orders
from jupyter_dpsynth.evaluation.history_private import COUNT
from jupyter_dpsynth.inference import asking
from jupyter_dpsynth.inference.asking import JOINT_TABLE
from jupyter_dpsynth.persons import events as persons_events
from jupyter_dpsynth.persons import histories as persons_histories
from jupyter_dpsynth.persons import measuring as persons_measuring
from jupyter_dpsynth.persons import run as persons_run
from jupyter_dpsynth.persons.planning import FOLLOWED
from jupyter_dpsynth.privacy.releases import ROW_PARTS, Allowance
from jupyter_dpsynth.sources.base import FrameSource

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.support.release_cases import ROWS


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is counted is counted twice."""
    return lambda *arguments, **options: 2 * function(*arguments, **options)


def places_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every row is in its cell twice."""
    return lambda *arguments, **options: np.tile(function(*arguments, **options), 2)


def rows_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """All rows are read twice."""
    return lambda codes, *others: function(np.concatenate([codes, codes]), *others)


def cells_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """The exact counts of every column's cells are twice what they are."""
    return lambda exact, *others: function([2 * each for each in exact], *others)


def scores_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """A score's sensitivity is 2: the L1 norm of the sums and not half of it."""

    def scored(*arguments: Any) -> Any:
        found, scores = function(*arguments)
        return found, 2 * scores

    return scored


def found_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every row's value is found twice."""

    def find(*arguments: Any, **options: Any) -> Any:
        found = function(*arguments, **options)
        return replace(found, places=np.tile(found.places, 2))

    return find


def differences_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every difference of two dates counts twice."""

    def read(*arguments: Any, **options: Any) -> Any:
        found = function(*arguments, **options)
        return replace(found, present=np.tile(found.present, 2))

    return read


def capped_by_row(_: Callable[..., Any]) -> Callable[..., Any]:
    """All rows of a person count, and not only as many as its cap."""
    return lambda codes, person, size, cap: (
        np.bincount(codes[codes >= 0], minlength=size) * int(persons_measuring.PARTS // cap)
    )


def without_noise(_: Callable[..., Any]) -> Callable[..., Any]:
    """Counts pass by the door."""
    return lambda allowance, exact, parts=1: np.asarray(exact) / parts


def figures_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """All figures are released twice as large."""
    return lambda allowance, exact, parts=1: function(allowance, 2 * exact, parts) / 2


def best(_: Callable[..., Any]) -> Callable[..., Any]:
    """The highest score is chosen, without noise."""
    return lambda allowance, exact, parts=1: int(np.argmax(exact))


def exact_losses(function: Callable[..., Any]) -> Callable[..., Any]:
    """How many rows had to be moved is told as it is."""

    def measured(exact: Any, discovered: Any, allowance: Any, row: float) -> Any:
        counts, variances, _ = function(exact, discovered, allowance, row)
        sizes = [each.codec.size for each in discovered]
        return counts, variances, [own[size:] for own, size in zip(exact, sizes, strict=True)]

    return measured


def exact_parents(function: Callable[..., Any]) -> Callable[..., Any]:
    """On which others a column depends is chosen by exact distances."""

    def measured(codes: Any, shares: Any, rows: float, *others: Any) -> Any:
        _, noise = function(codes, shares, rows, *others)
        sizes = np.array([len(share) for share in shares])
        return dependence_from(
            pair_distances(codes, sizes, shares, rows) / ROW_PARTS, len(sizes), rows
        ), noise

    return measured


def exact_pairs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which pairs are compared follows from exact values."""

    def measured(source: Any, codec: Any, reference: Any, *others: Any) -> Any:
        dependence = np.corrcoef(codec.encode(source.described).T)
        return function(source, codec, replace(reference, dependence=np.abs(dependence)), *others)

    return measured


def exact_histories(function: Callable[..., Any]) -> Callable[..., Any]:
    """What of a history its next event depends on is chosen by exact distances."""
    at = SimpleNamespace(counts=lambda exact, parts: exact / parts)
    return lambda *arguments: function(*arguments[:-1], at)


def exact_shares(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which events end a history is decided by exact counts."""

    def measured(codes: Any, person: Any, size: int, cap: float, allowance: Allowance) -> Any:
        function(codes, person, size, cap, allowance)
        return persons_measuring.capped_counts(codes, person, size, cap) / persons_measuring.PARTS

    return measured


def length_twice(_: property) -> property:
    """All rows count twice."""
    return property(lambda own: 2 * len(own.described))


def weighed_as_the_mean(function: Callable[..., Any]) -> Callable[..., Any]:
    """A row's weight follows from all rows of the table, and not from those of its own person."""

    def weights(units: Any, plan: Any, source: Any = None, **options: Any) -> Any:
        found = function(units, plan, source, **options)
        return replace(found, weights=np.full_like(found.weights, int(found.weights.mean())))

    return weights


def capped_after_counting(_: Callable[..., Any]) -> Callable[..., Any]:
    """All rows of a person count fully in what is counted."""
    return lambda cells, weights, size: int(weights.max()) * np.bincount(cells, minlength=size)


def exact_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """As how many rows a person counts is chosen by exact numbers of rows."""

    def counted(source: Any, units: Any, *others: Any) -> Any:
        rows, _ = function(source, units, *others)
        sizes = np.diff(units.starts)
        return rows, tuple(float(np.minimum(sizes, cap).sum()) for cap in unit_caps(5))

    return counted


def numbers_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """The persons' numbers of rows count twice."""
    return lambda units, caps: 2 * function(units, caps)


def levels_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """How finely a moment is recorded counts twice."""
    return lambda part: np.tile(function(part), 2)


def published_by_counts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which categories are published is decided by exact counts."""

    def measured(self: Any, allowance: Allowance, delta: float) -> None:
        function(self, allowance, delta)
        self._published = self._exact[:-1] > ROWS / 100

    return measured


def number_as_it_is(_: Callable[..., Any]) -> Callable[..., Any]:
    """The number of persons leaves without noise."""
    return lambda histories, *_: float(len(histories.df))


def table_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """All rows are encoded twice."""

    def encoded(source: Any, codec: Any) -> Any:
        codes = function(source, codec).codes
        return SimpleNamespace(codes=np.concatenate([codes, codes]))

    return encoded


def predictions_twice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every right prediction counts twice."""
    return lambda *arguments: twice(function(*arguments))


def whole_rows(_: Callable[..., Any]) -> Callable[..., Any]:
    """Every row of a person counts as much as a person."""

    def counts(self: Any, coded: Any, figure: Any) -> Any:
        cells, size = self._cells(coded, figure)
        return persons_measuring.PARTS * np.bincount(cells[cells >= 0], minlength=size)

    return counts


def exact_masses(function: Callable[..., Any]) -> Callable[..., Any]:
    """How many persons have such rows is counted in the private tables."""

    def distances(self: Any, coded: Any, figures: Any, persons: float) -> Any:
        found, _ = function(self, coded, figures, persons)
        exact = [self.counts(coded, figure).sum() for figure in figures]
        return found, np.array(exact) / (persons_measuring.PARTS * persons)

    return distances


def one_of_each_member(function: Callable[..., Any]) -> Callable[..., Any]:
    """Values are found in one row of each member of a household, and not of each household."""

    def each(unit: Any, lots: Any, among: Any) -> Any:
        function(unit, lots, among)
        return np.flatnonzero(among)

    return each


def a_member_counts_whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every member of a household counts as much as a household."""

    def measured(codes: Any, unit: Any, size: int, cap: float, allowance: Allowance) -> Any:
        return function(codes, np.arange(len(unit)), size, cap, allowance)

    return measured


@dataclass(frozen=True)
class Bug:
    """A mistake.

    Attributes:
        case: In which case it shows.
        names: Of the measurements that it is about.
        place: Where it is planted: a module or a class,
        function: and the function there.
        plant: Makes the mistaken one of the real one.
    """

    case: str
    names: tuple[str, ...]
    place: Any
    function: str
    plant: Callable[[Any], Any]

    def __str__(self) -> str:
        return f"{self.plant.__name__} in {self.function} of {self.case}"


EVALUATED = ("columns", "pairs", "independent pairs")
BUGS = (
    Bug("row count", (ROW_COUNT,), FrameSource, "rows", length_twice),
    Bug("row count", (ROW_COUNT,), Allowance, "counts", without_noise),
    Bug("one table", (RESOLUTION_HISTOGRAMS,), resolution, "_level_of_moments", levels_twice),
    Bug("one table", (VALUE_HISTOGRAMS,), categories, "_declared_cells", places_twice),
    Bug("one table", (VALUE_HISTOGRAMS,), numbers, "count_in", twice),
    Bug("one table", (VALUE_HISTOGRAMS, RARE_CATEGORIES), categories, "_find_places", found_twice),
    Bug("one table", (RARE_CATEGORIES,), categories.CategorySearch, "measure", published_by_counts),
    Bug("one table", (DIFFERENCES,), reading, "_present_differences", differences_twice),
    Bug("one table", (MARGINALS,), measure, "measure_one_way", cells_twice),
    Bug("one table", (MARGINALS,), measure, "measure_one_way", exact_losses),
    Bug("one table", (PAIRS,), marginals, "pair_distances", twice),
    Bug("one table", (PAIRS,), measure, "measure_pairs", exact_parents),
    Bug("one table", (NAMED_TABLES,), measure, "measure_tables", rows_twice),
    Bug("rows of persons", (ROW_COUNT,), run_module, "capped_rows", numbers_twice),
    Bug("rows of persons", (ROW_COUNT,), run_module, "_count_rows", exact_numbers),
    Bug("rows of persons", (VALUE_HISTOGRAMS, PAIRS), weighing.RowWeights, "of", weighed_as_the_mean),
    Bug("rows of persons", (MARGINALS,), codes, "weighed_counts", capped_after_counting),
    Bug("one table", (SPANS,), spans, "_classes", places_twice),
    Bug("one table", (ORDERINGS,), orderings, "_sides", places_twice),
    Bug("one table", (ORDERINGS,), measure, "measure_orderings", exact_pairs),
    Bug("interactions", (INTERACTIONS, STRENGTHS), interactions, "interaction_scores", scores_twice),
    Bug("interactions", (INTERACTIONS,), Allowance, "choose", best),
    Bug("interactions", (STRENGTHS,), Allowance, "counts", without_noise),
    Bug("interactions", (STRENGTHS,), Allowance, "counts", figures_twice),
    Bug("persons", (ROW_COUNT,), persons_run, "_count", number_as_it_is),
    Bug("persons", (MARGINALS, FOLLOWED), persons_measuring, "capped_counts", capped_by_row),
    Bug("persons", (FOLLOWED,), persons_events, "measure_shares", exact_shares),
    Bug("persons", (PAIRS,), persons_measuring, "pair_parts", twice),
    Bug("persons", (PAIRS,), persons_events, "measure_event_pairs", exact_histories),
    Bug("households", (MARGINALS,), persons_histories, "_one_each", one_of_each_member),
    Bug("households", (MARGINALS,), persons_events, "measure_shares", a_member_counts_whole),
    Bug("question", (JOINT_TABLE,), asking, "encode_table", table_twice),
    Bug("question", (JOINT_TABLE,), Allowance, "counts", without_noise),
    Bug("evaluation", EVALUATED, private.PrivateEvaluation, "whole_distances", twice),
    Bug("evaluation", ("orders",), private_orders, "_sides", twice),
    Bug("evaluation", ("prediction",), private, "prediction_counter", predictions_twice),
    Bug("evaluation", (*EVALUATED, "orders", "prediction", ROW_COUNT), Allowance, "counts", without_noise),
    Bug("evaluation of persons", (COUNT,), Allowance, "counts", without_noise),
    Bug("evaluation of persons", (), history_private.HistoryEvaluation, "counts", whole_rows),
    Bug("evaluation of persons", (), history_private.HistoryEvaluation, "distances", exact_masses),
)
