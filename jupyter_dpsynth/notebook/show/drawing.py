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
    MUTED,
    WARN,
    card,
    join,
    meter,
    note,
    picture,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.notebook.show.moment import Frame

__all__ = ["SAME_CELL", "cell_html", "curve_png", "curve_svg", "live_html", "picture_bundle", "static_html"]

STATE_COLOURS = {"finished": DONE, "budget": DONE, "stopped": WARN, "stopping": WARN, "failed": ERROR}

# The PNG cannot follow the theme: greys with at least 4:1 contrast on white and on JupyterLab's black.
PNG_INK, PNG_LINE = "#7a7a7a", "#3b8fd9"

WIDTH, HEIGHT = 720, 170
BAND = 2  # standard deviations of noise on either side
MIN_CURVE = 2
STEPS = f"step (band: ±{BAND} standard deviations of the privacy noise)"
LOSS = "loss, nats per row"
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


def _head(frame: Frame) -> Markup:
    return Markup(
        '<div style="display:flex;justify-content:space-between;min-height:24px">'
        "<span>{sign} <b>{headline}</b></span> "
        '<span style="color:{muted};margin-left:16px;white-space:nowrap">{time}</span></div>'
    ).format(
        sign=sign(frame.sign, STATE_COLOURS.get(frame.state, BRAND)),
        headline=frame.headline,
        muted=MUTED,
        time=frame.time_words,
    )


def _ledger(frame: Frame) -> Markup:
    """What the data have cost so far, shown above the training."""
    return Markup('<div style="color:{};min-height:20px">{}</div>').format(MUTED, frame.ledger)


def _bars(frame: Frame) -> Markup:
    steps = _bar("training", frame.step_words, frame.step / frame.total if frame.total else 0.0)
    if frame.private:
        return steps + _bar("privacy", frame.privacy_words, (frame.epsilon or 0.0) / frame.target)
    return steps + Markup('<div style="height:22px;color:{}"><b>⚠ {}</b></div>').format(
        ERROR, frame.epsilon_words
    )


def live_html(frame: Frame) -> Markup:
    """The live display. Its height stays the same once the ledger's line is shown."""
    chart = Markup('<div style="min-height:{}px">{}</div>').format(
        HEIGHT, curve_svg(frame.curve, frame.total)
    )
    below = Markup(
        '<div style="display:flex;justify-content:space-between;height:22px;white-space:nowrap;'
        'color:{};font-size:12px"><span>{}</span><span>{}</span></div>'
    ).format(MUTED, frame.loss_words, frame.hint)
    return card(_head(frame), _ledger(frame), _bars(frame), chart, below, kind="progress", width=760)


def static_html(frame: Frame, notes: Sequence[str] = (), cell: str = "") -> Markup:
    """The same without SVG and without anything that needs a kernel.

    Args:
        frame: The moment to show.
        notes: Further lines, plain text.
        cell: The code of a cell that does the same, where the training was not started by one.
    """
    lines = join(note(words) for words in notes)
    code = cell_html(SAME_CELL, cell)
    return card(_head(frame), _ledger(frame), _bars(frame), lines, code, kind="progress", width=760)


def cell_html(words: str, cell: str) -> Markup:
    """A line of text with a cell's code below it; empty without code."""
    if not cell:
        return Markup("")
    return Markup(
        '<div style="margin-top:6px">{}</div>'
        '<pre style="margin:2px 0 6px 0;font-size:12px;line-height:17px">{}</pre>'
    ).format(note(words), cell)


def curve_png(frame: Frame) -> bytes | None:
    """The loss curve as a PNG with transparent ground; None without a curve or without matplotlib."""
    if len(frame.curve) < MIN_CURVE:
        return None
    try:
        # not pyplot: it keeps global state and is not safe beside other threads
        from matplotlib.figure import Figure
    except ImportError:
        return None
    steps = [point[0] for point in frame.curve]
    losses = [point[1] for point in frame.curve]
    figure = Figure(figsize=(7.6, 1.9), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(
        steps,
        [loss - BAND * noise for _, loss, noise in frame.curve],
        [loss + BAND * noise for _, loss, noise in frame.curve],
        color=PNG_LINE,
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(steps, losses, color=PNG_LINE, linewidth=1.6)
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(*loss_range(frame.curve))
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
