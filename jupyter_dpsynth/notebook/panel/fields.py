"""The panel's fields: a labelled control for each parameter, made from its trait."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup
from traitlets import Bool

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.html import BRAND, ERROR, MUTED, TRACK, join
from jupyter_dpsynth.notebook.panel.binding import Binding, bind, is_choice
from jupyter_dpsynth.parameters import empty_word

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FIELD_LAYOUT",
    "LABEL_WIDTH",
    "PRESETS",
    "EpsilonScale",
    "Field",
    "Pages",
    "all_fields",
    "note_html",
    "note_widget",
    "preset_buttons",
    "short_text",
]

#: What the presets set. The other parameters of the privacy group go back to automatic.
PRESETS = {"strong": 0.5, "balanced": 1.0, "loose": 5.0}
PRESET_WORDS = {
    "strong": "Strong privacy",
    "balanced": "Balanced",
    "loose": "Loose privacy",
}
SCALE = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0)
PRESET_WIDTHS = {"strong": "196px", "balanced": "150px", "loose": "178px"}  # with the sign of the chosen one
LABEL_WIDTH = "128px"
FIELD_LAYOUT = {
    "flex_flow": "row wrap",
    "align_items": "center",
    "overflow": "visible",
    "min_height": "36px",
    "flex": "0 0 auto",  # a page that is too long scrolls; its lines do not shrink into each other
}


def note_html(words: str = "", error: str = "") -> Markup:
    """The text beside a field: a hint, or an error with a sign."""
    if error:
        # an alert is read out when it appears
        return Markup(
            '<div role="alert" style="color:{};font-size:12px;line-height:15px;white-space:normal">⚠ {}</div>'
        ).format(ERROR, error)
    return Markup('<div style="color:{};font-size:12px;line-height:15px;white-space:normal">{}</div>').format(
        MUTED, words
    )


def note_widget(words: str = "") -> widgets.HTML:
    """The widget for such a text; it keeps its size when the text changes."""
    # grows and shrinks with the panel, but never pushes its neighbours
    return widgets.HTML(
        note_html(words),
        layout={"flex": "1 1 160px", "min_width": "150px", "margin": "0 0 0 8px"},
    )


class Field:
    """A parameter's control with its label, tooltip and note.

    Args:
        config: The config.
        name: Name of the parameter.

    Attributes:
        control: The control.
        box: Control and note, for the panel.
    """

    def __init__(self, config: HighDimConfig, name: str) -> None:
        trait = HighDimConfig.class_traits()[name]
        self.name = name
        self.group = str(trait.metadata.get("group", ""))
        self.label = str(trait.metadata.get("label", name))
        self.effect = str(trait.metadata.get("effect", ""))
        self._foreign_error = ""
        self._automatic = ""
        self.control = self._make_control(trait)
        self._note = note_widget(self.effect)
        self.box = widgets.HBox(
            [self.control, self._note],
            layout=FIELD_LAYOUT,
        )
        self.binding: Binding = bind(config, name, self.control, lambda _: self._show())
        self.control.observe(lambda _: self._show(), "value")
        self._show()

    def _make_control(self, trait: Any) -> Any:  # noqa: ANN401 - a trait; a widget
        shared = {
            "description": self.label,
            "tooltip": str(trait.help),
            "style": {"description_width": LABEL_WIDTH},
            "layout": {"width": "250px", "flex": "0 0 auto"},
        }
        if isinstance(trait, Bool):
            # the label follows the box, as everywhere; the indent lines it up with the other fields
            shared["layout"] = {"width": "310px", "flex": "0 0 auto"}
            return widgets.Checkbox(indent=True, **shared)
        if is_choice(trait):
            return widgets.Dropdown(options=list(trait.values), **shared)
        return widgets.Text(placeholder=empty_word(trait), continuous_update=False, **shared)

    @property
    def error(self) -> str:
        """What is wrong with the field, by itself or together with others; '' if nothing."""
        return self.binding.error or self._foreign_error

    def show_error(self, error: str) -> None:
        """Show an error that concerns the field together with others; '' removes it."""
        if error != self._foreign_error:
            self._foreign_error = error
            self._show()

    def show_automatic(self, words: str) -> None:
        """Show beside the field what is used while it is empty.

        Not in the field: whatever is changed about it there takes away what somebody is typing into it.
        """
        if words != self._automatic:
            self._automatic = words
            self._show()

    def _show(self) -> None:
        empty = isinstance(self.control, widgets.Text) and not self.control.value.strip()
        used = f"{self._automatic} · " if empty and self._automatic else ""
        self._note.value = note_html(used + self.effect, self.error)

    def close(self) -> None:
        """Stop observing the config."""
        self.binding.close()


def all_fields(config: HighDimConfig) -> dict[str, Field]:
    """A field for every parameter, epsilon first."""
    names = sorted(HighDimConfig.option_names(), key=lambda name: name != "epsilon")
    return {name: Field(config, name) for name in names}


class EpsilonScale:
    """A scale of epsilon with labelled ends (more privacy, more accuracy) and a button at each end.

    Not a slider: the library's has no name for screen readers, and would round what was typed. A button
    goes on to the next round value.
    """

    def __init__(self, config: HighDimConfig) -> None:
        self.config = config
        less = widgets.Button(
            description="more privacy",
            icon="arrow-left",
            tooltip="A smaller epsilon",
            layout={"width": "auto", "flex": "0 0 auto"},
        )
        more = widgets.Button(
            description="more accuracy",
            icon="arrow-right",
            tooltip="A larger epsilon",
            layout={"width": "auto", "flex": "0 0 auto"},
        )
        less.on_click(lambda _: self._step(-1))
        more.on_click(lambda _: self._step(1))
        self._scale = widgets.HTML(layout={"flex": "1 1 110px", "min_width": "90px", "margin": "0 8px"})
        self.box = widgets.HBox(
            [less, self._scale, more],
            layout={
                "flex_flow": "row wrap",
                "align_items": "center",
                "margin": "0 0 4px 0",
                "max_width": "480px",
                "flex": "0 0 auto",
            },
        )
        config.observe(self._show, "epsilon")
        self._show()

    def _step(self, direction: int) -> None:
        """Go to the next round value."""
        epsilon = self.config.epsilon
        if direction > 0:
            self.config.epsilon = next((v for v in SCALE if v > epsilon * 1.001), epsilon)
        else:
            self.config.epsilon = next((v for v in reversed(SCALE) if v < epsilon * 0.999), epsilon)

    def _show(self, _change: object = None) -> None:
        epsilon = self.config.epsilon

        def place(value: float) -> float:
            share = math.log(value / SCALE[0]) / math.log(SCALE[-1] / SCALE[0])
            return 100 * min(max(share, 0.0), 1.0)

        mark = Markup(
            '<span style="position:absolute;left:{:.1f}%;top:14px;transform:translateX(-50%);'
            'color:{};font-size:11px">{:g}</span>'
        )
        self._scale.value = Markup(
            '<div role="img" aria-label="{words}" style="position:relative;height:28px;line-height:14px">'
            '<div style="position:absolute;left:0;right:0;top:6px;height:4px;border-radius:2px;'
            'background-color:{track}"></div>{marks}'
            '<div style="position:absolute;left:{here:.1f}%;top:1px;width:14px;height:14px;'
            'margin-left:-7px;border-radius:50%;background-color:{brand}"></div></div>'
        ).format(
            words=f"epsilon = {epsilon:g} on a scale from {SCALE[0]:g} (private) to {SCALE[-1]:g} (accurate)",
            track=TRACK,
            marks=join(mark.format(place(value), MUTED, value) for value in (0.1, 1, 10)),
            here=place(epsilon),
            brand=BRAND,
        )

    def close(self) -> None:
        """Stop observing the config."""
        self.config.unobserve(self._show, "epsilon")


class Pages:
    """Several pages, of which one is shown, and buttons to choose it.

    Not the library's tabs: VS Code shows these without their titles.

    Args:
        pages: The pages by title.

    Attributes:
        box: Buttons and pages.
    """

    def __init__(self, pages: Mapping[str, widgets.Widget]) -> None:
        self._pages = pages
        self._choice = widgets.ToggleButtons(
            options=list(pages), style={"button_width": "auto"}, layout={"margin": "0 0 4px 0"}
        )
        self._choice.observe(lambda _: self._show(), "value")
        self.box = widgets.VBox(
            [self._choice, *pages.values()],
            layout={"overflow": "visible"},
        )
        self._show()

    def choose(self, title: str) -> None:
        """Show a page."""
        self._choice.value = title

    def _show(self) -> None:
        for title, page in self._pages.items():
            page.layout.display = "" if title == self._choice.value else "none"


def preset_of(config: HighDimConfig) -> str:
    """The preset that the config is, or ''."""
    automatic = all(
        value == HighDimConfig.class_traits()[name].default_value
        for name, value in config.to_dict().items()
        if name in _reset_by_presets()
    )
    return next((name for name, value in PRESETS.items() if automatic and config.epsilon == value), "")


def _reset_by_presets() -> list[str]:
    """Parameters that decide how private a run is, and that a preset sets back."""
    return ["differential_privacy", "delta", "noise_multiplier", "num_microbatches"]


def preset_buttons(config: HighDimConfig) -> widgets.HBox:
    """Buttons that set epsilon to a usual value and the related parameters to automatic."""
    buttons = {
        name: widgets.Button(
            description=f"{words} (ε = {PRESETS[name]:g})",
            tooltip=f"Sets epsilon to {PRESETS[name]:g}, and delta, noise and microbatches to automatic",
            layout={"width": "auto", "min_width": PRESET_WIDTHS[name]},  # nothing moves under the mouse
        )
        for name, words in PRESET_WORDS.items()
    }

    def choose(name: str) -> None:
        for reset in _reset_by_presets():
            setattr(config, reset, HighDimConfig.class_traits()[reset].default_value)
        config.epsilon = PRESETS[name]

    def mark(_change: object = None) -> None:
        chosen = preset_of(config)
        for name, button in buttons.items():
            button.icon = "check" if name == chosen else ""

    for name, button in buttons.items():
        button.on_click(lambda _, name=name: choose(name))
    config.observe(mark, ["epsilon", *_reset_by_presets()])
    mark()
    return widgets.HBox(list(buttons.values()), layout={"flex_flow": "row wrap"})


def short_text(
    label: str,
    tooltip: str,
    placeholder: str,
    width: str,
    *,
    label_width: str = "auto",
    layout: Mapping[str, str] | None = None,
) -> widgets.Text:
    """A field for a few words, which counts as edited once it is left.

    Args:
        label: What stands before it.
        tooltip: What is shown while the mouse rests on it.
        placeholder: What is shown while it is empty.
        width: Its width with the label, in CSS.
        label_width: Width of the label, in CSS.
        layout: More of its layout, in CSS.
    """
    return widgets.Text(
        description=label,
        tooltip=tooltip,
        placeholder=placeholder,
        continuous_update=False,
        style={"description_width": label_width},
        layout={"width": width, **(layout or {})},
    )
