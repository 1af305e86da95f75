"""The notebook layer: `%load_ext jupyter_dpsynth` gives the `%dpsynth` and `%%dpsynth` magics.

Loading is cheap: neither TensorFlow nor pandas nor matplotlib is imported here. TensorFlow is imported in the
background a moment later, see `engine.training.loading.WarmUp`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and their completion (called by `%load_ext`)."""
    from jupyter_dpsynth.notebook.magic.completion import install_completer
    from jupyter_dpsynth.notebook.magic.magics import DPSynthMagics

    magics = DPSynthMagics(shell=shell)
    shell.register_magics(magics)
    install_completer(shell)
    magics.start_warm_up()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo everything that `load_ipython_extension` did (called by `%unload_ext`)."""
    from jupyter_dpsynth.notebook.magic.completion import remove_completer
    from jupyter_dpsynth.notebook.magic.magics import DPSynthMagics

    remove_completer(shell)
    manager = shell.magics_manager
    magics = manager.registry.pop(DPSynthMagics.__name__, None)
    for kind in ("line", "cell"):
        manager.magics[kind].pop("dpsynth", None)
    if isinstance(magics, DPSynthMagics):
        magics.session.close()
        if magics in shell.configurables:
            shell.configurables.remove(magics)
