"""The panel's privacy calculator: an upper bound at once, the exact figure a moment later."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.display.html import ERROR, note
from jupyter_dpsynth.errors import ConfigError, DPSynthError
from jupyter_dpsynth.notebook.panel.fields import note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.planning.forecast import Forecast
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta

__all__ = ["LiveCalculator"]

logger = logging.getLogger(__name__)

SETTLED_SECONDS = 0.4  # without a change, before the exact figure is computed
HEIGHT = "260px"  # of what it shows at least: the curve, and what epsilon is spent on beside or below it
SECOND_HEIGHT = "160px"  # of the figures, which stand below the fields and the curve
WORKING = "working out the exact figures …"
ROWS_NOTE = "your estimate, for this forecast only; the rows are not counted"


class LiveCalculator:
    """Shows the forecast of a run and updates it whenever something changes.

    Args:
        config: The config.
        metadata: Gives the public metadata; may raise a DPSynthError.
        told: Called with each new forecast, or with what is wrong.
        public_rows: The row count if it is stated to be public, else None.
        busy: Whether the machine is training, so that steps cannot be timed.
        partitioned: Whether the table is read part by part.
        copied: Whether it is copied into a private file before.

    Attributes:
        box: The widget with the curve.
        facts: The widget with the figures, for another place.
        forecast: The last forecast, None before the first.
        error: Why there is none for the present parameters, '' if there is.
    """

    def __init__(
        self,
        config: HighDimConfig,
        metadata: Callable[[], DataFrameMeta | TablesMeta],
        told: Callable[[Forecast | None, str], None],
        public_rows: Callable[[], int | None] = lambda: None,
        busy: Callable[[], bool] = lambda: False,
        *,
        partitioned: bool = False,
        copied: bool = False,
    ) -> None:
        self.config, self._metadata, self._told = config, metadata, told
        self._public_rows, self._busy = public_rows, busy
        self._partitioned, self._copied = partitioned, copied
        self.forecast: Forecast | None = None
        self.error = ""
        self._version = 0
        self._done = threading.Condition()
        self._showing = threading.RLock()
        self._worker: threading.Thread | None = None
        self._closed = False
        self._warm = False  # the accountant's libraries take a second or two to import, once
        self._rows = widgets.Text(
            description="About how many rows",
            placeholder="10000",
            tooltip="About how many rows the table has. This changes the forecast only.",
            continuous_update=False,
            style={"description_width": "auto"},
            layout={"width": "270px", "flex": "0 0 auto"},
        )
        self._note = widgets.HTML(
            note_html(ROWS_NOTE), layout={"flex": "1 1 100%", "min_height": "18px", "margin": "0 2px"}
        )
        self._picture = widgets.HTML(note("preparing the calculator …", 13), layout={"min_height": HEIGHT})
        rows = widgets.HBox(
            [self._rows, self._note], layout={"flex_flow": "row wrap", "align_items": "center"}
        )
        self.box = widgets.VBox([rows, self._picture], layout={"overflow": "visible"})
        self.facts = widgets.HTML(layout={"min_height": SECOND_HEIGHT, "margin": "8px 0 0 0"})
        self._rows.observe(lambda _: self.update(), "value")
        config.observe(lambda _: self.update())

    @property
    def rows(self) -> float:
        """The assumed number of rows.

        Raises:
            ConfigError: What was typed is not a number of rows.
        """
        from jupyter_dpsynth.engine.planning.forecast import ASSUMED_ROWS

        text = self._rows.value.strip().replace(",", "").replace("_", "").replace(" ", "")
        if not text:
            return float(self._public_rows() or ASSUMED_ROWS)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 2 <= value <= 1e12:
            raise ConfigError(f"rows = {self._rows.value.strip()!r} is not allowed: give a number from 2.")
        return value

    def update(self) -> None:
        """Show the bound now, and start computing the exact figure."""
        with self._done:
            self._version += 1
        if self._warm:
            self._compute("quick", self._version)
        with self._done:
            if self._worker is None and not self._closed:
                self._worker = threading.Thread(target=self._work, name="dpsynth-calculator", daemon=True)
                self._worker.start()
            self._done.notify_all()

    def wait(self, seconds: float = 60) -> bool:
        """Wait until the exact figures of the current parameters are shown; returns whether they are."""
        with self._done:
            return self._done.wait_for(lambda: self._worker is None, seconds)

    def close(self) -> None:
        """Stop computing."""
        with self._done:
            self._closed = True
            self._version += 1
            self._done.notify_all()

    def _work(self) -> None:
        """Compute the exact figures for the newest parameters, until none are newer."""
        while True:
            with self._done:
                version = self._version
                self._done.wait(SETTLED_SECONDS if self._warm else 0.0)
                changed = self._version != version
            if changed and not self._closed:
                continue
            if not self._closed:
                if not self._warm:
                    self._compute("quick", version)
                    self._warm = True
                self._compute("pld", version)
            with self._done:
                if self._version == version or self._closed:
                    self._worker = None
                    self._done.notify_all()
                    return

    def _compute(self, accountant: Any, version: int) -> None:  # noqa: ANN401 - the accountant's name
        """Make a forecast and show it, unless something has changed meanwhile."""
        from jupyter_dpsynth.engine.planning.forecast import forecast
        from jupyter_dpsynth.metadata.tables import TablesMeta
        from jupyter_dpsynth.persons.forecast import forecast_persons

        found, error = None, ""
        try:
            rows = self.rows
            self._note.value = note_html(ROWS_NOTE)
        except ConfigError as problem:
            self._note.value = note_html("", str(problem))
            return
        try:
            meta = self._metadata()
            if isinstance(meta, TablesMeta):
                if accountant == "quick":  # of several tables there is the exact figure only
                    return
                found = forecast_persons(self.config.resolve(), meta, rows)
            else:
                found = forecast(
                    *(self.config.resolve(), meta, rows, accountant),
                    timed=accountant == "pld" and not self._busy(),
                    partitioned=self._partitioned,
                    copied=self._copied,
                )
        except DPSynthError as problem:
            # what is too much for the bound may still be possible: that is said when it is known
            error = "" if accountant == "quick" and "cannot be reached" in str(problem) else str(problem)
        except Exception:  # noqa: BLE001 - a forecast must never break the panel: what is shown stays
            logger.debug("the forecast failed")
            return
        with self._showing:  # what is older must not be shown after what is newer
            if version != self._version:
                return
            self.forecast, self.error = found, error
            self._show()
            self._told(found, error)

    def _show(self) -> None:
        from jupyter_dpsynth.notebook.show.forecast import curve_html, facts_html

        if self.forecast is not None:
            self._picture.value, self.facts.value = curve_html(self.forecast), facts_html(self.forecast)
            return
        self.facts.value = ""
        self._picture.value = (
            Markup(
                '<div style="font-size:13px;line-height:19px;white-space:normal"><b '
                'style="color:{}">⚠ No run is possible with these settings:</b> {}</div>'
            ).format(ERROR, self.error)
            if self.error
            else note(WORKING, 13)
        )
