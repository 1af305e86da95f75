"""The configuration panel: a form over `HighDimConfig` and a table's columns that learns at a click."""

from jupyter_dpsynth.notebook.panel.panel import ConfigPanel

__all__ = ["ConfigPanel"]
