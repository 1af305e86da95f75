"""The doctor's findings as text and as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.planning.doctor import BANNER
from jupyter_dpsynth.notebook.show.drawing import DONE, ERROR, INK, MUTED, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.engine.planning.doctor import Finding

__all__ = ["banner_html", "finding_html", "findings_html", "findings_text"]

SIGNS = {
    "stop": ("✗", "must change", ERROR),
    "care": ("⚠", "look at this", WARN),
    "hint": ("•", "hint", MUTED),
}
NOTHING = "Nothing was found that would spoil a run."
APPLY = (
    "A line in code goes into the cell of %%dpsynth learn. In the panel (%dpsynth panel, tab 'Check-up') a "
    "button applies it."
)


def findings_text(findings: Sequence[Finding]) -> str:
    """All findings for a terminal."""
    lines = [f"⚠ {BANNER}", ""]
    if not findings:
        return "\n".join([*lines, f"✓ {NOTHING}"])
    for each in findings:
        sign, words, _ = SIGNS[each.level]
        lines += [f"{sign} {words}: {each.text}", f"    {each.advice}"]
        lines += [f"    >>> {each.remedy.line}"] if each.remedy else []
    return "\n".join([*lines, "", APPLY])


def banner_html() -> str:
    """What has to stand over everything that was computed from the private rows."""
    first, _, rest = BANNER.partition(":")
    return (
        f'<div style="color:{INK};font-size:13px;line-height:18px;white-space:normal;'
        f'border-left:4px solid {WARN};padding:2px 8px;margin:4px 0">⚠ <b>{html.escape(first)}:</b>'
        f"{html.escape(rest)}</div>"
    )


def finding_html(finding: Finding) -> str:
    """One finding: its weight in a word and a sign, what it is, what to do."""
    sign, words, colour = SIGNS[finding.level]
    line = (
        f'<div><code style="background:none;padding:0">{html.escape(finding.remedy.line)}</code></div>'
        if finding.remedy
        else ""
    )
    return (
        f'<div style="color:{INK};font-size:13px;line-height:19px;white-space:normal">'
        f'<span style="color:{colour}">{sign}</span> <b>{words}:</b> {html.escape(finding.text)}'
        f'<div style="color:{MUTED}">{html.escape(finding.advice)}</div>{line}</div>'
    )


def findings_html(findings: Sequence[Finding]) -> str:
    """All findings for a notebook."""
    items = "".join(f'<li style="margin:6px 0">{finding_html(each)}</li>' for each in findings)
    content = (
        f'<ul style="list-style:none;padding:0;margin:0">{items}</ul>'
        f'<div style="color:{MUTED}">{html.escape(APPLY)}</div>'
        if findings
        else f'<div style="color:{INK}"><span style="color:{DONE}">✓</span> {NOTHING}</div>'
    )
    return f'<div style="max-width:900px;font-size:13px">{banner_html()}{content}</div>'
