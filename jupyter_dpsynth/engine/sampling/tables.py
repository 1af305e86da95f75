"""Makes synthetic tables as users request them: whole or in parts, with conditions, balanced.

Privacy:
    Everything is post-processing of the released model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.constraints import Derivation, Ordering
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.sampling.conditional import ConditionalSampler
from jupyter_dpsynth.engine.sampling.conditions import condition_table, within
from jupyter_dpsynth.engine.sampling.derivations import compute, derivations_of
from jupyter_dpsynth.engine.sampling.generation import calibrated_bias, generate_codes
from jupyter_dpsynth.engine.sampling.provenance import mark_synthetic
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.sources.fingerprint import RowHashes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.constraints import Combinations, Constraint
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.sampling.conditions import Within

__all__ = ["Portion", "TableMaker", "plan_table", "split_portions"]

LEAST_KEPT = 1e-3  # of the rows drawn: constraints that fewer keep are refused
TRIED_ROWS = 50_000  # before that is decided
BATCH_ROWS = 500_000


@dataclass(frozen=True)
class Portion:
    """Rows of a table that meet the same conditions.

    Attributes:
        where: Conditions by column.
        rows: How many rows.
    """

    where: Mapping[str, Any]
    rows: int


@dataclass(frozen=True, eq=False)
class TableMaker:
    """Makes tables, or parts of one, from the model alone.

    Attributes:
        model: The trained model.
        shares: Noisy one-way shares of each column.
        codec: The table's codec.
        constraints: Constraints that every row keeps.
        bias: Biases, `[D]`, with which single rows follow the shares; None if no row has conditions.

    Privacy:
        Post-processing of the released state.
    """

    model: TabularModel
    shares: Sequence[NDArray[np.float64]]
    codec: TableCodec
    constraints: tuple[Constraint, ...]
    bias: NDArray[np.float64] | None

    def make_stamped(self, portions: Sequence[Portion], generator: np.random.Generator) -> pd.DataFrame:
        """The same, stamped as synthetic.

        Args:
            portions: What the rows are to be.
            generator: Source of randomness; it does not concern privacy.

        Raises:
            ConfigError: As `make`.
        """
        if self.constraints or self.bias is not None:
            return mark_synthetic(self.make(portions, generator))
        rows = sum(each.rows for each in portions)
        self.codec.check_rows(rows)
        hashes = RowHashes(rows)
        codes = generate_codes(self.model, self.shares, rows, generator)
        return mark_synthetic(self.codec.decode(codes, generator, hashes=hashes), hashes=hashes)

    def make(
        self,
        portions: Sequence[Portion],
        generator: np.random.Generator,
        first: int = 1,
        of: int | None = None,
    ) -> pd.DataFrame:
        """The rows of all portions, in random order if there are several.

        Args:
            portions: What the rows are to be.
            generator: Source of randomness; it does not concern privacy.
            first: Number of the first row, for identifiers.
            of: Rows of the whole table, if this is a part of it.

        Raises:
            ConfigError: The model cannot meet conditions or keep constraints, or the rows are more than an
                identifier's dtype has numbers for.
        """
        self.codec.check_rows(of or first - 1 + sum(each.rows for each in portions))
        frames = [self._kept(each, generator, first, of) for each in portions if each.rows]
        if len(frames) == 1:
            return frames[0]
        joined = pd.concat(frames, ignore_index=True)
        return self.codec.numbered(joined.iloc[generator.permutation(len(joined))], first, of)

    def _kept(
        self, portion: Portion, generator: np.random.Generator, first: int, of: int | None
    ) -> pd.DataFrame:
        """Rows that meet conditions and constraints; rows that do not are drawn again."""
        codec, rows = self.codec, portion.rows
        derivations = derivations_of(self.constraints)
        constraints: tuple[Ordering | Combinations | Within, ...] = tuple(
            each for each in self.constraints if not isinstance(each, Derivation)
        )
        draw: Callable[[int], NDArray[np.int32]] = partial(
            generate_codes, self.model, self.shares, generator=generator
        )
        if self.bias is not None:
            allowed, codec, checks = condition_table(codec, portion.where)
            constraints += checks + _computed_within(self.codec, derivations, portion.where)
            draw = partial(ConditionalSampler(self.model, self.bias, generator).draw, allowed)
            if any(name in portion.where for pair in codec.orderings for name in pair):
                # values that change places could leave their conditions
                constraints += tuple(Ordering(*pair) for pair in codec.orderings)
                codec = replace(codec, orderings=())
        if not constraints:
            return codec.with_derived(
                compute(codec.decode(draw(rows), generator, first, of), derivations, codec)
            )
        frames: list[pd.DataFrame] = []
        tried = kept = 0
        while kept < rows:
            expected = max(kept / tried, LEAST_KEPT) if tried else 1.0
            size = min(math.ceil(1.1 * (rows - kept) / expected) + 64, BATCH_ROWS)
            drawn = codec.with_derived(compute(codec.decode(draw(size), generator), derivations, codec))
            present = codec.present(drawn)
            good = np.logical_and.reduce([constraint.holds(present) for constraint in constraints])
            frames.append(drawn[good])
            tried, kept = tried + size, kept + int(good.sum())
            if tried >= TRIED_ROWS and kept < LEAST_KEPT * tried:
                raise ConfigError(_too_rare(self.constraints, portion.where))
        return codec.numbered(pd.concat(frames, ignore_index=True).iloc[:rows], first, of)


def _computed_within(
    codec: TableCodec, derivations: Sequence[Derivation], where: Mapping[str, Any]
) -> tuple[Within, ...]:
    """Conditions on columns that are computed, which hold only after that."""
    columns = [codec.columns[codec.names.index(each.column)] for each in derivations if each.column in where]
    return tuple(within(each, where[each.meta.name]) for each in columns if isinstance(each, NumericCodec))


def _too_rare(constraints: tuple[Constraint, ...], where: Mapping[str, Any]) -> str:
    """What to do if next to no row of the model is what is asked for."""
    if not constraints:
        return (
            f"where: fewer than 1 in 1,000 rows of the model meet {shown(where)}: give wider ranges of dates "
            "that lie some time after or before another one."
        )
    return (
        "constraints: fewer than 1 in 1,000 rows of the model meet "
        f"them{' under these conditions' if where else ''}: check that no columns are "
        "swapped and that all combinations are listed, or remove a constraint."
    )


def plan_table(
    learned: Learned,
    rows: int,
    generator: np.random.Generator,
    where: Mapping[str, Any],
    balance: str | Mapping[str, Mapping[Hashable, float]] | None,
    constraints: tuple[Constraint, ...],
) -> tuple[TableMaker, list[Portion]]:
    """The maker of a requested table, and the portions that the table consists of.

    Args:
        learned: The released state.
        rows: How many rows.
        generator: Source of randomness; it does not concern privacy.
        where: Conditions by column.
        balance: A categorical column whose categories get equal shares, or shares by column and value.
        constraints: Constraints, checked.

    Raises:
        ConfigError: Conditions or shares name what is not published.
    """
    shares = learned.reference.shares
    condition_table(learned.codec, where)  # what is wrong with it is told before anything is drawn
    portions = [Portion(where, rows)] if balance is None else _portions(learned.codec, balance, where, rows)
    for portion in portions:
        try:
            condition_table(learned.codec, portion.where)
        except ConfigError as error:  # where itself is right: it was looked at before
            raise ConfigError(f"balance{str(error).removeprefix('where')}") from None
    free = not where and balance is None
    bias = None if free else calibrated_bias(learned.model, shares, generator)
    return TableMaker(learned.model, shares, learned.codec, constraints, bias), portions


def split_portions(portions: Sequence[Portion], sizes: Sequence[int]) -> Iterator[list[Portion]]:
    """What each part of a table consists of: the parts together are exactly the portions.

    Args:
        portions: Portions of the whole table.
        sizes: Rows of each part; in sum those of the portions.

    Example:
        >>> halves = split_portions([Portion({"a": 0}, 3), Portion({"a": 1}, 1)], [2, 2])
        >>> [[portion.rows for portion in half] for half in halves]
        [[2, 0], [1, 1]]
    """
    left = [portion.rows for portion in portions]
    for size in sizes:
        taken = _apportioned(left, size)
        left = [rows - own for rows, own in zip(left, taken, strict=True)]
        yield [replace(portion, rows=own) for portion, own in zip(portions, taken, strict=True)]


def _apportioned(shares: Sequence[float], rows: int) -> list[int]:
    """Whole numbers that add up to `rows`, by largest remainders.

    None is above its share's next whole number: of shares that are numbers of rows, at least `rows` in sum,
    none is exceeded.
    """
    exact = np.array(shares, dtype=float) / sum(shares) * rows
    sizes = np.floor(exact).astype(np.int64)
    sizes[np.argsort(sizes - exact, kind="stable")[: rows - sizes.sum()]] += 1
    return [int(size) for size in sizes]


def _portions(
    codec: TableCodec,
    balance: str | Mapping[str, Mapping[Hashable, float]],
    where: Mapping[str, Any],
    rows: int,
) -> list[Portion]:
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
        reason = (
            "has a condition in where, too: use one of the two."
            if name in where
            else (f"is not a learned column.{hint}")
        )
        raise ConfigError(f"balance names {shown(name)}, which {reason}")
    column = codec.columns[codec.names.index(name)]
    if shares is None:
        if not isinstance(column, CategoryCodec) or not column.published:
            raise ConfigError(
                f"balance = {name!r} has no published categories: give shares of values or ranges, like "
                f"{{{name!r}: {{(0, 9): 0.5, (10, 19): 0.5}}}}."
            )
        shares = dict.fromkeys(column.published, 1.0)
    valid = isinstance(shares, dict) and all(
        isinstance(share, int | float) and 0 <= share < math.inf for share in shares.values()
    )
    if not valid or not sum(shares.values()) > 0:
        raise ConfigError(f"balance: the shares of column {name!r} must be numbers from 0, not all 0.")
    sizes = _apportioned(list(shares.values()), rows)
    return [Portion({**where, name: value}, size) for value, size in zip(shares, sizes, strict=True)]
