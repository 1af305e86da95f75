"""Figures in words: epsilon, durations, large numbers."""

from __future__ import annotations

import math
import time

__all__ = [
    "compact",
    "duration",
    "epsilon_text",
    "item_text",
    "percent",
    "reserved_words",
    "seconds_left",
]

# of a run's budget, by the names that receipts and ledgers keep
ITEMS = {
    "second look at unlisted names": "second measurement of rare values",
    "value histograms": "finding each column's values (value histograms)",
    "one-way marginals": "measuring each column (one-way marginals)",
    "pair dependence": "measuring pairs of columns (pair dependence)",
}


def epsilon_text(value: float) -> str:
    """Epsilon with four digits, never below its value.

    >>> epsilon_text(0.99981), epsilon_text(1.0), epsilon_text(0.12341), epsilon_text(0.0)
    ('0.9999', '1', '0.1235', '0')
    """
    if not math.isfinite(value):
        return "infinite"
    if value <= 0:
        return "0"
    from decimal import ROUND_CEILING, Decimal

    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 3), rounding=ROUND_CEILING)
    return f"{float(rounded):.4g}"


def percent(share: float) -> str:
    """A share in percent, with as many digits as it needs to be told from 0.

    >>> percent(0.123), percent(0.0234), percent(0.00056), percent(0.0)
    ('12 %', '2.3 %', '0.06 %', '0 %')
    """
    whole = 100 * share
    if whole >= 9.95:
        return f"{whole:.0f} %"
    return f"{whole:.1f} %" if whole >= 0.1 else f"{whole:.1g} %"


def reserved_words(epsilon: float, target: float) -> str:
    """What a run has reserved of its budget: the figure that counts, while it goes on and however it ends.

    Args:
        epsilon: What is recorded in the ledger, 0 for nothing yet.
        target: The budget.

    >>> reserved_words(0.9994, 1.0), reserved_words(0.0, 1.0)
    ('epsilon = 0.9994 of 1 reserved', 'epsilon = 0 of 1 reserved')
    """
    return f"epsilon = {epsilon_text(epsilon)} of {target:g} reserved"


def item_text(name: str) -> str:
    """What a part of the budget was spent on, in plain words.

    >>> item_text("row count"), item_text("second look at unlisted names")
    ('row count', 'second measurement of rare values')
    >>> item_text("pair dependence of 'visits'")
    "measuring pairs of columns (pair dependence) of 'visits'"
    """
    item, of, table = name.partition(" of '")  # one of several tables
    return f"{ITEMS.get(item, item)}{of}{table}"


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(8.4), duration(83), duration(3720)
    ('8 s', '1 min 23 s', '1 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def seconds_left(began: tuple[float, int], done: int, of: int) -> float:
    """How long the rest takes if it goes on as it went since a moment when some of it was done already.

    Args:
        began: That moment (`time.monotonic()`), and how much was done then.
        done: How much is done now, more than then.
        of: How much there is to do.
    """
    then, already = began
    return (time.monotonic() - then) / (done - already) * max(of - done, 0)


def compact(count: float) -> str:
    """A large number in short words.

    >>> compact(950), compact(61_000), compact(1_234_567)
    ('950', '61 thousand', '1.23 million')
    """
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:.0f}"
