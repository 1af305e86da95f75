"""What a cell shows, and how: lines, outputs that can be replaced later, errors in one line.

Everything that the magics and the panel show goes through `say`, `publish` or a `Slot`.
"""

from __future__ import annotations

import contextvars
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from jupyter_dpsynth.errors import DPSynthError, shielded

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell
    from ipywidgets import HTML, Widget

__all__ = [
    "STYLED",
    "WIDGET_VIEW",
    "FrontEnd",
    "Slot",
    "ask",
    "detect_front_end",
    "guarded",
    "mime_bundle",
    "one_line",
    "publish",
    "representations",
    "say",
    "style_widget",
]

#: How things are shown: widgets and HTML, HTML that is replaced, or lines of text.
FrontEnd = Literal["widget", "text", "terminal"]

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NOTHING = {"text/plain": ""}


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
    request = kernel.get_parent().get("content", {}) if hasattr(kernel, "get_parent") else {}
    return "widget" if request.get("allow_stdin", True) else "text"


def say(text: str) -> None:
    """Write a line for the user into the cell's output."""
    sys.stdout.write(text + "\n")


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
    bundle: dict[str, Any] = {"text/plain": text}
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
STYLE = Markup(
    "<style>.{box} textarea{{font-family:var(--jp-code-font-family,monospace);font-size:12px}}"
    ".{box} .widget-html,.{box} .jupyter-widgets.widget-html-content{{line-height:normal}}"
    ".{box} button:focus-visible{{outline:2px solid var(--jp-brand-color1,rgb(25,118,210));"
    "outline-offset:1px}}.{box} .widget-html-content{{max-width:100%}}"
    # the library's arrow is a black picture, which a dark theme swallows
    ".{box} .widget-dropdown>select{{{arrow}}}</style>"
).format(box=STYLED, arrow=_ARROW)


def style_widget() -> HTML:
    """Style rules that widget layouts cannot express, for everything inside a box of class `STYLED`."""
    from ipywidgets import HTML

    return HTML(STYLE, layout={"display": "none"})
