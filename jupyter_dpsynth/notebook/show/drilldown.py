"""A small panel under a comparison, to look at one column or at two together.

The pictures are ordinary outputs of the cell, with the banner in them where there is one. The widgets hold
column names only: a widget's state is saved in the notebook without a banner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import INK, callout, join, note, paragraph, strong
from jupyter_dpsynth.evaluation.plots import picture_html
from jupyter_dpsynth.notebook.output import STYLED, Slot, guarded, mime_bundle, style_widget
from jupyter_dpsynth.notebook.show.words import PAGE, page_words

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.report import UtilityReport

__all__ = ["DrillDown"]

TITLE = "Look at one column, or at two together"
REOPENED = "To look at single columns and pairs, run this cell again; this needs a running kernel."
LARGER = 1.6  # than in the overview


class DrillDown:
    """Shows columns and pairs of a report.

    Args:
        report: The comparison.
        slots: Where the choice and the pictures go; by default below what the cell has shown.
        guarantee: What protects the table that was learned, in one sentence, for the page.

    Privacy:
        With the original the names stand in the table's order: 'largest difference first' would put what
        depends on its rows into a widget's state.
    """

    def __init__(
        self, report: UtilityReport, slots: tuple[Slot, Slot] | None = None, guarantee: str = ""
    ) -> None:
        self.report, self._guarantee = report, guarantee
        self._choice, self._pictures = slots or (Slot(), Slot())
        is_private = report.banner is None
        names = [column.name for column in report.columns] if is_private else list(report.names)
        order = ", largest difference first" if is_private else ", in the table's order"
        # not a drop-down list: JupyterLab takes its arrow keys for moving from cell to cell
        shared = {
            "options": names,
            "ensure_option": True,
            "style": {"description_width": "90px"},
            "layout": {"width": "auto", "max_width": "420px"},
        }
        self.first = widgets.Combobox(
            description="Column",
            placeholder="choose or type a column",
            tooltip=f"The column to look at{order}",
            **shared,
        )
        self.second = widgets.Combobox(
            description="Together with",
            placeholder="no other column",
            tooltip="A second column, to show the joint shares of both",
            **shared,
        )
        self.message = widgets.HTML(layout={"margin": "0"})
        title = widgets.HTML(
            Markup('<div style="color:{};font-size:13px">{}</div>').format(INK, strong(TITLE))
        )
        self.save = widgets.Button(
            description="Save as HTML",
            icon="download",
            tooltip=f"Write the whole comparison as {PAGE}, to be mailed or printed",
            layout={"width": "auto"},
        )
        self.save.on_click(guarded(self._save, self._say))
        fields = widgets.HBox([self.first, self.second, self.save], layout={"flex_flow": "row wrap"})
        self.box = widgets.VBox([style_widget(), title, fields, self.message])
        self.box.add_class(STYLED)
        for field in (self.first, self.second):
            field.observe(guarded(self.draw, self._say), "value")

    def show(self) -> None:
        """Put the panel, and room for its pictures, under the cell."""
        self._choice.show(mime_bundle(REOPENED, note(REOPENED), self.box))
        self._pictures.open()

    def draw(self) -> None:
        """Show what is chosen."""
        first, second = self.first.value, self.second.value
        if not first:
            return
        self._say("")
        report = self.report
        if second in ("", first):
            figures, words = [report.column_figure(first)], self._column_words(first)
        else:
            figures, words = report.pair_figures(first, second), self._pair_words(first, second)
        scale = LARGER if len(figures) == 1 else 1.0
        pictures = join(picture_html(figure, words, scale) for figure in figures)
        warning = callout(strong("Not private."), " ", report.banner) if report.banner else ""
        text = f"{words}\n{report.banner}" if report.banner else words
        content = join([paragraph(words), warning, pictures])
        markup = Markup('<div style="color:{}">{}</div>').format(INK, content)
        self._pictures.show(mime_bundle(text, markup))

    def close(self) -> None:
        """Remove the widgets."""
        for widget in (self.first, self.second, self.save, *self.box.children, self.box):
            widget.close()

    def _save(self) -> None:
        """Write the comparison as a page beside the notebook."""
        self._say(page_words(self.report.save(PAGE, guarantee=self._guarantee)))

    def _column_words(self, name: str) -> str:
        column = next(each for each in self.report.columns if each.name == name)
        return (
            f"{name}: {column.distance:.2%} of its rows would have to change to give the same shares as in "
            f"the {self.report.reference_name}; good: {column.good:.2%}. Filled: "
            f"{self.report.reference_name}; line or dots: synthetic table."
        )

    def _pair_words(self, first: str, second: str) -> str:
        report = self.report
        place = report.names.index(first), report.names.index(second)
        measured, synthetic = report.dependence[place], report.dependence_synthetic[place]
        return (
            f"{first} and {second}: dependence {measured:.3f} in the {report.reference_name}, "
            f"{synthetic:.3f} in the synthetic table ({report.dependence_measure})."
        )

    def _say(self, words: str) -> None:
        self.message.value = Markup("{}").format(words)
