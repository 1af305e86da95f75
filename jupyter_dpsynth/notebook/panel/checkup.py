"""The panel's check-up: the doctor's findings, each with a button that applies its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from jupyter_dpsynth.constraints import Ordering
from jupyter_dpsynth.notebook.output import guarded
from jupyter_dpsynth.notebook.panel.draft import IDENTIFIER, IGNORE
from jupyter_dpsynth.notebook.panel.fields import note_html
from jupyter_dpsynth.notebook.show.findings import banner_html, finding_html, nothing_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.planning.doctor import Finding, Place, Remedy
    from jupyter_dpsynth.notebook.panel.draft import SchemaDraft

__all__ = ["CheckUp"]

INTRODUCTION = (
    "Checks the private rows for problems before epsilon is spent. The findings are for the owner of the "
    "data: epsilon does not cover them. 'Clear' removes them from the notebook."
)
ROLES = {"ids": IDENTIFIER, "ignore": IGNORE}


class CheckUp:
    """Runs the check-up and applies its remedies.

    Args:
        config: Changed by remedies.
        schema: Changed by remedies.
        orders: Of two columns, which synthetic rows are to keep; added to by remedies.
        show_column: Shows a column where it can be edited.
        say: Shows a sentence.
        histories: Gives the findings in tables that are learned together with the panel's.

    Attributes:
        box: The widget.
    """

    def __init__(
        self,
        config: HighDimConfig,
        schema: SchemaDraft,
        orders: list[Ordering],
        show_column: Callable[[str], None],
        say: Callable[[str], None],
        histories: Callable[[], list[Finding]] = list,
    ) -> None:
        self.config, self.schema, self._orders, self._histories = config, schema, orders, histories
        self._show_column, self._say = show_column, say
        check = widgets.Button(
            description="Check the table",
            icon="stethoscope",
            tooltip="Reads the private rows; the findings are for the owner's eyes only",
            layout={"width": "auto"},
        )
        check.on_click(guarded(self.check, say))
        self._clear = widgets.Button(
            description="Clear", tooltip="Remove the findings", layout={"width": "auto"}, disabled=True
        )
        self._clear.on_click(guarded(self.clear, say))
        self._results = widgets.VBox(layout={"overflow": "visible"})
        introduction = widgets.HTML(note_html(INTRODUCTION))
        self.box = widgets.VBox(
            [introduction, widgets.HBox([check, self._clear]), self._results], layout={"overflow": "visible"}
        )

    def check(self) -> None:
        """Look at the table and show what was found."""
        from jupyter_dpsynth.engine.planning.doctor import examine
        from jupyter_dpsynth.engine.planning.findings import gathered

        declared, place = self.schema.arguments(), self.schema.place
        findings = examine(self.schema.table(), self.config.resolve(), declared=declared)
        findings += self._histories()
        self.clear()
        rows = [self._row(finding, place) for finding in gathered(findings)] or [widgets.HTML(nothing_html())]
        self._results.children = [widgets.HTML(banner_html()), *rows]
        self._clear.disabled = False

    def clear(self) -> None:
        """Remove the findings."""
        old = self._results.children
        self._results.children = []
        for row in old:
            for one in (*getattr(row, "children", ()), row):
                one.close()
        self._clear.disabled = True

    def _row(self, finding: Finding, place: Place) -> Any:  # noqa: ANN401 - a widget
        words = widgets.HTML(finding_html(finding, place), layout={"flex": "1 1 300px", "min_width": "0"})
        children = [words]
        remedy = finding.remedy
        elsewhere = remedy is not None and remedy.name == "text"  # no setting of the panel
        if remedy is not None and not elsewhere and (place.in_pandas or remedy.name != "convert"):
            button = widgets.Button(
                description="Convert" if remedy.name == "convert" else "Apply",
                icon="check",
                tooltip=self._words(remedy),
                layout={"width": "auto"},
            )
            button.on_click(guarded(lambda: self._apply(remedy, button), self._say))
            children.append(button)
        elif finding.kind == "bounds":
            button = widgets.Button(
                description="Columns",
                icon="arrow-right",
                tooltip="Declare what is public in the tab 'Columns'",
                layout={"width": "auto"},
            )
            button.on_click(lambda _: self._show_column(""))
            children.append(button)
        return widgets.HBox(
            children, layout={"flex_flow": "row wrap", "align_items": "flex-start", "margin": "4px 0"}
        )

    def _apply(self, remedy: Remedy, button: Any) -> None:  # noqa: ANN401 - a widget
        declare: dict[str, Callable[[Any], None]] = {
            "convert": self.schema.convert,
            "missing": self.schema.declare_missing,
            "at_least": self.schema.declare_orders,
            "derived": self.schema.declare_derived,
            "categories": self.schema.declare_levels,
            "order": lambda names: self._orders.append(Ordering(*names)),
        }
        if remedy.name in declare:
            declare[remedy.name](remedy.value)
        elif remedy.name == "hierarchy":
            for name, rule in remedy.value.items():
                self.schema.set(name, domain=rule)
        elif remedy.name == "decimals":
            for name, digits in remedy.value.items():
                self.schema.set(name, decimals=str(digits))
        elif remedy.name in ROLES:
            for name in remedy.columns:
                self.schema.set(name, role=ROLES[remedy.name])
        else:
            setattr(self.config, remedy.name, remedy.value)
        button.disabled, button.description = True, "Applied"
        self._say(f"Applied: {self._words(remedy)}")

    def _words(self, remedy: Remedy) -> str:
        """What applying a remedy does."""
        if remedy.name == "order":
            return f"Synthesize makes rows with {' <= '.join(remedy.value)}"
        return remedy.written(self.schema.place)
