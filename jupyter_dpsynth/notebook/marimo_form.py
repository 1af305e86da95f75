"""The parameters of a run as a form of marimo, whose notebooks show no ipywidgets.

Example, in two cells of marimo, the second of which runs when Train is pressed:

    from jupyter_dpsynth.notebook.marimo_form import config_of, settings_form

    form = settings_form()
    form

    mo.stop(form.value is None)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config_of(form.value)).learn(df)
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import MissingDependencyError
from jupyter_dpsynth.parameters import ColumnName, empty_word

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["config_of", "settings_form"]


def settings_form(config: HighDimConfig | None = None) -> Any:  # noqa: ANN401 - an element of marimo
    """A form with a field for every parameter and the button Train.

    Args:
        config: What the fields hold at first; the defaults if not given.

    Returns:
        The element; its `value` is None until Train is pressed, and then what `config_of` takes.

    Raises:
        MissingDependencyError: marimo is not installed.
    """
    try:
        import marimo as mo
    except ModuleNotFoundError:
        raise MissingDependencyError("marimo is not installed, and this form is one of marimo.") from None
    values = (HighDimConfig() if config is None else config).to_dict()
    names = sorted(values, key=lambda name: name != "epsilon")
    fields = {name: _field(mo.ui, name, values[name]) for name in names}
    # a dictionary of marimo shows Python's names, in brackets
    lines = "\n\n".join(f"{{{name}}}" for name in names)
    return mo.md(lines).batch(**fields).form(submit_button_label="Train: spends epsilon", bordered=True)


def _field(ui: Any, name: str, value: Any) -> Any:  # noqa: ANN401 - marimo's elements; a parameter's value
    trait = HighDimConfig.class_traits()[name]
    label = f"{trait.metadata.get('label', name)} ({trait.metadata.get('effect', '')})"
    if isinstance(trait, Bool):
        return ui.checkbox(value=value, label=label)
    if isinstance(trait, Enum):
        return ui.dropdown(options=[str(each) for each in trait.values or ()], value=str(value), label=label)
    shown = "" if value in (None, "auto") else str(value)
    return ui.text(value=shown, placeholder=empty_word(trait), label=label)


def config_of(values: Mapping[str, Any]) -> HighDimConfig:
    """The parameters that a form holds.

    Args:
        values: The value of the form.

    Raises:
        ConfigError: One of them is not allowed.
    """
    traits = HighDimConfig.class_traits()
    given = {}
    for name, value in values.items():
        if isinstance(value, str) and not isinstance(traits[name], Enum):
            if value.strip():  # else not set
                given[name] = value.strip() if isinstance(traits[name], ColumnName) else _literal(value)
        else:
            given[name] = value
    return HighDimConfig(**given)


def _literal(text: str) -> Any:  # noqa: ANN401 - whatever was typed
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
