"""A forecast in words, as text and as HTML with the curve of epsilon over the steps."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import compact, duration, epsilon_text
from jupyter_dpsynth.notebook.show.drawing import BRAND, ERROR, GRID, INK, MUTED, WARN, ticks
from jupyter_dpsynth.privacy.receipt import budget_shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.engine.planning.forecast import Forecast

__all__ = ["epsilon_svg", "facts", "forecast_html", "forecast_text", "headline"]

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 26, 20, 34
CELL = "padding:1px 10px 1px 0;text-align:left;vertical-align:top;white-space:normal"
SHORT = {  # of the accountant's items, in the words of a newcomer
    "row count": "counting the rows",
    "decimals and time resolutions": "decimals and time steps",
    "value histograms": "finding each column's values",
    "second look at unlisted names": "a second look at rare values",
    "one-way marginals": "measuring each column",
    "pair dependence": "measuring pairs of columns",
    "orderings of columns": "finding ordered columns",
    "training": "training",
}


def headline(forecast: Forecast) -> str:
    """What epsilon does over the steps, in a sentence."""
    plan = forecast.plan
    if plan.privacy is None or forecast.curve is None:
        return f"{plan.steps:,} steps without noise: epsilon is infinite, there is NO privacy guarantee."
    noise = f"With noise {plan.noise_multiplier:.3g}"
    verb = "=" if forecast.accountant == "pld" else "is at most"
    reached = f"epsilon {verb} {epsilon_text(plan.epsilon)} after {plan.steps:,} steps"
    if forecast.ends_early:
        return (
            f"{noise}, {reached}: the budget ends there, at step {plan.steps:,} of the "
            f"{forecast.wanted_steps:,} that were asked for."
            if forecast.wanted_steps > plan.steps
            else f"{noise}, {reached}: the budget ends there."
        )
    if forecast.lasts > plan.steps:
        return f"{noise}, {reached}: the budget would last for about {forecast.lasts:,} steps."
    return f"{noise}, {reached}: the budget ends with the last step."


def facts(forecast: Forecast) -> list[tuple[str, str]]:
    """Name and value of each figure of a plan."""
    plan = forecast.plan
    found = [("assumed rows", f"about {forecast.rows:,.0f}")]
    if plan.privacy is not None:
        bound = "" if forecast.accountant == "pld" else " (upper bound)"
        found += [
            ("epsilon", f"{epsilon_text(plan.epsilon)}{bound}"),
            ("delta", f"{plan.delta:.3g}"),
            ("noise multiplier", f"{plan.noise_multiplier:.3g}"),
        ]
    found += [
        ("steps", f"{plan.steps:,}"),
        ("batch", f"about {compact(plan.batch_size)} rows, {_passes(forecast)}"),
        ("model", f"about {forecast.width:,} cells in all columns{_at_most(forecast)}"),
        ("error of a typical column", error_words(forecast)),
        ("time", time_words(forecast)),
        ("memory", f"about {forecast.megabytes / 1000:.1f} GB beside your tables"),
    ]
    if forecast.disk_megabytes:
        found.append(
            ("temporary files", f"about {forecast.disk_megabytes / 1000:.1g} GB, removed at the end")
        )
    return found


def _at_most(forecast: Forecast) -> str:
    """How many cells there may be where nobody has said how many values names have."""
    if forecast.most_width < 1.5 * forecast.width:
        return ""
    return f"; up to {forecast.most_width:,}, and slower, if names have many values"


def _passes(forecast: Forecast) -> str:
    """How often training sees each row, as expected."""
    passes = forecast.plan.steps * forecast.plan.sampling_probability
    return f"each row about {passes:.2g} times" if passes < 100 else f"each row about {passes:,.0f} times"


def error_words(forecast: Forecast) -> str:
    """The expected error of one column."""
    if forecast.plan.privacy is None:
        return "no noise"
    percent = 100 * forecast.column_error
    return f"about {percent:.2g} % of its values are misplaced" if percent < 50 else "mostly noise"


def time_words(forecast: Forecast) -> str:
    """How long a run takes here."""
    if forecast.seconds is None:
        return "not predicted for this backend: it is much slower than 'native'"
    words = f"about {duration(max(forecast.seconds, 1.0))}"
    if forecast.starting_seconds:
        words += f", and about {duration(forecast.starting_seconds)} to start TensorFlow once"
    return words


def _items(forecast: Forecast) -> list[tuple[str, float]]:
    if forecast.plan.privacy is None:
        return []
    return [(SHORT.get(name, name), share) for name, _, share in budget_shares(forecast.plan.privacy)]


def forecast_text(forecast: Forecast, title: str) -> str:
    """The whole forecast for a terminal."""
    wide = max(len(name) for name, _ in facts(forecast))
    lines = [title, "", headline(forecast), ""]
    lines += [f"  {name:{wide}}  {words}" for name, words in facts(forecast)]
    items = _items(forecast)
    if items:
        lines += ["", "What epsilon is spent on:"]
        lines += [f"  {share:5.1%}  {name}" for name, share in items]
    lines += [f"⚠ {warning}" for warning in forecast.warnings]
    return "\n".join(lines)


def _warning_html(warnings: tuple[str, ...]) -> str:
    return "".join(
        f'<div style="color:{INK};border-left:3px solid {WARN};padding-left:8px;margin:4px 0">'
        f"⚠ {html.escape(warning)}</div>"
        for warning in warnings
    )


def forecast_html(forecast: Forecast, title: str = "") -> str:
    """The whole forecast for a notebook, in the theme's colours."""
    rows = "".join(
        f'<tr style="background:none"><th scope="row" style="{CELL};font-weight:normal;color:{MUTED}">'
        f'{html.escape(name)}</th><td style="{CELL}">{html.escape(words)}</td></tr>'
        for name, words in facts(forecast)
    )
    heading = f'<div style="color:{MUTED};margin-bottom:2px">{html.escape(title)}</div>' if title else ""
    return (
        f'<div class="dpsynth-forecast" style="max-width:1180px;color:{INK};font-size:13px;line-height:19px;'
        f'font-family:var(--jp-ui-font-family, sans-serif)">{heading}'
        f'<div style="min-height:40px"><b>{html.escape(headline(forecast))}</b></div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 24px">'
        f'<div style="flex:1 1 380px;min-width:0;max-width:{WIDTH}px">{epsilon_svg(forecast)}'
        f"{spending_html(forecast)}</div>"
        f'<div style="flex:1 1 320px;min-width:0">{_warning_html(forecast.warnings)}'
        f'<table style="border:none;margin:0;font-size:13px"><tbody>{rows}</tbody></table></div></div></div>'
    )


def spending_html(forecast: Forecast) -> str:
    """What epsilon goes to: a bar for each part, with its name and share."""
    rows = "".join(
        f'<tr style="background:none"><th scope="row" style="{CELL};font-weight:normal;color:{MUTED}">'
        f'{html.escape(name)}</th><td style="{CELL};width:110px"><div style="width:{110 * share:.1f}px;'
        f'min-width:1px;height:9px;margin-top:5px;background-color:{BRAND};border-radius:2px"></div></td>'
        f'<td style="{CELL};text-align:right;padding-right:0;white-space:nowrap">{100 * share:.0f} %</td>'
        "</tr>"
        for name, share in _items(forecast)
    )
    if not rows:
        return ""
    return (
        f'<table style="border:none;margin:0;font-size:12px;line-height:17px"><caption style="{CELL};'
        f'font-size:12px;color:{INK};caption-side:top">What epsilon is spent on</caption>'
        f"<tbody>{rows}</tbody></table>"
    )


def epsilon_svg(forecast: Forecast) -> str:
    """Epsilon over the steps, the budget and the point where it ends, as an SVG element."""
    title = headline(forecast)
    head = (
        f'<svg role="img" aria-label="{html.escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;aspect-ratio:{WIDTH}/{HEIGHT};font-size:11px">'
        f"<title>{html.escape(title)}</title>"
    )
    if forecast.curve is None:
        return (
            f'{head}<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle" style="fill:{ERROR}">'
            "⚠ no privacy guarantee: epsilon is infinite</text></svg>"
        )
    return f"{head}{_chart(forecast)}</svg>"


def _chart(forecast: Forecast) -> str:
    curve, plan = forecast.curve, forecast.plan
    if curve is None:
        return ""
    target = forecast.target
    end = max(curve.steps[-1], 1)
    top = 1.12 * max(target, *(e for e in curve.epsilons if math.isfinite(e)))
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x(step: float) -> float:
        return LEFT + (right - LEFT) * step / end

    def y(epsilon: float) -> float:
        return bottom - (bottom - TOP) * min(epsilon, top) / top

    grid = "".join(
        f'<line x1="{LEFT}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}" style="stroke:{GRID}"/>'
        f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end" style="fill:{MUTED}">{v:g}</text>'
        for v in ticks(0, top, 4)
    )
    steps = "".join(
        f'<text x="{x(v):.1f}" y="{bottom + 14}" text-anchor="middle" style="fill:{MUTED}">{v:g}</text>'
        for v in ticks(0, end)
        if v == int(v)
    )
    points = [(s, e) for s, e in zip(curve.steps, curve.epsilons, strict=True) if math.isfinite(e)]
    start = curve.epsilons[0]
    inside = [(s, e) for s, e in points if s < plan.steps] + [(plan.steps, plan.epsilon)]
    beyond = [(plan.steps, plan.epsilon)] + [(s, e) for s, e in points if s > plan.steps]
    return (
        grid + steps + f'<line x1="{LEFT}" x2="{right}" y1="{y(target):.1f}" y2="{y(target):.1f}" '
        f'style="stroke:{INK};stroke-width:1.2" stroke-dasharray="5 3"/>'
        f'<text x="{LEFT + 4}" y="{y(target) - 4:.1f}" style="fill:{INK}">budget: epsilon = {target:g}</text>'
        + _line(inside, x, y, "2")
        + (_line(beyond, x, y, "1.4", dashed=True) if len(beyond) > 1 else "")
        + f'<circle cx="{LEFT}" cy="{y(start):.1f}" r="3" style="fill:{BRAND}"/>'
        f'<text x="{LEFT + 6}" y="{y(start) + 15:.1f}" style="fill:{MUTED}">measuring: {start:.2g}</text>'
        + f'<circle cx="{x(plan.steps):.1f}" cy="{y(plan.epsilon):.1f}" r="4" style="fill:{BRAND}"/>'
        + f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 5}" text-anchor="middle" style="fill:{MUTED}">'
        f"training step{' (upper bound; the exact figure follows)' if forecast.accountant != 'pld' else ''}"
        "</text>"
        f'<text x="11" y="{(TOP + bottom) / 2}" text-anchor="middle" style="fill:{MUTED}" '
        f'transform="rotate(-90 11 {(TOP + bottom) / 2})">epsilon spent</text>'
    )


def _line(
    points: list[tuple[int, float]],
    x: Callable[[float], float],
    y: Callable[[float], float],
    width: str,
    *,
    dashed: bool = False,
) -> str:
    path = " ".join(f"{x(step):.1f},{y(epsilon):.1f}" for step, epsilon in points)
    dash = ' stroke-dasharray="3 3"' if dashed else ""
    return f'<polyline points="{path}" style="fill:none;stroke:{BRAND};stroke-width:{width}"{dash}/>'
