"""Several workers learn one table together: they compare it, share what was measured, and shard it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import DataError, NotLearnedError
from jupyter_dpsynth.privacy.noise import keyed_generator
from jupyter_dpsynth.sources.fingerprint import table_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.training.distribute import Workers
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["compare_tables", "is_first", "preparing", "receive", "send", "several", "shard", "workers_of"]

KEY_BYTES = 32
NUMBERS_AT_ONCE = 2**20


def workers_of(strategy: Any, config: ResolvedConfig) -> Workers | None:  # noqa: ANN401 - TensorFlow ships no types
    """The workers of a strategy, None without one; whoever has a strategy has loaded TensorFlow.

    Args:
        strategy: A `tf.distribute` strategy, or None.
        config: The frozen parameters.

    Raises:
        ConfigError: The strategy, or a parameter together with it, does not work.
    """
    if strategy is None:
        return None
    from jupyter_dpsynth.engine.training.distribute import Workers

    workers = Workers(strategy)
    workers.check(config)
    return workers


def several(workers: Workers | None) -> bool:
    """Whether there is more than one."""
    return workers is not None and workers.workers > 1


def is_first(workers: Workers | None) -> bool:
    """Whether this process is the first worker, or the only one: it alone spends and measures."""
    return workers is None or workers.worker == 0


def preparing(workers: Workers | None) -> AbstractContextManager[None]:
    """What the first worker does while the others wait: if it fails, they are told so."""
    return contextlib.nullcontext() if workers is None else workers.preparing()


def send(workers: Workers | None, content: Callable[[], bytes]) -> None:
    """Send the other workers, if there are any, what the first one measured; they wait for nothing more."""
    if workers is not None and workers.workers > 1:
        workers.send(content(), last=True)


def receive(workers: Workers) -> bytes:
    """What the first worker sent.

    Raises:
        NotLearnedError: It had nothing to send.
    """
    content = workers.send(b"")
    if not content:
        raise NotLearnedError("the first worker ended before training began: see its message for the reason.")
    return content


def compare_tables(
    workers: Workers | None, source: Source, config: ResolvedConfig
) -> np.random.Generator | None:
    """Raise on all workers, before anything is spent, unless all have the same table and parameters.

    The shards are cut by index: in tables of different order a row could be in two of them.

    Args:
        workers: Who compares.
        source: The private table.
        config: The frozen parameters.

    Returns:
        A generator that is the same on all workers, so that all keep the same rows of each privacy unit and
        number the units alike; None if there is one worker only.

    Raises:
        DataError: The tables or the parameters differ.
    """
    if workers is None or workers.workers == 1:
        return None
    parameters = json.dumps(config.to_dict(), sort_keys=True).encode()
    problem = DataError(
        "the workers do not have the same table in the same order, or not the same parameters: load the "
        "table on each of them by the same code, without randomness. Nothing was measured or spent."
    )
    key = _compare(workers, table_fingerprint(source, ordered=True) + parameters, problem)
    source.in_order = True
    return keyed_generator(key)


def shard(
    workers: Workers | None, codes: NDArray[np.integer[Any]], units: PrivacyUnits | None
) -> tuple[NDArray[np.integer[Any]], PrivacyUnits | None]:
    """This worker's shard: of the rows, or of the privacy units, whose codes then stay as they are.

    Args:
        workers: Who trains together.
        codes: Private codes of all rows, `[n, m]`.
        units: Which rows belong to which privacy unit; None if every row is one.

    Raises:
        DataError: The workers do not agree which rows belong to which privacy unit.
    """
    if workers is None or workers.workers == 1:
        return codes, units
    if units is None:
        return codes[workers.rows(len(codes))], None
    _compare_units(workers, units)
    return codes, units.shard(workers.rows(len(units)))


def _compare_units(workers: Workers, units: PrivacyUnits) -> None:
    """Raise on all workers, before the first step, unless all have put the same rows into each unit."""
    ours = hashlib.sha256(b"jupyter_dpsynth units 1")
    for numbers in (units.starts, units.rows):
        for start in range(0, len(numbers), NUMBERS_AT_ONCE):
            ours.update(numbers[start : start + NUMBERS_AT_ONCE].astype("<i8").tobytes())
    problem = DataError(
        "the workers do not agree on which rows belong to which person: install the same versions on all of "
        "them. What was measured counts as spent."
    )
    _compare(workers, ours.digest(), problem)


def _compare(workers: Workers, ours: bytes, problem: DataError) -> bytes:
    """Raise on all workers unless all hold the same; return a key that is new and the same for all.

    Privacy:
        A digest of what may be exact rows, keyed for this once, goes from the first worker to the others,
        who hold the same rows, and is kept nowhere.
    """
    key = secrets.token_bytes(KEY_BYTES)
    mine = key + hmac.digest(key, ours, hashlib.sha256)
    content = receive(workers) if workers.worker else workers.send(mine)
    key, digest = content[:KEY_BYTES], content[KEY_BYTES:]
    workers.require(hmac.compare_digest(hmac.digest(key, ours, hashlib.sha256), digest), problem)
    return key
