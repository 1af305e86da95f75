"""How often intervals hold the truth: ours, those of real rows, and those of synthetic rows taken for real.

    python -m benchmarks.coverage
    python -m benchmarks.coverage --data FOLDER --populations census --rows 5000 --epsilon 1 --runs 100

In each run a sample of a population whose figures are known (benchmarks/populations.py) is drawn and learned,
and the same figures are asked of the synthesizer, of as many synthetic rows as there were real ones (naive),
and of the real rows. A run's number is the seed of its sample and of its noise. With --models the learned
models are kept in a folder, and those that are there already are not learned again.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from benchmarks.populations import UNIT, Population, population
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, PrivacyLedger
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.noise import NoiseSource

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("ours", "naive", "real")


@dataclass(frozen=True)
class Setting:
    """What is learned.

    Attributes:
        source: The population.
        rows: Of each sample.
        epsilon: What each run may spend.
        named: Whether the questions are named beforehand.
        models: Folder in which models are kept, or None.
    """

    source: Population
    rows: int
    epsilon: float
    named: bool = False
    models: Path | None = None

    def learned(self, number: int) -> HighDimSynthesizer:
        """The synthesizer of one run."""
        words = (self.source.name, str(self.rows), f"{self.epsilon:g}", "named" * self.named, str(number))
        path = None if self.models is None else self.models / ("_".join(filter(None, words)) + ".dps")
        if path is not None and path.exists():
            return HighDimSynthesizer.load(path)
        df = self.source.draw(self.rows, np.random.default_rng(number))
        named = self.source.named() if self.named else {}
        config = HighDimConfig(epsilon=self.epsilon, **self.source.parameters, **named)
        synthesizer = HighDimSynthesizer(MetaExtractor.extract(df, **self.source.declared), config)
        with tempfile.TemporaryDirectory() as folder:
            ledger = PrivacyLedger(Path(folder) / "ledger.sqlite3")
            synthesizer.learn(df, lambda _: None, noise=NoiseSource(number), ledger=ledger)
        if path is not None:
            synthesizer.save(path)
        return synthesizer


def run(setting: Setting, number: int) -> Iterator[tuple[str, str, bool | None, float]]:
    """One sample, learned and asked: kind, way, whether the interval holds the truth, and its width.

    Of a question that is refused, None and NaN.
    """
    source, synthesizer = setting.source, setting.learned(number)
    df = source.draw(setting.rows, np.random.default_rng(number))
    made = synthesizer.synthesize(setting.rows, seed=number).drop(columns=UNIT, errors="ignore")
    for question, true in zip(source.questions, source.truth, strict=True):
        answers = {"naive": question.of_rows(made), "real": question.of_rows(df)}
        try:
            answers["ours"] = question.of_synthesizer(synthesizer)
        except ConfigError:
            yield from ((question.kind, "ours", None, np.nan) for _ in true)
        for way, found in answers.items():
            for value, (_, line) in zip(true, found.iterrows(), strict=True):
                held = bool(line["low"] <= value <= line["high"])
                yield question.kind, way, held, line["high"] - line["low"]


def study(setting: Setting, runs: range) -> list[dict[str, Any]]:
    """Coverage of all kinds and ways in one setting, and median width relative to that of real rows."""
    held: dict[tuple[str, str], list[bool | None]] = defaultdict(list)
    widths: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in runs:
        for kind, way, hit, width in run(setting, number):
            for name in (kind, "all"):
                held[name, way].append(hit)
                widths[name, way].append(width)
    facts = {
        "population": setting.source.name,
        "rows": setting.rows,
        "epsilon": setting.epsilon,
        "named": setting.named,
        "runs": len(runs),
    }
    answered = {key: [hit for hit in hits if hit is not None] for key, hits in held.items()}
    return [
        {
            **facts,
            "kind": kind,
            "way": way,
            "coverage": round(float(np.mean(hits)), 4) if hits else None,
            "figures": len(hits),
            "refused": len(held[kind, way]) - len(hits),
            "width": _ratio(widths[kind, way], widths[kind, "real"]),
            "seeds": [runs.start, runs.stop - 1],
        }
        for (kind, way), hits in answered.items()
    ]


def _ratio(own: list[float], real: list[float]) -> float | None:
    """Median width relative to that of the real rows' interval of the same figure and run."""
    pairs = [(a, b) for a, b in zip(own, real, strict=True) if b > 0 and np.isfinite(a)]
    return round(float(np.median([a / b for a, b in pairs])), 3) if pairs else None


def main() -> int:
    """Run the settings that are asked for, and print them as they come."""
    parser = record.parser(__doc__ or "")
    parser.add_argument("--data", type=Path, help="folder with census.csv.gz and other tables")
    parser.add_argument("--populations", nargs="+", default=["generator"])
    parser.add_argument("--rows", nargs="+", type=int, default=[5000])
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number, and seed, of the first run")
    parser.add_argument("--named", action="store_true", help="name the questions before learning")
    parser.add_argument("--models", type=Path, help="folder in which models are kept")
    parser.add_argument("--keep", action="store_true", help="add to earlier results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = range(options.first, options.first + options.runs)
    found: list[dict[str, Any]] = []
    for name in options.populations:
        source = population(name, options.data)
        for rows in options.rows:
            for epsilon in options.epsilon:
                started = time.perf_counter()
                lines = study(Setting(source, rows, epsilon, options.named, options.models), runs)
                found += lines
                seconds = (time.perf_counter() - started) / options.runs
                print(f"{name}, {rows:,} rows, epsilon {epsilon:g}: {seconds:.1f} s a run", flush=True)
                for line in lines:
                    share = "-" if line["coverage"] is None else f"{line['coverage']:.1%}"
                    figures = f"{share:>7s} of {line['figures']:4d}, width {line['width']}"
                    print(f"  {line['kind']:14s} {line['way']:6s} {figures}", flush=True)
    if options.keep:
        record.update("coverage", found, ("population", "rows", "epsilon", "named"))
    else:
        record.write("coverage", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
