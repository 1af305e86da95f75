"""What the magics and the panel share: the session, and outputs that are filled later."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from IPython.core.displaypub import CapturingDisplayPublisher

from jupyter_dpsynth.notebook.output import Slot, Working, mime_bundle
from jupyter_dpsynth.notebook.session import current_session

if TYPE_CHECKING:
    import pytest

    from tests.support.notebooks import Shell

CELL: ContextVar[str] = ContextVar("CELL", default="no cell")


class Publisher(CapturingDisplayPublisher):  # type: ignore[misc]
    """Notes the cell in whose context something is published, as a kernel would."""

    def publish(self, data: dict[str, Any], *, transient: Any = None, update: bool = False, **_: Any) -> None:
        """Keep what is told."""
        name = (transient or {}).get("display_id", "")
        self.outputs.append((CELL.get(), data["text/plain"], name, update))


def test_a_slot_is_filled_from_another_thread_in_the_place_that_its_cell_gave_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher()
    monkeypatch.setattr(shell.ip, "display_pub", publisher)
    slot = Slot()

    def run_cell() -> None:
        CELL.set("first cell")
        slot.open()

    copy_context().run(run_cell)
    CELL.set("second cell")
    thread = threading.Thread(target=slot.show, args=(mime_bundle("a result"),))
    thread.start()
    thread.join()
    slot.clear()
    _, _, name, _ = publisher.outputs[0]
    assert publisher.outputs == [
        ("first cell", "", name, False),
        ("first cell", "a result", name, True),
        ("first cell", "", name, True),
    ]


def test_a_result_takes_the_place_of_what_showed_that_time_passes(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher()
    monkeypatch.setattr(shell.ip, "display_pub", publisher)
    with Working("Comparing", "text") as work:
        while not publisher.outputs:
            time.sleep(0.05)
    work.show(mime_bundle("the result"))
    assert publisher.outputs[0][1].startswith("● Comparing, ")
    assert publisher.outputs[-1][1:] == ("the result", publisher.outputs[0][2], True)
    with Working("Comparing", "text") as work:
        pass
    count = len(publisher.outputs)
    work.show(mime_bundle("at once"))
    assert len(publisher.outputs) == count + 1


def test_clearing_a_slot_without_a_place_shows_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher()
    monkeypatch.setattr(shell.ip, "display_pub", publisher)
    Slot().clear()
    assert publisher.outputs == []


def test_the_session_is_that_of_the_magics_while_they_are_loaded(shell: Shell) -> None:
    shell.run("%config DPSynthMagics.epsilon = 0.125\n%config DPSynthMagics.live = 'text'")
    session = current_session()
    assert session is current_session()
    assert session.namespace is shell.names
    assert (session.defaults().epsilon, session.front_end()) == (0.125, "text")
    shell.run("%unload_ext jupyter_dpsynth")
    without = current_session()
    assert without is not session
    assert without.namespace is shell.names
    assert (without.defaults().epsilon, without.front_end()) == (1.0, "terminal")
