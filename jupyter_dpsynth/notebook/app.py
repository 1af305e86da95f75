"""`App`: a page for a colleague who writes no code: choose a table, learn it, look at the result, download.

It is made for Voila, which `jupyter dpsynth app` starts on this machine, and runs in a notebook as well.
"""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import BRAND, INK, join, note
from jupyter_dpsynth.errors import ConfigError, DataError, schema_notes_to
from jupyter_dpsynth.notebook.output import STYLED, guarded, mime_bundle, publish, style_widget
from jupyter_dpsynth.notebook.panel.panel import ConfigPanel

if TYPE_CHECKING:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["App"]

ENDINGS = ".csv,.tsv,.parquet,.xlsx,.ods,.sav,.zsav,.por,.dta,.xpt,.sas7bdat"
LARGEST_DOWNLOAD = 100_000_000  # bytes: a link holds the file
TITLE = "Private synthetic tables"
INTRODUCTION = (
    "Choose a table about people. It is read on this machine and goes nowhere else. What you download "
    "afterwards is synthetic, or protected by epsilon."
)


class App:
    """The page.

    Attributes:
        box: The widget.
        panel: The panel of the table that was opened, None before.
    """

    def __init__(self) -> None:
        self.panel: ConfigPanel | None = None
        self._folder: Any = None  # of what was uploaded, for the owner only, until the kernel ends
        self._path = widgets.Text(
            description="File",
            placeholder="a path on this machine, such as /data/patients.csv",
            layout={"flex": "1 1 380px", "width": "auto"},
        )
        self._upload = widgets.FileUpload(
            description="Upload", accept=ENDINGS, multiple=False, layout={"width": "auto"}
        )
        self._open = widgets.Button(description="Open", icon="folder-open", button_style="primary")
        self._message = widgets.HTML(layout={"min_height": "22px"})
        self._place = widgets.VBox(layout={"overflow": "visible"})
        self._links = widgets.HTML()
        self._make_links = widgets.Button(
            description="Make downloads",
            icon="download",
            tooltip="Synthetic table, report, receipt and model",
        )
        self._make_links.layout.display = "none"
        self._open.on_click(guarded(lambda: self.open(self._path.value.strip().strip("\"'")), self._say))
        self._upload.observe(guarded(self._take_upload, self._say), "value")
        self._make_links.on_click(guarded(self.make_links, self._say))
        head = Markup('<div style="color:{}"><h2>{}</h2>{}</div>').format(INK, TITLE, note(INTRODUCTION, 13))
        choice = widgets.HBox(
            [self._path, self._open, self._upload], layout={"flex_flow": "row wrap", "align_items": "center"}
        )
        self.box = widgets.VBox(
            [
                style_widget(),
                widgets.HTML(head),
                choice,
                self._message,
                self._make_links,
                self._links,
                self._place,
            ],
            layout={"max_width": "1180px", "overflow": "visible"},
        )
        self.box.add_class(STYLED)

    def show(self) -> None:
        """Show the page in the cell that is running."""
        publish(
            mime_bundle("The app needs a notebook with widgets, or Voila: jupyter dpsynth app", "", self.box)
        )

    def _say(self, words: str) -> None:
        self._message.value = Markup('<div role="status" style="color:{}">{}</div>').format(INK, words)

    def _take_upload(self) -> None:
        """Write what was uploaded into a private folder, and open it."""
        if not self._upload.value:
            return
        given = self._upload.value[0]
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dpsynth-app-")  # of mode 0700
        path = Path(self._folder.name) / re.sub(r"[^\w.-]", "_", Path(given["name"]).name)
        path.write_bytes(bytes(given["content"]))
        self._upload.value = ()
        self.open(str(path))

    def open(self, path: str) -> None:
        """Open a file and show the panel for it.

        Args:
            path: The file.

        Raises:
            ConfigError: No file is named.
            DataError: There is no such file, or it cannot be read as a table.
        """
        if not path:
            raise ConfigError("name a file, or upload one.")
        if not Path(path).expanduser().exists():
            raise DataError(f"there is no file {path!r} on this machine.")
        name = Path(path).name
        self._say(f"Reading {name} ...")
        told: list[str] = []
        with schema_notes_to(told.append):
            panel = ConfigPanel(
                None, str(Path(path).expanduser()), name=repr(path), dataset=_dataset_of(name)
            )
        panel.put_results_inside()
        if self.panel is not None:
            self.panel.close()
        self.panel, self._place.children = panel, (panel.box,)
        self._links.value, self._make_links.layout.display = "", ""
        self._say(
            " ".join([f"{name} is open. Set epsilon, press Train, then Synthesize.", *dict.fromkeys(told)])
        )

    def make_links(self) -> None:
        """Make links to download the synthetic table, the report, the receipt and the model.

        Raises:
            ConfigError: A file is too large for a link.
            NotLearnedError: There is no model yet.
        """
        from jupyter_dpsynth.evaluation.page import comparison_page, page
        from jupyter_dpsynth.evaluation.report import UtilityReport

        if self.panel is None:
            raise ConfigError("open a table first.")
        synthesizer, df_synth = self.panel.synthesizer(), self.panel.synthetic()
        report = UtilityReport.against_measurements(synthesizer, df_synth)
        files = {
            "synthetic.csv": df_synth.to_csv(index=False).encode(),
            "report.html": comparison_page(report).encode(),
            "receipt.html": page("Receipt", synthesizer.receipt).encode(),
            "receipt.json": synthesizer.receipt.to_json().encode(),
            "model.dps": _model(synthesizer),
        }
        self._links.value = join(_link(name, content) for name, content in files.items())
        self._say(
            "The downloads are under the button. All of them are synthetic, or what epsilon has paid for."
        )


def _dataset_of(name: str) -> str | None:
    """The dataset's name in the ledger: the file's, so that runs on one file count together."""
    return name if name.isprintable() and 0 < len(name) <= 100 else None


def _model(synthesizer: HighDimSynthesizer) -> bytes:
    from jupyter_dpsynth.persistence import model_bytes

    return model_bytes(synthesizer.config, synthesizer.learned)


def _link(name: str, content: bytes) -> Markup:
    """A link that holds a file."""
    if len(content) > LARGEST_DOWNLOAD:
        raise ConfigError(f"{name} has {len(content) / 1e6:.0f} MB, too much for a download: use Save.")
    return Markup(
        '<p style="margin:6px 0;color:{ink}">'
        '<a download="{name}" href="data:application/octet-stream;base64,{data}" '
        'style="color:{brand};text-decoration:underline">\u2b07 {name}</a> ({size})</p>'
    ).format(
        ink=INK,
        brand=BRAND,
        name=name,
        data=base64.b64encode(content).decode("ascii"),
        size=f"{len(content) / 1000:,.0f} kB",
    )
