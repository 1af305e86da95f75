"""A comparison as HTML that stays readable where scripts, style sheets and SVG are removed, as on GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import (
    callout,
    card,
    details,
    explained,
    heading,
    join,
    paragraph,
    score,
    scrolled,
    sign,
    strong,
    table,
)
from jupyter_dpsynth.evaluation.axes import QUANTILES, value_text
from jupyter_dpsynth.evaluation.losses_html import losses_html
from jupyter_dpsynth.evaluation.maps import MOST_MAPPED, dependence_figures, worst_pairs
from jupyter_dpsynth.evaluation.overall import NOT_GIVEN
from jupyter_dpsynth.evaluation.plots import REFERENCE, SYNTHETIC, column_figure, picture_html

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.axes import Unit
    from jupyter_dpsynth.evaluation.comparison import Comparison

__all__ = ["comparison_html"]

NOT_PRIVATE = "rgb(213, 94, 0)"  # not the theme's: to be seen in notebooks that Jupyter does not trust, too
MOST_DRAWN = 24  # columns in a notebook's output; wide tables would make it slow and large
MOST_PAIRS = 10
MOST_HOURS = 11 * 86_400.0  # seconds; of longer durations days are told
MOST_QUANTILES = 60  # lines of their table


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
    figures = [
        (explained(each.name, each.meaning), f"{each.value:.4f}", f"{each.good:.4f}") for each in report.table
    ]
    return card(
        paragraph(strong(f"Synthetic table against the {report.reference_name}")),
        callout(strong("Not private."), " ", report.banner, colour=NOT_PRIVATE) if report.banner else "",
        summary,
        losses_html(report.losses),
        table(figures, ("Metric", "Value", "Good"), numbers={1, 2}),
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
    noise = ", with the standard deviation of their noise" if report.noisy else ""
    bars, dots = (f"rgb{tuple(bytes.fromhex(colour[1:]))}" for colour in (REFERENCE, SYNTHETIC))
    legend = Markup(
        '<p style="margin:0 0 8px">{} filled: {}{} &#160; {} line and dots: synthetic table. '
        "The area of a bar is the share of rows in it; hatched is what has no place on the axis, "
        "of which ends with less than a thousandth of the rows are left out.</p>"
    ).format(sign("■", bars), report.reference_name, noise, sign("●", dots))
    pictures = join(
        picture_html(
            column_figure(column, report.banner),
            f"{column.name}: shares in both tables; difference {column.distance:.1%}, good {column.good:.1%}",
        )
        for column in drawn
    )
    title = heading("Share of rows by column, largest difference first")
    return join([title, legend, pictures, more, _quantiles(report)])


def _quantiles(report: Comparison) -> Markup:
    """The quantiles of numbers and times in both tables, with what noise leaves open."""
    head = ("Column", "Table", *(f"{share:.0%} are below" for share in QUANTILES))
    rows = []
    for column in report.columns:
        if column.axis is None or not column.quantiles:
            continue
        axis = column.axis
        span = float(axis.ends[-1] - axis.starts[0])
        there = (
            value_text(each.reference, axis.unit, span)
            + (f" ± {_width_text(each.error, axis.unit, span)}" if each.error else "")
            for each in column.quantiles
        )
        here = (value_text(each.synthetic, axis.unit, span) for each in column.quantiles)
        reference = "measured" if report.noisy else "original"
        rows += [(column.name, reference, *there), ("", "synthetic", *here)]
    if not rows:
        return Markup("")
    title = "Quantiles of numbers and times" + (
        " (± standard deviation of the noise)" if report.noisy else ""
    )
    numbers = set(range(2, len(head)))
    shown = table(rows[:MOST_QUANTILES], head, numbers=numbers, bold=False, wrapped=False)
    return details(title, scrolled(shown))


def _width_text(width: float, unit: Unit, span: float) -> str:
    """A difference of two values: of dates, a duration, in days however long the axis is.

    >>> _width_text(9.4 * 86_400, "date", 3e11), _width_text(0.5, "number", 10)
    ('9.4 days', '0.5')
    """
    if unit == "date":
        return value_text(width, "duration", max(width, MOST_HOURS))
    return value_text(width, unit, span)


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
