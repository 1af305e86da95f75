"""How lines and cell bodies are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.descriptions import SCHEMA_NAMES
from jupyter_dpsynth.notebook.magic.grammar import parse_line, split_line
from jupyter_dpsynth.notebook.magic.namespace import parse_body, read_value

if TYPE_CHECKING:
    from tests.support.notebooks import Shell

NAMES: dict[str, Any] = {"eps": 0.25, "frames": {"a b": 1}, "auto": 7}
KNOWN = ("epsilon", "delta", "l2_norm_clip", "steps", *SCHEMA_NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("1e-6", 1e-6),
        ("None", None),
        ("True", True),
        ("'text'", "text"),
        ("eps", 0.25),
        ("{eps}", 0.25),
        ("{eps * 2}", 0.5),
        ("eps / 2", 0.125),
        ("{0.5}", 0.5),
        ("native", "native"),
        ("auto", 7),  # a variable of the user goes before the word
    ],
)
def test_values_are_literals_variables_or_expressions(text: str, value: object) -> None:
    assert read_value(text, NAMES, "epsilon") == value


def test_a_body_may_have_comments_blank_lines_and_values_over_several_lines() -> None:
    body = """
    # privacy
    epsilon = {eps * 4}   # a budget

    l2_norm_clip = 'auto'
    bounds = {
        "age": (0, 120),
    }
    """
    assert parse_body(body, NAMES, KNOWN) == {
        "epsilon": 1.0,
        "l2_norm_clip": "auto",
        "bounds": {"age": (0, 120)},
    }


def test_a_dictionary_of_one_entry_and_a_set_of_two_stay_what_they_are() -> None:
    values = parse_body("bounds = {'age': (0, 1)}\nids = {'a', 'b'}", NAMES, KNOWN)
    assert values == {"bounds": {"age": (0, 1)}, "ids": {"a", "b"}}


def test_lines_are_cut_at_spaces_outside_quotes_and_braces() -> None:
    line = r"""learn {frames["a b"]} -o m --epsilon {eps * 2} 'C:\data set\x.zip' --n_public"""
    assert split_line(line) == [
        "learn",
        '{frames["a b"]}',
        "-o",
        "m",
        "--epsilon",
        "{eps * 2}",
        r"'C:\data set\x.zip'",
        "--n_public",
    ]


def test_options_may_be_written_with_dashes_underscores_or_an_equals_sign() -> None:
    parsed = parse_line("learn df --noise-multiplier 1.5 --num_microbatches=4 --n_public -o m")
    assert parsed.options == {
        "noise_multiplier": "1.5",
        "num_microbatches": "4",
        "n_public": "True",
        "output": "m",
    }
    assert parsed.arguments == ["df"]


def test_a_switch_with_a_value_takes_it_and_negative_numbers_are_no_options() -> None:
    assert parse_line("learn df --n_public False").options == {"n_public": "False"}
    with pytest.raises(ConfigError, match=r"is not allowed|does not understand"):
        parse_line("synthesize -5 7")


def completions(shell: Shell, text: str) -> list[str]:
    with provisionalcompleter():
        return [each.text for each in shell.ip.Completer.completions(text, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%dpsynth le", ["learn", "ledger"]),
        ("%%dpsynth learn d", ["df"]),
        ("%%dpsynth learn df --noise", ["--noise_multiplier"]),
        ("%%dpsynth learn df --on-interrupt ", ["keep", "raise"]),
        ("%%dpsynth learn df --config m", ["mine"]),
        ("%%dpsynth learn df\nepsilon = 1\nnoise", ["noise_multiplier"]),
        ("%dpsynth compare --original ", ["df"]),
        ("%dpsynth help syn", ["synthesize"]),
        ("%dpsynth config min", ["mine"]),
        ("%dpsynth learn df --config=m", ["--config=mine"]),
        ("%dpsynth learn df --n_public ", ["False", "True"]),
        ("%dpsynth learn df --dp_backend t", ["tensorflow_privacy"]),
        ("%dpsynth learn df --privacy_unit ", ["age", "city", "income"]),
        ("%dpsynth compare --original df --target ci", ["city"]),
    ],
)
def test_completion_offers_what_fits_at_the_cursor(shell: Shell, text: str, expected: list[str]) -> None:
    shell.run("from jupyter_dpsynth import HighDimConfig; mine = HighDimConfig()")
    assert completions(shell, text) == expected


def test_completion_elsewhere_is_left_to_the_others(shell: Shell) -> None:
    assert "df" in completions(shell, "d")
    assert "epsilon" not in completions(shell, "x = 1\nepsil")
