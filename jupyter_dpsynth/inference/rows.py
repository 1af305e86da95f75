"""Rows of the model, and weights with which they stand for the table's rows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.tape import windows_of
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.inference.gradients import RowGradients, measured_blocks, pairs_are_named
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

NAME_IT = (
    "Name the table or the regression before learning, in the learn cell: tables = 'sex*income' or "
    "analyses = 'income ~ sex'; then it is measured itself."
)
MOST_PAIRS = 150  # of columns, whose released gradients are reproduced together


def required_tape(config: HighDimConfig, learned: Learned) -> Tape:
    """The tape of a run.

    Raises:
        ConfigError: There is none, or what it holds is no mean over rows.
    """
    if config.privacy_unit is not None:
        raise ConfigError(
            "intervals of several columns, and weighted rows, are not known for a run with privacy_unit, "
            f"unless they were asked for beforehand. {NAME_IT} (Each training step released a sum over "
            "persons, and the model makes rows, not persons.)"
        )
    if config.num_microbatches is not None:
        raise ConfigError(
            "intervals of several columns are not known for runs with num_microbatches: each step then "
            f"released a sum over groups of rows that were clipped together. Learn without it. {NAME_IT}"
        )
    if not config.differential_privacy:
        raise ConfigError(
            "intervals of several columns are not known for runs without noise: a few parameters of the "
            "training stand for those of all its steps, and that they differ is all the noise there is. "
            f"{NAME_IT}"
        )
    if learned.tape is not None:
        return learned.tape
    if not len(learned.losses):
        raise ConfigError("training made no step, so nothing was released that intervals could be made of.")
    layout = learned.model.layout
    if not windows_of(len(layout.free) + layout.width):
        raise ConfigError(
            "intervals of several columns are not known for a table with so many columns and categories: "
            f"what the training steps released was too large to be kept. Learn fewer columns. {NAME_IT}"
        )
    raise ConfigError(
        "this model was saved by a version that did not keep what the training steps released: intervals "
        "need a new run."
    )


@dataclass(frozen=True, eq=False)
class ModelRows:
    """Rows drawn from a model, which get weights.

    Attributes:
        config: Of the run.
        learned: Its released state.
        codes: Codes of the rows, `[N, m]`.
        df: The rows.
    """

    config: HighDimConfig
    learned: Learned
    codes: NDArray[np.int32]
    df: pd.DataFrame

    @classmethod
    def draw(cls, config: HighDimConfig, learned: Learned, rows: int, seed: int) -> ModelRows:
        """Draw rows; the same seed draws the same ones."""
        generator = np.random.default_rng(seed)
        codes = generate_codes(learned.model, learned.reference.shares, rows, generator)
        # values that are put in order after they were drawn may leave their cells
        df = learned.codec.decode(codes, generator)
        codes = learned.codec.encode(df).astype(np.int32)
        return cls(config, learned, codes, df)

    @property
    def independent(self) -> float:
        """How many independent rows the table tells as much as, at least: those of a person may be alike."""
        return self.learned.reference.rows / self.config.resolve().rows_per_unit

    @cached_property
    def _gradients(self) -> RowGradients:
        return RowGradients(self.learned, required_tape(self.config, self.learned), self.codes)

    def weigh(self, columns: Sequence[str], replicates: int, seed: int) -> Weights:
        """Weights with which the rows reproduce what was released of some columns.

        Args:
            columns: Names of the columns.
            replicates: How many replicates.
            seed: Fixes the replicates on one machine.

        Raises:
            ConfigError: What training released tells nothing (see `required_tape`), and not all pairs of the
                columns were named beforehand.
        """
        reference, names = self.learned.reference, self.learned.codec.names
        places = [names.index(name) for name in columns]
        blocks = measured_blocks(reference, self.codes, places)
        if not (pairs_are_named(reference, columns) and self._untold):
            blocks = itertools.chain(blocks, self._gradients.blocks(places, MOST_PAIRS))
        return weigh(blocks, self.independent, replicates, np.random.default_rng(seed))

    @property
    def _untold(self) -> bool:
        """Whether training released no mean over rows."""
        try:
            required_tape(self.config, self.learned)
        except ConfigError:
            return True
        return False
