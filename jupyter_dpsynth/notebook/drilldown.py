"""A small panel under a comparison: one column, or two together, at a choice.

The pictures are ordinary outputs of the cell, with the banner in them where there is one. The widgets hold
column names only: a widget's state is saved in the notebook without a banner.
"""

from __future__ import annotations

import base64
import contextvars
import html
import io
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from jupyter_dpsynth.notebook.actions import guarded, publish
from jupyter_dpsynth.notebook.progress import WIDGET_VIEW, new_slot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jupyter_dpsynth.evaluation.report import UtilityReport

__all__ = ["DrillDown"]

ALONE = "no other column"
REOPENED = "To look at single columns and pairs, run this cell again: choosing needs a running kernel."
WIDTH = {"width": "auto", "max_width": "420px"}


class DrillDown:
    """Shows columns and pairs of a report.

    Args:
        report: The comparison.

    Privacy:
        With the original the names stand in the table's order: 'largest difference first' would put what
        depends on its rows into a widget's state.
    """

    def __init__(self, report: UtilityReport) -> None:
        self.report = report
        self.slot = new_slot()
        self._context: contextvars.Context | None = None
        is_private = report.banner is None
        names = [column.name for column in report.columns] if is_private else list(report.names)
        order = ", largest difference first" if is_private else ", in the table's order"
        style = {"description_width": "90px"}
        self.first = widgets.Dropdown(
            options=[("choose a column", None), *((name, name) for name in names)],
            description="Column",
            tooltip=f"The column to look at{order}",
            style=style,
            layout=WIDTH,
        )
        self.second = widgets.Dropdown(
            options=[(ALONE, None), *((name, name) for name in names)],
            description="Together with",
            tooltip="Another column: their joint shares in both tables",
            style=style,
            layout=WIDTH,
        )
        self.message = widgets.HTML()
        banner = f"<b>Not private.</b> {html.escape(report.banner)}" if report.banner else ""
        self.box = widgets.VBox(
            [
                widgets.HTML(f'<div role="note">{banner}</div>'),
                widgets.HBox([self.first, self.second], layout={"flex_flow": "row wrap"}),
                self.message,
            ]
        )
        for field in (self.first, self.second):
            field.observe(guarded(self.draw, self._say), "value")

    def show(self) -> None:
        """Put the panel, and room for its pictures, under the cell."""
        banner = self.report.banner or ""
        words = f"{REOPENED} {banner}".strip()
        bundle: dict[str, Any] = {
            "text/plain": words,
            "text/html": f"<div>{html.escape(words)}</div>",
            WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id},
        }
        self._context = contextvars.copy_context()
        publish(bundle, new_slot(), update=False)
        empty = {"text/plain": banner, "text/html": f"<div>{html.escape(banner)}</div>"}
        publish(empty, self.slot, update=False)

    def draw(self) -> None:
        """Show what is chosen."""
        first, second = self.first.value, self.second.value
        if first is None:
            return
        self._say("")
        report = self.report
        if second is None or second == first:
            figure, words = report.column_figure(first), self._column_words(first)
        else:
            figure, words = report.pair_figure(first, second), self._pair_words(first, second)
        if report.banner:
            words = f"{words}\n{report.banner}"
        bundle = {"text/plain": words, "text/html": _picture(figure, words)}
        run = contextvars.copy_context() if self._context is None else self._context.copy()
        run.run(publish, bundle, self.slot, update=True)

    def close(self) -> None:
        """Take the widgets away."""
        for widget in (self.first, self.second, self.message, *self.box.children, self.box):
            widget.close()

    def _column_words(self, name: str) -> str:
        column = next(each for each in self.report.columns if each.name == name)
        return f"{name}: difference {column.distance:.2%}; good: {column.good:.2%}"

    def _pair_words(self, first: str, second: str) -> str:
        report = self.report
        place = report.names.index(first), report.names.index(second)
        return (
            f"{first} and {second}: {report.dependence_measure} {report.dependence[place]:.3f} in the "
            f"{report.reference_name}, {report.dependence_synthetic[place]:.3f} in the synthetic table"
        )

    def _say(self, words: str) -> None:
        self.message.value = html.escape(words)


def _picture(figure: Figure, words: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(words)
    lines = text.replace("\n", "<br>")
    return (
        f'<div style="color:var(--jp-ui-font-color1,inherit)"><p>{lines}</p>'
        f'<img alt="{text}" style="max-width:100%" src="data:image/png;base64,{data}"></div>'
    )
