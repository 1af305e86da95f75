"""The doctor's findings as text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import DONE, ERROR, INK, MUTED, WARN, callout, card, join, sign, strong
from jupyter_dpsynth.engine.planning.doctor import BANNER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.engine.planning.doctor import Finding

__all__ = ["banner_html", "finding_html", "findings_html", "findings_text", "nothing_html"]

SIGNS = {
    "stop": ("✗", "must change", ERROR),
    "care": ("⚠", "look at this", WARN),
    "hint": ("•", "hint", MUTED),
}
NOTHING = "Nothing was found that would spoil a run."
APPLY = (
    "Put a line of code into the %%dpsynth learn cell. In the panel (%dpsynth panel, tab 'Check-up'), a "
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


def banner_html() -> Markup:
    """The banner over everything that was computed from the private rows."""
    first, _, rest = BANNER.partition(":")
    return callout("⚠ ", strong(f"{first}:"), rest)


def nothing_html() -> Markup:
    """What is said when there are no findings."""
    return Markup('<div style="color:{}">{} {}</div>').format(INK, sign("✓", DONE), NOTHING)


def finding_html(finding: Finding) -> Markup:
    """One finding: its severity as a sign and a word, what was found, and what to do."""
    character, words, colour = SIGNS[finding.level]
    line: str = ""
    if finding.remedy:
        line = Markup('<div><code style="background:none;padding:0">{}</code></div>').format(
            finding.remedy.line
        )
    return Markup(
        '<div style="color:{ink};font-size:13px;line-height:19px;white-space:normal">'
        "{sign} <b>{words}:</b> {text}"
        '<div style="color:{muted}">{advice}</div>{line}</div>'
    ).format(
        ink=INK,
        sign=sign(character, colour),
        words=words,
        text=finding.text,
        muted=MUTED,
        advice=finding.advice,
        line=line,
    )


def findings_html(findings: Sequence[Finding]) -> Markup:
    """All findings for a notebook."""
    if not findings:
        return card(banner_html(), nothing_html(), kind="findings")
    item = Markup('<li style="margin:6px 0">{}</li>')
    content = Markup(
        '<ul style="list-style:none;padding:0;margin:0">{}</ul><div style="color:{}">{}</div>'
    ).format(join(item.format(finding_html(each)) for each in findings), MUTED, APPLY)
    return card(banner_html(), content, kind="findings")
