"""Writes synthetic tables of any size in parts.

A part depends only on the model and its own seed, so one that failed is made again with the same rows. It is
written under another name and then renamed, so a file is either complete or does not exist.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import math
import os
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.encoding.storing import write_arrow_file
from jupyter_dpsynth.engine.sampling.generation import CHAIN_ROWS
from jupyter_dpsynth.engine.sampling.provenance import mark_synthetic
from jupyter_dpsynth.engine.sampling.tables import plan_table, split_portions
from jupyter_dpsynth.errors import ConfigError, DataError, DPSynthError, shown
from jupyter_dpsynth.sources.dask import active_client, computed, import_dask

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import pandas as pd

    from jupyter_dpsynth.constraints import Constraint
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.sampling.tables import Portion, TableMaker
    from jupyter_dpsynth.sources.forms import TableForm

__all__ = ["PART_ROWS", "write_table"]

PART_ROWS = CHAIN_ROWS  # most rows of a part: they are steered together
ATTEMPTS = 3
FORMATS = (".parquet", ".csv")


@dataclass(frozen=True)
class _Part:
    """One file: its name, the number of its first row, its portions, and its seed."""

    path: Path
    first: int
    portions: Sequence[Portion]
    seed: np.random.SeedSequence


def write_table(
    learned: Learned,
    rows: int,
    to: str | os.PathLike[str],
    seed: int | None = None,
    *,
    where: Mapping[str, Any],
    balance: str | Mapping[str, Mapping[Hashable, float]] | None,
    constraints: tuple[Constraint, ...],
    overwrite: bool,
    progress: Callable[[int, int], None],
) -> list[Path]:
    """Write a synthetic table, on the workers of Dask's active client or on the cores of this machine.

    Args:
        learned: What was learned.
        rows: How many rows.
        to: Where to: a pattern such as 'out/*.parquet' or 'out/synthetic-*.csv'; the parts' numbers take
            the star's place. A table of at most `PART_ROWS` rows needs no star.
        seed: Fixes the output.
        where: Conditions by column.
        balance: A categorical column whose categories get equal shares, or shares by column and value; they
            hold for the table, and in every part as nearly as whole rows allow.
        constraints: Constraints, checked.
        overwrite: Whether files that are there may be replaced.
        progress: Told how many of how many rows are written.

    Returns:
        The files, in the order of their rows.

    Raises:
        ConfigError: `to` is no such pattern, or names files that are there; conditions, shares or
            constraints cannot be met.
        DataError: A part could not be written.
        MissingDependencyError: Dask is not installed.

    Privacy:
        Post-processing: free.
    """
    pattern = _checked(to, rows)
    _refuse_existing(pattern, overwrite=overwrite)
    generator = np.random.default_rng(seed)
    maker, portions = plan_table(learned, rows, generator, where, balance, constraints)
    # what the model cannot do is told before a file is written or replaced
    maker.make([replace(each, rows=1) for each in portions if each.rows], generator)
    pattern.parent.mkdir(parents=True, exist_ok=True)
    parts = _parts(pattern.absolute(), portions, seed)  # workers have other working directories
    client, dask = active_client(), import_dask()
    # sent once, not with every part
    shared: Any = (
        dask.delayed(maker, traverse=False) if client is None else client.scatter(maker, broadcast=True)
    )
    write, form = dask.delayed(_write_part, pure=False), learned.codec.df_meta.form
    done = 0
    # each part limits its own products to one thread, and must find that limit when it takes its own back
    with threadpool_limits(1, user_api="blas"):
        tasks = (write(shared, part, rows, form) for part in parts)
        for written in computed(tasks, ahead=1, retries=ATTEMPTS):
            if isinstance(written, DPSynthError):
                raise written
            done += written
            progress(done, rows)
    for path in _numbered_files(pattern)[len(parts) :]:  # of an earlier, longer table
        path.unlink()
    return [pattern.with_name(part.path.name) for part in parts]


def _checked(to: object, rows: int) -> Path:
    """The pattern as a path; ConfigError if it is none."""
    if not isinstance(to, str | os.PathLike):
        raise ConfigError(f"to = {shown(to)} is not a path: give a pattern such as 'out/*.parquet'.")
    text = os.fspath(to)
    pattern = Path(text).expanduser()
    if pattern.suffix not in FORMATS or "://" in text:
        raise ConfigError(
            f"to = {shown(text)}: give a pattern on this machine (or on a disk that all workers share) that "
            "ends in .parquet or .csv, such as 'out/*.parquet'."
        )
    stars = pattern.name.count("*")
    if stars > 1 or "*" in str(pattern.parent) or (stars == 0 and rows > PART_ROWS):
        raise ConfigError(
            f"to = {shown(text)}: a table of more than {PART_ROWS:,} rows is written in several files. Put "
            f"one * into the file's name, where the number goes: '{pattern.stem}-*{pattern.suffix}'."
        )
    return pattern


def _refuse_existing(pattern: Path, *, overwrite: bool) -> None:
    found = {Path(each) for each in glob.glob(str(pattern))}  # noqa: PTH207 - the folder may be absolute
    others = found - set(_numbered_files(pattern))
    if others and "*" in pattern.name:
        raise ConfigError(
            f"to = {shown(str(pattern))}: there are other files that match this pattern "
            f"({min(others).name}); they would be read together with the new ones. Choose another folder or "
            "name."
        )
    if found and not overwrite:
        raise ConfigError(
            f"to = {shown(str(pattern))}: {min(found).name} exists already. Choose another name, or set "
            "overwrite = True (--overwrite) to replace it."
        )


def _numbered_files(pattern: Path) -> list[Path]:
    """Files that a table with this pattern consists of, in order."""
    if "*" not in pattern.name:
        return [pattern] if pattern.exists() else []
    name = re.compile(r"(\d{5,})".join(map(re.escape, pattern.name.split("*"))))
    found = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    return sorted(path for path in found if name.fullmatch(path.name))


def _parts(pattern: Path, portions: Sequence[Portion], seed: int | None) -> list[_Part]:
    """The table in parts of about equal size, each with a seed of its own."""
    rows = sum(portion.rows for portion in portions)
    count = math.ceil(rows / PART_ROWS)
    sizes = [rows // count + (number < rows % count) for number in range(count)]
    starts = itertools.accumulate(sizes, initial=1)
    seeds = np.random.SeedSequence(seed).spawn(count)
    return [
        _Part(pattern.with_name(pattern.name.replace("*", f"{number:05d}")), first, own, child)
        for number, (first, own, child) in enumerate(
            zip(starts, split_portions(portions, sizes), seeds, strict=False)
        )
    ]


def _write_part(maker: TableMaker, part: _Part, of: int, form: TableForm) -> int | DPSynthError:
    """Make and store one part; returns its number of rows, or the error."""
    try:
        df = maker.make(part.portions, np.random.default_rng(part.seed), part.first, of)
        mark_synthetic(df, remember=False)  # Parquet keeps the stamp
    except DPSynthError as error:  # given back, not raised: the same part would fail again
        return error
    for attempt in range(ATTEMPTS):
        try:
            _store(df, part.path, form)
        except OSError as error:
            if attempt == ATTEMPTS - 1:
                reason = error.strerror or type(error).__name__
                return DataError(
                    f"{part.path} could not be written ({reason}). If Dask's client is active, all of its "
                    "workers must be able to write to that folder."
                )
        else:
            return len(df)
    raise AssertionError


def _store(df: pd.DataFrame, path: Path, form: TableForm) -> None:
    """Write under another name, then rename, so that nobody sees an incomplete file."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        if path.suffix == ".parquet":
            write_arrow_file(df, hidden, form)
        else:
            df.to_csv(hidden, index=False)
        hidden.replace(path)
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
