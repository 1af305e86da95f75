"""The lines of docs/interop.md for reports of other libraries run as they stand, where those are there."""

import re
import warnings
from pathlib import Path

import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

TEXT = (Path(__file__).parents[2] / "docs" / "interop.md").read_text(encoding="utf-8")


def run_example(name, monkeypatch, tmp_path):
    """What the names of an example stand for after it has run."""
    code = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", TEXT, re.DOTALL).group(1)
    df = mixed_table(400, seed=95)
    df["key"] = range(400)
    synthesizer = untrained(df, ids=["key"])
    names = {"df": df, "df_synth": synthesizer.synthesize(400, seed=1), "synthesizer": synthesizer}
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other libraries
        exec(code, names)
    return names


def test_sdmetrics_reports_on_our_tables(monkeypatch, tmp_path):
    pytest.importorskip("sdmetrics")
    names = run_example("sdmetrics", monkeypatch, tmp_path)
    assert 0 < names["report"].get_score() <= 1
    assert set(names["report"].get_details("Column Shapes")["Column"]) == set(names["df"]) - {"key"}


def test_mostly_ai_s_report_is_made_of_our_tables(monkeypatch, tmp_path):
    pytest.importorskip("mostlyai.qa")
    names = run_example("mostlyai", monkeypatch, tmp_path)
    assert names["path"].read_text(encoding="utf-8").lstrip().startswith("<!")
    assert 0 < names["metrics"].accuracy.overall <= 1
