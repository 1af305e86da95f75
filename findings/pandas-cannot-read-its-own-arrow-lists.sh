#!/bin/sh
# pandas 3.1.1 with pyarrow 26.0.1: a frame with an Arrow list column is written to Parquet and cannot be read back.
#
# Guess: what DataFrame.to_parquet writes, pandas.read_parquet reads, with the same dtype; if not, the writing
# says so. Behaviour: writing goes through, and puts the dtype's name into the file; reading looks the name up in
# numpy and raises TypeError. With dtype_backend="pyarrow" the same file is read.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pandas==3.1.1 numpy==2.3.5 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder/codes.parquet" <<'PYTHON'
import sys

import pandas as pd
import pyarrow as pa

file = sys.argv[1]
dtype = pd.ArrowDtype(pa.list_(pa.int64()))
pd.DataFrame({"codes": pd.Series([[1, 2], [3]], dtype=dtype)}).to_parquet(file)
try:
    read = str(pd.read_parquet(file)["codes"].dtype)
except TypeError as error:
    read = f"TypeError: {error}"
print("read_parquet:", read)
other = str(pd.read_parquet(file, dtype_backend="pyarrow")["codes"].dtype)
print("with dtype_backend='pyarrow':", other)
same = read.startswith("TypeError") and other.startswith("list<")
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# read_parquet: TypeError: data type 'list<item: int64>[pyarrow]' not understood
# with dtype_backend='pyarrow': list<element: int64>[pyarrow]
# as described
