"""What a comparison of two tables has found: the data that both the report and its HTML are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.evaluation.distances import Metric
    from jupyter_dpsynth.evaluation.overall import Overall
    from jupyter_dpsynth.evaluation.plots import ColumnComparison

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `UtilityReport` has found, which says there what each attribute is."""

    reference_name: str
    table: tuple[Metric, ...]
    columns: tuple[ColumnComparison, ...]
    names: tuple[str, ...]
    dependence: NDArray[np.float64]
    dependence_synthetic: NDArray[np.float64]
    dependence_measure: str
    overall: Overall | None
    joint: Callable[[int, int], tuple[NDArray[np.float64], NDArray[np.float64]]]
    banner: str | None = None
    losses: tuple[ColumnLoss, ...] = ()
    rows: tuple[float, float] = (1.0, 1.0)

    @property
    def noisy(self) -> bool:
        """Whether what is compared with has noise."""
        return self.columns[0].noise is not None
