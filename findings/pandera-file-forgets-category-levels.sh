#!/bin/sh
# pandera 0.35.0, pandas 2.3.3: a schema that is written to YAML and read again accepts levels that it refused before.
#
# Guess: what from_yaml reads of to_yaml() is the same schema, as it is for ranges and isin, or writing warns of what it leaves out, as
# it does for checks of one's own. Behaviour: Category(["A", "B"]) is written as 'category' without a word, so that the
# schema from the file accepts a column with the level 'X'. The same with to_json. Whoever takes a file for the public
# description of a table has to ask for the levels in another way (isin, which is written).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pandera[io]==0.35.0' pandas==2.3.3
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import pandas as pd
import pandera.pandas as pa

columns = {"ward": pa.Column(pa.Category(["A", "B"])), "sex": pa.Column(str, pa.Check.isin(["f", "m"]))}
schema = pa.DataFrameSchema(columns)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    text = schema.to_yaml()
print("warnings of to_yaml:", len(warned))
again = pa.DataFrameSchema.from_yaml(text)


def accepts(one, **changes):
    good = {"ward": pd.Categorical(["A", "B"]), "sex": ["f", "m"]}
    try:
        one.validate(pd.DataFrame({**good, **changes}))
    except pa.errors.SchemaError:
        return False
    return True


seen = []
for name, changes in {"right": {}, "level X": {"ward": pd.Categorical(["A", "X"])}, "sex x": {"sex": ["f", "x"]}}.items():
    seen += [accepts(schema, **changes), accepts(again, **changes)]
    print(f"{name}: the schema accepts: {seen[-2]}, the schema from its file: {seen[-1]}")
same = not warned and seen == [True, True, False, True, False, False]
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# warnings of to_yaml: 0
# right: the schema accepts: True, the schema from its file: True
# level X: the schema accepts: False, the schema from its file: True
# sex x: the schema accepts: False, the schema from its file: False
# as described
