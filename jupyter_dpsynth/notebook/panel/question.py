"""The panel's question before more is spent on the same data, or something for next to nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import INK, WARN, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.kept_models import KeptModel
    from jupyter_dpsynth.notebook.panel.clicks import Clicks
    from jupyter_dpsynth.privacy.ledger.datasets import LedgerAnswers
    from jupyter_dpsynth.privacy.ledger.summary import Account

__all__ = ["SpendingQuestion"]

AGAIN, OTHERS, CANCEL = "Train again and spend more", "It is about other people", "Cancel"
USE, ALL_THE_SAME = "Use the kept model", "Train all the same"
READING_SECONDS = 0.5  # an answer that comes sooner was given to what stood there before
CHANGED = "The fields have changed, and nothing was spent: {}."

SPEND_MORE, SPEND_FOR_NOTHING = (
    "Spend more on the same data?",
    "Spend, although columns may come out empty?",
)


class SpendingQuestion:
    """A sentence and some buttons, shown while the question is open.

    Args:
        train: Called with the answers to the ledger, to go on.
        use: Called with a kept model that is to be used instead.
        say: Shows a sentence.
        clicks: Has the buttons act.

    Attributes:
        box: The widget.
    """

    def __init__(
        self,
        train: Callable[[LedgerAnswers], None],
        use: Callable[[KeptModel], None],
        say: Callable[[str], None],
        clicks: Clicks,
    ) -> None:
        self._train, self._use, self._say, self._clicks = train, use, say, clicks
        self._mixed = False
        self._model: KeptModel | None = None
        self._changed_at = -READING_SECONDS
        self._words = widgets.HTML()
        self._others = self._button(OTHERS, "users", "Count it as a new dataset", lambda: self._go(new=True))
        self._kept = self._button(USE, "history", "Take the model of that run; costs no epsilon", self._take)
        self._again = self._button(AGAIN, "play", "Learn the table", lambda: self._go(new=False), "warning")
        buttons = [
            self._kept,
            self._again,
            self._others,
            self._button(CANCEL, "times", "Spend nothing", self.hide),
        ]
        layout = {"flex_flow": "row wrap", "align_items": "center"}
        self.box = widgets.VBox([self._words, widgets.HBox(buttons, layout=layout)])
        self.hide()

    def _button(
        self, words: str, icon: str, tooltip: str, action: Callable[[], None], style: str = ""
    ) -> widgets.Button:
        made = widgets.Button(
            description=words, icon=icon, tooltip=tooltip, button_style=style, layout={"width": "auto"}
        )
        self._clicks.connect(made, action)
        return made

    def ask(
        self, account: Account, epsilon: float, unit: str, model: KeptModel | None = None, empty: str = ""
    ) -> None:
        """Show what was spent and what would be.

        Args:
            account: What the data has cost, by its name and its columns.
            epsilon: What the run would reserve.
            unit: Whose privacy it would protect.
            model: The kept model of a table with these columns and settings, None if there is none.
            empty: Which columns are expected to come out empty, in words; empty if none are.
        """
        spent = bool(account.runs)
        self._again.description = AGAIN if spent else ALL_THE_SAME
        self._model = model
        self._kept.layout.display = "none" if model is None else ""
        kept = (
            "" if model is None else f" A model of such a table with these settings is kept: {model.words}."
        )
        self._mixed = bool(set(account.units) - {unit})
        no_other = not spent or (account.named and account.version_of is None)
        self._others.layout.display = "none" if no_other else ""
        asked = [(SPEND_MORE, account.sentence(epsilon, unit, hint=False) + kept)] if spent else []
        asked += [(SPEND_FOR_NOTHING, empty)] if empty else []
        question = Markup('<div style="margin-bottom:4px"><b style="color:{}">⚠ {}</b> {}</div>')
        self._words.value = Markup(
            '<div role="alert" style="color:{};font-size:13px;line-height:18px;white-space:normal">{}</div>'
        ).format(INK, join(question.format(WARN, title, words) for title, words in asked))
        self.box.layout.display = ""

    def hide(self) -> None:
        """Close the question; nothing is spent."""
        self.box.layout.display = "none"

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return self.box.layout.display != "none"

    def has_changed(self) -> None:
        """The fields have changed while it was open: an answer on its way was given to other figures."""
        self._changed_at = time.monotonic()
        if not self.is_open:
            self._say(CHANGED.format("press Train"))

    def _answers_what_is_asked(self) -> bool:
        if self.is_open and time.monotonic() - self._changed_at >= READING_SECONDS:
            return True
        self._say(CHANGED.format("read the question again" if self.is_open else "press Train"))
        return False

    def _take(self) -> None:
        if not self._answers_what_is_asked():
            return
        self.hide()
        if self._model is not None:
            self._use(self._model)

    def _go(self, *, new: bool) -> None:
        if not self._answers_what_is_asked():
            return
        self.hide()
        self._train({"new_dataset": new, "infinite_total": self._mixed and not new})
