"""What a cell shows, and how: lines, outputs that can be replaced later, errors in one line.

Everything that the magics and the panel show goes through `say`, `publish` or a `Slot`.
"""

from __future__ import annotations

import contextvars
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from jupyter_dpsynth.display.html import note, preformatted
from jupyter_dpsynth.errors import DPSynthError, shielded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from IPython.core.interactiveshell import InteractiveShell
    from ipywidgets import HTML, Widget

__all__ = [
    "STYLED",
    "WIDGET_VIEW",
    "FrontEnd",
    "Slot",
    "WidgetSlot",
    "Working",
    "ask",
    "detect_front_end",
    "guarded",
    "in_voila",
    "mime_bundle",
    "one_line",
    "publish",
    "representations",
    "say",
    "style_widget",
    "tell",
]

#: How things are shown: widgets and HTML, HTML that is replaced, or lines of text.
FrontEnd = Literal["widget", "text", "terminal"]

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NOTHING: dict[str, Any] = {"text/plain": ""}


class Bundle(dict[str, Any]):
    """A mime bundle that also holds its widget, for where widgets are put into other widgets."""

    widget: Any = None


def in_voila() -> bool:
    """Whether Voila shows the notebook as a page: with widgets, but nobody is asked and no cell is shown."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def detect_front_end(shell: InteractiveShell | None) -> FrontEnd:
    """Which front end shows the output.

    A front end with a person in front of it lets the kernel ask for input; nbclient and papermill do not.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return "text"
    if in_voila():
        return "widget"
    request = kernel.get_parent().get("content", {}) if hasattr(kernel, "get_parent") else {}
    return "widget" if request.get("allow_stdin", True) else "text"


def say(text: str) -> None:
    """Write a line for the user into the cell's output."""
    sys.stdout.write(text + "\n")


def tell(words: str) -> None:
    """Show sentences, whose lines Jupyter would break inside of words and figures if they were printed."""
    publish(mime_bundle(words, note(words, 13)))


def ask(question: str) -> str | None:
    """What the person in front of the notebook answers; None where nobody can be asked."""
    from IPython.core.error import StdinNotImplementedError

    try:
        return input(question).strip()
    except (StdinNotImplementedError, EOFError, OSError):
        return None


def mime_bundle(text: str, markup: str = "", widget: Widget | None = None) -> dict[str, Any]:
    """The same content in several formats; a front end shows the best one that it supports.

    Args:
        text: For terminals, and for programs that read a notebook.
        markup: HTML; it also stands in a saved notebook.
        widget: For front ends with a kernel.
    """
    bundle = Bundle({"text/plain": text})
    bundle.widget = widget
    if markup:
        bundle["text/html"] = markup
    if widget is not None:
        bundle[WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return bundle


def representations(value: object) -> dict[str, Any]:
    """The mime bundle by which IPython would show a value."""
    from IPython import get_ipython

    bundle, _ = get_ipython().display_formatter.format(value)
    return dict(bundle)


def publish(bundle: dict[str, Any], display_id: str = "", *, update: bool = False) -> None:
    """Show a mime bundle in the cell that is running.

    Args:
        bundle: See `mime_bundle`.
        display_id: A name by which it can be replaced; see `Slot`.
        update: Whether to replace what is shown under this name.
    """
    from IPython.display import publish_display_data

    transient = {"transient": {"display_id": display_id}} if display_id else {}
    publish_display_data(bundle, **transient, **({"update": True} if update else {}))


class Slot:
    """An output of a cell whose content can be replaced at any time, from any thread.

    A cell that has returned gets no further outputs. So what may be shown later is given its place, empty,
    while the cell runs.
    """

    def __init__(self) -> None:
        self._display_id = f"dpsynth-{os.urandom(16).hex()}"
        self._context: contextvars.Context | None = None
        self._shown: dict[str, Any] = NOTHING

    def show(self, bundle: dict[str, Any]) -> None:
        """Show a mime bundle: the first time below what the cell has shown so far, then in its place."""
        self._shown = bundle
        if self._context is None:
            self._context = contextvars.copy_context()  # by it the kernel knows the cell
            publish(bundle, self._display_id)
        else:
            self._context.copy().run(publish, bundle, self._display_id, update=True)

    def open(self) -> None:
        """Reserve the place, with empty content."""
        self.show(NOTHING)

    def repeat(self) -> None:
        """Replace the output once more by what it shows, in the name of the cell that runs now.

        Programs that execute notebooks drop what names a cell that has ended.
        """
        if self._context is not None:
            publish(self._shown, self._display_id, update=True)

    def clear(self) -> None:
        """Clear the output, but keep its place."""
        if self._context is not None:
            self.show(NOTHING)


class Working:
    """Shows in the cell that time passes while something is done, and then its result in the same place.

    Args:
        words: What is done.
        front_end: How it is shown.
    """

    def __init__(self, words: str, front_end: FrontEnd) -> None:
        from jupyter_dpsynth.display.console import Elapsed, working

        self._slot: Slot | None = None
        self._elapsed = (
            working(words, sys.stdout)
            if front_end == "terminal"
            else Elapsed(words, lambda text: self._tell(f"● {text}"), self._tell)
        )

    def __enter__(self) -> Working:  # noqa: PYI034 - Self needs Python 3.11
        self._elapsed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._elapsed.__exit__(kind, value, trace)

    def _tell(self, text: str) -> None:
        self._slot = self._slot or Slot()
        self._slot.show(mime_bundle(text))

    def show(self, bundle: dict[str, Any]) -> None:
        """Show the result, a mime bundle."""
        publish(bundle) if self._slot is None else self._slot.show(bundle)


class WidgetSlot(Slot):
    """The same as a widget, for pages that show no outputs of cells that have ended.

    Attributes:
        box: The widget.
    """

    def __init__(self) -> None:
        from ipywidgets import VBox

        super().__init__()
        self.box: Any = VBox(layout={"overflow": "visible"})

    def show(self, bundle: dict[str, Any]) -> None:
        """Show a mime bundle: its widget, else its HTML, else its text."""
        from ipywidgets import HTML

        shown = getattr(bundle, "widget", None)
        if shown is None:
            markup = bundle.get("text/html") or (bundle["text/plain"] and preformatted(bundle["text/plain"]))
            shown = HTML(markup) if markup else None
        self.box.children = () if shown is None else (shown,)

    def open(self) -> None:
        """It has its place in the page."""

    def clear(self) -> None:
        """Show nothing."""
        self.box.children = ()

    def repeat(self) -> None:
        """It is shown already."""


def one_line(error: BaseException, text: str | None = None) -> BaseException:
    """Make IPython show an exception as one line; the cell fails all the same.

    IPython asks the instance for `_render_traceback_`; subclasses of its UsageError print tracebacks.
    """
    shown = f"\x1b[31m{type(error).__name__}\x1b[39m: {error if text is None else text}"
    error._render_traceback_ = lambda: [shown]  # type: ignore[attr-defined]
    return error


def guarded(action: Callable[[], None], tell: Callable[[str], None]) -> Callable[[object], None]:
    """A button's callback that shows errors as a sentence in the panel.

    The kernel would write a traceback into its log; a library's message may quote private values.
    """

    def call(_button: object = None) -> None:
        try:
            shielded(action, "this failed")
        except DPSynthError as error:
            tell(f"⚠ {error}")

    return call


STYLED = "dpsynth-styled"
_ARROW = (
    "background-image:linear-gradient(45deg,transparent 50%,currentColor 50%),"
    "linear-gradient(-45deg,transparent 50%,currentColor 50%);background-repeat:no-repeat;"
    "background-size:5px 5px;background-position:right 13px center,right 8px center;padding-right:24px"
)
_LONG = (
    "body[data-notebook=notebooks] .jp-CodeCell.jp-mod-outputsScrolled:has([class*=dpsynth-])"
    ":not(:has(.jp-OutputArea-promptOverlay [data-icon$=expand])) .jp-Cell-outputArea"
)
STYLE = Markup(
    "<style>.{box} textarea{{font-family:var(--jp-code-font-family,monospace);font-size:12px}}"
    ".{box} .widget-html,.{box} .jupyter-widgets.widget-html-content{{line-height:normal}}"
    ".{box} button:focus-visible{{outline:2px solid var(--jp-brand-color1,rgb(25,118,210));"
    "outline-offset:1px}}.{box} .widget-html-content{{max-width:100%}}"
    # the library's arrow is a black picture, which a dark theme swallows
    ".{box} .widget-dropdown>select{{{arrow}}}"
    # Notebook 7 puts outputs of more than a hundred lines into a small box that scrolls. Ours stay whole
    # unless somebody asked for that box: only then does the strip beside it show the sign for unfolding.
    "{long}{{max-height:none;resize:none}}{long}::after{{display:none}}</style>"
).format(box=STYLED, arrow=_ARROW, long=_LONG)


def style_widget() -> HTML:
    """Style rules that widget layouts cannot express, for everything inside a box of class `STYLED`."""
    from ipywidgets import HTML

    return HTML(STYLE, layout={"display": "none"})
