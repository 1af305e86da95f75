"""Which orders of two columns a private table keeps, measured with noise, beside those of the synthetic one.

The pairs are chosen from what is public: dates that can be compared, and numbers that the synthetic table
keeps in order. Each row is below, equal or above in every pair, so it adds one to one count of each.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from jupyter_dpsynth.encoding.numeric import points_of
from jupyter_dpsynth.engine.measuring.orderings import ORDERED_DEPENDENCE
from jupyter_dpsynth.engine.model.evidence import ordering_text
from jupyter_dpsynth.evaluation.figures import Measured
from jupyter_dpsynth.evaluation.metrics import as_numbers
from jupyter_dpsynth.evaluation.orders import LEAST_APART, MISTAKES, broken_by_chance
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.metadata.orders import comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source

    Pair: TypeAlias = tuple[ContinuousMeta | DatetimeMeta, ContinuousMeta | DatetimeMeta]

__all__ = ["ComparedOrders", "worst_order"]

MOST_ORDERS = 8  # pairs; more would leave each with more noise
NEARLY_KEPT = 0.2  # of the synthetic rows of two numbers: a model that lost their order breaks it in more
CERTAIN = 2.0  # standard deviations
SIDES = 3  # below, equal, above


class ComparedOrders:
    """The pairs of columns whose order is compared, and what synthetic rows make of them.

    Args:
        codec: Of the learned columns.
        reference: Their noisy measurements: only numbers that depend on each other are compared.
        df_synth: The synthetic table.

    Attributes:
        pairs: Metadata of both columns of each.
        synthetic: Synthetic rows in which the first is below, equal to and above the second, `[pairs, 3]`.
    """

    def __init__(self, codec: TableCodec, reference: MeasuredReference, df_synth: pd.DataFrame) -> None:
        def dependent(*pair: str) -> bool:
            one, other = map(reference.columns.index, pair)
            return bool(reference.dependence[one, other] >= ORDERED_DEPENDENCE)

        metas = [
            meta
            for meta in codec.df_meta.learned
            if meta.name in codec.names and isinstance(meta, ContinuousMeta | DatetimeMeta)
        ]
        dates: list[Pair] = []
        numbers: list[Pair] = []
        for first, second in itertools.combinations(metas, 2):
            if not comparable(first, second):
                continue
            pair = first, second
            if isinstance(first, DatetimeMeta) and not first.is_duration:
                dates.append(pair)
            elif dependent(first.name, second.name) and _may_be_ordered(df_synth, pair):
                numbers.append(pair)
        self.pairs: list[Pair] = [*dates, *numbers][:MOST_ORDERS]
        self.synthetic = _sides(df_synth, self.pairs)

    @property
    def sensitivity(self) -> float:
        """Largest L2 change of all counts by one row: one count of each pair by one."""
        return math.sqrt(len(self.pairs))

    def count(self, source: Source) -> NDArray[np.int64]:
        """Exact number of rows in which the first column is below, equal to and above the second: private.

        Args:
            source: The private table.

        Returns:
            `[pairs, 3]`.
        """
        names = [*dict.fromkeys(meta.name for pair in self.pairs for meta in pair)]
        total = np.zeros((len(self.pairs), SIDES), dtype=np.int64)
        for counts in source.map(functools.partial(_sides, pairs=self.pairs), names):
            total += counts
        return total

    def measure(self, source: Source, allowance: Allowance) -> list[Measured]:
        """Release which orders the private table keeps.

        Args:
            source: The private table.
            allowance: For all pairs.

        Returns:
            One figure for each pair: the share of synthetic rows that break the order which fewest private
            rows break; `good` is the share of the private ones, `error` the noise in that.

        Privacy:
            One measurement with the sensitivity of `sensitivity`; the rest is post-processing.
        """
        noisy = allowance.counts(self.count(source).ravel()).reshape(-1, SIDES)
        return [
            _figure(pair, made, counts, allowance.noise)
            for pair, made, counts in zip(self.pairs, self.synthetic, noisy, strict=True)
        ]


def _figure(
    pair: Pair,
    made: NDArray[np.int64],
    counts: NDArray[np.float64],
    noise: float,
) -> Measured:
    first, second = (meta.name for meta in pair)
    upwards = counts[2] <= counts[0]
    low, high, breaking = (first, second, 2) if upwards else (second, first, 0)
    present = max(float(counts.sum()), 1.0)
    there, here = max(float(counts[breaking]), 0.0) / present, made[breaking] / max(made.sum(), 1)
    error = noise * math.hypot(1, there * math.sqrt(SIDES)) / present
    text = f"share of synthetic rows that break {ordering_text(low, high)}; good: of the private ones"
    return Measured(ordering_text(low, high), float(here), error, min(there, 1.0), text)


def worst_order(orders: Sequence[Measured]) -> Measured | None:
    """Of the orders that the private table keeps but for mistakes, the one that most synthetic rows break.

    Args:
        orders: What was measured.

    Returns:
        None if it keeps none, as far as the noise tells.
    """
    kept = [each for each in orders if each.good <= MISTAKES + CERTAIN * each.error <= NEARLY_KEPT]
    return max(kept, key=lambda each: each.value - each.good, default=None)


def _may_be_ordered(df_synth: pd.DataFrame, pair: Pair) -> bool:
    """Whether synthetic rows nearly keep an order of two numbers, and would break it by chance."""
    low, high = (as_numbers(df_synth[meta.name]) for meta in pair)
    below, equal, above = _sides(df_synth, [pair])[0] / max(len(df_synth), 1)
    if above > below:
        low, high = high, low
    if min(below, above) > NEARLY_KEPT or below + above < LEAST_APART or below + equal + above == 0:
        return False
    return broken_by_chance(low, high) > MISTAKES


def _sides(df: pd.DataFrame, pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Rows of a part in which the first column is below, equal to and above the second, `[pairs, 3]`."""
    metas = {meta.name: meta for pair in pairs for meta in pair}
    values = {
        name: points_of(df[name], meta, 1.0 if isinstance(meta, DatetimeMeta) else 0.0)
        for name, meta in metas.items()
    }
    counts = np.zeros((len(pairs), SIDES), dtype=np.int64)
    for place, (first, second) in enumerate(pairs):
        one, two = values[first.name], values[second.name]
        counts[place] = (one < two).sum(), (one == two).sum(), (one > two).sum()
    return counts
