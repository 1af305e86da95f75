#!/bin/sh
# DuckDB 2.0.1: two columns of one name have other names in the frame, in the relation and in Arrow.
#
# Guess: a relation's names are the same whichever way it is fetched, and taking no rows of it (limit(0), the usual
# way to learn a schema) does not change them. Behaviour: the relation and Arrow say a, a, b; the pandas frame says
# a, a_1, b; and limit(0) renames the columns of the relation itself and of its Arrow table to a, a_1, b. A schema
# that was read from limit(0) therefore does not fit the record batches of the whole relation.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    duckdb==2.0.1 pandas==3.1.1 numpy==2.3.5 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb

relation = duckdb.sql("select 1 as a, 2 as a, 3 as b")
seen = {
    "relation": list(relation.columns),
    "pandas": list(relation.df().columns),
    "Arrow": relation.to_arrow_table().schema.names,
    "limit(0), relation": list(relation.limit(0).columns),
    "limit(0), Arrow": relation.limit(0).to_arrow_table().schema.names,
}
for way, names in seen.items():
    print(f"{way:20s}{names}")
twice, renamed = ["a", "a", "b"], ["a", "a_1", "b"]
same = list(seen.values()) == [twice, renamed, twice, renamed, renamed]
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# relation            ['a', 'a', 'b']
# pandas              ['a', 'a_1', 'b']
# Arrow               ['a', 'a', 'b']
# limit(0), relation  ['a', 'a_1', 'b']
# limit(0), Arrow     ['a', 'a_1', 'b']
# as described
