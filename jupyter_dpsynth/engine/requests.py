"""Synthetic tables as users ask for them: as a whole, under conditions, balanced; and missing cells filled.

Privacy:
    Everything is post-processing of the released model. What `impute_table` is given is not: its result is
    as private as the frame.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.constraints import Ordering
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.conditions import condition_table
from jupyter_dpsynth.engine.conditional import ConditionalSampler
from jupyter_dpsynth.engine.generation import generate_codes
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.constraints import Constraint
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.run import Learned

__all__ = ["impute_table", "synthesize_table"]

LEAST_KEPT = 1e-3  # of the rows drawn: constraints that fewer keep are refused
TRIED_ROWS = 50_000  # before that is decided
BATCH_ROWS = 500_000


def synthesize_table(
    learned: Learned,
    rows: int,
    generator: np.random.Generator,
    where: Mapping[str, Any],
    balance: str | Mapping[str, Mapping[Hashable, float]] | None,
    constraints: tuple[Constraint, ...],
) -> pd.DataFrame:
    """A synthetic table that is as asked for.

    Args:
        learned: The released state.
        rows: How many rows.
        generator: Source of randomness; it does not concern privacy.
        where: Conditions by column.
        balance: A column of names whose categories get equal shares, or shares by column and value.
        constraints: Constraints, checked.

    Raises:
        ConfigError: Conditions, shares or constraints cannot be met.
    """
    if not where and balance is None:
        return _kept(learned, None, where, rows, generator, constraints)
    condition_table(learned.codec, where)  # what is wrong with it is told before anything is drawn
    parts = [(where, rows)] if balance is None else _portions(learned.codec, balance, where, rows)
    for conditions, _ in parts:
        condition_table(learned.codec, conditions)
    sampler = ConditionalSampler(learned.model, learned.reference.shares, generator)
    frames = [
        _kept(learned, sampler, conditions, size, generator, constraints)
        for conditions, size in parts
        if size
    ]
    if len(frames) == 1:
        return frames[0]
    joined = pd.concat(frames, ignore_index=True)
    return learned.codec.numbered(joined.iloc[generator.permutation(rows)])


def _kept(
    learned: Learned,
    sampler: ConditionalSampler | None,
    where: Mapping[str, Any],
    rows: int,
    generator: np.random.Generator,
    constraints: tuple[Constraint, ...],
) -> pd.DataFrame:
    """Rows that meet conditions and keep constraints: those that do not are drawn again."""
    codec = learned.codec
    draw: Callable[[int], NDArray[np.int32]] = partial(
        generate_codes, learned.model, learned.reference.shares, generator=generator
    )
    if sampler is not None:
        allowed, codec = condition_table(codec, where)
        draw = partial(sampler.draw, allowed)
        if any(name in where for pair in codec.orderings for name in pair):
            # values that change places could leave their conditions
            constraints += tuple(Ordering(*pair) for pair in codec.orderings)
            codec = replace(codec, orderings=())
    if not constraints:
        return codec.decode(draw(rows), generator)
    frames: list[pd.DataFrame] = []
    tried = kept = 0
    while kept < rows:
        expected = max(kept / tried, LEAST_KEPT) if tried else 1.0
        size = min(math.ceil(1.1 * (rows - kept) / expected) + 64, BATCH_ROWS)
        drawn = codec.decode(draw(size), generator)
        good = np.logical_and.reduce([constraint.holds(drawn) for constraint in constraints])
        frames.append(drawn[good])
        tried, kept = tried + size, kept + int(good.sum())
        if tried >= TRIED_ROWS and kept < LEAST_KEPT * tried:
            raise ConfigError(
                "constraints: fewer than 1 in 1,000 rows of the model keep them"
                f"{' under these conditions' if where else ''}: check that columns are not exchanged and "
                "that all combinations are listed, or remove one."
            )
    return codec.numbered(pd.concat(frames, ignore_index=True).iloc[:rows])


def _portions(
    codec: TableCodec,
    balance: str | Mapping[str, Mapping[Hashable, float]],
    where: Mapping[str, Any],
    rows: int,
) -> list[tuple[dict[str, Any], int]]:
    """Conditions and how many rows of each; largest remainders bring the sum to `rows`."""
    shares: Mapping[Hashable, float] | None = None
    if isinstance(balance, str):
        name = balance
    elif isinstance(balance, dict) and len(balance) == 1:
        ((name, shares),) = balance.items()
    else:
        raise ConfigError(
            f"balance = {shown(balance)} is not allowed: give a column, or shares by value like "
            "{'income': {'high': 0.5, 'low': 0.5}}."
        )
    if name not in codec.names or name in where:
        hint = did_you_mean(str(name), codec.names)
        reason = "has a condition in where: keep one." if name in where else f"is no learned column.{hint}"
        raise ConfigError(f"balance names {shown(name)}, which {reason}")
    column = codec.columns[codec.names.index(name)]
    if shares is None:
        if not isinstance(column, CategoryCodec) or not column.kept:
            raise ConfigError(
                f"balance = {name!r} has no published categories: give shares of values or ranges, like "
                f"{{{name!r}: {{(0, 9): 0.5, (10, 19): 0.5}}}}."
            )
        shares = dict.fromkeys(column.kept, 1.0)
    valid = isinstance(shares, dict) and all(
        isinstance(share, int | float) and 0 <= share < math.inf for share in shares.values()
    )
    if not valid or not sum(shares.values()) > 0:
        raise ConfigError(f"balance: the shares of column {name!r} must be numbers from 0, not all 0.")
    exact = np.array(list(shares.values()), dtype=float) / sum(shares.values()) * rows
    sizes = np.floor(exact).astype(int)
    sizes[np.argsort(sizes - exact, kind="stable")[: rows - sizes.sum()]] += 1
    return [({**where, name: value}, int(size)) for value, size in zip(shares, sizes, strict=True)]


def impute_table(learned: Learned, df: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """The frame with its missing cells drawn from the model, given the other cells of their rows.

    Args:
        learned: The released state.
        df: A frame with the schema of the learned table.
        generator: Source of randomness; it does not concern privacy.

    Privacy:
        The result is as private as `df`.
    """
    codec = replace(learned.codec, orderings=())
    names = list(codec.names)
    missing = df[names].isna().to_numpy()
    rows = np.flatnonzero(missing.any(axis=1))
    out = df.copy()
    if not len(rows):
        return out
    allowed = [np.ones(column.size) for column in codec.columns]
    for column, share in zip(codec.columns, allowed, strict=True):
        if column.meta.nullable:
            share[-1] = 0  # a missing cell must not be drawn again
    sampler = ConditionalSampler(learned.model, learned.reference.shares, generator)
    codes = codec.encode(df.iloc[rows]).astype(np.int32, order="F")
    filled = codec.decode(sampler.impute(codes, missing[rows], allowed), generator)
    for place, name in enumerate(names):
        absent = missing[rows, place]
        if absent.any():
            out[name] = _filled(df[name], rows[absent], filled[name][absent])
    return out


def _filled(series: pd.Series, rows: NDArray[np.intp], values: pd.Series) -> pd.Series:
    """A column with some cells replaced; its dtype stays."""
    series = series.copy()
    if isinstance(series.dtype, pd.CategoricalDtype):
        new = [value for value in values.dropna().unique() if value not in series.cat.categories]
        series = series.cat.add_categories(new)
        series.iloc[rows] = values.astype(object).to_numpy()
    else:
        series.iloc[rows] = values.array
    return series
