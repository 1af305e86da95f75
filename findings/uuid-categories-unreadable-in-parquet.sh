#!/bin/sh
# pandas 3.1.1, pyarrow 26.0.1: a category of UUIDs is written to Parquet without a word and cannot be read again.
#
# Guess: UUIDs in a Parquet file come back, as objects or as a category, like those in a plain column do; or writing
# refuses. Behaviour: writing succeeds, the plain column comes back as uuid.UUID, and the category makes
# pandas.read_parquet fail, because the file says 'dictionary of 16 bytes' where Arrow's UUID type wants the bytes
# themselves. pyarrow does not open the file either, not even for its metadata.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.3.5 pyarrow==26.0.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import uuid

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

values = pd.Series([uuid.UUID(int=row % 2) for row in range(4)], dtype=object)
pd.DataFrame({"key": values}).to_parquet("plain.parquet")
plain = type(pd.read_parquet("plain.parquet")["key"][1])
print("plain column reads as", plain.__name__)
pd.DataFrame({"key": values.astype("category")}).to_parquet("category.parquet")
print("category is written")
try:
    pd.read_parquet("category.parquet")
    seen = ""
except pa.ArrowInvalid as error:
    seen = str(error).partition(":")[0]
print("category reads as", seen or "a frame")
try:
    pq.read_metadata("category.parquet")
    opened = True
except pa.ArrowInvalid:
    opened = False
print("its metadata can be read:", opened)
same = plain is uuid.UUID and seen == "Invalid storage type for UuidType" and not opened
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# plain column reads as UUID
# category is written
# category reads as Invalid storage type for UuidType
# its metadata can be read: False
# as described
