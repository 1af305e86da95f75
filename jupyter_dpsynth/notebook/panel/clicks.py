"""Clicks that wait for what was typed before them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ipywidgets as widgets

from jupyter_dpsynth.notebook.output import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clicks"]

LONGEST_SECONDS = 2  # for front ends that know no links between widgets, or are gone


class Clicks:
    """Has buttons act on what stands in the fields.

    ipywidgets holds a second edit of a field back until the kernel has handled the first, but sends clicks
    at once: a busy kernel would hear of Train before it hears of the epsilon on the screen. So each click
    has the front end send a number back, which comes after everything that was held back.

    Args:
        say: Shows a sentence, if an action fails.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._waiting: dict[int, Callable[[object], None]] = {}
        self._asked, self._answer = widgets.IntText(), widgets.IntText()
        self._link = widgets.jsdlink((self._asked, "value"), (self._answer, "value"))
        self._answer.observe(lambda change: self._act(change["new"]), "value")

    def connect(self, button: widgets.Button, action: Callable[[], None]) -> None:
        """Have a button do something when it is clicked."""
        act = guarded(action, self._say)
        button.on_click(lambda _: self._wait(act))

    def _wait(self, act: Callable[[object], None]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # clicked from Python: there is no front end to wait for
            act(None)
            return
        number = self._asked.value + 1
        self._waiting[number] = act
        loop.call_later(LONGEST_SECONDS, self._act, number)
        self._asked.value = number

    def _act(self, latest: int) -> None:
        """Do what was clicked up to a number."""
        for number in [each for each in self._waiting if each <= latest]:
            self._waiting.pop(number)(None)

    def close(self) -> None:
        """Forget what was clicked."""
        self._waiting.clear()
        for one in (self._link, self._asked, self._answer):
            one.close()
