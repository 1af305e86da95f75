"""A parameter and a control: what is typed is what is used, both ways, without echo."""

from __future__ import annotations

import ipywidgets as widgets
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.panel.binding import bind


def test_the_number_typed_is_the_number_used_and_stays_as_typed() -> None:
    config, control = HighDimConfig(), widgets.Text()
    bind(config, "epsilon", control)
    for typed in ("1.1", "0.10", "1e-5", "0.30000000000000004", " 2 "):
        control.value = typed
        assert config.epsilon == float(typed)
        assert control.value == typed


def test_a_change_in_python_is_shown() -> None:
    config, control = HighDimConfig(), widgets.Text()
    bind(config, "epsilon", control)
    assert control.value == "1"
    config.epsilon = 0.25
    assert control.value == "0.25"


@pytest.mark.parametrize(
    ("name", "unset"),
    [("delta", None), ("noise_multiplier", None), ("steps", "auto"), ("batch_size", "auto")],
)
def test_an_empty_field_means_automatic(name: str, unset: object) -> None:
    config, control = HighDimConfig(), widgets.Text()
    bind(config, name, control)
    assert control.value == ""
    control.value = "0.01" if name == "delta" else "7"
    assert getattr(config, name) == float(control.value)
    control.value = "  "
    assert getattr(config, name) == unset
    setattr(config, name, 0.25 if name == "delta" else 9)
    setattr(config, name, unset)
    assert control.value == ""


def test_what_is_not_allowed_stays_with_its_reason_and_the_config_keeps_its_value() -> None:
    config, control, told = HighDimConfig(epsilon=2), widgets.Text(), []
    binding = bind(config, "epsilon", control, told.append)
    for typed in ("-3", "abc", "nan", "1000", ""):
        control.value = typed
        assert config.epsilon == 2
        assert control.value == typed
        assert binding.error.startswith("epsilon ")
        assert "give" in binding.error
    control.value = "3"
    assert binding.error == ""
    assert told[-1] == ""
    control.value = "-3"
    config.epsilon = 4  # from Python: the field shows it, and the complaint is gone
    assert (control.value, binding.error) == ("4", "")


def test_ticks_and_choices_are_bound_too() -> None:
    config = HighDimConfig()
    tick, choice = widgets.Checkbox(), widgets.Dropdown(options=["native", "tensorflow_privacy"])
    bind(config, "n_public", tick)
    bind(config, "dp_backend", choice)
    tick.value, choice.value = True, "tensorflow_privacy"
    assert (config.n_public, config.dp_backend) == (True, "tensorflow_privacy")
    config.n_public, config.dp_backend = False, "native"
    assert (tick.value, choice.value) == (False, "native")


def test_one_edit_is_one_change_on_either_side() -> None:
    config, control, seen = HighDimConfig(), widgets.Text(), []
    bind(config, "epsilon", control)
    config.observe(lambda change: seen.append(("config", change["new"])), "epsilon")
    control.observe(lambda change: seen.append(("control", change["new"])), "value")
    control.value = "0.50"
    config.epsilon = 3
    assert sorted(map(str, seen)) == sorted(
        map(str, [("config", 0.5), ("control", "0.50"), ("config", 3.0), ("control", "3")])
    )


def test_two_controls_of_one_parameter_agree() -> None:
    config, one, other = HighDimConfig(), widgets.Text(), widgets.Text()
    bind(config, "epsilon", one)
    bind(config, "epsilon", other)
    one.value = "0.7"
    assert other.value == "0.7"


def test_an_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'epsilon'"):
        bind(HighDimConfig(), "epsilonn", widgets.Text())


def test_a_closed_binding_lets_go() -> None:
    config, control = HighDimConfig(), widgets.Text()
    bind(config, "epsilon", control).close()
    control.value = "5"
    assert config.epsilon == 1
    config.epsilon = 3
    assert control.value == "5"
