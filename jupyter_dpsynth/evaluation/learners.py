"""The models that predict a column from the others: scikit-learn's, chosen by rows that they did not see."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["FairLearner", "boosted_trees", "boosting", "half_the_processors"]

ROUNDS, LEAST_ROUNDS = 150, 10
MANY_CLASSES = 10  # each round grows a tree for every class
FOLDS = 3
MOST_TRIED = 6_000  # rows that tell well enough which model predicts best
MOST_CHOSEN = 6  # models that are averaged, the same one counted again
MOST_CODES = 255  # categories of a feature that scikit-learn's trees take
LEAST_CHANCE = 1e-4  # of a class, however sure a model is that a row has another one


def boosting(rounds: int, **settings: Any) -> Any:  # noqa: ANN401 - untyped library
    """Boosted trees.

    Raises:
        MissingDependencyError: scikit-learn is missing.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise MissingDependencyError(
            "figures that train a model (target = ...) need scikit-learn: install "
            "jupyter_dpsynth[evaluation]."
        ) from error
    return HistGradientBoostingClassifier(max_iter=rounds, random_state=0, **settings)


def half_the_processors() -> threadpool_limits:
    """A limit for models: two processes that use all processors at once can block each other."""
    return threadpool_limits(max(1, (os.cpu_count() or 1) // 2), user_api="openmp")


def boosted_trees(coded: Sequence[int], columns: int) -> Any:  # noqa: ANN401, ARG001 - any learner's form
    """150 rounds of boosted trees: what earlier versions and the benchmarks predict with."""
    return boosting(ROUNDS)


class FairLearner:
    """Averages those simple models that together predict best what they did not see.

    Trees alone fit small tables too closely, and a line alone misses what they see: a reference that a simple
    model beats would make every synthetic table look good. Tried are logistic regression of all categories,
    the same of frequent ones and of ranks, few small trees and the usual ones. Folds of the training rows
    tell by their log-likelihood which of them are averaged, and how often each counts.

    Args:
        coded: Places of features that are codes of categories.
        columns: How many features there are.

    Attributes:
        classes_: The classes, sorted.

    Source:
        Caruana, Niculescu-Mizil, Crew and Ksikes, 'Ensemble selection from libraries of models', ICML 2004.
    """

    def __init__(self, coded: Sequence[int], columns: int) -> None:
        boosting(1)
        self._coded, self._columns = list(coded), columns
        self._named: list[int] = []
        self._models: list[Any] = []
        self.classes_: NDArray[Any] = np.zeros(0)

    def fit(self, features: NDArray[np.float64], labels: NDArray[Any]) -> FairLearner:
        """Choose and train.

        Args:
            features: `[n, columns]`, NaN where missing.
            labels: `[n]`, of two classes or more.
        """
        self.classes_ = np.unique(labels)
        self._named = [place for place in self._coded if not np.nanmax(features[:, place]) >= MOST_CODES]
        with warnings.catch_warnings():  # that a line has not converged within its steps: it is one of four
            warnings.simplefilter("ignore")
            chosen = self._chosen(features, labels)
            models = self._candidates(len(labels))
            trained = {place: models[place].fit(features, labels) for place in dict.fromkeys(chosen)}
        self._models = [trained[place] for place in chosen]
        return self

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance of each class, `[n, classes]`."""
        return np.asarray(np.mean([model.predict_proba(features) for model in self._models], axis=0))

    def predict(self, features: NDArray[np.float64]) -> NDArray[Any]:
        """The likeliest class, `[n]`."""
        return np.asarray(self.classes_[self.predict_proba(features).argmax(axis=1)])

    def _candidates(self, rows: int) -> list[Any]:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

        numbers = [place for place in range(self._columns) if place not in set(self._coded)]

        def line(scale: Any, strength: float, least: int) -> Any:  # noqa: ANN401 - untyped library
            filled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), scale)
            codes = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=least)
            inputs = ColumnTransformer([("numbers", filled, numbers), ("codes", codes, self._coded)])
            return make_pipeline(inputs, LogisticRegression(C=strength, max_iter=500))

        ranks = QuantileTransformer(n_quantiles=min(100, rows), output_distribution="normal", random_state=0)
        rounds = max(LEAST_ROUNDS, ROUNDS * MANY_CLASSES // max(len(self.classes_), MANY_CLASSES))
        return [
            line(StandardScaler(), 1.0, 1),
            line(ranks, 0.1, 10),
            boosting(
                max(LEAST_ROUNDS, rounds // 3), max_leaf_nodes=8, categorical_features=self._named or None
            ),
            boosting(rounds),
        ]

    def _chosen(self, features: NDArray[np.float64], labels: NDArray[Any]) -> list[int]:
        """Places of the models that are averaged."""
        places = np.searchsorted(self.classes_, labels)
        # every class in as many folds as it has rows, and in most of them if it has many
        mixed = np.random.default_rng(0).permutation(len(labels))
        order = mixed[np.argsort(places[mixed], kind="stable")]
        if len(order) > MOST_TRIED:
            order = order[np.linspace(0, len(order) - 1, MOST_TRIED).astype(int)]
        fold = np.arange(len(order)) % FOLDS
        chances = [np.full(len(order), LEAST_CHANCE) for _ in self._candidates(len(order))]
        for held in range(FOLDS):
            seen, unseen = order[fold != held], order[fold == held]
            known = np.unique(places[seen])
            if len(known) < 2:
                continue
            place = np.minimum(np.searchsorted(known, places[unseen]), len(known) - 1)
            for chance, model in zip(chances, self._candidates(len(seen)), strict=True):
                made = model.fit(features[seen], places[seen]).predict_proba(features[unseen])
                own = made[np.arange(len(unseen)), place]
                chance[fold == held] = np.where(known[place] == places[unseen], own, 0.0)
        found: list[int] = []
        best, total = -np.inf, np.zeros(len(order))
        while len(found) < MOST_CHOSEN:
            means = [(total + chance) / (len(found) + 1) for chance in chances]
            gains = [float(np.log(np.maximum(mean, LEAST_CHANCE)).mean()) for mean in means]
            place = int(np.argmax(gains))
            if gains[place] <= best:
                break
            best, total = gains[place], total + chances[place]
            found.append(place)
        return found
