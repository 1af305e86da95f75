"""Runs work with Dask, in the threads of this process or on the cluster of its active client."""

from __future__ import annotations

import contextlib
import itertools
import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["AHEAD", "active_client", "computed", "import_dask"]

AHEAD = 4  # tasks a thread that are handed over at once
# distributed warns of large tasks and states their size, in which the number of rows can be read
UNTOLD = {"distributed.admin.large-graph-warning-threshold": "1000 PB"}


def import_dask() -> Any:  # noqa: ANN401 - a module
    """Dask; MissingDependencyError if it, or what it needs, is not installed."""
    try:
        import dask
        import dask.dataframe
    except ImportError as error:
        raise MissingDependencyError(
            "files and Dask DataFrames are read with dask and pyarrow: install jupyter_dpsynth[scale], or "
            "pass a pandas DataFrame."
        ) from error
    return dask


def computed(
    tasks: Iterable[Any], ahead: int = AHEAD, retries: int = 0, *, here: bool = False
) -> Iterator[Any]:
    """Results of delayed tasks in order; only a few run at once, to limit memory.

    Args:
        tasks: What to compute.
        ahead: Tasks a thread that are handed over at once.
        retries: How often a cluster tries a task again.
        here: Whether only this machine can do it, cluster or not.
    """
    dask = import_dask()
    waiting = iter(tasks)
    client = None if here else active_client()
    options: dict[str, Any] = {"scheduler": "threads"} if here else {}
    if client is not None:
        options["retries"] = retries
    while batch := list(itertools.islice(waiting, ahead * _threads(client))):
        with contextlib.nullcontext() if client is None else dask.config.set(UNTOLD):
            found = dask.compute(*batch, **options)
        yield from found


def active_client() -> Any:  # noqa: ANN401 - a distributed.Client
    """The client of the cluster that Dask works on, None without one."""
    if "distributed" not in sys.modules:  # then nobody can have started one
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


def _threads(client: Any) -> int:  # noqa: ANN401 - a distributed.Client, or None
    """Threads that tasks run on."""
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)
