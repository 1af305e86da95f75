"""HTML for notebooks: colours that follow the theme, and the parts that displays are made of.

HTML is written as literal templates of `markupsafe.Markup`. Whatever is filled into a template is escaped
unless it is such markup itself, so that the name of a column can never become a tag. The style check refuses
a template that is put together at run time, and a test refuses tags outside templates.

What is drawn needs no script and no style sheet: it stays readable where a notebook is shown without them.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeVar

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    Shown = TypeVar("Shown", bound=type)

__all__ = [
    "BRAND",
    "DONE",
    "ERROR",
    "GRID",
    "INK",
    "MUTED",
    "TRACK",
    "WARN",
    "callout",
    "card",
    "details",
    "explained",
    "heading",
    "join",
    "meter",
    "note",
    "paragraph",
    "picture",
    "preformatted",
    "score",
    "scrolled",
    "shown_by_summary",
    "sign",
    "strong",
    "table",
]

# JupyterLab's theme variables, then VS Code's, then something that reads on white and on black. In
# notebooks that it does not trust, JupyterLab keeps a colour only if it is written with rgb().
INK = "var(--jp-ui-font-color1, var(--vscode-foreground, currentColor))"
MUTED = "var(--jp-ui-font-color2, var(--vscode-descriptionForeground, rgb(118, 118, 118)))"
GRID = "var(--jp-border-color2, rgb(190, 190, 190))"
TRACK = "var(--jp-layout-color3, rgb(190, 190, 190))"
BRAND = "var(--jp-brand-color1, rgb(25, 118, 210))"
WARN = "var(--jp-warn-color1, rgb(179, 89, 0))"
ERROR = "var(--jp-error-color1, rgb(198, 40, 40))"
DONE = "var(--jp-success-color1, rgb(46, 125, 50))"

TEXT = "vertical-align:top;white-space:normal;text-align:left"
NUMBER = "vertical-align:top;white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums"


def join(parts: Iterable[str]) -> Markup:
    """Several pieces of markup one after the other; what is plain text among them is escaped."""
    return Markup("").join(parts)


def card(*parts: str, kind: str, width: int | None = 900) -> Markup:
    """The box around everything that one output shows.

    Args:
        parts: The content, from the top.
        kind: What is shown, for style sheets: the class is `dpsynth-` and this word.
        width: The largest width in pixels; None for as wide as the output is, where pictures stand side by
            side.
    """
    return Markup(
        '<div class="dpsynth-{kind}" style="max-width:{width};color:{ink};'
        'font-family:var(--jp-ui-font-family, sans-serif);font-size:13px;line-height:20px">{content}</div>'
    ).format(kind=kind, width="none" if width is None else f"{width}px", ink=INK, content=join(parts))


def paragraph(*parts: str) -> Markup:
    """A paragraph."""
    return Markup("<p>{}</p>").format(join(parts))


def strong(words: str) -> Markup:
    """Words in bold."""
    return Markup("<b>{}</b>").format(words)


def heading(words: str) -> Markup:
    """The title of a part."""
    return Markup('<p style="margin:14px 0 6px"><b>{}</b></p>').format(words)


def score(words: str, meaning: str) -> Markup:
    """The one figure that sums something up, large, and what it means."""
    return Markup('<p><b style="font-size:1.4em">{}</b><br>{}.</p>').format(words, meaning)


def note(words: str, size: int = 12) -> Markup:
    """A muted line, in small print unless a size in pixels is given; nothing without words."""
    if not words:
        return Markup("")
    return Markup('<div style="color:{};font-size:{}px">{}</div>').format(MUTED, size, words)


def explained(words: str, meaning: str) -> Markup:
    """The name of a figure, with what it means below, so that no column of a table becomes narrow."""
    if not meaning:
        return Markup("{}").format(words)
    return Markup('{}<br><span style="font-weight:normal;color:{};font-size:12px">{}</span>').format(
        words, MUTED, meaning
    )


def preformatted(text: str) -> Markup:
    """Text whose lines stay as they are, besides those that are too long."""
    return Markup('<pre style="white-space:pre-wrap">{}</pre>').format(text)


def sign(character: str, colour: str) -> Markup:
    """A character that tells a state together with its colour, never by colour alone."""
    return Markup('<span style="color:{colour}">{character}</span>').format(
        colour=colour, character=character
    )


def callout(*parts: str, colour: str = WARN) -> Markup:
    """What must not be overlooked: a note beside a bar in a colour."""
    return Markup(
        '<div role="note" style="color:{ink};border-left:4px solid {colour};padding:2px 8px;'
        'margin:6px 0 10px;line-height:19px;white-space:normal">{content}</div>'
    ).format(ink=INK, colour=colour, content=join(parts))


def details(summary: str, content: str, *, opened: bool = False) -> Markup:
    """Content behind a line that opens it."""
    template = Markup("<details><summary>{summary}</summary>{content}</details>")
    if opened:
        template = Markup("<details open><summary>{summary}</summary>{content}</details>")
    return template.format(summary=summary, content=content)


def table(
    rows: Iterable[Sequence[str]],
    head: Sequence[str] = (),
    *,
    numbers: Collection[int] = (),
    caption: str = "",
    bold: bool = True,
    quiet: bool = False,
    wrapped: bool = True,
) -> Markup:
    """A table whose first cells are the headings of their rows.

    Args:
        rows: The cells, text or markup, row by row.
        head: Titles of the columns; without them there is no such row.
        numbers: Places of the columns that are aligned on the right.
        caption: What stands above.
        bold: Whether the headings of rows are bold.
        quiet: Whether it stands beside a chart, where the values count: dense, without stripes, headings of
            rows muted.
        wrapped: Whether long cells are broken into lines.
    """

    def style(place: int) -> str:
        padding = "padding:1px 10px 1px 0;" if quiet else "padding:2px 12px 2px 0;"
        aligned = NUMBER if place in numbers else TEXT
        return padding + (aligned if wrapped else aligned.replace("normal", "nowrap"))

    titles = ""
    if head:
        title = Markup('<th scope="col" style="{};white-space:normal">{}</th>')
        cells = join(title.format(style(place), words) for place, words in enumerate(head))
        titles = Markup("<thead><tr>{}</tr></thead>").format(cells)
    if caption:
        caption = Markup('<caption style="{};color:{};caption-side:top">{}</caption>').format(
            style(0), INK, caption
        )
    weight = f";font-weight:normal;color:{MUTED}" if quiet else "" if bold else ";font-weight:normal"
    first = Markup('<tr{}><th scope="row" style="{}{}">').format(
        Markup(' style="background:none"') if quiet else "", style(0), weight
    )
    other = Markup('<td style="{}">{}</td>')
    lines = join(
        Markup("{}{}</th>{}</tr>").format(
            first,
            cells[0],
            join(other.format(style(place), each) for place, each in enumerate(cells[1:], start=1)),
        )
        for cells in rows
    )
    return Markup('<table style="{}color:inherit;font-size:inherit">{}{}<tbody>{}</tbody></table>').format(
        "border:none;margin:0;" if quiet else "", caption, titles, lines
    )


def scrolled(content: str) -> Markup:
    """Content that scrolls by itself where a page is too narrow for it."""
    return Markup('<div style="overflow-x:auto;max-width:100%">{}</div>').format(content)


def meter(label: str, share: float, words: str, colour: str = BRAND) -> Markup:
    """A bar that is full at share 1.

    Args:
        label: What it measures.
        share: Its length; more than 1 is drawn as 1.
        words: What it says, for those who do not see it and for those who point at it.
        colour: Of the filled part.
    """
    percent = 100 * min(max(share, 0.0), 1.0)
    return Markup(
        '<span role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="100" '
        'aria-valuenow="{percent:.0f}" aria-valuetext="{words}" title="{words}" '
        # as wide as every other bar, whatever the words beside it: they are compared
        'style="display:block;flex:none;width:200px;max-width:30%;height:10px;margin-right:12px;'
        'background-color:{track};border-radius:5px;overflow:hidden">'
        '<span style="display:block;width:{percent:.1f}%;height:10px;background-color:{colour}"></span>'
        "</span> "
    ).format(label=label, words=words, percent=percent, track=TRACK, colour=colour)


def picture(png: bytes, words: str, width: int | None = None) -> Markup:
    """A picture that its neighbours flow around and that no page is too narrow for.

    Args:
        png: The picture as a PNG.
        words: What is to be seen in it, for those who do not see it.
        width: How wide it is shown, in pixels; by default as wide as it is.
    """
    return Markup(
        '<img alt="{words}"{width} src="data:image/png;base64,{data}" '
        'style="max-width:100%;height:auto;margin:0 8px 8px 0;border-radius:8px;vertical-align:top"> '
    ).format(
        words=words,
        width="" if width is None else Markup(' width="{}"').format(width),
        data=base64.b64encode(png).decode("ascii"),
    )


def shown_by_summary(report: Shown) -> Shown:
    """Show the instances of a class by their `summary()` and, in notebooks, by their `to_html()`.

    To be written above `dataclass`, whose own `__repr__` would print every field: those of a comparison hold
    shares of the original table.
    """

    def summary(self: Any) -> str:  # noqa: ANN401 - an instance of that class
        """The summary."""
        return str(self.summary())

    def bundle(self: Any, **_: Any) -> dict[str, str]:  # noqa: ANN401 - IPython's protocol
        """Text for terminals, HTML for notebooks."""
        return {"text/plain": self.summary(), "text/html": self.to_html()}

    for name, method in (("__str__", summary), ("__repr__", summary), ("_repr_mimebundle_", bundle)):
        setattr(report, name, method)
    return report
