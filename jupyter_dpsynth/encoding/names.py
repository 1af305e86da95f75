"""Private discovery of a column of names: which categories it has, and how many rows each.

As in `discovery`, private rows are read only through `Histograms.measure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import OTHER, CategoryCodec
from jupyter_dpsynth.encoding.histograms import Discovered
from jupyter_dpsynth.encoding.series import factorize
from jupyter_dpsynth.privacy.mechanisms import partition_threshold

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.histograms import Histograms, Settings
    from jupyter_dpsynth.metadata import CategoricalMeta

__all__ = ["NameSearch", "count_listed"]

RARE_SHARE = 0.002
MUCH_UNLISTED = 0.005  # of the rows: with less of them without a name, no second look is worth it


class NameSearch:
    """Looks for the categories of one column whose categories are not declared.

    Every look measures the counts of all its values and is joined, by precision, with the looks before.
    A value is published if its joined count passes a threshold that a single unit's values pass with a
    chance of at most the look's part of delta.

    Args:
        series: The private column.
        meta: Its schema.
        histograms: The door to private counts.
        cells: Most cells of the column; the most frequent values are kept.
        unit_rows: Most rows of one unit of privacy.

    Privacy:
        One histogram for each look. What is published after a look depends on a value that no other row
        has only through that value's own noise, also when it was chosen by earlier looks whether there
        is one: then the value was not published, and all that was is independent of its noise.

    Source:
        Desfontaines, Voss, Gipson, Mandayam, 'Differentially private partition selection', PoPETs 2022.
    """

    def __init__(
        self, series: pd.Series, meta: CategoricalMeta, histograms: Histograms, cells: int, unit_rows: int = 1
    ) -> None:
        self.meta, self.histograms, self.cells, self._unit_rows = meta, histograms, cells, unit_rows
        self._values, counts, missing = _count_values(series, meta)
        self._exact = np.append(counts, missing)
        self._noisy = np.zeros(len(self._exact))
        self._precision = 0.0
        self._published = np.zeros(len(counts), dtype=bool)
        # the order of an ordered categorical's values is schema, and is used for kept values only
        self._order = list(series.cat.categories) if meta.ordered else []

    def look(self, sigma: float, delta: float) -> None:
        """Measure every value's count and publish those that stand out.

        Args:
            sigma: Noise of the histogram.
            delta: Chance that may be spent on publishing a value that one row brought in.
        """
        again = self.histograms.measure(self._exact, sigma)
        if sigma == 0:
            self._noisy, self._precision = again, np.inf
            self._published[:] = True
            return
        total = self._precision + 1 / sigma**2
        self._noisy = (self._precision * self._noisy + again / sigma**2) / total
        self._precision = total
        self._published |= self._noisy[:-1] > partition_threshold(self.sigma, delta, self._unit_rows)

    @property
    def sigma(self) -> float:
        """Noise of the joined counts."""
        return 0.0 if self._precision == np.inf else float(self._precision**-0.5)

    def unlisted(self, rows: float) -> float:
        """About how many rows have a value that was not published; 0 if it may be none.

        Args:
            rows: Noisy number of rows.
        """
        found = float(self._noisy[:-1][self._published].sum() + self._noisy[-1])
        noise = self.sigma * np.sqrt(self._published.sum() + 1)
        left = rows - found
        return left if left > max(MUCH_UNLISTED * rows, 3 * noise) else 0.0

    def finish(self) -> Discovered:
        """The column's codec of what was published."""
        values, noisy = self._values, self._noisy
        published = sorted(np.flatnonzero(self._published), key=lambda i: _name_of(values[i]))
        # noisy counts may tie: the order of rows, which no noise covers, must not decide between them
        chosen = sorted(published, key=lambda i: -noisy[i])[: self.cells - 2]
        chosen.sort(key=lambda i: _name_of(values[i]))
        kept = tuple(values[i] for i in chosen)
        text = all(isinstance(value, str) for value in kept) or not kept
        # a table may have such a category of its own, which is not what was not listed
        unlisted = OTHER if OTHER not in kept else f"{OTHER}, not listed"
        pool: tuple[Any, ...] = (unlisted,) if text else kept
        weights = np.ones(1) if text else np.maximum(noisy[chosen], 1.0)
        codec = CategoryCodec(self.meta, kept, pool, weights, tuple(v for v in self._order if v in set(kept)))
        variance = np.full(codec.size, self.sigma**2)
        variance[len(kept)] = np.inf  # the pool was not measured: it depends on what was kept
        counts = np.append(noisy[chosen], np.zeros(1))
        return Discovered(codec, np.append(counts, noisy[-1:] if self.meta.nullable else []), variance)


def _name_of(value: object) -> tuple[str, str]:
    """What values are sorted by, whichever row they came from."""
    return str(value), type(value).__name__


def _count_values(series: pd.Series, meta: CategoricalMeta) -> tuple[list[Any], NDArray[np.int64], int]:
    """Distinct values, their exact counts (never to leave this module) and the missing rows."""
    codes, values = factorize(series)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return values, counts, int((codes < 0).sum()) if meta.nullable else 0


def count_listed(
    series: pd.Series, meta: CategoricalMeta, histograms: Histograms, settings: Settings
) -> Discovered:
    """Measure every declared category and what is not listed; pool the rare ones.

    Privacy:
        One histogram with noise `settings.sigma`.
    """
    values, counts, missing = _count_values(series, meta)
    listed = list(meta.categories or ())
    place = {value: i for i, value in enumerate(listed)}
    total = np.zeros(len(listed) + 2, dtype=np.int64)
    np.add.at(total, [place.get(value, len(listed)) for value in values], counts)
    total[-1] = missing
    noisy = histograms.measure(total, settings.sigma)
    own, unlisted = noisy[: len(listed)], noisy[len(listed)]
    floor = max(3 * settings.sigma, RARE_SHARE * settings.rows)
    keep = own > floor
    keep[np.argsort(-own)[settings.cells - 2 :]] = False
    if (~keep).sum() == 1 or not keep.any():
        keep = np.ones(len(listed), dtype=bool)
        keep[settings.cells - 2 :] = False
    pool = tuple(v for v, k in zip(listed, keep, strict=True) if not k)
    weights = _shrink_to_mean(own[~keep], settings.sigma)
    pooled_cells = int((~keep).sum()) + 1
    if not pool:  # nothing listed is rare: an unlisted value decodes to any listed one
        pool, weights = tuple(listed), np.maximum(own, 1.0)
    kept = tuple(v for v, k in zip(listed, keep, strict=True) if k)
    codec = CategoryCodec(meta, kept, pool, weights, tuple(listed) if meta.ordered else ())
    pool_count = own[~keep].sum() + unlisted
    cells = np.concatenate([own[keep], [pool_count], noisy[-1:] if meta.nullable else []])
    variance = np.full(codec.size, settings.sigma**2)
    variance[len(kept)] *= pooled_cells
    return Discovered(codec, cells, variance)


def _shrink_to_mean(counts: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """James-Stein: counts drawn towards their mean as far as the noise explains their spread."""
    if len(counts) == 0:
        return counts
    mean = max(float(counts.mean()), 1e-3)
    spread = max(float(((counts - mean) ** 2).sum()), 1e-9)
    keep = max(0.0, 1 - sigma**2 * len(counts) / spread)
    return np.maximum(mean + keep * (counts - mean), 1e-3)
