"""Following a training until its end: in its cell, or from a thread after the cell has returned."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import DPSynthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.notebook.show.progress import TrainingProgress
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

__all__ = ["DEFAULT_NAME", "finish", "follow", "follow_in_background", "shown_error"]

logger = logging.getLogger(__name__)

DEFAULT_NAME = "synthesizer"  # of the variable, where no other is given
POLL_SECONDS = 0.05
KEPT = (
    "The model is kept: after a restart of the kernel, %dpsynth load --run {}{} brings it back for free. "
    "With --reuse in the cell's first line, 'Restart and Run All' takes it instead of spending again."
)


def follow(run: TrainingRun, progress: TrainingProgress) -> None:
    """Train and show it until the end; the first interrupt ends training early, the second returns."""
    while True:
        try:
            run.start()
            while not run.wait(POLL_SECONDS):
                progress.update()
        except KeyboardInterrupt:
            if run.stop_requested:
                raise
            run.stop()
        else:
            return


def finish(run: TrainingRun, progress: TrainingProgress) -> None:
    """Show the final state of a training, with what to do next."""
    if run.learned:
        which = "" if run.name == DEFAULT_NAME else f" -s {run.name}"
        notes = [f"Learned as {run.name!r}. Next: %dpsynth synthesize 1000 -o df_synth{which}"]
        if run.synthesizer.kept is not None:
            output = "" if run.name == DEFAULT_NAME else f" -o {run.name}"
            notes.append(KEPT.format(run.synthesizer.kept[:8], output))
        progress.close(*notes)
    elif run.error is not None and progress.background:  # no cell is left to fail
        progress.close(str(shown_error(run.error)))
    else:
        progress.close()


def follow_in_background(
    run: TrainingRun, progress: TrainingProgress, ended: Callable[[], None] = lambda: None
) -> threading.Thread:
    """Show a training from a thread of its own, because its cell has returned.

    Args:
        run: The training.
        progress: Its display, open.
        ended: Called at the end, from the thread.

    Returns:
        The thread.
    """

    def work() -> None:
        try:
            follow(run, progress)
            finish(run, progress)
        except Exception:  # nobody would see it
            logger.exception("the display of a background training failed")
        finally:
            while not run.wait(POLL_SECONDS):  # a training goes on where its display has failed
                pass
            ended()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="dpsynth-display", daemon=True)
    thread.start()
    return thread


def shown_error(error: BaseException) -> BaseException:
    """A training's error as it may be shown: foreign messages may quote private values."""
    if isinstance(error, DPSynthError):
        return error
    return DPSynthError(
        f"learning failed with {type(error).__name__}; its message is hidden because it may quote private "
        "values."
    )
