"""Compares synthetic tables of persons with what epsilon has paid for: free to look at and to show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.sampling.provenance import require_synthetic
from jupyter_dpsynth.errors import ConfigError, DataError, shielded
from jupyter_dpsynth.evaluation.histories import HistoryReport, kept_rules, pictures_of
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.persons.learned import LearnedPersons
from jupyter_dpsynth.persons.left import losses_of_tables, noise_of_shares, numbers_of_rows
from jupyter_dpsynth.persons.measuring import capped_counts, counting_cap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.persons.histories import Histories
    from jupyter_dpsynth.persons.learned import LearnedEvents
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["compare_measured"]

PERSON = "persons"


def compare_measured(
    synthesizer: HighDimSynthesizer, tables_synth: Mapping[str, pd.DataFrame], *, synthetic: bool = False
) -> HistoryReport:
    """Compare synthetic tables of persons with the noisy measurements.

    Args:
        synthesizer: The synthesizer that learned the tables.
        tables_synth: Synthetic tables, as `synthesize` makes them.
        synthetic: Your word that they are synthetic, where they come from a file or another kernel.

    Returns:
        Total-variation distances of the columns of persons, their numbers of rows and first values included,
        and of the columns of rows, of which a person counts as it did when they were measured. Beside them
        the distance that the noise of the measurements alone makes.

    Raises:
        ConfigError: One table was learned, not several.
        DataError: The tables are not those that were learned, or not known to be synthetic.

    Privacy:
        Of the private tables only what epsilon has paid for is used: free.
    """
    learned = synthesizer.learned
    if not isinstance(learned, LearnedPersons):
        raise ConfigError("one table was learned: compare it with UtilityReport.against_measurements.")
    if set(tables_synth) != set(learned.meta.tables):
        raise DataError(
            f"pass the tables {', '.join(map(repr, learned.meta.tables))} as a dict of DataFrames."
        )
    for name, each in learned.meta.tables.items():
        each.check(tables_synth[name])
        df = tables_synth[name]
        require_synthetic(df, original=synthesizer.was_learned_from(df), synthetic=synthetic)
    return shielded(lambda: _compared(learned, tables_synth), "the comparison failed")


def _compared(learned: LearnedPersons, tables: Mapping[str, pd.DataFrame]) -> HistoryReport:
    histories = read_histories(tables, learned.meta, learned.key, np.random.default_rng(0))
    found = _of_persons(learned, histories)
    for place, events in enumerate(learned.events):
        found += _of_events(learned, histories, events, place)
    return HistoryReport(
        pd.DataFrame(found),
        *kept_rules(tables, learned.meta, learned.key),
        banner="",
        losses=losses_of_tables(learned),
        pictures=pictures_of({"synthetic": tables}, learned.meta, learned.key),
    )


def _line(
    table: str, column: str, share: NDArray[np.float64], made: NDArray[np.float64], noise: float
) -> Any:  # noqa: ANN401
    distance = 0.5 * float(np.abs(share - made).sum())
    return {"table": table, "metric": column, "distance": distance, "noise": noise}


def _expected(noise: NDArray[np.float64]) -> float:
    """Expected distance by noise of these standard deviations alone."""
    return 0.5 * math.sqrt(2 / math.pi) * float(noise.sum())


def _of_persons(learned: LearnedPersons, histories: Histories) -> list[Any]:
    codes, reference = learned.codec.encode(histories.df), learned.reference
    name, found = learned.meta.parent or PERSON, []
    for place, column in enumerate(learned.codec.columns):
        made = np.bincount(codes[:, place], minlength=column.size) / max(len(codes), 1)
        noise = _expected(reference.noise[place])
        found.append(_line(name, column.meta.name, reference.shares[place], made, noise))
    return found


def _of_events(learned: LearnedPersons, histories: Histories, events: LearnedEvents, place: int) -> list[Any]:
    own, children = histories.events[place], events.children
    codes = events.codec.encode(own.df).astype(np.int64)
    if children.gapped:
        codes[own.position == 0, 0] = -1
    numbers = numbers_of_rows(learned, children)
    cap = counting_cap(numbers)
    noise = noise_of_shares(learned, events, cap, numbers)
    found = []
    for column, (each, share) in enumerate(zip(events.codec.columns, events.shares, strict=True)):
        counts = capped_counts(codes[:, column], own.unit, each.size, float(cap))
        made = counts / max(int(counts.sum()), 1)
        expected = _expected(np.full(each.size, noise))
        found.append(_line(children.table, each.meta.name, share, made, expected))
    return found
