"""Draw a frame: HTML with an SVG chart while it lives, HTML and a PNG for the saved notebook.

Building the SVG as text costs a fraction of a millisecond where a matplotlib figure costs a quarter of a
second. The saved notebook gets a PNG instead, because Jupyter strips inline SVG from notebooks that it
does not trust.
"""

from __future__ import annotations

import base64
import html
import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.notebook.show.moment import Frame

__all__ = ["SAME_CELL", "cell_html", "curve_png", "curve_svg", "live_html", "picture_bundle", "static_html"]

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
STATE_COLOURS = {"finished": DONE, "budget": DONE, "stopped": WARN, "stopping": WARN, "failed": ERROR}

# The PNG cannot follow the theme: greys with at least 4:1 contrast on white and on JupyterLab's black.
PNG_INK, PNG_LINE = "#7a7a7a", "#3b8fd9"

WIDTH, HEIGHT = 720, 170
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 12, 34
BAND = 2  # standard deviations of noise on either side
MIN_CURVE = 2
SAME_CELL = "Trained by the panel with these settings; this cell does the same:"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside a range, about `count` of them.

    >>> ticks(0, 500)
    [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    >>> ticks(7.93, 8.41)
    [8.0, 8.1, 8.2, 8.3, 8.4]
    """
    span = max(high - low, 1e-12)
    size = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * size for m in (1, 2, 5, 10) if m * size * count >= span)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


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


def curve_svg(curve: Sequence[tuple[int, float, float]], total: int) -> str:
    """The private loss curve with its noise band, as an SVG element in the theme's colours.

    Args:
        curve: `(step, loss, standard deviation of the noise in it)`.
        total: Planned steps: the end of the axis.
    """
    title = "Private loss by step: no values yet"
    if len(curve) >= MIN_CURVE:
        (first, start, _), (last, end, _) = curve[0], curve[-1]
        title = f"Private loss by step: {start:.3g} at step {first}, {end:.3g} at step {last} of {total}"
    head = (
        f'<svg role="img" aria-label="{title}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="display:block;width:100%;aspect-ratio:{WIDTH}/{HEIGHT};font-size:11px">'
        f"<title>{title}</title>"
    )
    if len(curve) >= MIN_CURVE:
        content = _plot(curve, total)
    else:
        content = (
            f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" '
            f'fill="none" style="stroke:{GRID}"/><text x="{WIDTH / 2}" y="{HEIGHT / 2}" '
            f'text-anchor="middle" style="fill:{MUTED}">the loss curve appears when training begins</text>'
        )
    return f"{head}{content}</svg>"


def _plot(curve: Sequence[tuple[int, float, float]], total: int) -> str:
    low, high = loss_range(curve)
    end = max(total, curve[-1][0])
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x(step: float) -> float:
        return LEFT + (right - LEFT) * step / end

    def y(loss: float) -> float:
        return bottom - (bottom - TOP) * (min(max(loss, low), high) - low) / (high - low)

    grid = "".join(
        f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" style="stroke:{GRID}"/>'
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" style="fill:{MUTED}">'
        f"{value:g}</text>"
        for value in ticks(low, high)
    )
    steps = "".join(
        f'<text x="{x(value):.1f}" y="{bottom + 14}" text-anchor="middle" style="fill:{MUTED}">'
        f"{value:g}</text>"
        for value in ticks(0, end)
    )
    above = [f"{x(s):.1f},{y(v + BAND * n):.1f}" for s, v, n in curve]
    below = [f"{x(s):.1f},{y(v - BAND * n):.1f}" for s, v, n in reversed(curve)]
    middle = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v, _ in curve)
    centre = (TOP + bottom) / 2
    return (
        f'{grid}{steps}<polygon points="{" ".join(above + below)}" style="fill:{BRAND};fill-opacity:0.18"/>'
        f'<polyline points="{middle}" style="fill:none;stroke:{BRAND};stroke-width:1.8"/>'
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 5}" text-anchor="middle" style="fill:{MUTED}">'
        f"step (band: ±{BAND} standard deviations of the privacy noise)</text>"
        f'<text x="12" y="{centre}" text-anchor="middle" transform="rotate(-90 12 {centre})" '
        f'style="fill:{MUTED}">loss, nats per row</text>'
    )


def _bar(label: str, words: str, share: float, colour: str) -> str:
    """A labelled bar that is full at share 1; label and words are one line where styles are stripped."""
    percent = 100 * min(max(share, 0.0), 1.0)
    label, words = html.escape(label), html.escape(words)
    return (
        f'<div style="display:flex;align-items:center;min-height:22px">'
        f'<span style="width:64px;flex:none;color:{MUTED}">{label}</span> '
        f'<span role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent:.0f}" aria-valuetext="{words}" '
        # as wide as the other bar, whatever the words beside it: the two are compared
        f'style="flex:none;width:200px;max-width:30%;height:10px;background-color:{TRACK};'
        'border-radius:5px;overflow:hidden">'
        f'<span style="display:block;width:{percent:.1f}%;height:10px;background-color:{colour}">'
        "</span></span> "
        f'<span style="margin-left:12px;min-width:0">{words}</span></div>'
    )


def _head(frame: Frame) -> str:
    colour = STATE_COLOURS.get(frame.state, BRAND)
    return (
        f'<div style="display:flex;justify-content:space-between;min-height:24px">'
        f'<span><span style="color:{colour}">{frame.sign}</span> '
        f"<b>{html.escape(frame.headline)}</b></span> "
        f'<span style="color:{MUTED};margin-left:16px;white-space:nowrap">{html.escape(frame.time_words)}'
        "</span></div>"
    )


def _ledger(frame: Frame) -> str:
    """What the data has cost so far, above everything that a training adds to it."""
    return f'<div style="color:{MUTED};min-height:20px">{html.escape(frame.ledger)}</div>'


def _bars(frame: Frame) -> str:
    steps = _bar("training", frame.step_words, frame.step / frame.total if frame.total else 0.0, BRAND)
    if not frame.private:
        return steps + (
            f'<div style="height:22px;color:{ERROR}"><b>⚠ {html.escape(frame.epsilon_words)}</b></div>'
        )
    spent = (frame.epsilon or 0.0) / frame.target
    return steps + _bar("privacy", frame.privacy_words, spent, BRAND)


def _box(content: str) -> str:
    return (
        f'<div class="dpsynth-progress" style="max-width:760px;color:{INK};'
        f'font-family:var(--jp-ui-font-family, sans-serif);font-size:13px;line-height:20px">{content}</div>'
    )


def live_html(frame: Frame) -> str:
    """The whole live display; its height does not change once the ledger's line is there."""
    words = html.escape(frame.loss_words)
    hint = html.escape(frame.hint)
    return _box(
        _head(frame)
        + _ledger(frame)
        + _bars(frame)
        + f'<div style="min-height:{HEIGHT}px">{curve_svg(frame.curve, frame.total)}</div>'
        + '<div style="display:flex;justify-content:space-between;height:22px;white-space:nowrap;'
        f'color:{MUTED};font-size:12px"><span>{words}</span><span>{hint}</span></div>'
    )


def static_html(frame: Frame, notes: Sequence[str] = (), cell: str = "") -> str:
    """The same without SVG and without anything that needs a kernel.

    Args:
        frame: The moment to show.
        notes: Further lines, plain text.
        cell: The code of a cell that does the same, where the training was not started by one.
    """
    lines = "".join(f'<div style="color:{MUTED};font-size:12px">{html.escape(note)}</div>' for note in notes)
    return _box(_head(frame) + _ledger(frame) + _bars(frame) + lines + cell_html(SAME_CELL, cell))


def cell_html(words: str, cell: str) -> str:
    """A cell's code under a line of text; nothing without code."""
    if not cell:
        return ""
    line = f'<div style="color:{MUTED};font-size:12px;margin-top:6px">{html.escape(words)}</div>'
    return (
        f"{line if words else ''}"
        f'<pre style="margin:2px 0 6px 0;font-size:12px;line-height:17px">{html.escape(cell)}</pre>'
    )


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
    axes.set_xlabel(f"step (band: ±{BAND} standard deviations of the privacy noise)")
    axes.set_ylabel("loss, nats per row")
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


def picture_bundle(picture: bytes, words: str) -> dict[str, str]:
    """A PNG as an output; also as HTML, because Jupyter shows a bare image without words for the blind.

    Args:
        picture: The PNG.
        words: What is to be seen in it.
    """
    encoded = base64.b64encode(picture).decode("ascii")
    source = f"data:image/png;base64,{encoded}"
    return {
        "text/html": f'<img alt="{html.escape(words)}" src="{source}" style="max-width:100%">',
        "image/png": encoded,
        "text/plain": words,
    }
