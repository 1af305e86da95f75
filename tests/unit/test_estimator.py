"""The estimator's form: cloned, asked and changed as scikit-learn does it, fitted and sampled for real."""

import pickle
import sys

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, NotLearnedError
from jupyter_dpsynth.estimator import DECLARATIONS, LEDGER, SklearnSynthesizer
from tests.support.tables import mixed_table


def test_every_parameter_is_there_and_given_back_as_it_was_given():
    bounds = {"age": (0, 120)}
    estimator = SklearnSynthesizer(epsilon=0.5, bounds=bounds)
    assert set(estimator.get_params()) == {*HighDimConfig.option_names(), *DECLARATIONS, *LEDGER}
    assert estimator.get_params()["bounds"] is bounds
    assert SklearnSynthesizer(**estimator.get_params()).get_params() == estimator.get_params()
    assert repr(estimator) == "SklearnSynthesizer(epsilon=0.5, bounds={'age': (0, 120)})"


def test_a_wrong_name_is_refused_with_a_hint_and_changes_nothing():
    estimator = SklearnSynthesizer()
    with pytest.raises(ConfigError, match="Did you mean 'epsilon'"):
        estimator.set_params(steps=3, epsilonn=2)
    assert estimator.get_params()["steps"] == "auto"


def test_scikit_learn_clones_it_without_what_was_fitted():
    base = pytest.importorskip("sklearn.base")
    validation = pytest.importorskip("sklearn.utils.validation")
    estimator = SklearnSynthesizer(epsilon=0.5, ids=["key"], categories={"group": ["a", "b"]})
    estimator.synthesizer_ = object()
    again = base.clone(estimator)
    assert again.get_params() == estimator.get_params()
    validation.check_is_fitted(estimator)
    with pytest.raises(validation.NotFittedError):
        validation.check_is_fitted(again)


def test_before_fit_there_is_nothing_to_sample_and_values_are_checked_by_fit():
    estimator = SklearnSynthesizer(epsilon=-1)
    with pytest.raises(NotLearnedError, match="call fit"):
        estimator.sample(3)
    with pytest.raises(ConfigError, match="epsilon = -1"):
        estimator.fit(mixed_table(20, seed=71))
    with pytest.raises(ConfigError, match="column of X"):
        SklearnSynthesizer().fit(mixed_table(20, seed=71), [1] * 20)


@pytest.mark.tensorflow
def test_it_fits_and_samples_a_table():
    df = mixed_table(1500, seed=72)
    estimator = SklearnSynthesizer(epsilon=2.0, steps=3, bounds={"age": (18, 90)}, dataset="estimator")
    assert estimator.fit(df) is estimator
    sample = estimator.sample(40, random_state=1)
    assert sample.dtypes.equals(df.dtypes)
    assert sample.equals(estimator.sample(40, random_state=1))
    assert estimator.feature_names_in_ == list(df.columns)
    assert 0 < estimator.epsilon_ <= 2.0
    first = estimator.synthesizer_
    estimator.set_params(epsilon=1.0).fit(df)  # fits anew, and the ledger counts both
    assert estimator.synthesizer_ is not first
    assert estimator.epsilon_ <= 1.0
    assert pickle.loads(pickle.dumps(estimator)).sample(3, 0).equals(estimator.sample(3, 0))
    assert "estimator" in str(sys.modules["jupyter_dpsynth.privacy.ledger.book"].PrivacyLedger().summary())
