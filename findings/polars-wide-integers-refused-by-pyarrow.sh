#!/bin/sh
# polars 2.1.0 and pyarrow 26.0.1: 128-bit whole numbers leave polars neither by to_arrow() nor by a Parquet file.
#
# Guess: an Int128 column, which sums of large amounts become, arrives in pyarrow as decimal128(38, 0), or polars
# refuses it in its own words. Behaviour: polars exports a format of its own, and pyarrow raises ArrowInvalid; a
# Parquet file of the column is written, and pyarrow refuses even its schema.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder/amounts.parquet" <<'PYTHON'
import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

frame = pl.DataFrame({"amount": pl.Series([1, 2], dtype=pl.Int128)})
try:
    direct = str(frame.to_arrow().schema.field("amount").type)
except pa.ArrowInvalid as error:
    direct = f"ArrowInvalid: {error}"
print("to_arrow:", direct)
try:
    frame.write_parquet(sys.argv[1])
    stored = str(pq.read_schema(sys.argv[1]).field("amount").type)
except pa.ArrowNotImplementedError as error:
    stored = f"{type(error).__name__}: {error}"
print("through Parquet:", stored)
same = direct.startswith("ArrowInvalid") and stored.startswith("ArrowNotImplementedError")
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# to_arrow: ArrowInvalid: Invalid or unsupported format string: '_pli128'
# through Parquet: ArrowNotImplementedError: Integers with more than 64 bits not implemented
# as described
