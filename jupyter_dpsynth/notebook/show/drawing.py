"""Draw a moment of a training: HTML with an SVG chart while it lives, HTML and a PNG for the saved notebook.

The saved notebook gets a PNG instead of the SVG, because Jupyter strips inline SVG from notebooks that it
does not trust.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.chart import Axis, Chart, empty_chart, ticks
from jupyter_dpsynth.display.html import (
    BRAND,
    DONE,
    ERROR,
    INK,
    MUTED,
    WARN,
    card,
    details,
    join,
    meter,
    note,
    picture,
    sign,
)
from jupyter_dpsynth.evaluation.losses_html import losses_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.notebook.show.moment import Moment

__all__ = ["SAME_CELL", "cell_html", "curve_png", "curve_svg", "live_html", "picture_bundle", "static_html"]

STATE_COLOURS = {
    "finished": DONE,
    "budget": DONE,
    "lost": WARN,
    "stopped": WARN,
    "stopping": WARN,
    "failed": ERROR,
}

# The PNG cannot follow the theme: greys with at least 4:1 contrast on white and on JupyterLab's black.
PNG_INK, PNG_LINE = "#7a7a7a", "#3b8fd9"

WIDTH, HEIGHT = 720, 170
BAND = 2  # standard deviations of noise on either side
MIN_CURVE = 2
STEPS = f"step (band: ±{BAND} standard deviations of the privacy noise)"
LOSS = "loss (lower is better)"
STRUCTURE = "Several columns together: what every row keeps, and what the noise does not tell"
SAME_CELL = "Trained from the panel with these settings; this cell does the same:"


def loss_range(curve: Sequence[tuple[int, float, float]]) -> tuple[float, float]:
    """A range for the loss axis that contains the curve and nearly all of its noise band."""
    lows = sorted(loss - BAND * noise for _, loss, noise in curve)
    highs = sorted(loss + BAND * noise for _, loss, noise in curve)
    # the band of single steps, of the first and noisiest above all, may leave the chart
    cut = len(curve) // 50
    losses = [loss for _, loss, _ in curve]
    low, high = min(lows[cut], *losses), max(highs[-1 - cut], *losses)
    margin = max(0.04 * (high - low), 1e-6)
    return low - margin, high + margin


def curve_svg(curve: Sequence[tuple[int, float, float]], total: int) -> Markup:
    """The private loss curve with its noise band, as an SVG element in the theme's colours.

    Args:
        curve: `(step, loss, standard deviation of the noise in it)`.
        total: Planned steps: the end of the axis.
    """
    if len(curve) < MIN_CURVE:
        title = "Private loss by step: no values yet"
        return empty_chart(title, WIDTH, HEIGHT, "the loss curve appears when training begins")
    (first, start, _), (last, end, _) = curve[0], curve[-1]
    title = f"Private loss by step: {start:.3g} at step {first}, {end:.3g} at step {last} of {total}"
    (low, high), longest = loss_range(curve), max(total, last)
    steps = Axis(STEPS, 0, longest, tuple(ticks(0, longest)))
    losses = Axis(LOSS, low, high, tuple(ticks(low, high)))
    chart = Chart(title, WIDTH, HEIGHT, steps, losses)
    above, below = ([(step, loss + side * noise) for step, loss, noise in curve] for side in (BAND, -BAND))
    return chart.svg(chart.band(above, below), chart.line([(step, loss) for step, loss, _ in curve], 1.8))


def _bar(label: str, words: str, share: float) -> Markup:
    """A labelled bar; label and words are one line where styles are stripped."""
    return Markup(
        '<div style="display:flex;align-items:center;min-height:22px">'
        '<span style="width:64px;flex:none;color:{muted}">{label}</span> {meter}'
        '<span style="min-width:0">{words}</span></div>'
    ).format(muted=MUTED, label=label, meter=meter(label, share, words), words=words)


def _head(moment: Moment) -> Markup:
    return Markup(
        '<div style="display:flex;justify-content:space-between;min-height:24px">'
        "<span>{sign} <b>{headline}</b></span> "
        '<span style="color:{muted};margin-left:16px;white-space:nowrap">{time}</span></div>'
    ).format(
        sign=sign(moment.sign, STATE_COLOURS.get(moment.state, BRAND)),
        headline=moment.headline,
        muted=MUTED,
        time=moment.time_words,
    )


def _ledger(moment: Moment) -> Markup:
    """What the data have cost so far, shown above the training."""
    # by its class it is found when the notebook is to be shared
    return Markup('<div class="dpsynth-owner" style="color:{};min-height:20px">{}</div>').format(
        INK, moment.ledger
    )


def _bars(moment: Moment) -> Markup:
    steps = _bar("training", moment.step_words, moment.step / moment.total if moment.total else 0.0)
    if moment.private:
        return steps + _bar("privacy", moment.privacy_words, (moment.epsilon or 0.0) / moment.target)
    return steps + Markup('<div style="height:22px;color:{}"><b>⚠ {}</b></div>').format(
        ERROR, moment.epsilon_words
    )


def live_html(moment: Moment) -> Markup:
    """The live display. Its height stays the same once the ledger's line is shown."""
    chart = curve_svg(moment.curve, moment.total)
    below = Markup(
        '<div style="display:flex;flex-wrap:wrap;justify-content:space-between;column-gap:16px;'
        'min-height:22px;color:{};font-size:12px"><span>{}</span><span>{}</span></div>'
    ).format(MUTED, moment.loss_words, moment.hint)
    return card(_head(moment), _ledger(moment), _bars(moment), chart, below, kind="progress", width=760)


def static_html(
    moment: Moment, notes: Sequence[str] = (), cell: str = "", structure: Sequence[str] = ()
) -> Markup:
    """The same without SVG and without anything that needs a kernel.

    Args:
        moment: The moment to show.
        notes: Further lines, plain text.
        cell: The code of a cell that does the same, where the training was not started by one.
        structure: What rows keep and what the noise hides, which may be long: behind a line that opens it.
    """
    behind = details(STRUCTURE, join(note(words) for words in structure)) if structure else ""
    lines = join(note(words) for words in notes)
    code = cell_html(SAME_CELL, cell)
    left = losses_html(moment.losses)
    parts = (_head(moment), left, behind, _ledger(moment), _bars(moment), lines, code)
    return card(*parts, kind="progress", width=760)


def cell_html(words: str, cell: str) -> Markup:
    """A line of text with a cell's code below it; empty without code."""
    if not cell:
        return Markup("")
    return Markup(
        '<div style="margin-top:6px">{}</div>'
        '<pre style="margin:2px 0 6px 0;font-size:12px;line-height:17px">{}</pre>'
    ).format(note(words), cell)


def curve_png(moment: Moment) -> bytes | None:
    """The loss curve as a PNG with transparent ground; None without a curve or without matplotlib."""
    if len(moment.curve) < MIN_CURVE:
        return None
    try:
        # not pyplot: it keeps global state and is not safe beside other threads
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return None
    steps = [point[0] for point in moment.curve]
    losses = [point[1] for point in moment.curve]
    figure = Figure(figsize=(7.6, 1.9), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(
        steps,
        [loss - BAND * noise for _, loss, noise in moment.curve],
        [loss + BAND * noise for _, loss, noise in moment.curve],
        color=PNG_LINE,
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(steps, losses, color=PNG_LINE, linewidth=1.6)
    axes.set_xlim(0, steps[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(*loss_range(moment.curve))
    axes.set_xlabel(STEPS)
    axes.set_ylabel(LOSS)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color=PNG_INK, alpha=0.35, linewidth=0.6)
    for item in (axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
        item.set_color(PNG_INK)
        item.set_fontsize(8)
    axes.tick_params(colors=PNG_INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(PNG_INK)
    image = io.BytesIO()
    figure.savefig(image, format="png", transparent=True)
    return image.getvalue()


def picture_bundle(png: bytes, words: str) -> dict[str, str]:
    """A PNG as an output, also as HTML, because Jupyter shows a bare image without alternative text.

    Args:
        png: The picture.
        words: What is to be seen in it.
    """
    return {
        "text/html": picture(png, words),
        "image/png": base64.b64encode(png).decode("ascii"),
        "text/plain": words,
    }
