"""Small parts of the panel: headings, pages, and the words in empty fields."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import INK, note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_dpsynth.engine.planning.forecast import Forecast

__all__ = ["automatic_words", "heading", "name_of", "page", "plain"]


def automatic_words(forecast: Forecast) -> dict[str, str]:
    """The values that empty fields stand for, of those whose value follows from others."""
    plan = forecast.plan
    words = {
        "batch_size": f"auto: {plan.batch_size:,.0f}",
        "steps": f"auto: {plan.steps:,}",
        "epochs": f"auto: {plan.steps * plan.sampling_probability:.3g}",
        "learning_rate": f"auto: {plan.learning_rate:.3g}",
        "num_bins": f"auto: {plan.bins}",
    }
    if plan.privacy is not None:
        words["delta"] = f"auto: {plan.delta:.2g}"
        words["noise_multiplier"] = f"auto: {plan.noise_multiplier:.3g}"
    return words


def name_of(df: object, namespace: Mapping[str, Any]) -> str:
    """The user's variable that holds the table, or the path of its files."""
    names = [name for name, value in namespace.items() if value is df and not name.startswith("_")]
    if df is not None and names:
        return names[0]
    return repr(os.fspath(df)) if isinstance(df, str | os.PathLike) else "df"


def heading(words: str) -> widgets.HTML:
    """The title of a part."""
    return widgets.HTML(
        Markup('<div style="color:{};font-size:13px;padding:4px 0"><b>{}</b></div>').format(INK, words)
    )


def plain(words: str) -> widgets.HTML:
    """A line of text."""
    return widgets.HTML(note(words, 13))


def page(children: list[Any]) -> widgets.VBox:
    """One of the pages that are chosen by a button."""
    # one height for all of them, so that nothing below moves when another one is chosen
    return widgets.VBox(children, layout={"min_height": "400px", "max_height": "570px", "overflow": "auto"})
