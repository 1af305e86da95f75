"""Orders of columns that are declared to be public: every synthetic row keeps them, at no cost."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.errors import MetadataError
from tests.support.models import untrained

ROWS = 3_000


def visits(seed=0, broken=0.0):
    """Dates and amounts in order, but in a share of the rows."""
    random = np.random.default_rng(seed)
    first = pd.Timestamp("2021-01-01") + pd.to_timedelta(random.integers(0, 900, ROWS), unit="D")
    last = first + pd.to_timedelta(random.integers(0, 20, ROWS), unit="D")
    net = random.integers(1, 100, ROWS)
    df = pd.DataFrame({"in": first, "out": last, "net": net, "gross": net + random.integers(0, 30, ROWS)})
    turned = random.random(ROWS) < broken
    for low, high in (("in", "out"), ("net", "gross")):
        df.loc[turned, [low, high]] = df.loc[turned, [high, low]].to_numpy()
    return df


@pytest.mark.parametrize("broken", [0.0, 0.2])
def test_every_synthetic_row_keeps_a_declared_order(broken, tmp_path):
    made = untrained(visits(broken=broken), at_least={"out": "in", "gross": ["net"]})
    made.save(tmp_path / "model.dps")
    for synthesizer in (made, HighDimSynthesizer.load(tmp_path / "model.dps")):
        assert synthesizer.df_meta.orders == (("in", "out"), ("net", "gross"))
        df = synthesizer.synthesize(2_000, seed=0)
        assert (df["in"] <= df["out"]).all()
        assert (df["net"] <= df["gross"]).all()
    out = made.codec.columns[made.codec.names.index("out")]
    assert isinstance(out, DifferenceCodec)
    assert out.base == "in"
    assert out.difference.starts[0] >= 0


def test_a_schema_file_may_declare_orders(tmp_path):
    (tmp_path / "schema.yaml").write_text("columns:\n  out: {at_least: in}\n  gross: {at_least: [net]}\n")
    meta = MetaExtractor.extract(visits(), schema=tmp_path / "schema.yaml")
    assert meta.orders == (("in", "out"), ("net", "gross"))
    assert meta["out"].to_dict()["at_least"] == ("in",)
    assert "at_least" not in meta["in"].to_dict()


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        (
            {"out": "inn"},
            "column 'out' names 'inn', which is not in the table. Did you mean 'in'",
        ),
        ({"outt": "in"}, "at_least names column 'outt', which is not in the table"),
        ({"out": "net"}, "columns 'out' .* and 'net' .* cannot be compared"),
        ({"out": "out"}, "goes round in a circle"),
        ({"out": "in", "in": "out"}, "goes round in a circle among 'in', 'out'"),
        ({"out": 3}, "at_least of column 'out' is 3: give the name"),
        ({"ward": "in"}, "'ward', which contains neither numbers nor dates"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(orders, message):
    with pytest.raises(MetadataError, match=message):
        MetaExtractor.extract(visits().assign(ward="a"), at_least=orders)
