"""What each column loses on the way to synthetic rows, and how much of it is left.

A value that is too rare to be published, outside the range that was found or declared, or not among the
declared categories does not come back: its rows are moved into another cell. Of a code whose group was
published instead, the group comes back. What is left of a column may be too coarse, or drowned in noise.

A column's *error* is the share of its rows that are expected to have a wrong value: those that lose theirs,
those that noise moves, and a quarter of those in the longest interval, inside which values are drawn evenly.
That is the total-variation distance: no share that can be computed from the column is expected to be off by
more. `fine` is an error below 5 %, which the shares of 400 random real rows have, too. `benchmarks.columns`
compares these words with exact figures.

Privacy:
    Post-processing of the noisy measurements.
"""

from __future__ import annotations

import re
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
    "INTERVAL_ERROR",
    "NOTHING_NOISE",
    "SIGNS",
    "STATES",
    "ColumnLoss",
    "LostRows",
    "advice",
    "advice_on_values",
    "column_loss",
    "column_losses",
    "glance",
    "loss_lines",
    "lost_headline",
    "told",
]

CERTAIN = 3.0  # standard deviations of noise that a loss must exceed to be told
COARSE = 0.05  # of the rows, expected to have a wrong value: the 95 % interval of half of 400 rows
INTERVAL_ERROR = 0.25  # of the rows in an interval: so far from even are three of four intervals at most
NOTHING_LOSS = 0.8  # of the rows: an eighth of the information (entropy) of categories is left
NOTHING_NOISE = 0.5  # of the rows that keep their value: as far from the truth as a dozen real rows
DATE = re.compile(r"\s*(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ](\d{2}){1,2})\b.*")
MOST_LINES = 50  # of columns that are named

State = Literal["fine", "coarse", "nothing left"]
Kind = Literal["pooled", "undeclared", "below", "above", "shortened"]
STATES: tuple[State, ...] = ("fine", "coarse", "nothing left")
SIGNS = {"fine": "\u25cf", "coarse": "\u25d0", "nothing left": "\u25cb"}  # full, half and empty circle


@dataclass(frozen=True)
class LostRows:
    """Rows of one column that do not keep their value.

    Attributes:
        kind: 'pooled' (too rare to be published), 'undeclared' (not among the declared categories), 'below'
            or 'above' (clamped to the ends of the range), 'shortened' (of a code only its group is left).
        share: Noisy share of all rows, not below 0.
        error: Standard deviation of the noise in it.
        text: Where they were, and where they are now.
    """

    kind: Kind
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
        helps: What would help it, in words; `{0!r}` stands for its name.
    """

    name: str
    state: State
    reason: str
    lost: tuple[LostRows, ...]
    missing: float | None
    missing_error: float
    noise: float
    coarse: float
    helps: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of all rows that certainly do not keep their value, not even its group, not above 1."""
        return _certain(self.lost, shortened=False)

    @property
    def shortened(self) -> float:
        """Share of all rows of whose code certainly only the group is left, not above 1."""
        return _certain(self.lost, shortened=True)

    @property
    def error(self) -> float:
        """Share of the rows that are expected to have a wrong value, not above 1."""
        return _error(self.share, self.noise, self.coarse)

    @property
    def brief(self) -> str:
        """Why it is not fine, in a few words."""
        if self.share >= max(COARSE, self.error / 2):
            return f"{percent(self.share)} of its rows lost"
        if self.shortened >= COARSE:
            return f"{percent(self.shortened)} of its codes shortened"
        return f"about {percent(self.error)} of its rows wrong"

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
    return tuple(column_loss(*each, reference.moved_noise) for each in measured)


def _certain(lost: Sequence[LostRows], *, shortened: bool) -> float:
    shares = (each.share for each in lost if each.is_certain and (each.kind == "shortened") == shortened)
    return min(1.0, sum(shares))


def _error(gone: float, noise: float, interval: float) -> float:
    return min(1.0, gone + noise + INTERVAL_ERROR * interval)


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
    >>> glance([loss])
    ["\u25cf fine: 1 column: 'age'"]
    """
    lines = []
    for state in STATES:
        found = [loss for loss in losses if loss.state == state]
        if not found:
            continue
        many = f"{len(found):,} column{'s' if len(found) > 1 else ''}"
        worst = sorted(found, key=lambda loss: -loss.error - loss.shortened)
        names = several((loss.name for loss in worst), *(loss.brief for loss in worst if state == "coarse"))
        lines.append(f"{SIGNS[state]} {state}: {many}: {names}")
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
    helped: dict[str, list[str]] = {}
    for loss in sorted(losses, key=lambda loss: -loss.error - loss.shortened):
        for words in loss.helps if loss.state != "fine" else ():
            helped.setdefault(words, []).append(loss.name)
    return [f"{several(names)}: {words.format(names[0])}" for words, names in helped.items()]


def told(losses: Sequence[ColumnLoss]) -> list[str]:
    """All that is said of the columns where there is no table: how much is left, what is lost, what helps."""
    lost = loss_lines(losses)
    rows = [f"Rows that lose their value or have none: {'; '.join(lost)}."] if lost else []
    return [*glance(losses), *rows, *(f"What helps {words}." for words in advice(losses))]


def advice_on_values(codec: CategoryCodec) -> str:
    """What to do with a column of too many values, by what was published of it; `{0!r}` is its name."""
    texts = [value for value in codec.published if isinstance(value, str)]
    if codec.meta.ordered:
        return "join neighbouring levels"
    if not codec.published:
        return (
            "if the values are dates or numbers written as text, convert them (pandas.to_datetime, "
            "pandas.to_numeric; doctor gives the line); if they are codes, declare groups of them (hierarchy "
            "= {{{0!r}: 'prefix:2'}}, in a terminal --hierarchy \"{0}=prefix:2\", if they begin alike); "
            "otherwise declare the categories if they are public, use a larger epsilon, or leave the column "
            "out (ignore)"
        )
    dated = any(DATE.fullmatch(text) for text in texts)
    if dated or not texts:
        dates = "convert dates written as text (pandas.to_datetime; doctor gives the line)"
        return (
            dates if dated else "convert amounts to numbers (df[{0!r}].astype(float)), and group other values"
        )
    if codec.meta.levels:
        return "declare shorter groups of codes (hierarchy), or use a larger epsilon"
    if all(len(text) > 2 and any(map(str.isdigit, text)) for text in texts):
        return (
            "if they are codes whose first characters are their groups, declare these "
            "(hierarchy = {{{0!r}: 'prefix:1,3'}}, in a terminal --hierarchy \"{0}=prefix:1,3\"); or use a "
            "larger epsilon, or leave the column out (ignore)"
        )
    return (
        "group rare values, declare the categories if they are public, use a larger epsilon, or leave the "
        "column out (ignore)"
    )


def _helps(codec: ColumnCodec, lost: Sequence[LostRows], noise: float, interval: float) -> tuple[str, ...]:
    """What would help a column."""
    found = {rows.kind for rows in lost if rows.is_certain}
    bounded = getattr(codec.meta, "bounds", None) is not None
    less_noise = "a larger epsilon, more rows, or fewer columns (ignore) leave less noise"
    told = (
        [less_noise] if noise >= COARSE or interval >= NOTHING_LOSS else []
    )  # first: what else would help is not seen through it
    if isinstance(codec, CategoryCodec) and ("pooled" in found or not codec.published):
        told.append(advice_on_values(codec))
    elif "shortened" in found:
        told.append("a larger epsilon or more rows keep more of the longer codes")
    if isinstance(codec, DifferenceCodec):
        pass  # what is moved is a time between two columns, of which no bounds can be declared
    elif found & {"below", "above"} and bounded:
        told.append("declare wider bounds, or the codes that stand for missing values")
    elif found & {"below", "above"} or interval >= COARSE / INTERVAL_ERROR:
        told.append("declare the bounds, if they are public")
    if "undeclared" in found:
        told.append("declare all categories that may occur")
    return tuple(told or [less_noise])


def column_loss(
    codec: ColumnCodec,
    shares: NDArray[np.float64],
    noise: NDArray[np.float64],
    moved: NDArray[np.float64] | None = None,
    moved_noise: float = 0.0,
) -> ColumnLoss:
    """What one column loses.

    Args:
        codec: Its cells.
        shares: Their noisy shares, `[cells]`.
        noise: Standard deviations of the noise in these.
        moved: Noisy shares of the rows that were moved into other cells; None if they were not measured.
        moved_noise: Standard deviation of the noise in these.
    """
    lost = _lost_rows(codec, shares, noise, moved, moved_noise)
    floor = min(1.0, float(noise.sum()) * np.sqrt(2 / np.pi) / 2)
    interval = 0.0
    if not isinstance(codec, CategoryCodec):
        interval = _longest_interval(codec.difference if isinstance(codec, DifferenceCodec) else codec)
    # of a difference the last cell is where either of both columns is missing
    nullable = codec.meta.nullable
    missing = float(shares[-1]) if nullable else None
    error = float(noise[-1]) if nullable else 0.0
    interval *= 1 - (missing or 0.0)
    state, reason = _state(codec, lost, floor, interval)
    helps = _helps(codec, lost, floor, interval)
    return ColumnLoss(codec.meta.name, state, reason, lost, missing, error, floor, interval, helps)


def _state(codec: ColumnCodec, lost: Sequence[LostRows], floor: float, interval: float) -> tuple[State, str]:
    """How much is left of a column, and why it is not all."""
    gone, shortened = (_certain(lost, shortened=each) for each in (False, True))
    if isinstance(codec, CategoryCodec) and not codec.published:
        return "nothing left", "no value is frequent enough to be published"
    if gone >= NOTHING_LOSS:
        return "nothing left", f"{percent(gone)} of the rows lose their value"
    if floor >= NOTHING_NOISE * (1 - gone):
        return "nothing left", f"the noise is as large as the column: {percent(floor)} of the rows"
    if interval >= NOTHING_LOSS:
        return "nothing left", f"{percent(interval)} of the values are drawn evenly from one interval"
    parts = [
        (gone, gone, "of the rows lose their value"),
        (shortened, shortened, "of the rows keep the group of their code only"),
        (INTERVAL_ERROR * interval, interval, "of the values are drawn evenly from one interval"),
        (floor, floor, "of the rows, about, are moved by noise"),
    ]
    if sum(part for part, _, _ in parts) < COARSE:
        return "fine", ""
    return "coarse", "; ".join(f"{percent(share)} {words}" for part, share, words in parts if part >= 0.01)


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
        pooled = _rows("pooled", float(shares[pool]), float(noise[pool]), text)
        if moved is None or not codec.groups:
            return (pooled,)
        longer, error = float(moved[1:].sum()), moved_noise * len(codec.groups) ** 0.5
        text = "of a code that is too rare to publish, now its group"
        return pooled, _rows("shortened", longer, error, text)
    if moved is None:
        return ()
    below, above = codec.moved_labels
    return (
        _rows("below", float(moved[0]), moved_noise, f"{below}, moved there"),
        _rows("above", float(moved[1]), moved_noise, f"{above}, moved there"),
    )


def _rows(kind: Kind, share: float, error: float, text: str) -> LostRows:
    return LostRows(kind, min(max(share, 0.0), 1.0), error, text)


def _longest_interval(codec: NumericCodec) -> float:
    """Share of the weight in the heaviest leaf that has more than one value."""
    last = codec.ends - (codec.resolution > 0)
    single = (codec.starts == last) if codec.resolution > 0 else ~np.isnan(codec.leaf_points())
    weights = np.where(single, 0.0, codec.weights)
    return float(weights.max() / codec.weights.sum())
