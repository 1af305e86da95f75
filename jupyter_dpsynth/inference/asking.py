"""One question to the real rows, with an epsilon of its own, beside the answer of the model.

The joint table of the question's columns is measured with noise, once, and everything else is computed of it:
rows with values of each of its cells get the noisy counts as weights. The noise is known, so intervals come
from tables that are drawn again and get noise again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from jupyter_dpsynth.display.console import ConsoleProgress
from jupyter_dpsynth.engine.measuring.codes import encode_table
from jupyter_dpsynth.engine.planning.counting import NOMINAL_DELTA
from jupyter_dpsynth.errors import ConfigError, DataError, shielded, shown
from jupyter_dpsynth.inference.inferring import ALIKE, check_level, question_of
from jupyter_dpsynth.inference.results import Estimates
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, compute_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.composition import provisional_spending
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.once import OwnMeasurement
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import PlannedRelease, Releases
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from jupyter_dpsynth.sources.identity import identify_table
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
    from jupyter_dpsynth.sources.base import Source

__all__ = ["Asking", "LedgerName", "answer_of_rows", "compared"]


JOINT_TABLE = "joint table of a question"
MOST_CELLS = 400  # of a joint table: with more, most counts would be noise
MARGIN = 1 - 1e-5  # of mu, for the accountant's rounding
DRAWN = 4000  # rows that stand for the cells, in all
LEAST_OF_CELL, MOST_OF_CELL = 4, 50
AGAIN = 100  # tables that are drawn again
AGREES, DIFFERS = 2.0, 3.0  # standard errors
FEW_ROWS = 5.0  # times the noise of a count
PROMISE = (
    "Intervals for the population that the table was drawn from. They count the sampling of the table and "
    "the noise that was added for this question. They do not count how values were cut into bins and pools, "
    "values moved to bounds, and errors in the table."
)


@dataclass(frozen=True)
class LedgerName:
    """What the ledger is told of the table.

    Attributes:
        dataset: Name of the dataset, or None.
        label: What a table that is new to the ledger and has no such name is called.
        new_dataset: The owner's word that the table is about other people than all tables in the ledger.
        infinite_total: Whether the dataset's total may become infinite.
    """

    dataset: str | None
    label: str
    new_dataset: bool
    infinite_total: bool


class Asking(OwnMeasurement["Source", Estimates]):
    """One question: everything public is prepared first, then the rows are read.

    Args:
        config: Of the run whose cells are used and whose unit of privacy is protected.
        learned: Its released state.
        question: A formula, or a function of rows and their weights.
        family: Of a regression.
        level: Share of such intervals that are meant to hold the true figure.
        columns: Which columns a function uses; None to find out.
        epsilon: What may be spent.
        noise: Source of noise; operating-system entropy by default.

    Attributes:
        plan: What will be measured.
        delta: Delta of the guarantee.

    Raises:
        ConfigError: The question, epsilon or a column cannot be used.
    """

    what = "question"

    def __init__(
        self,
        config: HighDimConfig,
        learned: Learned,
        question: str | Callable[[pd.DataFrame, NDArray[Any]], Any],
        family: str,
        level: float,
        columns: Sequence[str] | None,
        epsilon: float,
        noise: NoiseSource | None = None,
    ) -> None:
        check_level(level)
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < math.inf:
            raise ConfigError(
                f"epsilon = {shown(epsilon)} is not allowed: give a number above 0, such as 0.25."
            )
        self.config, self.learned, self.level = config.resolve(), learned, level
        self.noise, self.asked = noise or NoiseSource(), float(epsilon)
        usual = learned.codec.decode(_any_codes(learned), np.random.default_rng(0))
        self.columns = question_of(usual, learned.codec, question, family, columns).columns
        self._places = [learned.codec.names.index(name) for name in self.columns]
        self.sizes = [int(learned.codec.sizes[place]) for place in self._places]
        cells = math.prod(self.sizes)
        if cells > MOST_CELLS:
            raise ConfigError(
                f"the table of {', '.join(map(repr, self.columns))} has {cells:,} cells; at "
                f"most {MOST_CELLS} can be measured together. Ask about fewer columns or values."
            )
        self.cells, self.df = self._rows_of_cells(cells)
        asked = question_of(self.df, learned.codec, question, family, self.columns)
        self.names, self.title, self._evaluate = asked.names, asked.title, asked.evaluate
        self.notes = asked.notes
        self.delta = learned.receipt.delta or NOMINAL_DELTA
        mu = MARGIN * gaussian_mu(self.asked, self.delta)
        measured = GaussianMeasurement(JOINT_TABLE, 1 / mu, f"{cells} cells of {', '.join(self.columns)}")
        self.plan = PrivacyPlan((measured,), unit=self.config.unit_text)
        self.epsilon = compute_epsilon(self.plan, self.delta)

    def _rows_of_cells(self, cells: int) -> tuple[NDArray[np.int64], pd.DataFrame]:
        """Rows with values of each joint cell, the same number of each, and the cell of each row.

        There are none for cells that did not stand out when the columns were measured, such as those of other
        and of missing values: a coefficient of theirs would be made of noise.
        """
        each = int(np.clip(DRAWN // cells, LEAST_OF_CELL, MOST_OF_CELL))
        present = [self.learned.reference.shares[place] > 0 for place in self._places]
        told = np.logical_and.reduce(np.meshgrid(*present, indexing="ij")).ravel()
        own = np.repeat(np.flatnonzero(told), each)
        codes = _any_codes(self.learned, len(own))
        for place, code in zip(self._places, np.unravel_index(own, self.sizes), strict=True):
            codes[:, place] = code
        df = self.learned.codec.decode(codes, np.random.default_rng(0))
        return own, df

    def cost_so_far(self, ledger: PrivacyLedger, identity: TableIdentity) -> str:
        """What the data has cost, and what this question adds: for the owner."""
        further = provisional_spending(self.reserves, self.delta, self.plan.unit)
        return ledger.account(identity, further).sentence(self.reserves, self.plan.unit)

    def measure(self, source: Source) -> Estimates:
        """Read the private rows once, and answer.

        Privacy:
            One histogram, in which one row counts in one cell, scaled to the most rows of one unit.
        """
        if self.config.privacy_unit is not None:
            unit, most = self.config.privacy_unit, self.config.max_rows_per_unit
            source, _ = limit_rows_per_unit(source, unit, most, self.noise.generator)
        (measurement,) = self.plan.measurements
        planned = PlannedRelease(measurement, unit_rows=self.config.rows_per_unit)
        allowance = Releases(self.noise, (planned,)).allowance(JOINT_TABLE)
        codes = encode_table(source, self.learned.codec).codes
        exact = np.zeros(math.prod(self.sizes), dtype=np.int64)
        chosen = np.asarray(codes[:, self._places], dtype=np.int64)
        np.add.at(exact, np.ravel_multi_index(tuple(chosen.T), self.sizes), 1)
        return self.answer(allowance.counts(exact), allowance.noise)

    def answer(self, counts: NDArray[np.float64], noise: float) -> Estimates:
        """Estimates and intervals from noisy counts.

        Args:
            counts: Noisy count of each joint cell.
            noise: Standard deviation of its noise.

        Raises:
            DataError: The counts are noise alone.

        Privacy:
            Post-processing.
        """
        rows = float(counts.sum())
        if rows < FEW_ROWS * noise * math.sqrt(len(counts)):
            raise DataError(
                f"epsilon = {self.asked:g} is too small for this question: the noise hides the rows. The "
                "ledger counts it as spent. Ask about fewer columns or values, or with a larger epsilon."
            )
        generator = np.random.default_rng(0)
        estimate = self._figures(counts)
        likely = np.maximum(counts, 0) / np.maximum(counts, 0).sum()
        alike = self.config.rows_per_unit  # rows of one person, which may all be in one cell
        drawn = [alike * generator.multinomial(round(rows / alike), likely) for _ in range(AGAIN)]
        again = np.stack([self._figures(each + generator.normal(0, noise, len(counts))) for each in drawn])
        sampled = np.stack([self._figures(each.astype(float)) for each in drawn])
        spread, table = again.std(axis=0, ddof=1), sampled.std(axis=0, ddof=1)
        margin = norm.ppf((1 + self.level) / 2) * spread
        frame = pd.DataFrame(
            {
                "estimate": estimate,
                "se": spread,
                "low": estimate - margin,
                "high": estimate + margin,
                "table": np.minimum(table, spread),
                "noise": np.sqrt(np.maximum(spread**2 - table**2, 0)),
            },
            index=pd.Index(self.names),
        )
        notes = (*self.notes, ALIKE) if alike > 1 else self.notes
        return Estimates(f"{self.title}, of the real rows", frame, self.level, PROMISE, notes)

    def _figures(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is asked, of rows that share their cells' counts."""
        each = np.bincount(self.cells, minlength=len(counts))
        return self._evaluate((np.maximum(counts, 1e-3) / np.maximum(each, 1))[self.cells])


def _any_codes(learned: Learned, rows: int = 200) -> NDArray[np.int32]:
    """Codes of rows that are no secret: cells in turn."""
    sizes = learned.codec.sizes
    return (np.arange(rows)[:, None] % sizes).astype(np.int32)


def answer_of_rows(
    asking: Asking,
    df: object,
    named: LedgerName,
    ledger: PrivacyLedger | None,
    tell: Callable[[str], object] | None,
) -> Estimates:
    """Open a table, tell its owner what it has cost so far, enter the question into the ledger, and answer.

    Args:
        asking: The question.
        df: The private table, in any form that learning takes.
        named: What the ledger is told of it.
        ledger: By default the one in Jupyter's data directory.
        tell: Told what the data has cost so far; by default a line goes to stderr.
    """
    df_meta = asking.learned.codec.df_meta
    with open_source(df) as opened:
        others = [name for name in opened.described.columns if name not in df_meta.names]
        with opened.without(others) as source:
            df_meta.check(source)
            dataset = named.dataset or source.described.attrs.get("dataset")

            def run() -> Estimates:
                # whether arithmetic overflows depends on single values: no warning may tell
                with np.errstate(all="ignore"):
                    identity = identify_table(source, dataset, named.label, new=named.new_dataset)
                    book = PrivacyLedger() if ledger is None else ledger
                    (tell or ConsoleProgress().line.keep)(asking.cost_so_far(book, identity))
                    return asking.execute(source, identity, book, infinite_total=named.infinite_total)

            return shielded(run, "asking failed")


def compared(asked: Estimates, inferred: Estimates) -> Estimates:
    """The answer of the real rows with that of the model beside it, and whether they agree.

    Both answers are of the same table, so its sampling counts once.

    Args:
        asked: What the real rows answered.
        inferred: What the model answered to the same question.
    """
    # of a rare category the model may have made no row
    real, model = asked.frame, inferred.frame.reindex(asked.frame.index)
    difference = real["estimate"] - model["estimate"]
    error = np.sqrt(real["noise"] ** 2 + model["se"] ** 2)
    distance = (difference / error).abs()
    verdict = np.where(distance < AGREES, "agrees", np.where(distance > DIFFERS, "differs", "unclear"))
    frame = real.assign(synthetic=model["estimate"], verdict=verdict)
    return Estimates(asked.title, frame, asked.level, asked.promise, asked.notes)
