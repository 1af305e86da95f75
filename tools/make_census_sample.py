"""Make the packaged sample table from the US census table of 1994 ('Adult', UCI, CC BY 4.0).

usage: make_census_sample.py ADULT_CSV
"""

import sys
from pathlib import Path

import pandas as pd

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.datasets import SAMPLE

RESOURCES = Path(__file__).resolve().parent.parent / "jupyter_dpsynth" / "resources"
ROWS = 20_000


def main() -> None:
    """Learn the table at epsilon 1 and write 20,000 synthetic rows with their receipt."""
    df = pd.read_csv(sys.argv[1])
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=1.0)).learn(df)
    RESOURCES.mkdir(exist_ok=True)
    sample = synthesizer.synthesize(ROWS)
    sample.to_csv(RESOURCES / SAMPLE, index=False, compression={"method": "gzip", "mtime": 0})
    (RESOURCES / "census_sample_receipt.json").write_text(synthesizer.receipt.to_json() + "\n")
    print(synthesizer.receipt)


if __name__ == "__main__":
    main()
