"""What each column loses on the way to synthetic rows, and how much of it is left.

A value that is too rare to be published, outside the range that was found or declared, or not among the
declared categories does not come back: its rows are moved into another cell. What is left of a column may be
too coarse, or drowned in noise.

Privacy:
    Post-processing of the noisy measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from jupyter_dpsynth.display.words import percent
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.engine.model.evidence import several

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.numeric import NumericCodec
    from jupyter_dpsynth.encoding.table import ColumnCodec, TableCodec
    from jupyter_dpsynth.engine.model.reference import MeasuredReference

__all__ = [
    "SIGNS",
    "STATES",
    "ColumnLoss",
    "LostRows",
    "advice",
    "column_losses",
    "glance",
    "loss_lines",
    "lost_headline",
]

CERTAIN = 3.0  # standard deviations of noise that a loss must exceed to be told
COARSE_LOSS, NOTHING_LOSS = 0.05, 0.8  # shares of the rows that do not keep their value
COARSE_NOISE, NOTHING_NOISE = 0.05, 0.5  # distance of a column from the truth that noise alone gives
COARSE_INTERVAL = 0.25  # share of the rows in one interval inside which values are drawn evenly
MOST_LINES = 50  # of columns that are named

State = Literal["fine", "coarse", "nothing left"]
STATES: tuple[State, ...] = ("fine", "coarse", "nothing left")
SIGNS = {"fine": "\u25cf", "coarse": "\u25d0", "nothing left": "\u25cb"}  # full, half and empty circle


@dataclass(frozen=True)
class LostRows:
    """Rows of one column that do not keep their value.

    Attributes:
        kind: 'pooled' (too rare to be published), 'undeclared' (not among the declared categories), 'below'
            or 'above' (clamped to the ends of the range).
        share: Noisy share of all rows, not below 0.
        error: Standard deviation of the noise in it.
        text: Where they were, and where they are now.
    """

    kind: Literal["pooled", "undeclared", "below", "above"]
    share: float
    error: float
    text: str

    @property
    def is_certain(self) -> bool:
        """Whether it stands out from the noise."""
        return self.share > CERTAIN * self.error

    @property
    def words(self) -> str:
        """The loss in words."""
        return f"{percent(self.share)} (\u00b1 {percent(self.error)}) {self.text}"


@dataclass(frozen=True)
class ColumnLoss:
    """What one column loses.

    Attributes:
        name: The column.
        state: 'fine', 'coarse' or 'nothing left'.
        reason: Why it is not fine, in words; empty if it is.
        lost: The rows that do not keep their value; empty if it was not measured (earlier versions).
        missing: Noisy share of the rows without a value; None if the dtype cannot hold missing values.
        missing_error: Standard deviation of the noise in it.
        noise: Total-variation distance from the true shares that noise alone gives, expected.
        coarse: Share of the rows that are in the longest interval inside which values are drawn evenly.
        bounded: Whether its bounds are declared.
    """

    name: str
    state: State
    reason: str
    lost: tuple[LostRows, ...]
    missing: float | None
    missing_error: float
    noise: float
    coarse: float
    bounded: bool = False

    @property
    def share(self) -> float:
        """Share of all rows that certainly do not keep their value, not above 1."""
        return min(1.0, sum(rows.share for rows in self.lost if rows.is_certain))

    @property
    def line(self) -> str:
        """The column's losses in words; empty if nothing stands out from the noise."""
        told = [rows.words for rows in self.lost if rows.is_certain]
        if self.missing is not None and self.missing > CERTAIN * self.missing_error:
            told.append(f"{percent(self.missing)} (\u00b1 {percent(self.missing_error)}) missing")
        return f"{self.name}: {', '.join(told)}" if told else ""


def column_losses(codec: TableCodec, reference: MeasuredReference) -> tuple[ColumnLoss, ...]:
    """What each learned column loses.

    Args:
        codec: The cells of every column.
        reference: The noisy measurements.
    """
    moved: Sequence[NDArray[np.float64] | None] = reference.moved or (None,) * len(codec.columns)
    measured = zip(codec.columns, reference.shares, reference.noise, moved, strict=True)
    return tuple(_loss(*each, reference.moved_noise) for each in measured)


def loss_lines(losses: Sequence[ColumnLoss], most: int = MOST_LINES) -> list[str]:
    """What the columns lose, largest loss first, as far as it stands out from the noise.

    Args:
        losses: Of every column.
        most: How many columns are named.
    """
    told = [loss for loss in sorted(losses, key=lambda loss: -loss.share) if loss.line]
    lines = [loss.line for loss in told[:most]]
    return [*lines, f"{len(told) - most:,} more columns lose rows"] if len(told) > most else lines


def glance(losses: Sequence[ColumnLoss]) -> list[str]:
    """Which columns are fine, coarse, and lost, one line each.

    >>> loss = ColumnLoss("age", "fine", "", (), None, 0.0, 0.0, 0.0)
    >>> glance([loss, loss])
    ['\u25cf fine: 2 columns']
    """
    lines = []
    for state in STATES:
        found = [loss for loss in losses if loss.state == state]
        if not found:
            continue
        many = f"{len(found):,} column{'s' if len(found) > 1 else ''}"
        worst = sorted(found, key=lambda loss: -loss.share)
        names = "" if state == "fine" else f": {several(loss.name for loss in worst)}"
        if state == "coarse" and worst[0].share >= COARSE_LOSS:
            names += f"; up to {percent(worst[0].share)} of the rows lose their value"
        lines.append(f"{SIGNS[state]} {state}: {many}{names}")
    return lines


def lost_headline(losses: Sequence[ColumnLoss]) -> str:
    """What is to be said before anything else if columns came out empty; empty if none did."""
    lost = [loss for loss in losses if loss.state == "nothing left"]
    if not lost:
        return ""
    if len(lost) == len(losses):
        return "nothing stands out from the noise: what is made from it is noise"
    return f"nothing is left of {len(lost):,} of {len(losses):,} columns"


def advice(losses: Sequence[ColumnLoss]) -> list[str]:
    """What would help the columns of which nothing is left, and those that are coarse."""
    poor = [loss for loss in losses if loss.state != "fine"]
    if not poor:
        return []
    noisy = [loss.name for loss in poor if loss.noise >= COARSE_NOISE]
    pooled = [
        loss.name for loss in poor if any(r.kind == "pooled" and r.share > COARSE_LOSS for r in loss.lost)
    ]
    clamped = [
        loss.name
        for loss in poor
        if any(r.kind in ("below", "above") and r.is_certain for r in loss.lost)
        or loss.coarse >= COARSE_INTERVAL
    ]
    told = []
    if noisy:
        told.append(
            f"{several(noisy)}: a larger epsilon, more rows, or fewer columns (ignore) leave less noise"
        )
    if pooled:
        told.append(
            f"{several(pooled)}: group rare values, declare the categories if they are public, or leave the "
            "column out (ignore)"
        )
    wider = [loss.name for loss in poor if loss.bounded and loss.name in clamped and loss.share > 0]
    bounds = [name for name in clamped if name not in wider]
    undeclared = [
        loss.name for loss in poor if any(r.kind == "undeclared" and r.is_certain for r in loss.lost)
    ]
    if wider:
        told.append(f"{several(wider)}: declare wider bounds, or the codes that stand for missing values")
    if bounds:
        told.append(f"{several(bounds)}: declare the bounds, if they are public")
    if undeclared:
        told.append(f"{several(undeclared)}: declare all categories that may occur")
    return told


def _loss(
    codec: ColumnCodec,
    shares: NDArray[np.float64],
    noise: NDArray[np.float64],
    moved: NDArray[np.float64] | None,
    moved_noise: float,
) -> ColumnLoss:
    lost = _lost_rows(codec, shares, noise, moved, moved_noise)
    gone = min(1.0, sum(rows.share for rows in lost if rows.is_certain))
    floor = min(1.0, float(noise.sum()) * np.sqrt(2 / np.pi) / 2)
    interval = 0.0
    if not isinstance(codec, CategoryCodec):
        interval = _longest_interval(codec.difference if isinstance(codec, DifferenceCodec) else codec)
    state, reason = _state(codec, gone, floor, interval)
    # of a difference the last cell is where either of both columns is missing
    nullable = codec.meta.nullable
    missing = float(shares[-1]) if nullable else None
    error = float(noise[-1]) if nullable else 0.0
    bounded = getattr(codec.meta, "bounds", None) is not None
    return ColumnLoss(codec.meta.name, state, reason, lost, missing, error, floor, interval, bounded)


def _state(codec: ColumnCodec, gone: float, floor: float, interval: float) -> tuple[State, str]:
    """How much is left of a column, and why it is not all."""
    if isinstance(codec, CategoryCodec) and not codec.published:
        return "nothing left", "no value is frequent enough to be published"
    if gone >= NOTHING_LOSS:
        return "nothing left", f"{percent(gone)} of the rows lose their value"
    if floor >= NOTHING_NOISE:
        return "nothing left", f"the noise is as large as the column: {percent(floor)} of the rows"
    reasons = []
    if gone >= COARSE_LOSS:
        reasons.append(f"{percent(gone)} of the rows lose their value")
    if interval >= COARSE_INTERVAL:
        reasons.append(f"{percent(interval)} of the values are drawn evenly from one interval")
    if floor >= COARSE_NOISE:
        reasons.append(f"noise moves about {percent(floor)} of the rows")
    return ("coarse", "; ".join(reasons)) if reasons else ("fine", "")


def _lost_rows(
    codec: ColumnCodec,
    shares: NDArray[np.float64],
    noise: NDArray[np.float64],
    moved: NDArray[np.float64] | None,
    moved_noise: float,
) -> tuple[LostRows, ...]:
    if isinstance(codec, CategoryCodec):
        pool = len(codec.published)
        if codec.meta.categories is not None:
            text = "not declared, now one of the declared values"
            return () if moved is None else (_rows("undeclared", float(moved[0]), moved_noise, text),)
        # the pool's share joins both measurements, and is there in models of earlier versions, too
        now = repr(codec.pool[0]) if len(codec.pool) == 1 else "one of the others"
        text = f"too rare to publish, now {now}"
        return (_rows("pooled", float(shares[pool]), float(noise[pool]), text),)
    if moved is None:
        return ()
    below, above = codec.moved_labels
    return (
        _rows("below", float(moved[0]), moved_noise, f"{below}, moved there"),
        _rows("above", float(moved[1]), moved_noise, f"{above}, moved there"),
    )


def _rows(
    kind: Literal["pooled", "undeclared", "below", "above"], share: float, error: float, text: str
) -> LostRows:
    return LostRows(kind, min(max(share, 0.0), 1.0), error, text)


def _longest_interval(codec: NumericCodec) -> float:
    """Share of the weight in the heaviest leaf that has more than one value."""
    last = codec.ends - (codec.resolution > 0)
    single = (codec.starts == last) if codec.resolution > 0 else ~np.isnan(codec.leaf_points())
    weights = np.where(single, 0.0, codec.weights)
    return float(weights.max() / codec.weights.sum())
