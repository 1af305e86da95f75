"""Something done in a thread of its own while the caller goes on."""

from __future__ import annotations

import os
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Beside"]


class Beside:
    """One thread for one task after the other.

    Not an executor of the standard library: that takes no tasks any more once the interpreter has begun to
    end, when a run that is interrupted still makes its last step and closes its books. The thread ends with
    this object.
    """

    def __init__(self) -> None:
        self._process = 0  # of a process that was forked the thread is gone
        self._tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def begin(self, task: Callable[[], Any]) -> Callable[[], Any]:
        """Begin a task.

        Args:
            task: Done in the thread.

        Returns:
            A function that waits for the task's end and returns its result, or raises what it raised.
        """
        if self._process != os.getpid():
            self._process, self._tasks = os.getpid(), SimpleQueue()
            threading.Thread(target=_work, args=(self._tasks,), daemon=True).start()
            weakref.finalize(self, self._tasks.put, None)
        ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

        def do() -> None:
            try:
                ended.put((task(), None))
            except BaseException as error:  # noqa: BLE001 - raised where the result is taken
                ended.put((None, error))

        def result() -> Any:  # noqa: ANN401 - of any type
            found, error = ended.get()
            if error is not None:
                raise error
            return found

        self._tasks.put(do)
        return result


def _work(tasks: SimpleQueue[Callable[[], object] | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # and what it holds
