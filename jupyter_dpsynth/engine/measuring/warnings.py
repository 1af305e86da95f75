"""Says of which columns the measurements left little, and what to do.

Privacy:
    Post-processing of noisy counts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.model.losses import advice_on_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.discovered import Discovered

__all__ = ["NOTHING_SEEN", "warn_of_lost_columns", "warn_of_moved_rows", "warn_of_others"]

logger = logging.getLogger(__name__)

NOTHING_SEEN = 3.0  # standard deviations under which 'other', 'missing' or a column's values count as absent
MOVED_SHARE = 0.01  # of the rows: bounds that move more are reported
MOST_OTHERS = 0.5  # of the rows: a column that loses more to 'other' is reported
IN_LOSSES = {"in_losses": True}  # marks what a display of the columns' losses says as well


def warn_of_lost_columns(codec: TableCodec, columns: Sequence[Discovered], rows: float) -> None:
    """Name the columns of which noise has left next to nothing, with what to do.

    Args:
        codec: The table's codec.
        columns: What discovery gave of each column.
        rows: Noisy number of rows.
    """
    if codec.without_categories:
        logger.warning(
            "no value of column%s %s is frequent enough to be published: all rows become 'other'. If the "
            "values are dates or numbers written as text, convert them (doctor gives the line). Otherwise "
            "leave the column out (ignore), group its values, or declare its categories if they are public.",
            "s" if len(codec.without_categories) > 1 else "",
            ", ".join(map(repr, codec.without_categories)),
            extra=IN_LOSSES,
        )
    for column in columns:
        found = column.counts.sum() + NOTHING_SEEN * np.sqrt(column.variances.sum())
        if isinstance(column.codec, NumericCodec | DifferenceCodec) and found < rows / 2:
            logger.warning(
                "the values of column %r are spread so widely that most do not stand out from the noise: "
                "all of them are moved into %s. Declare its bounds if they are public, or use a larger "
                "epsilon.",
                column.codec.meta.name,
                column.codec.range_text,
            )


def warn_of_moved_rows(columns: Sequence[Discovered], rows: float) -> None:
    """Name the columns of which many rows are not what was declared, with what to do.

    Args:
        columns: What discovery gave of each column.
        rows: Noisy number of rows.
    """
    for column in columns:
        name, least = column.codec.meta.name, NOTHING_SEEN * column.replaced_noise
        shares = [count / rows for count in column.replaced if count > max(least, MOVED_SHARE * rows)]
        if not shares:
            continue
        share = f"{min(sum(shares), 1.0):.0%}"
        if isinstance(column.codec, NumericCodec):
            logger.warning(
                "about %s of the rows have a value of column %r outside its declared bounds, and are moved "
                "to these. If such values are codes such as -9 or 999, declare them: "
                "missing = {%r: [-9, 999]}. If they are right, declare wider bounds.",
                share,
                name,
                name,
            )
        else:
            logger.warning(
                "about %s of the rows have a value of column %r that is not among its declared categories, "
                "and get one of these instead. Declare all that may occur, or none: then they are measured.",
                share,
                name,
            )


def warn_of_others(codec: TableCodec, shares: Sequence[NDArray[np.float64]]) -> None:
    """Name the columns in which most rows become 'other', with what to do.

    Args:
        codec: The table's codec.
        shares: Noisy share of each cell of each column.
    """
    for column, share in zip(codec.columns, shares, strict=True):
        if not isinstance(column, CategoryCodec) or column.meta.categories is not None:
            continue
        others = share[len(column.published)]
        if others > MOST_OTHERS and column.published:
            logger.warning(
                "about %.0f %% of the rows have a value of column %r that is too rare to be published: they "
                "become %s. What helps: %s.",
                100 * others,
                column.meta.name,
                repr(column.pool[0]) if len(column.pool) == 1 else "one of the values that are",
                advice_on_values(column).format(column.meta.name),
                extra=IN_LOSSES,
            )
