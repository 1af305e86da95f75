"""HighDimConfig refuses what cannot be meant and says what can."""

import math

import numpy as np
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.plan import DEFAULT_STEPS
from jupyter_dpsynth.errors import ConfigError


def test_defaults_ask_for_differential_privacy_and_leave_the_rest_automatic():
    config = HighDimConfig()
    assert config.differential_privacy is True
    assert (config.epsilon, config.delta, config.noise_multiplier) == (1.0, None, None)
    assert config.num_microbatches is None
    assert {config.batch_size, config.steps, config.epochs, config.learning_rate} == {"auto"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epsilon", 0),
        ("epsilon", -1),
        ("epsilon", math.nan),
        ("epsilon", math.inf),
        ("epsilon", "1"),
        ("epsilon", True),
        ("delta", 1),
        ("delta", 0),
        ("noise_multiplier", 0),
        ("l2_norm_clip", -1),
        ("num_microbatches", 1.5),
        ("batch_size", 0),
        ("steps", "many"),
        ("n_public", "yes"),
        ("dp_backend", "torch"),
    ],
)
def test_a_value_out_of_range_is_refused_with_name_value_and_range(name, value):
    with pytest.raises(ConfigError, match=f"^{name} = .* is not allowed: give ") as raised:
        setattr(HighDimConfig(), name, value)
    assert repr(value) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_name_is_refused_with_the_closest_known_one():
    with pytest.raises(ConfigError, match="Did you mean 'epsilon'"):
        HighDimConfig().epsilonn = 2
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        HighDimConfig(batchsize=5)


def test_a_refused_value_leaves_the_old_one():
    config = HighDimConfig(epsilon=0.5)
    with pytest.raises(ConfigError):
        config.epsilon = -3
    assert config.epsilon == 0.5


def test_numpy_numbers_become_plain_ones():
    config = HighDimConfig(epsilon=np.float32(0.5), steps=np.int64(7))
    assert type(config.epsilon) is float
    assert type(config.steps) is int


def test_text_is_parsed_as_a_literal():
    assert HighDimConfig.parse("epsilon", "0.5") == 0.5
    assert HighDimConfig.parse("delta", "None") is None
    assert HighDimConfig.parse("steps", "auto") == "auto"
    with pytest.raises(ConfigError, match="epsilon"):
        HighDimConfig.parse("epsilon", "__import__('os')")


def test_parameters_that_exclude_each_other_are_refused_at_resolve_only():
    config = HighDimConfig(steps=10, epochs=2)  # a half-edited panel stays legal
    with pytest.raises(ConfigError, match="steps = 10 and epochs = 2"):
        config.resolve()
    with pytest.raises(ConfigError, match="num_microbatches = 64 is larger than batch_size = 32"):
        HighDimConfig(batch_size=32, num_microbatches=64).resolve()


def test_resolved_parameters_are_frozen_and_automatic_ones_are_none():
    resolved = HighDimConfig(epsilon=2).resolve()
    assert resolved.steps is None
    with pytest.raises(AttributeError):
        resolved.epsilon = 3


def test_a_copy_is_equal_and_independent():
    config = HighDimConfig(epsilon=2)
    copy = config.copy()
    copy.epsilon = 3
    assert config.epsilon == 2
    assert HighDimConfig(**config.to_dict()).to_dict() == config.to_dict()


@pytest.mark.parametrize("name", HighDimConfig.option_names())
def test_every_parameter_describes_itself(name):
    trait = HighDimConfig.class_traits()[name]
    assert len(trait.help) > 30
    assert set(trait.metadata) >= {"label", "group", "affects_privacy"}


def test_microbatches_and_the_other_backend_exclude_each_other():
    config = HighDimConfig(num_microbatches=4, batch_size=64, dp_backend="tensorflow_privacy")
    with pytest.raises(ConfigError, match="exclude each other"):
        config.resolve()


def test_the_help_of_steps_states_the_default_that_is_used():
    assert f"'auto' is {DEFAULT_STEPS}." in HighDimConfig.class_traits()["steps"].help
