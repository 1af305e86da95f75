"""Other systems on the same table, each run by itself, in the environment where it is installed.

As a script (`PYTHON peers.py NAME FOLDER`) it needs only pandas and the system itself: the systems' own
requirements exclude each other and ours. Each gets the whole budget, bounds and categories as public
knowledge, and its own defaults but for what is named in its function here, always in its favour or to let
it end.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Decode = Callable[[pd.DataFrame], pd.DataFrame]
    Learn = Callable[[pd.DataFrame, dict[str, Any]], tuple[pd.DataFrame, float]]

BINS = 20
MOST_VALUES = 100  # of whole numbers that get a code each
PREPROCESSING_SHARE = 0.1
MOSTLYAI_MINUTES = 10
DPMM_AIM = {
    "rounds": 30,
    "n_iters": 300,
}  # with 16 rounds a column and 1000, one small table takes over 8 minutes
SWIFT_CLIQUE_SIZE = 2e5  # the default of 1e7 asks for tens of gigabytes


@dataclass(frozen=True)
class Outcome:
    """What a peer made of a table.

    Attributes:
        synthetic: As many rows as it learned.
        seconds: Of learning, without imports and drawing.
        version: Package and version, as installed where it ran.
    """

    synthetic: pd.DataFrame
    seconds: float
    version: str


def run(
    name: str,
    python: str,
    train: pd.DataFrame,
    domain: dict[str, Any],
    epsilon: float,
    seed: int,
    minutes: float,
) -> Outcome | str:
    """A peer's outcome, or why there is none."""
    if name not in PEERS:
        return f"unknown; known are {', '.join(PEERS)}"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        train.to_csv(home / "train.csv", index=False)
        settings = {
            "bounds": domain["bounds"],
            "epsilon": epsilon,
            "delta": 1 / (10 * len(train)),
            "seed": seed,
        }
        (home / "settings.json").write_text(json.dumps(settings, default=float), encoding="utf-8")
        failed = failure([python, str(Path(__file__).resolve()), name, str(home)], home, minutes)
        if failed:
            return failed
        synthetic = pd.read_csv(home / "synthetic.csv")
        facts = json.loads((home / "done.json").read_text(encoding="utf-8"))
    for column in train.select_dtypes("bool"):
        synthetic[column] = synthetic[column].astype(str).isin(["True", "1", "1.0"])
    return Outcome(synthetic, **facts)


def failure(command: list[str], home: Path, minutes: float) -> str:
    """Why a peer's own process did not end well; empty if it did.

    Args:
        command: What runs it.
        home: The folder where it runs.
        minutes: How long it may take.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60 * minutes, check=False, cwd=home
        )
    except subprocess.TimeoutExpired:
        return f"not done after {minutes:g} minutes"
    return (
        f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}" if done.returncode else ""
    )


def _binned(df: pd.DataFrame, bounds: dict[str, Any]) -> tuple[pd.DataFrame, Decode]:
    """Codes of a table (wide numbers in equal bins) and the way back, for systems of categories only."""
    codes: dict[str, NDArray[np.int64]] = {}
    back: dict[str, Callable[[NDArray[np.int64]], NDArray[Any]]] = {}
    for key, series in df.items():
        name = str(key)
        if name in bounds:
            low, high = (float(bound) for bound in bounds[name])
            whole = pd.api.types.is_integer_dtype(series)
            each = whole and high - low < MOST_VALUES
            edges = np.arange(low, high + 2) if each else np.linspace(low, high, BINS + 1)
            last = len(edges) - 2
            place = np.clip(np.searchsorted(edges, series.to_numpy(), side="right") - 1, 0, last)
            codes[name] = np.where(series.isna(), last + 1, place)
            back[name] = partial(_numbers, edges=edges, whole=whole)
        else:
            codes[name], values = pd.factorize(series, use_na_sentinel=False)
            back[name] = np.asarray(values, dtype=object).__getitem__

    def decode(made: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({name: undo(made[name].astype(int).to_numpy()) for name, undo in back.items()})

    return pd.DataFrame(codes), decode


def _numbers(codes: NDArray[np.int64], *, edges: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
    """Evenly drawn numbers of each bin; the last code is missing."""
    last = len(edges) - 2
    low = edges[np.minimum(codes, last)]
    values = low + np.random.default_rng(0).random(len(codes)) * (edges[1] - edges[0])
    return np.where(codes > last, np.nan, np.floor(values) if whole else values)


def _dpmm(pipeline: str, **options: Any) -> Learn:  # noqa: ANN401 - the model's own options
    def learn(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
        import dpmm.pipelines

        domain: dict[str, Any] = {}
        for name in df:
            if name in settings["bounds"]:
                low, high = settings["bounds"][name]
                domain[name] = {"lower": low, "upper": high}
            else:
                df[name] = df[name].astype(str).astype("category")
                domain[name] = {"categories": sorted(df[name].cat.categories)}
        epsilon = settings["epsilon"]
        model = getattr(dpmm.pipelines, pipeline)(
            epsilon=(1 - PREPROCESSING_SHARE) * epsilon,
            delta=settings["delta"],
            proc_epsilon=PREPROCESSING_SHARE * epsilon,
            n_jobs=1,  # processes for every candidate take longer than they save
            gen_kwargs=options,
        )
        began = time.perf_counter()
        model.fit(df, domain, random_state=settings["seed"])
        seconds = time.perf_counter() - began
        made = model.generate(n_records=len(df), random_state=settings["seed"])
        return made.replace("nan", np.nan), seconds

    return learn


def _smartnoise(synthesizer: str) -> Learn:
    def learn(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
        from snsynth import Synthesizer

        codes, decode = _binned(df, settings["bounds"])
        model = Synthesizer.create(synthesizer, epsilon=settings["epsilon"], delta=settings["delta"])
        began = time.perf_counter()
        model.fit(codes, categorical_columns=list(codes))
        seconds = time.perf_counter() - began
        return decode(model.sample(len(df))), seconds

    return learn


def _dpsynth(mechanism: str, **options: Any) -> Learn:  # noqa: ANN401 - the mechanism's own options
    def learn(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
        import dpsynth

        domains: dict[str, Any] = {}
        for name, series in df.items():
            if name in settings["bounds"]:
                low, high = settings["bounds"][name]
                domains[str(name)] = dpsynth.NumericalAttribute(
                    min_value=low,
                    max_value=high,
                    clip_to_range=not series.isna().any(),  # else a missing number becomes the smallest
                    dtype="int" if pd.api.types.is_integer_dtype(series) else "float",
                    # the default, the middle of a bin, is worse in every figure, but where some are
                    # missing drawing fails
                    interval_handling="midpoint" if series.isna().any() else "sample",
                )
            else:
                df[name] = series.astype(object).where(series.notna(), "missing").astype(str)
                domains[str(name)] = dpsynth.CategoricalAttribute(sorted(df[name].unique()))
        config = getattr(dpsynth.discrete_mechanisms, mechanism)(**options)
        began = time.perf_counter()
        private = dpsynth.TabularConfig(domains=domains, discrete_mechanism=config).calibrate(
            epsilon=settings["epsilon"], delta=settings["delta"]
        )
        made = private(np.random.default_rng(settings["seed"]), df).synthetic_data
        return made.replace("missing", np.nan), time.perf_counter() - began

    return learn


def _mostlyai(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
    from mostlyai import engine
    from mostlyai.engine.domain import DifferentialPrivacyConfig

    privacy = DifferentialPrivacyConfig(
        max_epsilon=settings["epsilon"],  # of the ranges of values and the training together
        delta=settings["delta"],
        value_protection_epsilon=PREPROCESSING_SHARE * settings["epsilon"],  # its defaults are 1 of 10
    )
    engine.set_random_state(settings["seed"])
    began = time.perf_counter()
    engine.split(tgt_data=df, workspace_dir="workspace")
    engine.analyze(workspace_dir="workspace", differential_privacy=privacy)
    engine.encode(workspace_dir="workspace")
    engine.train(workspace_dir="workspace", differential_privacy=privacy, max_training_time=MOSTLYAI_MINUTES)
    seconds = time.perf_counter() - began
    engine.generate(workspace_dir="workspace", sample_size=len(df))
    return pd.read_parquet("workspace/SyntheticData"), seconds


PEERS: dict[str, tuple[str, Learn]] = {  # the package whose version is told, and how it learns
    "dpmm-aim": ("dpmm", _dpmm("AIMPipeline", **DPMM_AIM)),
    "dpmm-aim-3": ("dpmm", _dpmm("AIMPipeline", degree=3, **DPMM_AIM)),  # three columns together, not two
    "dpmm-mst": ("dpmm", _dpmm("MSTPipeline")),
    "dpmm-privbayes": ("dpmm", _dpmm("PrivBayesPipeline")),
    "dpsynth-aim": ("dpsynth", _dpsynth("AIMConfig")),
    "dpsynth-mst": ("dpsynth", _dpsynth("MSTConfig")),
    "dpsynth-swift": ("dpsynth", _dpsynth("SWIFTConfig", max_clique_size=SWIFT_CLIQUE_SIZE)),
    "mostlyai": ("mostlyai-engine", _mostlyai),
    "smartnoise-aim": ("smartnoise-synth", _smartnoise("aim")),
    "smartnoise-mst": ("smartnoise-synth", _smartnoise("mst")),
}


def main() -> None:
    """Learn and draw one table in the environment of one peer."""
    name, place = sys.argv[1], Path(sys.argv[2])
    package, learn = PEERS[name]
    settings = json.loads((place / "settings.json").read_text(encoding="utf-8"))
    made, seconds = learn(pd.read_csv(place / "train.csv"), settings)
    made.to_csv(place / "synthetic.csv", index=False)
    facts = {"seconds": seconds, "version": f"{package} {importlib.metadata.version(package)}"}
    (place / "done.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
