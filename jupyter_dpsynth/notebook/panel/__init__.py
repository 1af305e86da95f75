"""The panel: a form for the parameters and columns, with buttons to train and use the model."""

from jupyter_dpsynth.notebook.panel.panel import ConfigPanel

__all__ = ["ConfigPanel"]
