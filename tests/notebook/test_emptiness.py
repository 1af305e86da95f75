"""A cell whose plan expects empty columns says so before it spends, whatever the rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.notebooks import Shell


def test_what_is_said_before_spending_does_not_depend_on_the_rows(shell: Shell) -> None:
    shell.run("import pandas as pd")
    shell.run("one = pd.DataFrame({'sex': ['f', 'm'] * 40, 'age': range(80)})")
    shell.run("two = pd.DataFrame({'sex': ['x'] * 30_000, 'age': [-5] * 30_000})")
    cells = [f"%%dpsynth learn {name} -o s --if-empty stop\nepsilon = 0.01" for name in ("one", "two")]
    said = [shell.run(cell).error for cell in cells]
    assert "would come out empty or as noise" in said[0]
    assert "Nothing was spent" in said[0]
    assert said[0] == said[1]
    assert "s" not in shell.names


def test_a_table_of_nothing_but_text_is_asked_about_before_it_is_paid_for(shell: Shell) -> None:
    shell.run("import pandas as pd")
    shell.run("df = pd.DataFrame({'note': [f'says {k}' for k in range(900)]})")
    stopped = shell.run("%%dpsynth learn df -o s --if-empty stop\nepsilon = 1.0")
    assert "without declared values" in stopped.error
    assert "Nothing was spent" in stopped.error
    assert "s" not in shell.names
