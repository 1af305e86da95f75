"""What is left of the columns, as HTML: in words and shapes, never by colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.html import DONE, ERROR, WARN, details, join, note, scrolled, sign, table
from jupyter_dpsynth.display.words import percent
from jupyter_dpsynth.engine.model.losses import INTERVAL_ERROR, SIGNS, STATES, advice, glance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.engine.model.losses import ColumnLoss

__all__ = ["losses_html"]

COLOURS = {"fine": DONE, "coarse": WARN, "nothing left": ERROR}
HEAD = ("Column", "Left", "Wrong, about", "Why", "Missing")
MOST_ROWS = 100
TOLD = 0.01  # of the rows: what is wrong of fewer is not explained


def losses_html(losses: Sequence[ColumnLoss], *, opened: bool = False) -> Markup:
    """A line for each state, what would help, and a table of the columns behind a line that opens it.

    Args:
        losses: Of every column; empty gives nothing.
        opened: Whether the table is open.
    """
    if not losses:
        return Markup("")
    states = {SIGNS[state]: COLOURS[state] for state in STATES}
    lines = join(
        Markup('<div style="min-height:20px">{} {}</div>').format(sign(line[0], states[line[0]]), line[2:])
        for line in glance(losses)
    )
    helps = join(note(f"What helps {words}.") for words in advice(losses))
    order = sorted(losses, key=lambda loss: (-STATES.index(loss.state), -loss.error - loss.shortened))
    rows = [_row(loss) for loss in order[:MOST_ROWS]]
    more = f"; the first {MOST_ROWS} of {len(losses):,}" if len(losses) > MOST_ROWS else ""
    title = f"Every column: what is left of it, in shares of the rows (\u00b1 noise){more}"
    shown = scrolled(table(rows, HEAD, numbers={2}, bold=False))
    return join([lines, helps, details(title, shown, opened=opened)])


def _row(loss: ColumnLoss) -> tuple[str, ...]:
    why = [rows.words for rows in loss.lost if rows.is_certain]
    if INTERVAL_ERROR * loss.coarse >= TOLD:
        why.append(f"{percent(loss.coarse)} drawn evenly from one interval")
    if loss.noise >= TOLD:
        why.append(f"noise moves about {percent(loss.noise)}")
    if not loss.lost:
        why.append("rows lost were not measured by the version that learned it")
    missing = (
        "\u2013"
        if loss.missing is None
        else f"{percent(loss.missing)} (\u00b1 {percent(loss.missing_error)})"
    )
    state = join([sign(SIGNS[loss.state], COLOURS[loss.state]), f" {loss.state}"])
    return loss.name, state, percent(loss.error), ", ".join(why), missing
