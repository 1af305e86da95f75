"""Rows of the model, and weights with which they stand for the table's rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.tape import windows_of
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.inference.gradients import RowGradients
from jupyter_dpsynth.inference.weighting import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.tape import Tape
    from jupyter_dpsynth.inference.weighting import Weights

__all__ = ["ModelRows", "required_tape"]

MOST_PAIRS = 150  # of columns, whose released gradients are reproduced together


def required_tape(config: HighDimConfig, learned: Learned) -> Tape:
    """The tape of a run.

    Raises:
        ConfigError: There is none, or what it holds is no mean over rows.
    """
    if config.privacy_unit is not None:
        raise ConfigError(
            "intervals are not known for runs with privacy_unit: each step then released a sum over persons, "
            "whose rows were clipped together, and the model makes rows, not persons."
        )
    if config.num_microbatches is not None:
        raise ConfigError(
            "intervals are not known for runs with num_microbatches: each step then released a sum over "
            "groups of rows that were clipped together. Learn without it."
        )
    if learned.tape is not None:
        return learned.tape
    if not len(learned.losses):
        raise ConfigError("training made no step, so nothing was released that intervals could be made of.")
    layout = learned.model.layout
    if not windows_of(len(layout.free) + layout.width):
        raise ConfigError(
            "intervals of several columns are not known for a table with so many columns and categories: "
            "what the training steps released was too large to be kept. Learn fewer columns."
        )
    raise ConfigError(
        "this model was saved by a version that did not keep what the training steps released: intervals "
        "need a new run."
    )


@dataclass(frozen=True, eq=False)
class ModelRows:
    """Rows drawn from a model, which get weights.

    Attributes:
        learned: The released state.
        tape: Its tape.
        codes: Codes of the rows, `[N, m]`.
        df: The rows.
    """

    learned: Learned
    tape: Tape
    codes: NDArray[np.int32]
    df: pd.DataFrame

    @classmethod
    def draw(cls, config: HighDimConfig, learned: Learned, rows: int, seed: int) -> ModelRows:
        """Draw rows; the same seed draws the same ones.

        Raises:
            ConfigError: See `required_tape`.
        """
        tape = required_tape(config, learned)
        generator = np.random.default_rng(seed)
        codes = generate_codes(learned.model, learned.reference.shares, rows, generator)
        # values that are put in order after they were drawn may leave their cells
        df = learned.codec.decode(codes, generator)
        codes = learned.codec.encode(df).astype(np.int32)
        return cls(learned, tape, codes, df)

    @cached_property
    def _gradients(self) -> RowGradients:
        return RowGradients(self.learned, self.tape, self.codes)

    def weigh(self, columns: Sequence[str], replicates: int, seed: int) -> Weights:
        """Weights with which the rows reproduce what was released of some columns.

        Args:
            columns: Names of the columns.
            replicates: How many replicates.
            seed: Fixes the replicates on one machine.
        """
        names = self.learned.codec.names
        places = [names.index(name) for name in columns]
        blocks = self._gradients.blocks(places, MOST_PAIRS)
        return weigh(blocks, self.learned.reference.rows, replicates, np.random.default_rng(seed))
