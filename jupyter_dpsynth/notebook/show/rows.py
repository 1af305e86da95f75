"""The first rows of a synthetic table with their types, and buttons to take the table away.

The links hold the table itself, so that they work wherever the notebook's files are; they are widgets, and so
are not saved in the notebook. A table that is too large for that is written beside the notebook instead.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from jupyter_dpsynth.display.html import INK, MUTED, card, heading, join, note, scrolled, table
from jupyter_dpsynth.notebook.output import Slot, guarded, mime_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from ipywidgets import Widget

__all__ = ["show_rows", "table_buttons"]

ROWS = 10
MOST_COLUMNS = 30
MOST_LINKED = 400_000  # values of a table that a link holds
LONGEST = 40  # signs of a cell
FORMATS = {"CSV": ("csv", "text/csv"), "Parquet": ("parquet", "application/vnd.apache.parquet")}


def show_rows(tables: Mapping[str, pd.DataFrame], *, live: bool, slot: Slot | None = None) -> None:
    """Show ten rows of synthetic tables, and the types of their columns.

    Args:
        tables: By what they are called; their files are named so.
        live: Whether there is a front end with widgets, for the buttons.
        slot: Where they go; by default below what the cell has shown.

    Privacy:
        Synthetic rows: epsilon has paid for them.
    """
    several = len(tables) > 1
    texts, markups = [], []
    for name, df_synth in tables.items():
        title = heading(name) if several else Markup("")
        texts.append(f"{name}:\n{_text(df_synth)}" if several else _text(df_synth))
        markups.append(join([title, _markup(df_synth)]))
    widget = _with_buttons(tables, markups) if live else None
    bundle = mime_bundle("\n\n".join(texts), join(markups), widget)
    if slot is None:
        slot = Slot()
    slot.show(bundle)


def _with_buttons(tables: Mapping[str, pd.DataFrame], markups: list[Markup]) -> Widget:
    """The rows of each table with its buttons."""
    from ipywidgets import HTML, HBox, VBox

    boxes: list[Widget] = []
    for (name, df_synth), markup in zip(tables.items(), markups, strict=True):
        buttons = HBox(table_buttons(df_synth, name), layout={"align_items": "center"})
        boxes += [HTML(markup), buttons]
    return VBox(boxes)


def _shown(df_synth: pd.DataFrame) -> pd.DataFrame:
    return df_synth.iloc[:ROWS, :MOST_COLUMNS]


def _more(df_synth: pd.DataFrame) -> str:
    parts = []
    if len(df_synth) > ROWS:
        parts.append(f"{ROWS} of {len(df_synth):,} rows")
    if df_synth.shape[1] > MOST_COLUMNS:
        parts.append(f"{MOST_COLUMNS} of {df_synth.shape[1]:,} columns")
    return f"Shown: {', '.join(parts)}." if parts else ""


def _text(df_synth: pd.DataFrame) -> str:
    shown = _shown(df_synth)
    types = ", ".join(f"{name} {dtype}" for name, dtype in shown.dtypes.items())
    return "\n".join(filter(None, [shown.to_string(index=False), f"Types: {types}", _more(df_synth)]))


def _markup(df_synth: pd.DataFrame) -> Markup:
    shown = _shown(df_synth)
    type_of = Markup('{}<br><span style="color:{};font-weight:normal">{}</span>')
    head = ["", *(type_of.format(name, MUTED, dtype) for name, dtype in shown.dtypes.items())]
    numbers = {place + 1 for place, dtype in enumerate(shown.dtypes) if getattr(dtype, "kind", "O") in "iufm"}
    texts = shown.apply(_days).astype(object).where(shown.notna(), None)
    rows = [
        [f"{number + 1}", *("" if value is None else _cell(value) for value in values)]
        for number, values in enumerate(texts.itertuples(index=False, name=None))
    ]
    content = scrolled(table(rows, head, numbers=numbers, bold=False, wrapped=False))
    return card(content, note(_more(df_synth)), kind="rows", width=None)


def _days(column: pd.Series[Any]) -> pd.Series[Any]:
    """Points in time without the time of day, where none has one."""
    known = column.dropna()
    if getattr(column.dtype, "kind", "O") != "M" or known.empty or (known != known.dt.normalize()).any():
        return column
    return column.dt.strftime("%Y-%m-%d")


def _cell(value: object) -> str:
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


def table_buttons(df_synth: pd.DataFrame, name: str) -> list[Widget]:
    """A link or a button for each format, and room for what a button says."""
    import ipywidgets as widgets  # not above: synthetic rows are shown without it, too

    made: list[Widget] = []
    said = widgets.HTML()

    def say(words: str) -> None:
        said.value = Markup('<span role="status" style="color:{}">{}</span>').format(INK, words)

    for form, (ending, kind) in FORMATS.items():
        file = f"{name}.{ending}"
        if df_synth.size <= MOST_LINKED:
            content = _content(df_synth, form)
            if content is not None:
                made.append(widgets.HTML(_link(content, form, file, kind)))
            continue
        button = widgets.Button(
            description=f"Save as {form}",
            icon="download",
            tooltip=f"Write {file} beside the notebook",
            layout={"width": "auto"},
        )
        button.on_click(guarded(_writer(df_synth, form, file, say), say))
        made.append(button)
    return [*made, said]


def _writer(df_synth: pd.DataFrame, form: str, file: str, say: Callable[[str], None]) -> Callable[[], None]:
    def write() -> None:
        content = _content(df_synth, form)
        if content is None:
            say("Parquet needs pyarrow: install jupyter_dpsynth[scale].")
            return
        instead = ", replacing the file that was there" if Path(file).exists() else ""
        Path(file).write_bytes(content)
        say(f"Written: {Path(file).resolve()}{instead}.")

    return write


def _content(df_synth: pd.DataFrame, form: str) -> bytes | None:
    """The table as a file; None if it cannot be written in this format here."""
    if form == "CSV":
        return df_synth.to_csv(index=False).encode("utf-8")
    out = io.BytesIO()
    try:
        df_synth.to_parquet(out, index=False)
    except (ImportError, ValueError, TypeError):  # pyarrow is missing, or does not know a type
        return None
    except Exception as error:  # pyarrow's own errors are not importable without it
        if type(error).__module__.startswith("pyarrow"):
            return None
        raise
    return out.getvalue()


def _link(content: bytes, form: str, file: str, kind: str) -> Markup:
    """A link that saves a file, in the look of a button."""
    return Markup(
        '<a download="{file}" href="data:{kind};base64,{data}" class="jupyter-widgets jupyter-button" '
        'style="text-decoration:none;width:auto;display:inline-block" title="Save {file}">'
        "\u2b07 Download {form}</a>"
    ).format(file=file, kind=kind, data=base64.b64encode(content).decode("ascii"), form=form)
