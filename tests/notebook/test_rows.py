"""The rows that are shown of a synthetic table, and the buttons that take it away."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.notebook.show.rows import MOST_LINKED, show_rows, table_buttons


class Shown:
    """A slot that keeps what is shown in it."""

    def show(self, bundle):
        self.bundle = bundle


def made(rows=25):
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 90, rows),
            "<b>city</b>": generator.choice(["Graz", "Linz & Wels"], rows),
            "seen": pd.date_range("2024-01-01", periods=rows),
            "lab": np.where(np.arange(rows) % 2, np.nan, 0.5),
        }
    )


def links(df):
    """The table's files by their names, from the links under the rows."""
    values = [getattr(button, "value", "") for button in table_buttons(df, "df_synth")]
    found = re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', "".join(values))
    return {file: base64.b64decode(data) for file, data in found}


def test_ten_rows_are_shown_with_the_types_of_their_columns():
    slot = Shown()
    show_rows({"df_synth": made()}, live=False, slot=slot)
    html, text = slot.bundle["text/html"], slot.bundle["text/plain"]
    assert html.count('<th scope="row"') == 10
    for dtype in ("int64", "datetime64", "float64"):
        assert dtype in html
        assert dtype in text
    assert "10 of 25 rows" in html
    assert "2024-01-02<" in html  # no time of day, where no row has one
    assert "<b>city</b>" not in html
    assert "nan" not in html


def test_each_of_several_tables_is_named_and_can_be_taken_away():
    slot = Shown()
    show_rows({"made_patients": made(), "made_visits": made().iloc[:5]}, live=True, slot=slot)
    assert "made_visits:\n" in slot.bundle["text/plain"]
    assert "<b>made_patients</b>" in slot.bundle["text/html"]
    links = "".join(each.value for box in slot.bundle.widget.children[1::2] for each in box.children)
    assert all(f'download="{file}"' in links for file in ("made_patients.csv", "made_visits.csv"))


def test_the_links_hold_the_whole_table():
    df = made()
    files = links(df)
    assert len(pd.read_csv(io.BytesIO(files["df_synth.csv"]))) == 25
    pytest.importorskip("pyarrow")
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(files["df_synth.parquet"])), df)


def test_a_large_table_is_written_beside_the_notebook_instead(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    df = pd.DataFrame({"x": np.zeros(MOST_LINKED + 1)})
    assert links(df) == {}
    csv, *_, said = table_buttons(df, "df_synth")
    csv.click()
    assert (tmp_path / "df_synth.csv").exists()
    assert "df_synth.csv" in said.value
