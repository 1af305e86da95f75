"""A comparison as HTML: readable where scripts, style sheets and SVG are stripped, as on GitHub."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from jupyter_dpsynth.evaluation.plots import (
    MOST_MAPPED,
    REFERENCE,
    SYNTHETIC,
    column_figure,
    picture_html,
    worst_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.evaluation.report import UtilityReport

__all__ = ["comparison_html"]

MOST_DRAWN = 24  # columns in a notebook's output; wide tables would make it slow and large
MOST_PAIRS = 10
CELL = "padding:3px 14px 3px 0;text-align:left;vertical-align:top;white-space:normal"
NUMBER = "padding:3px 14px 3px 0;text-align:right;vertical-align:top;white-space:nowrap"


def comparison_html(report: UtilityReport) -> str:
    """The whole comparison, the number in one first and the pictures last.

    Args:
        report: What to show.
    """
    overall = report.overall
    score = "<b>Overall:</b> not given; no dependence between columns stands out"
    if overall is not None:
        score = f'<b style="font-size:1.4em">Overall {overall.text}</b><br>{html.escape(overall.meaning)}'
    return (
        '<div style="color:var(--jp-ui-font-color1,inherit)">'
        f"<p><b>Synthetic table against the {html.escape(report.reference_name)}</b></p>"
        f"{_banner(report.banner)}"
        f"<p>{score}.</p>"
        f"{_metrics(report)}{_columns(report)}{_pairs(report)}</div>"
    )


def _banner(banner: str | None) -> str:
    if not banner:
        return ""
    return (
        '<p role="note" style="border-left:4px solid rgb(213, 94, 0);padding:4px 10px;margin:6px 0">'
        f"<b>Not private.</b> {html.escape(banner)}</p>"
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], styles: tuple[str, ...]) -> str:
    """A table whose first cells are headings of their rows."""
    titles = "".join(
        f'<th scope="col" style="{style}">{title}</th>' for title, style in zip(head, styles, strict=True)
    )
    lines = ""
    for first, *others in rows:
        cells = "".join(
            f'<td style="{style}">{html.escape(text)}</td>'
            for text, style in zip(others, styles[1:], strict=True)
        )
        lines += f'<tr><th scope="row" style="{styles[0]}">{html.escape(first)}</th>{cells}</tr>'
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"


def _metrics(report: UtilityReport) -> str:
    rows = [(each.name, f"{each.value:.4f}", f"{each.good:.4f}", each.meaning) for each in report.table]
    return _table(("Metric", "Value", "Good", "Meaning"), rows, (CELL, NUMBER, NUMBER, CELL))


def _heading(words: str) -> str:
    return f'<p style="margin:14px 0 6px"><b>{html.escape(words)}</b></p>'


def _columns(report: UtilityReport) -> str:
    """The legend in words as well as in colours, and a picture of each column."""
    drawn = report.columns[:MOST_DRAWN]
    more = ""
    if len(drawn) < len(report.columns):
        more = (
            f"<p>Drawn are the {len(drawn)} of {len(report.columns)} columns with the largest difference; "
            "all are in <code>report.per_column</code> and <code>report.figures()</code>.</p>"
        )
    noise = ", with the standard deviation of their noise" if report.columns[0].noise is not None else ""
    colours = [f"rgb{tuple(bytes.fromhex(colour[1:]))}" for colour in (REFERENCE, SYNTHETIC)]
    legend = (
        f'<p style="margin:0 0 8px"><span style="color:{colours[0]}">&#9632;</span> bars: '
        f"{html.escape(report.reference_name)}{noise} &#160; "
        f'<span style="color:{colours[1]}">&#9679;</span> dots: synthetic table</p>'
    )
    pictures = "".join(
        picture_html(
            column_figure(column, report.banner),
            f"{column.name}: shares in both tables; difference {column.distance:.1%}, good {column.good:.1%}",
        )
        for column in drawn
    )
    return f"{_heading('Share of rows by column, largest difference first')}{legend}{pictures}{more}"


def _pairs(report: UtilityReport) -> str:
    """Maps of the pairs' dependence, and those that differ most as a table."""
    figures = report.dependence_figures()
    if not figures:
        return ""
    of = f" ({MOST_MAPPED} of {len(report.names)} columns)" if len(report.names) > MOST_MAPPED else ""
    words = (f"in the {report.reference_name}", "in the synthetic table", "difference")
    pictures = "".join(
        picture_html(figure, f"Dependence of every pair of columns{of}: {each}")
        for figure, each in zip(figures, words, strict=True)
    )
    tables = report.dependence, report.dependence_synthetic
    rows = [
        (f"{first} and {second}", f"{there:.2f}", f"{here:.2f}")
        for first, second, there, here in worst_pairs(report.names, *tables, MOST_PAIRS)
    ]
    head = ("Pairs that differ most", html.escape(report.reference_name), "synthetic table")
    title = f"Dependence of every pair of columns{of}: {report.dependence_measure}"
    return f"{_heading(title)}{pictures}{_table(head, rows, (CELL, NUMBER, NUMBER))}"
