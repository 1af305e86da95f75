"""docs/model-format.md: whoever follows it reads a saved model rightly, without this package."""

import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

TEXT = (Path(__file__).parents[2] / "docs" / "model-format.md").read_text(encoding="utf-8")
ROWS = 40_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "model.dps"
    df = mixed_table(600, seed=91)
    df["name"] = pd.Series(np.random.default_rng(91).choice(["a", "b", "rare"], 600, p=[0.6, 0.395, 0.005]))
    random = np.random.default_rng(92)
    df["hours"] = np.where(random.random(600) < 0.9, random.integers(1, 60, 600), random.random(600).round(2))
    bounds, categories = {"age": (18, 90), "hours": (0, 60)}, {"name": ["a", "b", "rare"]}
    synthesizer = untrained(df, bounds=bounds, categories=categories, decimals={"hours": 2})
    synthesizer.save(file)
    return file, synthesizer


@pytest.fixture(scope="module")
def example():
    """What the document's example defines."""
    code = re.search(r"<!-- example -->\n```python\n(.*?)```", TEXT, re.DOTALL).group(1)
    names = {}
    exec(code, names)
    return names


def test_the_example_samples_the_model_s_own_distribution(saved, example):
    file, synthesizer = saved
    cells = example["sample_cells"](*example["read"](file), ROWS, np.random.default_rng(1))
    model, shares = synthesizer.learned.model, synthesizer.reference.shares
    sizes = [len(share) for share in shares]
    first, second = sizes[0], sizes[0] + sizes[1]

    def softmax(logits, share):
        chances = np.exp(logits) * (share > 0)
        return chances / chances.sum(axis=-1, keepdims=True)

    start = softmax(model.bias[:first].astype(float), shares[0])
    after = softmax((model.bias + model.weights)[:first, first:second].astype(float), shares[1])
    joint = np.zeros((sizes[0], sizes[1]))
    np.add.at(joint, (cells[:, 0], cells[:, 1]), 1 / ROWS)
    assert np.abs(joint - start[:, None] * after).sum() < 0.06
    for column, share in zip(cells.T, shares, strict=True):
        assert column.max() < len(share)
        assert (share[np.unique(column)] > 0).all()


def test_the_example_s_values_are_those_of_the_package(saved, example):
    file, synthesizer = saved
    document, weights, bias = example["read"](file)
    generator = np.random.default_rng(2)
    cells = example["sample_cells"](document, weights, bias, 3000, generator)
    for place, codec in enumerate(document["codec"]["columns"]):
        column = synthesizer.codec.columns[place]
        values = [example["value"](codec, cell, generator) for cell in cells[:, place]]
        missing = np.array([value is None for value in values])
        made = column.decode(cells[:, place].astype(np.int32), np.random.default_rng(3))
        assert (made.isna().to_numpy() == missing).all()
        if codec["codec"] == "category":
            assert set(values) - {None} == set(made.dropna())
            continue
        numbers = np.array([value for value in values if value is not None], dtype=float)
        if codec["meta"]["name"] == "hours":  # about as many as in the package's
            assert "rounding" in codec
            assert abs((numbers == np.rint(numbers)).mean() - (made.dropna() % 1 == 0).mean()) < 0.05
            assert (numbers == np.rint(numbers)).mean() > 0.5
        if codec["meta"]["kind"] == "datetime":
            numbers = pd.to_datetime(numbers, unit="us").astype(made.dtype)
        # the same cell, whichever value of it was drawn
        again = column.encode(pd.Series(numbers).astype(made.dtype))
        assert (again == cells[~missing, place]).all()


def test_the_document_names_every_field():
    folder = resources.files("jupyter_dpsynth") / "resources"
    schema = json.loads((folder / "synthesizer.schema.json").read_text(encoding="utf-8"))
    for group in (schema, schema["properties"]["codec"], schema["properties"]["reference"]):
        for name in group["properties"]:
            assert re.search(rf"`(codec\.|reference\.)?{name}[`.\[]", TEXT), name
    for name in ("weights", "bias", "scale", "losses"):
        assert f"| `{name}` |" in TEXT
