"""The synthesizer as a scikit-learn estimator: `fit`, `sample`, `get_params`, `set_params`.

scikit-learn itself is not needed: `sklearn.base.clone` and the like ask for these methods only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, NotLearnedError, did_you_mean
from jupyter_dpsynth.metadata.extracting import MetaExtractor
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.synthesizer import HighDimSynthesizer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SklearnSynthesizer"]

DECLARATIONS = {
    "bounds": None,
    "categories": None,
    "decimals": None,
    "missing": None,
    "hierarchy": None,
    "at_least": None,
    "derived": None,
    "ids": (),
    "schema": None,
}
LEDGER = {"dataset": None, "new_dataset": False, "infinite_total": False}


class SklearnSynthesizer:
    """A `HighDimSynthesizer` that is fitted and cloned like an estimator.

    Args:
        **parameters: Those of `HighDimConfig`, the declarations of `MetaExtractor.extract` (bounds,
            categories, decimals, missing, hierarchy, at_least, derived, ids, schema), and for the ledger
            dataset, new_dataset and infinite_total as `HighDimSynthesizer.learn` takes them. As with every
            estimator they are kept as given and checked by `fit`.

    Attributes:
        synthesizer_: The learned `HighDimSynthesizer`, with its receipt, after `fit`.
        epsilon_: What `fit` spent.
        n_features_in_: Number of columns.
        feature_names_in_: Their names.

    Raises:
        ConfigError: There is no such parameter.

    Privacy:
        Every `fit` spends epsilon once more, and the ledger adds it up: a grid search with 20 candidates
        and 5 folds spends up to 100 times. `sample` is free.

    Example:
        >>> estimator = SklearnSynthesizer(epsilon=0.5, bounds={"age": (0, 120)})
        >>> estimator.get_params()["epsilon"]
        0.5
        >>> df_synth = estimator.fit(df).sample(1000)  # doctest: +SKIP
    """

    def __init__(self, **parameters: Any) -> None:  # noqa: ANN401 - each has its own type
        self._parameters = _defaults()
        self.set_params(**parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - its form
        """All parameters by name, as they were given."""
        return dict(self._parameters)

    def set_params(self, **parameters: Any) -> SklearnSynthesizer:  # noqa: ANN401 - each has its own type
        """Change parameters; what was fitted stays until the next `fit`.

        Raises:
            ConfigError: There is no such parameter; nothing was changed.
        """
        for name in parameters:
            if name not in self._parameters:
                hint = did_you_mean(name, self._parameters)
                raise ConfigError(f"{name!r} is not a parameter of SklearnSynthesizer.{hint}")
        self._parameters.update(parameters)
        return self

    def fit(self, X: pd.DataFrame, y: object = None) -> SklearnSynthesizer:  # noqa: N803 - scikit-learn's name
        """Learn a private table; spends epsilon each time.

        Args:
            X: The table, with its target if it has one: all columns are learned together.
            y: Must be None. A target belongs into the table.

        Raises:
            DPSynthError: As `MetaExtractor.extract` and `HighDimSynthesizer.learn`.
        """
        if y is not None:
            raise ConfigError("y is given: pass the target as a column of X; it is learned like the others.")
        given = self.get_params()
        recorded = {name: given.pop(name) for name in LEDGER}
        declared = {name: given.pop(name) for name in DECLARATIONS}
        config = HighDimConfig(**given)
        with open_source(X) as source:
            synthesizer = HighDimSynthesizer(MetaExtractor.extract(source, **declared), config)
            self.synthesizer_ = synthesizer.learn(source, **recorded)
        self.feature_names_in_ = list(synthesizer.df_meta.names)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def sample(self, n_samples: int | None = None, random_state: int | None = None) -> pd.DataFrame:
        """Make a synthetic table; free, as often as you like.

        Args:
            n_samples: How many rows; by default the noisy row count of the private table.
            random_state: Fixes the output.

        Raises:
            NotLearnedError: Before `fit`.
            ConfigError: A number that is not allowed.
        """
        return self._fitted.synthesize(n_samples, seed=random_state)

    @property
    def epsilon_(self) -> float | None:
        """The epsilon that `fit` spent; None with a test-only seed."""
        return self._fitted.epsilon

    @property
    def _fitted(self) -> HighDimSynthesizer:
        if not hasattr(self, "synthesizer_"):
            raise NotLearnedError("this SklearnSynthesizer is not fitted: call fit(df) first.")
        return self.synthesizer_

    def __sklearn_is_fitted__(self) -> bool:
        """For `sklearn.utils.validation.check_is_fitted`."""
        return hasattr(self, "synthesizer_")

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - a type of scikit-learn's
        """The tags that scikit-learn 1.6 and newer ask for; older versions do not call this."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __repr__(self) -> str:
        """Show the parameters that differ from their defaults."""
        defaults = _defaults()
        changed = (f"{k}={v!r}" for k, v in self._parameters.items() if v is not defaults[k])
        return f"SklearnSynthesizer({', '.join(changed)})"


def _defaults() -> dict[str, Any]:
    return {**HighDimConfig().to_dict(), **DECLARATIONS, **LEDGER}
