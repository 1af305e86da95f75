"""Prints what becomes of each kind of column on each way in: right, refused before spending, or wrong.

python -m benchmarks.ways_in [--rows 240]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.column_kinds import KINDS
from tests.support.six_ways import WAYS, further_kinds, outcomes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="print what becomes of each kind of column on each way in")
    parser.add_argument("--rows", type=int, default=240, help="of each column (default: %(default)s)")
    rows = parser.parse_args().rows
    columns = {name: series.iloc[:rows] for name, (series, _) in KINDS.items()} | further_kinds(rows)
    found = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            found[way] = outcomes(columns, way, Path(folder))
    print("| kind of column |", " | ".join(WAYS), "|")
    print("|---|" + "---|" * len(WAYS))
    for name in columns:
        print(f"| {name} |", " | ".join(found[way][name] for way in WAYS), "|")
    counts = Counter(each for by_name in found.values() for each in by_name.values())
    print(", ".join(f"{each}: {count}" for each, count in counts.most_common()))


if __name__ == "__main__":
    main()
