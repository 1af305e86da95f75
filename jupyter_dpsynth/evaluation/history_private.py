"""Measures with noise how close synthetic tables of persons come to the real ones, to be published.

What is measured is fixed before a row is read: the number of persons, and distances of the tables' shares
from those of the synthetic tables, which are public. Everybody counts once, however many rows it has: the
rows of a person in one table share its weight. One person moves each distance by at most one.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.display.console import ConsoleProgress
from jupyter_dpsynth.engine.planning.counting import NOMINAL_DELTA
from jupyter_dpsynth.engine.sampling.provenance import require_synthetic
from jupyter_dpsynth.errors import ConfigError, DataError, shielded
from jupyter_dpsynth.evaluation.figures import Measured
from jupyter_dpsynth.evaluation.history_report import FigureGroup, PrivateHistoryReport
from jupyter_dpsynth.persons.blocks import previous_codes
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.persons.learned import LearnedPersons
from jupyter_dpsynth.persons.learning import in_memory, opened_tables
from jupyter_dpsynth.persons.left import losses_of_tables
from jupyter_dpsynth.persons.measuring import PARTS
from jupyter_dpsynth.persons.planning import persons_config
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, compute_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.composition import provisional_spending
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import label_of
from jupyter_dpsynth.privacy.ledger.once import OwnMeasurement
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import PlannedRelease, Releases
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.identity import identify_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.persons.histories import Histories
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["HistoryEvaluation", "evaluate_histories"]

COUNT, COUNT_SHARE = "number of persons", 0.2
MOST_PAIRS = 300  # of persons' columns; more tell little about the mean
LEAST_MASS = 0.02  # of all persons have what a distance is about; of fewer it is told of so many
LARGEST_ERROR = 0.25  # of a mean distance; beyond, a report would be noise alone
MARGIN = 1 - 1e-5  # of mu, for the accountant's rounding


def evaluate_histories(
    synthesizer: HighDimSynthesizer,
    tables: object,
    tables_synth: Mapping[str, pd.DataFrame] | None,
    *,
    epsilon: float,
    dataset: str | None,
    label: str,
    new_dataset: bool,
    infinite_total: bool,
    ledger: PrivacyLedger | None,
    tell: Callable[[str], object] | None,
    noise: NoiseSource | None,
    synthetic: bool,
) -> PrivateHistoryReport:
    """What `evaluate_privately` does with several tables; its arguments are described there.

    Raises:
        ConfigError: One table was learned, not several.
        DataError: The tables are not those that were learned, or not known to be synthetic; or (spent, and
            said so) epsilon is too small for them.

    Privacy:
        (epsilon, delta)-differentially private for adding or removing all rows of one person in all tables.
    """
    learned = synthesizer.learned
    if not isinstance(learned, LearnedPersons):
        raise ConfigError("one table was learned: evaluate it with evaluate_privately.")
    opened = in_memory(opened_tables(tables, learned.meta))
    made = synthesizer.synthesize() if tables_synth is None else tables_synth
    if set(made) != set(learned.meta.tables):
        names = ", ".join(map(repr, learned.meta.tables))
        raise DataError(f"df_synth: pass the tables {names} as a dict of DataFrames.")
    for name, each in learned.meta.tables.items():
        each.check(made[name])
        own = made[name] is opened[name] or synthesizer.was_learned_from(made[name])
        require_synthetic(made[name], original=own, synthetic=synthetic)
    evaluation = HistoryEvaluation(synthesizer, made, epsilon, noise)
    first = learned.meta.parent or learned.meta.children[0].table

    def run() -> PrivateHistoryReport:
        # whether arithmetic overflows depends on single values: no warning may tell
        with np.errstate(all="ignore"):
            named = dataset or opened[first].attrs.get("dataset")
            identity = identify_table(FrameSource(opened[first]), named, label, new=new_dataset)
            others = [
                identify_table(FrameSource(df), None, label_of(name), new=new_dataset)
                for name, df in opened.items()
                if name != first
            ]
            book = PrivacyLedger() if ledger is None else ledger
            reserves, unit = evaluation.reserves, evaluation.plan.unit
            further = provisional_spending(reserves, evaluation.delta, unit)
            words = book.account(identity, further, others).sentence(reserves, unit)
            (tell or ConsoleProgress().line.keep)(words)
            return evaluation.execute(opened, identity, book, infinite_total=infinite_total, together=others)

    return shielded(run, "the evaluation failed")


@dataclass(frozen=True, eq=False)
class _Coded:
    """Tables as codes.

    Attributes:
        persons: Of the persons, `[n, columns]`.
        events: Of each table of rows: whose each is, `[R]`, its place in the history, and its codes
            `[R, columns]`, -1 for the gap of a first row.
    """

    persons: NDArray[np.int64]
    events: tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], ...]


@dataclass(frozen=True)
class _Figure:
    """One distance: of one or two columns, each of the persons, of the rows, or of the rows before.

    Attributes:
        name: What it is called.
        place: Of which table of rows; None of persons.
        columns: Which columns: 'person', 'row' or 'before', and its place there.
    """

    name: str
    place: int | None
    columns: tuple[tuple[str, int], ...]


class HistoryEvaluation(OwnMeasurement["Mapping[str, pd.DataFrame]", PrivateHistoryReport]):
    """One evaluation: everything public is prepared first, then the rows are read.

    Args:
        synthesizer: The synthesizer of the tables.
        tables_synth: Synthetic tables.
        epsilon: What may be spent.
        noise: Source of noise; operating-system entropy by default.

    Attributes:
        groups: What is measured, by the name of the measurement.
    """

    what = "evaluation"

    def __init__(
        self,
        synthesizer: HighDimSynthesizer,
        tables_synth: Mapping[str, pd.DataFrame],
        epsilon: float,
        noise: NoiseSource | None = None,
    ) -> None:
        learned = synthesizer.learned
        if not isinstance(learned, LearnedPersons):
            raise TypeError
        self.learned, self.asked = learned, float(epsilon)
        self.noise = noise or NoiseSource()
        self.delta = synthesizer.delta or NOMINAL_DELTA
        self.groups = _groups(learned)
        shares = {name: (1 - COUNT_SHARE) / len(self.groups) for name in self.groups}
        mu = MARGIN * gaussian_mu(self.asked, self.delta)
        details = {COUNT: "", **{name: f"{len(own)} distances" for name, own in self.groups.items()}}
        self.plan = PrivacyPlan(
            tuple(
                GaussianMeasurement(name, 1 / math.sqrt(share) / mu, details[name])
                for name, share in {COUNT: COUNT_SHARE, **shares}.items()
            ),
            unit=persons_config(synthesizer.config.resolve()).unit_text,
        )
        self.epsilon = compute_epsilon(self.plan, self.delta)
        self.synthetic = shielded(lambda: self._coded(tables_synth), "encoding df_synth failed")

    @property
    def releases(self) -> tuple[PlannedRelease, ...]:
        """The measurements of `plan` with their sensitivities, in persons."""
        # one person changes every distance by at most one
        return tuple(
            PlannedRelease(each, math.sqrt(len(self.groups.get(each.name, ("number",)))))
            for each in self.plan.measurements
        )

    def measure(self, source: Mapping[str, pd.DataFrame]) -> PrivateHistoryReport:
        """Read the private tables once.

        Args:
            source: The tables by name.

        Raises:
            DataError: By the noisy count, epsilon is too small for the tables.
        """
        releases = Releases(self.noise, self.releases)
        coded = self._coded(source)
        counting = releases.allowance(COUNT)
        count = float(counting.counts(np.array([len(coded.persons)]))[0])
        persons = max(count, 2.0)
        self._check_signal(persons)
        found = [self._group(releases, name, coded, persons, counting.noise) for name in self.groups]
        return PrivateHistoryReport(
            groups=tuple(found),
            persons=persons,
            persons_error=counting.noise,
            synthetic_persons=len(self.synthetic.persons),
            plan=self.plan,
            epsilon=None if self.noise.test_only else self.epsilon,
            delta=self.delta,
            losses=losses_of_tables(self.learned),
        )

    def _check_signal(self, persons: float) -> None:
        worst = max(each.noise() / each.sensitivity for each in self.releases) / (2 * persons)
        if worst > LARGEST_ERROR:
            needed = persons * worst / LARGEST_ERROR
            raise DataError(
                f"epsilon = {self.asked:g} is too small to evaluate these tables: about {persons:,.0f} "
                f"persons were counted (with noise), but about {needed:,.0f} are needed for anything to "
                "stand out from the noise. The ledger counts this evaluation as spent. Use more persons "
                "or a larger epsilon."
            )

    def _coded(self, tables: Mapping[str, pd.DataFrame]) -> _Coded:
        """Tables as codes of the model's cells; what no synthetic row can have has codes of its own."""
        learned = self.learned
        histories: Histories = read_histories(tables, learned.meta, learned.key, self.noise.generator)
        events = []
        for each, own in zip(learned.events, histories.events, strict=True):
            codes = each.codec.encode_apart(own.df).astype(np.int64)
            if each.children.gapped:
                codes[own.position == 0, 0] = -1
            events.append((own.unit, own.position, codes))
        return _Coded(learned.codec.encode_apart(histories.df).astype(np.int64), tuple(events))

    def counts(self, coded: _Coded, figure: _Figure) -> NDArray[np.int64]:
        """How many persons have each cell, in parts of a person, exact: private where the tables are.

        Args:
            coded: Tables.
            figure: Of what.

        Privacy:
            Not private. One person with all its rows changes it by at most `PARTS` in L1 norm.
        """
        cells, size = self._cells(coded, figure)
        owner = np.arange(len(coded.persons)) if figure.place is None else coded.events[figure.place][0]
        counted = cells >= 0
        own = np.bincount(owner[counted], minlength=1)
        weight = np.floor(PARTS / np.maximum(own, 1))
        # whole numbers below 2^53 are exact in float64
        return np.bincount(cells[counted], weight[owner[counted]], minlength=size).astype(np.int64)

    def _cells(self, coded: _Coded, figure: _Figure) -> tuple[NDArray[np.int64], int]:
        """The cell of each person or row, -1 where there is none, and how many cells there are."""
        found, size = None, 1
        for kind, column in figure.columns:
            if kind == "person":
                own, own_size = coded.persons[:, column], int(self.learned.codec.sizes_apart[column])
                own = own if figure.place is None else own[coded.events[figure.place][0]]
            else:
                place = figure.place or 0
                _, position, codes = coded.events[place]
                codes = previous_codes(codes, position, 1) if kind == "before" else codes
                own, own_size = codes[:, column], int(self.learned.events[place].codec.sizes_apart[column])
            there = own >= 0 if found is None else (found >= 0) & (own >= 0)
            found = np.where(there, own if found is None else found * own_size + own, -1)
            size *= own_size
        if found is None:
            raise TypeError
        return found, size

    def distances(
        self, coded: _Coded, figures: tuple[_Figure, ...], persons: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """L1 distances from the synthetic tables, in parts of a person, and the mass that each is about.

        Privacy:
            Not private. One person changes each distance by at most `PARTS`.
        """
        out, mass = np.zeros(len(figures), np.int64), np.zeros(len(figures))
        for place, figure in enumerate(figures):
            made = self.counts(self.synthetic, figure) / (PARTS * max(len(self.synthetic.persons), 1))
            expected = np.rint(PARTS * persons * made).astype(np.int64)
            out[place] = np.abs(self.counts(coded, figure) - expected).sum()
            mass[place] = max(made.sum(), LEAST_MASS)
        return out, mass

    def _group(
        self, releases: Releases, name: str, coded: _Coded, persons: float, count_error: float
    ) -> FigureGroup:
        """Noisy distances of a group: one measurement of the plan; the count's error adds to all of them."""
        figures = self.groups[name]
        allowance = releases.allowance(name, sensitivity=math.sqrt(len(figures)))
        distances, mass = self.distances(coded, figures, persons)
        scale = 2 * persons * mass
        noisy = allowance.counts(distances, PARTS) / scale
        measured = [
            Measured(figure.name, float(value), math.hypot(allowance.noise, count_error) / own, good)
            for figure, value, own, good in zip(
                figures, noisy, scale.tolist(), (self._chance(each, persons) for each in figures), strict=True
            )
        ]
        noise = allowance.noise * float(np.sqrt((1 / scale**2).sum())) / len(figures)
        mean_error = math.hypot(noise, count_error * float((1 / scale).mean()))
        return FigureGroup(name, tuple(sorted(measured, key=lambda each: -each.value)), mean_error)

    def _chance(self, figure: _Figure, persons: float) -> float:
        """About what two samples of one population would give: public."""
        made = self.counts(self.synthetic, figure) / PARTS
        own = len(self.synthetic.persons)
        share = np.minimum(made / max(own, 1), 1.0)
        mass = max(float(share.sum()), LEAST_MASS)
        spread = np.sqrt(share * (1 - share) * (1 / persons + 1 / max(own, 1)))
        return float(math.sqrt(2 / math.pi) * spread.sum() / (2 * mass))


def _groups(learned: LearnedPersons) -> dict[str, tuple[_Figure, ...]]:
    """What is compared, by the names of the measurements: follows from the model's columns alone."""
    persons = list(enumerate(learned.codec.names))
    of_persons = [_Figure(name, None, (("person", place),)) for place, name in persons]
    pairs = [
        _Figure(f"{one} and {two}", None, (("person", first), ("person", second)))
        for (first, one), (second, two) in itertools.islice(itertools.combinations(persons, 2), MOST_PAIRS)
    ]
    found = {"columns of persons": of_persons, "pairs of columns of persons": pairs}
    for place, each in enumerate(learned.events):
        table = each.children.table
        rows = list(enumerate(each.codec.names))
        found[f"columns of {table!r}"] = [_Figure(name, place, (("row", at),)) for at, name in rows]
        found[f"person's column and column of {table!r}"] = [
            _Figure(f"{one} and {two}", place, (("person", first), ("row", second)))
            for (first, one), (second, two) in itertools.product(persons, rows)
        ][:MOST_PAIRS]
        found[f"row before and row of {table!r}"] = [
            _Figure(f"{name}, before and after", place, (("before", at), ("row", at))) for at, name in rows
        ]
    return {name: tuple(own) for name, own in found.items() if own}
