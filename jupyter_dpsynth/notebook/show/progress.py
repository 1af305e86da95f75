"""`TrainingProgress`: one display that follows a training from its first second into the saved notebook.

In a notebook with a front end, the display is a widget with HTML; it is redrawn by changing one string. At
the end, the same output becomes plain HTML (and a PNG), so that the notebook is readable when it is opened
later without a kernel. Without a front end (nbclient, papermill), the output's text is updated instead; in a
terminal, one line is rewritten in place.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.display.console import ProgressLine
from jupyter_dpsynth.engine.model.losses import told
from jupyter_dpsynth.notebook.output import Slot, mime_bundle
from jupyter_dpsynth.notebook.show.drawing import SAME_CELL, curve_png, live_html, picture_bundle, static_html
from jupyter_dpsynth.notebook.show.moment import BUTTON_HINT, INTERRUPT_HINT, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.notebook.output import FrontEnd
    from jupyter_dpsynth.notebook.show.moment import Moment
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

__all__ = ["TrainingProgress"]

REDRAW_SECONDS = {"widget": 0.25, "text": 1.0, "terminal": 0.25}
UNFINISHED = (
    "This notebook was saved during the training, or the kernel ended during it: count epsilon = {:g} as "
    "spent."
)
IN_FULL = (
    "Stopping early does not change what it cost: the decision to stop may have followed from what was "
    "shown. The receipt states epsilon of the completed steps, which holds only if it did not."
)
HIDDEN_LOSS = (
    "The noise in the loss is larger than what training changed in it: its curve does not tell how well the "
    "table was learned. %dpsynth compare does."
)
COVERED = (
    "Everything shown here is covered by epsilon: no exact count, no exact loss. The only exception is the "
    "ledger's line, which is for you, the owner: it says with which dataset these rows count."
)


def _unfinished(moment: Moment) -> Moment:
    """What a saved notebook shows of a training that had not ended."""
    epsilon = moment.target if moment.private else moment.epsilon
    return dataclasses.replace(moment, headline="Not finished when this notebook was saved", epsilon=epsilon)


class TrainingProgress:
    """Shows one training.

    Args:
        run: What to show.
        front_end: How.
        background: Whether the cell has returned: then there is a Stop button, because the front end's
            messages are handled.
        slots: Where the display and the picture go; by default below what the cell has shown.
        cell: The code of a cell that does the same, where no cell started it.
        brief: Shows in a few words how far it is, where the display may be out of sight.
    """

    def __init__(
        self,
        run: TrainingRun,
        front_end: FrontEnd,
        *,
        background: bool = False,
        slots: tuple[Slot, Slot] | None = None,
        cell: str = "",
        brief: Callable[[str], None] | None = None,
    ) -> None:
        self.run = run
        self._brief = brief
        self._cell = cell
        self.front_end = front_end
        self.background = background
        self._hint = BUTTON_HINT if background else INTERRUPT_HINT
        self._main, self._picture = slots or (Slot(), Slot())
        self._drawn_at = 0.0
        self._last = ""
        self._line: ProgressLine | None = None  # in a terminal
        self._told = False
        self._html: Any = None
        self._widgets: list[Any] = []
        self._closed = False

    def open(self) -> None:
        """Show the first moment."""
        moment = self._moment()
        self._drawn_at = time.monotonic()
        if self.front_end == "terminal":
            self._line = ProgressLine(sys.stdout)
            self._show_line(moment)
            return
        # beside a widget it is seen only where there is no kernel any more: nothing may look spent less
        saved = moment if self.front_end == "text" else _unfinished(moment)
        widget = self._make_widgets(moment) if self.front_end == "widget" else None
        self._main.show(self._static(saved, (UNFINISHED.format(moment.target),), widget))
        if self.background:  # a later output cannot be added to a cell that has returned
            self._picture.open()

    def update(self) -> None:
        """Redraw if it is time to."""
        now = time.monotonic()
        if now - self._drawn_at < REDRAW_SECONDS[self.front_end]:
            return
        self._drawn_at = now
        moment = self._moment()
        self._tell_ledger(moment)
        if self._brief is not None and not moment.ended:
            self._brief(f"{moment.sign} {moment.headline} (below)")
        if self._html is not None:
            self._html.value = live_html(moment)
            if self.run.stop_requested:
                self._disable_button()
        elif self._line is not None:
            self._show_line(moment)
        elif moment.line() != self._last:
            self._last = moment.line()
            self._main.show(self._static(moment, (UNFINISHED.format(moment.target),)))

    def close(self, *notes: str) -> None:
        """Show the last moment for good, with further lines of plain text below it."""
        moment = self._moment()
        notes = (*(f"⚠ {warning}" for warning in self.run.warnings), *notes)
        told_of_columns: tuple[str, ...] = ()
        if self.run.learned:
            told_of_columns = tuple(self.run.synthesizer.receipt.structure_lines())
        if moment.state == "stopped" and moment.private and moment.epsilon:
            notes = (IN_FULL, *notes)
        self._tell_ledger(moment)
        if self._line is not None:
            self._show_line(moment, end=True)
            for note in (*told(moment.losses), *told_of_columns, *notes):
                self._line.keep(note)
            return
        shown = (*notes, COVERED) if moment.private and self.run.learned else notes
        if moment.loss_is_hidden:
            shown = (*shown, HIDDEN_LOSS)  # above the picture
        self._main.show(self._static(moment, shown, structure=told_of_columns))
        picture = curve_png(moment)
        if picture is not None:
            words = f"Private loss by step, ending at {moment.loss_words}"
            self._picture.show(picture_bundle(picture, words))
        for widget in self._widgets:
            widget.close()
        self._widgets, self._html, self._closed = [], None, True

    def repeat(self) -> bool:
        """Show the same in the name of the cell that runs now; returns whether it is the last moment."""
        last = self._closed  # asked first: what is shown after it is the last moment
        self._main.repeat()
        self._picture.repeat()
        return last

    def _tell_ledger(self, moment: Moment) -> None:
        """In a terminal, where one line is rewritten, show the ledger's sentence on its own line."""
        if self._line is not None and moment.ledger and not self._told:
            self._told = True
            self._line.keep(moment.ledger)

    def _show_line(self, moment: Moment, *, end: bool = False) -> None:
        if self._line is not None:
            self._line.show(moment.line(), moment.headline, moment.step, moment.total, end=end)

    def _moment(self) -> Moment:
        return moment_of(self.run, self._hint)

    def _static(
        self,
        moment: Moment,
        notes: tuple[str, ...],
        widget: Any = None,  # noqa: ANN401 - a widget
        structure: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        ledger = (moment.ledger,) if moment.ledger else ()
        cell = (SAME_CELL, self._cell) if self._cell else ()
        text = "\n".join(
            [
                *(moment.line(), *told(moment.losses), *ledger, *structure),
                *((*notes, *cell) if moment.ended else ()),
            ]
        )
        return mime_bundle(text, static_html(moment, notes, self._cell, structure), widget)

    def _make_widgets(self, moment: Moment) -> Any:  # noqa: ANN401 - a widget
        """The live widgets, in one."""
        from ipywidgets import HTML, Button, VBox

        self._html = HTML(live_html(moment))
        self._widgets = [self._html]
        root: Any = self._html
        if self.background:
            button = Button(
                description="Stop and keep the model",
                icon="stop",
                tooltip="End training after the current step",
                layout={"width": "auto", "align_self": "flex-start"},
            )
            button.on_click(lambda _: self._stop())
            root = VBox([self._html, button])
            self._widgets += [button, root]
        return root

    def _stop(self) -> None:
        self.run.stop()
        self._disable_button()

    def _disable_button(self) -> None:
        for widget in self._widgets[1:2]:
            widget.disabled = True
            widget.description = "Stopping …"
