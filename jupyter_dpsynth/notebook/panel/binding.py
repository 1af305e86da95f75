"""Keeps a parameter and its control in the panel in step, in both directions.

traitlets' own link does not serve: it silently clips values that are out of range and cannot represent None,
and its counterpart in the browser turns 1.1 into 1.0964781961431851 on the way through a slider. Here the
value that is typed is the value that is used, an empty field means automatic, and a value that is not allowed
stays in its field with the reason beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Binding", "bind", "is_choice", "unset_value", "value_text"]

REQUIRED = object()


def is_choice(trait: object) -> bool:
    """Whether a parameter has a check box or a list instead of a text field."""
    return isinstance(trait, Bool | Enum)


def unset_value(trait: Any) -> Any:  # noqa: ANN401 - a trait of HighDimConfig
    """The value that an empty field means: the parameter's word for 'not set', or REQUIRED."""
    words = getattr(trait, "unset", ())
    if words:
        return words[0]
    return None if trait.allow_none else REQUIRED


def value_text(trait: Any, value: object) -> str:  # noqa: ANN401 - a trait of HighDimConfig
    """A value as it stands in a field; empty for 'not set'.

    >>> value_text(HighDimConfig.class_traits()["epsilon"], 2.0)
    '2'
    >>> value_text(HighDimConfig.class_traits()["steps"], "auto")
    ''
    """
    if value is None or value in getattr(trait, "unset", ()):
        return ""
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return str(value)


class Binding:
    """Keeps a parameter and its control in step until `close`.

    Args:
        config: The config.
        name: Name of the parameter.
        control: Anything with an observable `value`: a text for what is typed, a tick or a choice for
            those traits.
        show_error: Told what is wrong with the control's value; '' if nothing is.

    Attributes:
        error: What is wrong with what stands in the control, '' if nothing.
    """

    def __init__(
        self,
        config: HighDimConfig,
        name: str,
        control: Any,  # noqa: ANN401 - a widget
        show_error: Callable[[str], None],
    ) -> None:
        if name not in config.trait_names():
            hint = did_you_mean(name, config.option_names())
            raise ConfigError(f"{name!r} is not a parameter of HighDimConfig.{hint}")
        self.config, self.name, self.control = config, name, control
        self.trait = config.traits()[name]
        self.error = ""
        self._show_error = show_error
        self._writing = False
        self._from_config()
        control.observe(self._from_control, "value")
        config.observe(self._from_config, name)

    def close(self) -> None:
        """Stop observing both."""
        self.control.unobserve(self._from_control, "value")
        self.config.unobserve(self._from_config, self.name)

    def _read(self) -> Any:  # noqa: ANN401 - int, float, str, bool or None
        """The control's value in the form that the config stores."""
        value = self.control.value
        if is_choice(self.trait):
            return value
        text = value.strip()
        if text:
            return HighDimConfig.parse(self.name, text)
        unset = unset_value(self.trait)
        if unset is REQUIRED:
            allowed = getattr(self.trait, "range_text", "a value")
            raise ConfigError(f"{self.name} is empty: give {allowed}.")
        return unset

    def _from_control(self, _change: object) -> None:
        if self._writing:
            return
        try:
            setattr(self.config, self.name, self._read())
        except ConfigError as error:
            self._say(str(error))
        else:
            self._say("")

    def _from_config(self, _change: object = None) -> None:
        """Show the config's value, unless the control shows it in another notation (1e-5, 0.00001)."""
        value = getattr(self.config, self.name)
        shown = value if is_choice(self.trait) else value_text(self.trait, value)
        if self.control.value != shown and not self._says(value):
            self._writing = True
            try:
                self.control.value = shown
            finally:
                self._writing = False
        self._say("")

    def _says(self, value: object) -> bool:
        try:
            return bool(self._read() == value)
        except ConfigError:
            return False

    def _say(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self._show_error(error)


def bind(
    config: HighDimConfig,
    name: str,
    control: Any,  # noqa: ANN401 - a widget
    show_error: Callable[[str], None] = lambda _: None,
) -> Binding:
    """Keep a parameter and its control in step; see `Binding`."""
    return Binding(config, name, control, show_error)
