"""`%dpsynth ledger`: what every dataset has cost, caps, links and export."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.grammar import split_line
from jupyter_dpsynth.notebook.magic.namespace import expand, read_value
from jupyter_dpsynth.notebook.output import mime_bundle, publish, say
from jupyter_dpsynth.notebook.show.drawing import BRAND, ERROR, INK, MUTED, TRACK
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.summary import HEADINGS, NOTES, cap_words

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.privacy.ledger.summary import DatasetEntry, LedgerSummary

__all__ = ["ledger", "ledger_html"]

CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;white-space:normal"
NUMBERS = ("epsilon", "delta", "steps planned")


def ledger(session: Session, parsed: ParsedLine) -> None:
    """Show the ledger, or change a cap, link two datasets, or write it to a file."""
    namespace, options = session.namespace, parsed.options
    actions = [name for name in ("cap", "link", "export") if name in options]
    if len(actions) > 1:
        raise ConfigError(f"--{actions[0]} and --{actions[1]} are both given: give one at a time.")
    if "dataset" in options and "cap" not in options:
        raise ConfigError("--dataset goes with --cap: it says whose cap is set.")
    book = PrivacyLedger()
    if "cap" in options:
        say(_set_cap(book, options, namespace))
    elif "link" in options:
        first, second = (expand(name, namespace, "--link") for name in split_line(options["link"]))
        book.link(first, second)
        say(f"{first!r} and {second!r} are counted together from now on.")
    elif "export" in options:
        path = expand(options["export"], namespace, "--export")
        book.export(path)
        say(f"The ledger is written to {path}. It tells when which dataset was learned: it is for its owner.")
        return
    summary = book.summary()
    publish(mime_bundle(summary.to_text(), ledger_html(summary)))


def _set_cap(book: PrivacyLedger, options: dict[str, str], namespace: dict[str, Any]) -> str:
    cap = read_value(options["cap"], namespace, "--cap")
    name = options.get("dataset")
    name = None if name is None else expand(name, namespace, "--dataset")
    book.set_cap(cap, name)
    return cap_words(cap, name)


def ledger_html(summary: LedgerSummary) -> str:
    """The ledger for a notebook: no script, readable in light and dark themes."""
    costliest = max((each.epsilon for each in summary.datasets if math.isfinite(each.epsilon)), default=0.0)
    datasets = "".join(_dataset(each, costliest) for each in summary.datasets)
    notes = NOTES if summary.datasets else ()
    lines = "".join(f"<div>{html.escape(note)}</div>" for note in notes)
    return (
        f'<div class="dpsynth-ledger" style="max-width:760px;color:{INK};'
        'font-family:var(--jp-ui-font-family, sans-serif);font-size:13px;line-height:20px">'
        f'<div style="color:{MUTED}">{html.escape(summary.headline)}</div>{datasets}'
        f'<div style="color:{MUTED};font-size:12px;margin-top:8px">{lines}</div></div>'
    )


def _dataset(dataset: DatasetEntry, costliest: float) -> str:
    """A dataset's name, budget bar and runs; without a cap the bar compares with the costliest dataset."""
    if dataset.share is None:
        share = dataset.epsilon / costliest if 0 < dataset.epsilon <= costliest else 0.0
        scale = "of the costliest dataset's epsilon"
    else:
        share, scale = dataset.share, f"of the cap of {dataset.cap:g}"
    percent = 100.0 * share
    alarm = "nothing fits any more" if dataset.room == 0 else ""
    if math.isinf(dataset.epsilon):
        percent, scale, alarm = 100, "used: there is no bound", "no guarantee"
    colour = ERROR if alarm else BRAND
    words = html.escape(dataset.words)
    warning = f'<b style="color:{ERROR}">&#9888; {alarm}. </b>' if alarm else ""
    head = "".join(f'<th scope="col" style="{_style(name)}">{name}</th>' for name in HEADINGS)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_style(name)}">{html.escape(cell)}</td>'
            for name, cell in zip(HEADINGS, run.cells(), strict=True)
        )
        + "</tr>"
        for run in dataset.runs
    )
    return (
        f'<div style="margin-top:12px"><b>{html.escape(dataset.title)}</b></div>'
        f'<div style="display:flex;align-items:center;flex-wrap:wrap">'
        f'<div role="img" aria-label="{words}: {percent:.0f} % {scale}" title="{percent:.0f} % {scale}" '
        f'style="width:200px;height:10px;background-color:{TRACK};border-radius:5px;overflow:hidden;'
        f'margin-right:12px"><div style="width:{percent:.1f}%;height:10px;background-color:{colour}"></div>'
        f"</div><div>{warning}{words}</div></div>"
        f'<table style="color:inherit;font-size:13px"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _style(heading: str) -> str:
    return CELL.replace("left", "right") if heading in NUMBERS else CELL
