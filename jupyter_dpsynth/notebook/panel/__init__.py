"""The panel: a form for the parameters and columns, with buttons to train and use the model."""

from jupyter_dpsynth.errors import MissingDependencyError

try:
    from jupyter_dpsynth.notebook.panel.panel import ConfigPanel
except ModuleNotFoundError as error:
    if error.name != "ipywidgets":
        raise
    raise MissingDependencyError(
        "the panel needs ipywidgets in the kernel's environment, where it is not installed: run "
        "%pip install ipywidgets and restart the kernel. Without a panel, %%dpsynth learn does the same."
    ) from None

__all__ = ["ConfigPanel"]
