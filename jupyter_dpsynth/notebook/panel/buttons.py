"""The panel's row of buttons: train, stop, and what can be done with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from jupyter_dpsynth.notebook.panel.fields import short_text
from jupyter_dpsynth.notebook.session import DEFAULT_SYNTHETIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.notebook.panel.actions import Actions
    from jupyter_dpsynth.notebook.panel.clicks import Clicks

__all__ = ["Buttons"]


class Buttons:
    """The row of buttons, with the fields that belong to them.

    Args:
        actions: What they do.
        train: What Train does.
        show_code: What 'Show code' does.
        clicks: Has the buttons act.

    Attributes:
        box: The widget.
        show_code: The button 'Show code'.
    """

    def __init__(
        self,
        actions: Actions,
        train: Callable[[], None],
        show_code: Callable[[], None],
        clicks: Clicks,
    ) -> None:
        self._clicks = clicks
        rows = short_text(
            "rows", "Number of synthetic rows; empty: about as many as the original has", "auto", "110px"
        )
        file = short_text("file", "File for the model", "synthesizer.dps", "190px")
        file.value = f"{actions.output}.dps"
        self._train = self._button("Train", "play", "Learn the table; spends epsilon", train, "primary")
        self._stop = self._button(
            "Stop", "stop", "End training after the current step and keep the model", actions.stop
        )
        words = f"Make a synthetic table, {DEFAULT_SYNTHETIC}; costs no epsilon"
        make = self._button("Synthesize", "table", words, lambda: actions.synthesize(rows.value))
        words = "Compare with the noisy measurements; costs no epsilon"
        compare = self._button("Compare", "bar-chart", words, actions.compare)
        save = self._button("Save", "save", "Save the model in the file", lambda: actions.save(file.value))
        self._after = [make, rows, compare, save, file]
        self.show_code = self._button("Show code", "code", "Show the cell that does the same", show_code)
        # a field stays beside its button when the row breaks
        pairs = [
            widgets.HBox(each, layout={"align_items": "center"}) for each in ([make, rows], [save, file])
        ]
        self.box = widgets.HBox(
            [self._train, self._stop, pairs[0], compare, pairs[1], self.show_code],
            layout={"flex_flow": "row wrap", "align_items": "center", "margin": "6px 0 0 0"},
        )

    def _button(
        self, words: str, icon: str, tooltip: str, action: Callable[[], None], style: str = ""
    ) -> widgets.Button:
        made = widgets.Button(
            description=words, icon=icon, tooltip=tooltip, button_style=style, layout={"width": "auto"}
        )
        self._clicks.connect(made, action)
        return made

    def enable(self, *, running: bool, learned: bool, table: bool) -> None:
        """Enable what can be done now.

        Args:
            running: Whether a training of the panel runs.
            learned: Whether there is a model.
            table: Whether there is a table.
        """
        self._stop.disabled = not running
        for one in self._after:
            one.disabled = running or not learned
        self._train.disabled = running or not table
