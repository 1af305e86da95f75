"""A forecast as HTML, with the curve of epsilon over the steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.display.chart import Axis, Chart, empty_chart, ticks
from jupyter_dpsynth.display.html import BRAND, ERROR, callout, card, join, note, strong, table
from jupyter_dpsynth.engine.planning.forecast_words import facts, headline, spending

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.planning.forecast import Forecast

__all__ = ["curve_html", "epsilon_svg", "facts_html", "forecast_html"]

WIDTH, HEIGHT = 460, 190


def forecast_html(forecast: Forecast, title: str = "") -> Markup:
    """The whole forecast for a notebook, in the theme's colours."""
    parts = Markup(
        '<div style="display:flex;flex-wrap:wrap;gap:4px 24px">'
        '<div style="flex:1 1 380px;min-width:0;max-width:{width}px">{curve}</div>'
        '<div style="flex:1 1 320px;min-width:0">{facts}</div></div>'
    ).format(width=WIDTH, curve=_curve_html(forecast), facts=_facts_html(forecast))
    return card(note(title, 13), _summary_html(forecast), parts, kind="forecast", width=1180)


def curve_html(forecast: Forecast) -> Markup:
    """The part beside or below a panel's fields: the headline, the curve, and what epsilon is spent on."""
    half = Markup('<div style="flex:1 1 340px;min-width:0;max-width:{}px">{}</div>')
    halves = join(half.format(WIDTH, each) for each in (epsilon_svg(forecast), spending_html(forecast)))
    side = Markup('<div style="display:flex;flex-wrap:wrap;gap:0 24px">{}</div>').format(halves)
    return card(_summary_html(forecast), side, kind="forecast", width=None)


def facts_html(forecast: Forecast) -> Markup:
    """The part below both halves of a panel: warnings, and figures, in two halves where it is wide."""
    told = facts(forecast)
    middle = (len(told) + 1) // 2
    half = Markup('<div style="flex:1 1 380px;min-width:0">{}</div>')
    halves = join(half.format(table(each, quiet=True)) for each in (told[:middle], told[middle:]))
    figures = Markup('<div style="display:flex;flex-wrap:wrap;gap:0 24px">{}</div>').format(halves)
    return card(_warnings_html(forecast), figures, kind="forecast-facts", width=None)


def _summary_html(forecast: Forecast) -> Markup:
    return Markup('<div style="min-height:40px">{}</div>').format(strong(headline(forecast)))


def _curve_html(forecast: Forecast) -> Markup:
    return epsilon_svg(forecast) + spending_html(forecast)


def _facts_html(forecast: Forecast) -> Markup:
    return _warnings_html(forecast) + table(facts(forecast), quiet=True)


def _warnings_html(forecast: Forecast) -> Markup:
    return join(callout("⚠ ", warning) for warning in forecast.warnings)


def spending_html(forecast: Forecast) -> Markup:
    """What epsilon is spent on: a bar for each part, with its name and share."""
    bar = Markup(
        '<div style="width:110px"><div style="width:{:.1f}px;min-width:1px;height:9px;margin-top:5px;'
        'background-color:{};border-radius:2px"></div></div>'
    )
    rows = [
        (name, bar.format(110 * share, BRAND), f"{100 * share:.0f} %") for name, share in spending(forecast)
    ]
    if not rows:
        return Markup("")
    spent = table(rows, numbers={2}, caption="What epsilon is spent on", quiet=True)
    return Markup('<div style="font-size:12px;line-height:17px">{}</div>').format(spent)


def epsilon_svg(forecast: Forecast) -> Markup:
    """Epsilon over the steps, the budget and the point where it ends, as an SVG element."""
    curve, plan, title = forecast.curve, forecast.plan, headline(forecast)
    if curve is None:
        words = "⚠ no privacy guarantee: epsilon is infinite"
        return empty_chart(title, WIDTH, HEIGHT, words, ERROR)
    points = [(s, e) for s, e in zip(curve.steps, curve.epsilons, strict=True) if math.isfinite(e)]
    here, start = (plan.steps, plan.epsilon), curve.epsilons[0]
    end = max(curve.steps[-1], 1)
    top = 1.12 * max(forecast.target, *(epsilon for _, epsilon in points))
    bound = "" if forecast.accountant == "pld" else " (upper bound; the exact figure follows)"
    steps = tuple(mark for mark in ticks(0, end) if mark == int(mark))
    chart = Chart(
        title,
        WIDTH,
        HEIGHT,
        Axis(f"training step{bound}", 0, end, steps),
        Axis("epsilon spent", 0, top, tuple(ticks(0, top, 4))),
    )
    beyond = [(step, epsilon) for step, epsilon in points if step > plan.steps]
    return chart.svg(
        chart.limit(forecast.target, f"budget: epsilon = {forecast.target:g}"),
        chart.line([*(point for point in points if point[0] < plan.steps), here], 2),
        chart.line([here, *beyond], 1.4, dashed=True) if beyond else "",
        chart.dot(0, start, 3),
        chart.words(0, start, f"measuring: {start:.2g}"),
        chart.dot(*here, 4),
    )
