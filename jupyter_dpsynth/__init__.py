"""Differentially private synthetic tables in a Jupyter notebook.

Importing this package loads nothing heavy: every name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jupyter_dpsynth.datasets as datasets  # noqa: PLR0402 - mypy sees no attribute otherwise
    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.constraints import Combinations, Elapsed, Ordering, Total
    from jupyter_dpsynth.errors import (
        ArtifactError,
        BudgetExhaustedError,
        ConfigError,
        DataError,
        DPSynthError,
        MetadataError,
        MissingDependencyError,
        NotLearnedError,
        WorkerLostError,
    )
    from jupyter_dpsynth.evaluation.private import evaluate_privately
    from jupyter_dpsynth.evaluation.report import UtilityReport
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.metadata.tables import Children
    from jupyter_dpsynth.notebook.panel.panel import ConfigPanel
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "BudgetExhaustedError",
    "Children",
    "Combinations",
    "ConfigError",
    "ConfigPanel",
    "DPSynthError",
    "DataError",
    "DataFrameMeta",
    "Elapsed",
    "HighDimConfig",
    "HighDimSynthesizer",
    "MetaExtractor",
    "MetadataError",
    "MissingDependencyError",
    "NotLearnedError",
    "Ordering",
    "PrivacyLedger",
    "Total",
    "UtilityReport",
    "WorkerLostError",
    "__version__",
    "datasets",
    "evaluate_privately",
    "load_ipython_extension",
    "unload_ipython_extension",
]

_HOME = {
    "Combinations": "constraints",
    "Elapsed": "constraints",
    "Ordering": "constraints",
    "Children": "metadata.tables",
    "Total": "constraints",
    "ConfigPanel": "notebook.panel",
    "DataFrameMeta": "metadata",
    "HighDimConfig": "config",
    "HighDimSynthesizer": "synthesizer",
    "MetaExtractor": "metadata",
    "PrivacyLedger": "privacy.ledger",
    "UtilityReport": "evaluation.report",
    "evaluate_privately": "evaluation.private",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import a public name from its module when it is first used (PEP 562)."""
    if name == "datasets":
        return importlib.import_module("jupyter_dpsynth.datasets")
    if name not in __all__:
        raise AttributeError(f"module 'jupyter_dpsynth' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jupyter_dpsynth.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)


def load_ipython_extension(ipython: Any) -> None:  # noqa: ANN401 - an InteractiveShell
    """What `%load_ext jupyter_dpsynth` calls."""
    from jupyter_dpsynth.notebook import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:  # noqa: ANN401 - an InteractiveShell
    """What `%unload_ext jupyter_dpsynth` calls."""
    from jupyter_dpsynth.notebook import unload_ipython_extension as unload

    unload(ipython)
