"""The doctor's findings as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import DONE, ERROR, INK, MUTED, WARN, callout, card, join, sign, strong
from jupyter_dpsynth.engine.planning.findings import (
    BANNER,
    NOTEBOOK,
    NOTHING,
    SIGNS,
    Place,
    apply_at,
    blocks,
    gathered,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.engine.planning.findings import Finding

__all__ = ["banner_html", "finding_html", "findings_html", "nothing_html"]

COLOURS = {"stop": ERROR, "care": WARN, "hint": MUTED}


def banner_html() -> Markup:
    """The banner over everything that was computed from the private rows."""
    first, _, rest = BANNER.partition(":")
    return callout("⚠ ", strong(f"{first}:"), rest)


def nothing_html() -> Markup:
    """What is said when there are no findings."""
    return Markup('<div style="color:{}">{} {}</div>').format(INK, sign("✓", DONE), NOTHING)


def finding_html(finding: Finding, place: Place = NOTEBOOK) -> Markup:
    """One finding: how grave it is as a sign and in words, what was found, and what to do."""
    character, colour = SIGNS[finding.level][0], COLOURS[finding.level]
    line: str = finding.line_at(place)
    if line:
        line = Markup('<div><code style="background:none;padding:0">{}</code></div>').format(line)
    return Markup(
        '<div style="color:{ink};font-size:13px;line-height:19px;white-space:normal">'
        "{sign} <b>{words}:</b> {text}"
        '<div style="color:{muted}">{advice}</div>{line}</div>'
    ).format(
        ink=INK,
        sign=sign(character, colour),
        words=finding.heading,
        text=finding.text,
        muted=MUTED,
        advice=finding.advice_at(place),
        line=line,
    )


def findings_html(findings: Sequence[Finding], place: Place = NOTEBOOK) -> Markup:
    """All findings for a notebook."""
    if not findings:
        return card(banner_html(), nothing_html(), kind="findings")
    item = Markup('<li style="margin:6px 0">{}</li>')
    block = Markup('<div style="margin-top:10px">{}</div><pre style="background:none;padding:0">{}</pre>')
    together = join(
        block.format(heading, "\n".join(lines)) for heading, lines in blocks(findings, place).items()
    )
    content = Markup(
        '<ul style="list-style:none;padding:0;margin:0">{}</ul>{}<div style="color:{}">{}</div>'
    ).format(
        join(item.format(finding_html(each, place)) for each in gathered(findings)),
        together,
        MUTED,
        apply_at(place),
    )
    return card(banner_html(), content, kind="findings")
