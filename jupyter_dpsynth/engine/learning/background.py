"""Runs work in another thread, so that a notebook can await it, stop it and follow its reports."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.reports import StepReport

__all__ = ["in_thread"]


async def in_thread(
    work: Callable[[Callable[[StepReport], None], threading.Event], object],
    report: Callable[[StepReport], None],
) -> None:
    """Run work in a thread; meanwhile the event loop serves everything else.

    Args:
        work: Gets a function to report with, and an event that is set when it should end.
        report: Called with each report in the event loop's thread.

    Raises:
        CancelledError: After the work has ended, if this was cancelled.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def tell(each: StepReport) -> None:
        loop.call_soon_threadsafe(report, each)

    running = loop.run_in_executor(None, lambda: work(tell, stop))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])  # never leave it running behind the caller's back
        if not running.cancelled():
            running.exception()  # retrieved: stopped before there was a model is no news
        raise
