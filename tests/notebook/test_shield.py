"""`%dpsynth shield`: what looks at the variables sees invented or synthetic rows, not the table."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.engine.sampling.mock import mock_table
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.shield import reveal
from tests.support.models import untrained
from tests.support.tables import every_type_table

if TYPE_CHECKING:
    from tests.support.notebooks import Shell

MARK = "Zwettl-on-the-hidden-hill"
PLANTED = f"df.loc[7, 'city'] = {MARK!r}\ndf.loc[7, 'income'] = 987654321.25"


def everything_shown(shell: Shell) -> str:
    """What an inspector or an assistant finds by looking at the variables."""
    found = []
    for name, value in list(shell.names.items()):
        if name.startswith("__") or callable(value):
            continue
        bundle, _ = shell.ip.display_formatter.format(value)
        found += [name, repr(value), str(dir(value)) if name == "df_private" else "", str(bundle)]
        found.append(str(getattr(value, "__dict__", "")))
    return "\n".join(found)


@pytest.mark.filterwarnings("ignore")
def test_after_shielding_nothing_that_looks_at_variables_finds_the_table(shell: Shell) -> None:
    shell.run(PLANTED)
    shell.run("df.loc[[7]]")  # is kept in _ and Out
    shell.run("again = df")
    shell.run("raise ValueError(df.loc[7, 'city'])")
    assert MARK in everything_shown(shell)
    outcome = shell.run("%dpsynth shield df")
    assert not outcome.error
    shown = everything_shown(shell)
    assert MARK not in shown
    assert "987654321" not in shown
    assert MARK not in str(shell.ip.Completer.completions("df_private.", 11))
    with pytest.raises(TypeError, match="is not saved"):
        pickle.dumps(shell.names["df_private"])
    assert "has no 'head'" in shell.run("df_private.head()").error
    assert "a screen" in shell.run("%dpsynth shield --help").text


def test_conversions_of_a_hidden_table_stay_hidden(shell: Shell) -> None:
    shell.run("df['written'] = [f'{x:.2f}'.replace('.', ',') for x in df['income']]")
    shell.run(PLANTED)
    table = shell.names["df"]
    shell.run("%dpsynth shield df")
    text = shell.run("%dpsynth doctor df_private").displays[0]["text/plain"]
    assert "%dpsynth doctor df_private --convert df_private_converted" in text
    assert "df_private['written']" not in text
    assert not shell.run("%dpsynth doctor df_private --convert clean_private").error
    assert MARK not in everything_shown(shell)
    made = reveal(shell.names["clean_private"])
    assert made["written"].dtype == float
    assert made["city"].tolist() == table["city"].tolist()


def test_the_mock_has_the_columns_and_types_and_only_what_is_declared(shell: Shell) -> None:
    table = shell.names["df"]
    shell.run("%%dpsynth shield df\ncategories = {'city': ['Graz', 'Bregenz']}\nbounds = {'age': (200, 300)}")
    mock = shell.names["df"]
    assert mock is not table
    assert mock.dtypes.equals(table.dtypes)
    assert set(mock["city"]) == {"Graz", "Bregenz"}
    assert mock["age"].between(200, 300).all()
    assert len(mock) == 100


def test_the_commands_take_the_handle_and_the_table_comes_back(shell: Shell) -> None:
    table = shell.names["df"]
    shell.run("%dpsynth shield df")
    assert reveal(shell.names["df_private"]) is table
    assert "3 columns to learn" in shell.run("%dpsynth calc df_private").displays[0]["text/plain"]
    assert not shell.run("%dpsynth doctor df_private").error
    shell.run("%dpsynth shield df --off")
    assert shell.names["df"] is table
    assert "df_private" not in shell.names
    assert "is not shielded" in shell.run("%dpsynth shield df --off").error


def test_a_model_of_the_table_gives_a_synthetic_twin(shell: Shell) -> None:
    shell.names["model"] = untrained(shell.names["df"])
    shell.run("%dpsynth shield df")
    text = shell.run("%dpsynth shield df_private -s model --rows 50").text
    assert "a synthetic twin of 50 rows" in text
    assert len(shell.names["df"]) == 50
    assert set(shell.names["df"]["city"]) <= {"Graz", "Linz", "Wien", "other"}


def test_tables_that_stay_visible_are_named(shell: Shell) -> None:
    shell.run("half = df.head(100)")
    assert (
        "Still visible, if they are private shield them, too: half." in shell.run("%dpsynth shield df").text
    )


def test_a_mock_of_every_type_has_the_same_dtypes() -> None:
    df = every_type_table()
    made = mock_table(MetaExtractor.extract(df), 20, np.random.default_rng(0))
    assert list(made.columns) == list(df.columns)
    different = [name for name in df.columns if str(made[name].dtype) != str(df[name].dtype)]
    levels = [name for name in different if isinstance(df[name].dtype, pd.CategoricalDtype)]
    assert different == levels
    assert not re.search("nan|NaT|None", made.to_string())
