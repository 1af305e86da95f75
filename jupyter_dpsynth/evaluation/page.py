"""A comparison as one HTML page: small enough to mail, readable in light and dark, printable as PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from jupyter_dpsynth.display.html import join, paragraph, strong
from jupyter_dpsynth.evaluation.comparison_html import comparison_html
from jupyter_dpsynth.evaluation.groups import groups_html

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.comparison import Comparison

__all__ = ["TITLE", "comparison_page", "page", "report_content"]

TITLE = "Synthetic data: quality report"

STYLE = Markup(
    "<style>:root{color-scheme:light dark;--jp-ui-font-family:system-ui,sans-serif;"
    "--jp-ui-font-color1:#1f1f1f;--jp-ui-font-color2:#5f6368;"
    "--jp-border-color2:#c8c8c8;--jp-layout-color3:#c8c8c8;--jp-warn-color1:#b35900;--jp-error-color1:#c62828;"
    "--jp-success-color1:#2e7d32}"
    # not on paper, where the ground stays white
    "@media screen and (prefers-color-scheme:dark){:root{--jp-ui-font-color1:#e4e4e4;"
    "--jp-ui-font-color2:#a8a8a8;--jp-border-color2:#555;--jp-layout-color3:#555;--jp-warn-color1:#ffb74d;--jp-error-color1:#ef9a9a;"
    "--jp-success-color1:#81c784}body{background:#111}}"
    # on paper nothing can be opened, and three pictures fit beside each other
    "@media print{:root{color-scheme:light}body{zoom:.8}img,tr{break-inside:avoid}summary{list-style:none}"
    "details::details-content{content-visibility:visible;display:block;block-size:auto}"
    "details td,details th{white-space:normal!important;font-size:11px;padding-right:6px}}"
    "body{max-width:1280px;margin:24px auto;padding:0 16px;font-family:system-ui,sans-serif;font-size:14px}"
    "td,th{padding:2px 10px 2px 0}table{border-collapse:collapse}</style>"
)


def comparison_page(
    report: Comparison,
    *,
    title: str = TITLE,
    guarantee: str = "",
    by: str | None = None,
) -> str:
    """The whole comparison as a page of its own.

    Args:
        report: What to show.
        title: Title of the page.
        guarantee: What protects the table that was learned, in one sentence; empty for none.
        by: A column of categories, to show the others within each of its groups.
    """
    content = join([comparison_html(report), groups_html(report, by) if by else ""])
    return page(title, report_content(content, guarantee, title))


def report_content(content: object, guarantee: str = "", title: str = TITLE) -> Markup:
    """The content of a page about a model: a heading, what protects the original, and a report.

    Args:
        content: Markup, or an object that has an `__html__`.
        guarantee: What protects what was learned, in one sentence; empty for none.
        title: The heading.
    """
    heading = Markup("<h1 style='font-size:1.5em'>{}</h1>").format(title)
    model = paragraph(strong("The model: "), guarantee) if guarantee else ""
    return join([heading, model, escape(content)])


def page(title: str, content: object) -> str:
    """A page without scripts around some content.

    Args:
        title: Its title.
        content: Markup, or an object that has an `__html__`.
    """
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{}</title>{}</head>'
            "<body>{}</body></html>"
        ).format(title, STYLE, escape(content))
    )
