"""`%dpsynth report` and `compare --by` in a real shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell


@pytest.fixture
def ready(shell: Shell, tmp_path: Path) -> Shell:
    """A shell with a synthesizer that needed no training, and a synthetic table of it."""
    df = mixed_table(1200, seed=78)[["group", "age"]]
    shell.names.update(df=df, synthesizer=untrained(df), page=str(tmp_path / "page.html"))
    shell.run("%dpsynth synthesize 800 -o made")
    return shell


def test_a_report_is_a_page_by_groups_with_the_guarantee(ready: Shell, tmp_path: Path) -> None:
    outcome = ready.run("%dpsynth report --by group --to {page}")
    assert not outcome.error
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ready.names["synthesizer"].receipt.headline in text
    assert "group = north" in text
    assert "Not private" not in text


def test_a_report_of_the_original_says_that_it_is_not_private(ready: Shell, tmp_path: Path) -> None:
    assert not ready.run("%dpsynth report --original df --to {page}").error
    assert "Not private" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_groups_need_a_column_of_categories(ready: Shell) -> None:
    assert "Did you mean 'group'" in ready.run("%dpsynth compare --by groop").error
    assert "has numbers or times" in ready.run("%dpsynth compare --by age").error
