#!/bin/sh
# DuckDB 2.0.1 with pandas 3.1.1, pyarrow 26.0.1, polars 2.1.0: an ordered category has two orders, by the way it came in.
#
# Guess: DuckDB reads the levels of an ordered category alike from a pandas frame, from a pyarrow table of it and
# from a polars Enum: as its ENUM, which sorts by level. Behaviour: only from pandas. Arrow's ordered dictionary,
# and so polars' Enum, becomes VARCHAR: levels that do not occur are gone, and ORDER BY, min, max and < go by the
# alphabet ("high" below "low").
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    duckdb==2.0.1 pandas==3.1.1 numpy==2.3.5 polars==2.1.0 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

levels = ["low", "mid", "high"]
frame = pd.DataFrame({"grade": pd.Categorical(["high", "low"], categories=levels, ordered=True)})
table = pa.Table.from_pandas(frame)
enum = pl.DataFrame({"grade": pl.Series(["high", "low"], dtype=pl.Enum(levels))})
assert table.schema.field("grade").type.ordered
seen = {}
for name, given in {"pandas": frame, "pyarrow": table, "polars": enum}.items():
    relation = duckdb.sql("select * from given")
    ordered = [grade for (grade,) in duckdb.sql("select grade from given order by grade").fetchall()]
    seen[name] = str(relation.types[0]), ordered
    print(f"{name:8s} type {seen[name][0]}, in order {ordered}")
expected = {
    "pandas": ("ENUM('low', 'mid', 'high')", ["low", "high"]),
    "pyarrow": ("VARCHAR", ["high", "low"]),
    "polars": ("VARCHAR", ["high", "low"]),
}
print("as described" if seen == expected else "CHANGED")
raise SystemExit(seen != expected)
PYTHON
# Seen:
# pandas   type ENUM('low', 'mid', 'high'), in order ['low', 'high']
# pyarrow  type VARCHAR, in order ['high', 'low']
# polars   type VARCHAR, in order ['high', 'low']
# as described
