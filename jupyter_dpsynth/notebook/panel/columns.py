"""The table of columns in the panel: type, role and declarations, a few columns at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import INK, MUTED, note
from jupyter_dpsynth.notebook.panel.draft import IDENTIFIER, IGNORE, LEARN
from jupyter_dpsynth.notebook.panel.fields import note_html, short_text

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.panel.draft import SchemaDraft

__all__ = ["ColumnTable"]

PAGE = 10  # columns on the screen at once: so many need no scrolling
ROLE_WORDS = (("learn", LEARN), ("id", IDENTIFIER), ("ignore", IGNORE))
ROLE_TIPS = (
    "learn it",
    "an identifier: never learned, gets new numbers",
    "leave it out of the synthetic table",
)
STATED = (
    "What you enter here is treated as public: enter what is known without the table, not what you see in "
    "it. Declarations cost nothing; what you leave empty is measured with a part of epsilon. 'public' takes "
    "a range (0, 110 or 2020-01-01, 2024-12-31) or all values (A, B, C); point at it for more."
)
ROW = {"flex_flow": "row wrap", "align_items": "center", "min_height": "36px", "overflow": "visible"}


class ColumnTable:
    """Edits a `SchemaDraft`.

    Args:
        draft: The columns.

    Attributes:
        box: The widget.
    """

    def __init__(self, draft: SchemaDraft) -> None:
        self.draft = draft
        self._first = 0
        self._rows: dict[str, _Row] = {}
        self._find = widgets.Text(
            placeholder="part of a column name",
            description="Find",
            tooltip="Show only columns whose name contains this",
            style={"description_width": "36px"},
            layout={"width": "220px"},
        )
        self._find.observe(lambda _: self._turn(0), "value")
        self._place = widgets.HTML(layout={"flex": "1 1 auto"})
        self._back = widgets.Button(icon="arrow-left", tooltip="Earlier columns", layout={"width": "40px"})
        self._on = widgets.Button(icon="arrow-right", tooltip="Later columns", layout={"width": "40px"})
        self._back.on_click(lambda _: self._turn(self._first - PAGE))
        self._on.on_click(lambda _: self._turn(self._first + PAGE))
        self._body = widgets.VBox(layout={"overflow": "visible"})
        stated = widgets.HTML(note_html(STATED))
        head = widgets.HBox(
            [self._find, self._place, self._back, self._on],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self.box = widgets.VBox([stated, head, self._body], layout={"overflow": "visible"})
        draft.observe(self._changed)
        self._turn(0)

    def _turn(self, first: int) -> None:
        """Show the columns from a position on."""
        wanted = self._find.value.strip().lower()
        names = [name for name in self.draft.columns if wanted in name.lower()]
        self._first = min(max(first, 0), max(0, (len(names) - 1) // PAGE * PAGE))
        shown = names[self._first : self._first + PAGE]
        self._back.disabled = self._first == 0
        self._on.disabled = self._first + PAGE >= len(names)
        last = self._first + len(shown)
        words = f"columns {self._first + 1} to {last} of {len(names)}" if shown else "no such column"
        self._place.value = note(words)
        for name in shown:
            self._rows.setdefault(name, _Row(self.draft, name))
        self._body.children = [self._rows[name].box for name in shown]

    def _changed(self, name: str) -> None:
        if name in self._rows:
            self._rows[name].show()

    def find(self, name: str) -> None:
        """Show one column."""
        self._find.value = name


class _Row:
    """The controls of one column."""

    def __init__(self, draft: SchemaDraft, name: str) -> None:
        self.draft, self.name = draft, name
        column = draft.columns[name]
        self._showing = False
        title = widgets.HTML(
            Markup(
                '<div style="line-height:15px;overflow-wrap:anywhere;color:{};font-size:13px">{}<br>'
                '<span style="color:{};font-size:11px">{}</span></div>'
            ).format(INK, name, MUTED, column.type_words),
            layout={"width": "104px", "flex": "0 0 auto", "min_height": "32px"},
        )
        # not a drop-down list: JupyterLab takes its arrow keys for moving from cell to cell
        self._role = widgets.ToggleButtons(
            options=ROLE_WORDS,
            value=column.role,
            tooltips=[f"{name}: {words}" for words in ROLE_TIPS],
            style={"button_width": "64px"},
            layout={"width": "auto", "flex": "0 0 auto"},
            disabled=not column.kind,
        )
        self._domain = _declared_text("public", column.domain_tip, column.domain_hint, "108px", grow=1)
        self._controls: list[Any] = [self._role, self._domain]
        self._decimals = None
        if column.kind == "number" and not column.fixed:
            tooltip = f"Public number of digits after the decimal point of {name}"
            self._decimals = _declared_text("digits", tooltip, "auto", "98px")
            self._controls.append(self._decimals)
        tooltip = f"Values of {name} that stand for a missing one, such as -9 or 'unknown'"
        self._missing = _declared_text("absent", tooltip, "none", "104px")
        self._controls.append(self._missing)
        self._note = widgets.HTML(layout={"flex": "1 1 100%", "display": "none", "margin": "0 2px 4px"})
        self.box = widgets.HBox([title, *self._controls, self._note], layout=ROW)
        self.show()
        self._role.observe(lambda change: self._edit(role=change["new"]), "value")
        self._domain.observe(lambda change: self._edit(domain=change["new"]), "value")
        self._missing.observe(lambda change: self._edit(missing=change["new"]), "value")
        if self._decimals is not None:
            self._decimals.observe(lambda change: self._edit(decimals=change["new"]), "value")

    def _edit(self, **changes: str) -> None:
        if not self._showing:
            self.draft.set(self.name, **changes)

    def show(self) -> None:
        """Show the column as it is in the draft."""
        column = self.draft.columns[self.name]
        self._showing = True
        try:
            self._role.value = column.role
            self._domain.value = column.domain
            self._missing.value = column.missing
            if self._decimals is not None:
                self._decimals.value = column.decimals
        finally:
            self._showing = False
        learned = column.role == LEARN and bool(column.kind)
        self._missing.disabled = not learned
        self._domain.disabled = not learned or (column.fixed and column.kind == "category")
        if self._decimals is not None:
            self._decimals.disabled = not learned
        self._note.value = note_html("", column.error)
        self._note.layout.display = "" if column.error else "none"


def _declared_text(label: str, tooltip: str, placeholder: str, width: str, grow: int = 0) -> widgets.Text:
    """A field that may take the room that is left in its row, up to a limit."""
    layout = {"flex": f"{grow} 1 {width}", "max_width": "320px"}
    return short_text(label, tooltip, placeholder, width, label_width="48px", layout=layout)
