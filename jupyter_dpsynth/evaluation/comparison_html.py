"""A comparison as HTML that stays readable where scripts, style sheets and SVG are removed, as on GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import (
    callout,
    card,
    heading,
    join,
    paragraph,
    score,
    sign,
    strong,
    table,
)
from jupyter_dpsynth.evaluation.maps import MOST_MAPPED, dependence_figures, worst_pairs
from jupyter_dpsynth.evaluation.overall import NOT_GIVEN
from jupyter_dpsynth.evaluation.plots import REFERENCE, SYNTHETIC, column_figure, picture_html

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.comparison import Comparison

__all__ = ["comparison_html"]

NOT_PRIVATE = "rgb(213, 94, 0)"  # not the theme's: to be seen in notebooks that Jupyter does not trust, too
MOST_DRAWN = 24  # columns in a notebook's output; wide tables would make it slow and large
MOST_PAIRS = 10


def comparison_html(report: Comparison) -> Markup:
    """The whole comparison, the number in one first and the pictures last.

    Args:
        report: What to show.
    """
    overall = report.overall
    summary = (
        paragraph(strong("Overall:"), f" {NOT_GIVEN}.")
        if overall is None
        else score(f"Overall {overall.text}", overall.meaning)
    )
    figures = [(each.name, f"{each.value:.4f}", f"{each.good:.4f}", each.meaning) for each in report.table]
    return card(
        paragraph(strong(f"Synthetic table against the {report.reference_name}")),
        callout(strong("Not private."), " ", report.banner, colour=NOT_PRIVATE) if report.banner else "",
        summary,
        table(figures, ("Metric", "Value", "Good", "Meaning"), numbers={1, 2}),
        _columns(report),
        _pairs(report),
        kind="comparison",
        width=None,
    )


def _columns(report: Comparison) -> Markup:
    """The legend in words as well as in colours, and a picture of each column."""
    drawn = report.columns[:MOST_DRAWN]
    more = ""
    if len(drawn) < len(report.columns):
        more = Markup(
            "<p>Drawn are the {} of {} columns with the largest difference; "
            "all are in <code>report.per_column</code> and <code>report.figures()</code>.</p>"
        ).format(len(drawn), len(report.columns))
    noise = ", with the standard deviation of their noise" if report.columns[0].noise is not None else ""
    bars, dots = (f"rgb{tuple(bytes.fromhex(colour[1:]))}" for colour in (REFERENCE, SYNTHETIC))
    legend = Markup('<p style="margin:0 0 8px">{} bars: {}{} &#160; {} dots: synthetic table</p>').format(
        sign("■", bars), report.reference_name, noise, sign("●", dots)
    )
    pictures = join(
        picture_html(
            column_figure(column, report.banner),
            f"{column.name}: shares in both tables; difference {column.distance:.1%}, good {column.good:.1%}",
        )
        for column in drawn
    )
    return join([heading("Share of rows by column, largest difference first"), legend, pictures, more])


def _pairs(report: Comparison) -> Markup:
    """Maps of the pairs' dependence, and those that differ most as a table."""
    if len(report.names) == 1:
        return Markup("")
    tables = report.dependence, report.dependence_synthetic
    figures = dependence_figures(report.names, *tables, report.reference_name, report.banner)
    of = f" ({MOST_MAPPED} of {len(report.names)} columns)" if len(report.names) > MOST_MAPPED else ""
    words = (f"in the {report.reference_name}", "in the synthetic table", "difference")
    pictures = join(
        picture_html(figure, f"Dependence of every pair of columns{of}: {each}")
        for figure, each in zip(figures, words, strict=True)
    )
    rows = [
        (f"{first} and {second}", f"{there:.2f}", f"{here:.2f}")
        for first, second, there, here in worst_pairs(report.names, *tables, MOST_PAIRS)
    ]
    head = ("Pairs that differ most", report.reference_name, "synthetic table")
    title = heading(f"Dependence of every pair of columns{of}: {report.dependence_measure}")
    return join([title, pictures, table(rows, head, numbers={1, 2})])
