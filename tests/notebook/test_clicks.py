"""A click acts once the front end has sent what was typed before it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ipywidgets as widgets
import pytest

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.panel import clicks
from jupyter_dpsynth.notebook.panel.clicks import Clicks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def waiting(done: list[str]) -> Iterator[Clicks]:
    made = Clicks(done.append)
    yield made
    made.close()


def clicked(waiting: Clicks, action: Callable[[], object]) -> None:
    button = widgets.Button()
    waiting.connect(button, action)
    button.click()


def test_a_click_waits_for_the_number_that_the_front_end_sends_back(waiting: Clicks, done: list[str]) -> None:
    async def handle() -> None:
        clicked(waiting, lambda: done.append("first"))
        clicked(waiting, lambda: done.append("second"))
        assert done == []
        for number, expected in ((1, ["first"]), (2, ["first", "second"])):
            waiting._answer.set_state({"value": number})
            assert done == expected

    asyncio.run(handle())


def test_without_an_answer_it_acts_all_the_same_and_once(
    waiting: Clicks, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clicks, "LONGEST_SECONDS", 0.01)

    async def handle() -> None:
        acted = asyncio.Event()
        clicked(waiting, lambda: (done.append("acted"), acted.set()))
        await acted.wait()
        waiting._answer.set_state({"value": 1})

    asyncio.run(handle())
    assert done == ["acted"]


def test_from_python_it_acts_at_once_and_errors_are_a_sentence(waiting: Clicks, done: list[str]) -> None:
    def fail() -> None:
        raise ConfigError("steps = -1 is not allowed.")

    clicked(waiting, fail)
    assert done == ["⚠ steps = -1 is not allowed."]
