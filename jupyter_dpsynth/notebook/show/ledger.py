"""The ledger as HTML: every dataset with its budget and its runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import BRAND, ERROR, card, join, meter, note, table
from jupyter_dpsynth.privacy.ledger.summary import HEADINGS, NOTES

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.ledger.summary import DatasetEntry, LedgerSummary

__all__ = ["ledger_html"]

NUMBERS = {place for place, name in enumerate(HEADINGS) if name in {"epsilon", "delta", "steps planned"}}


def ledger_html(summary: LedgerSummary) -> Markup:
    """The ledger for a notebook: no script, readable in light and dark themes."""
    costliest = max((each.epsilon for each in summary.datasets if math.isfinite(each.epsilon)), default=0.0)
    lines = join(note(each) for each in NOTES) if summary.datasets else ""
    return card(
        note(summary.headline, 13),
        *(_dataset(each, costliest) for each in summary.datasets),
        Markup('<div style="margin-top:8px">{}</div>').format(lines),
        kind="ledger",
        width=760,
    )


def _dataset(dataset: DatasetEntry, costliest: float) -> Markup:
    """A dataset's name, budget bar and runs; without a cap the bar compares with the costliest dataset."""
    if dataset.share is None:
        share = dataset.epsilon / costliest if 0 < dataset.epsilon <= costliest else 0.0
        scale = "of the costliest dataset's epsilon"
    else:
        share, scale = dataset.share, f"of the cap of {dataset.cap:g}"
    alarm = "nothing is left" if dataset.room == 0 else ""
    if math.isinf(dataset.epsilon):
        share, scale, alarm = 1.0, "spent: there is no bound", "no guarantee"
    warning = Markup('<b style="color:{}">⚠ {}. </b>').format(ERROR, alarm) if alarm else ""
    return Markup(
        '<div style="margin-top:12px"><b>{title}</b></div>'
        '<div style="display:flex;align-items:center;flex-wrap:wrap">{meter}<div>{warning}{words}</div></div>'
        "{runs}"
    ).format(
        title=dataset.title,
        meter=meter(
            f"epsilon of {dataset.title}",
            share,
            f"{dataset.words}: {100 * share:.0f} % {scale}",
            ERROR if alarm else BRAND,
        ),
        warning=warning,
        words=dataset.words,
        runs=table([run.cells() for run in dataset.runs], HEADINGS, numbers=NUMBERS, bold=False),
    )
