"""Other systems on the same table, each run by itself, in the environment where it is installed.

As a script (`PYTHON peers.py NAME FOLDER`) it needs only pandas and the system itself: the systems' own
requirements exclude each other and ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
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
PREPROCESSING_SHARE = 0.1


def run(
    name: str,
    python: str,
    train: pd.DataFrame,
    domain: dict[str, Any],
    epsilon: float,
    seed: int,
    minutes: float,
) -> tuple[pd.DataFrame, float] | str:
    """A peer's synthetic table and its learning seconds, or why there is none."""
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
        command = [python, str(Path(__file__).resolve()), name, str(home)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=60 * minutes, check=False, cwd=home
            )
        except subprocess.TimeoutExpired:
            return f"not done after {minutes:g} minutes"
        if done.returncode:
            return f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
        synthetic = pd.read_csv(home / "synthetic.csv")
        seconds = json.loads((home / "done.json").read_text(encoding="utf-8"))["seconds"]
    for column in train.select_dtypes("bool"):
        synthetic[column] = synthetic[column].astype(str).isin(["True", "1", "1.0"])
    return synthetic, seconds


def _binned(df: pd.DataFrame, bounds: dict[str, Any]) -> tuple[pd.DataFrame, Decode]:
    """Codes of a table (numbers in equal bins) and the way back: for systems that take only categories."""
    codes: dict[str, NDArray[np.int64]] = {}
    back: dict[str, Callable[[NDArray[np.int64]], NDArray[Any]]] = {}
    for key, series in df.items():
        name = str(key)
        if name in bounds:
            low, high = (float(bound) for bound in bounds[name])
            edges = np.linspace(low, high, BINS + 1)
            place = np.clip(np.searchsorted(edges, series.to_numpy(), side="right") - 1, 0, BINS - 1)
            codes[name] = np.where(series.isna(), BINS, place)
            back[name] = partial(_numbers, edges=edges, whole=pd.api.types.is_integer_dtype(series))
        else:
            codes[name], values = pd.factorize(series, use_na_sentinel=False)
            back[name] = np.asarray(values, dtype=object).__getitem__

    def decode(made: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({name: undo(made[name].astype(int).to_numpy()) for name, undo in back.items()})

    return pd.DataFrame(codes), decode


def _numbers(codes: NDArray[np.int64], *, edges: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
    """Evenly drawn numbers of each bin; the last code is missing."""
    low = edges[np.minimum(codes, BINS - 1)]
    values = low + np.random.default_rng(0).random(len(codes)) * (edges[1] - edges[0])
    return np.where(codes == BINS, np.nan, np.floor(values) if whole else values)


def _dpmm(pipeline: str) -> Learn:
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
        )
        began = time.perf_counter()
        model.fit(df, domain, random_state=settings["seed"])
        seconds = time.perf_counter() - began
        made = model.generate(n_records=len(df), random_state=settings["seed"])
        return made.replace("nan", np.nan), seconds

    return learn


def _smartnoise(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
    from snsynth import Synthesizer

    codes, decode = _binned(df, settings["bounds"])
    model = Synthesizer.create("mst", epsilon=settings["epsilon"], delta=settings["delta"])
    began = time.perf_counter()
    model.fit(codes, categorical_columns=list(codes))
    seconds = time.perf_counter() - began
    return decode(model.sample(len(df))), seconds


def _mostlyai(df: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, float]:
    from mostlyai import engine

    share = settings["epsilon"] / 2
    privacy = {"max_epsilon": share, "delta": settings["delta"], "value_protection_epsilon": share}
    engine.set_random_state(settings["seed"])
    began = time.perf_counter()
    engine.split(tgt_data=df, workspace_dir="workspace")
    engine.analyze(workspace_dir="workspace", differential_privacy=privacy)
    engine.encode(workspace_dir="workspace")
    engine.train(workspace_dir="workspace", differential_privacy=privacy, max_training_time=30)
    seconds = time.perf_counter() - began
    engine.generate(workspace_dir="workspace", sample_size=len(df))
    return pd.read_parquet("workspace/SyntheticData"), seconds


PEERS: dict[str, Learn] = {
    "dpmm-aim": _dpmm("AIMPipeline"),
    "dpmm-mst": _dpmm("MSTPipeline"),
    "smartnoise-mst": _smartnoise,
    "mostlyai": _mostlyai,
}

if __name__ == "__main__":
    place = Path(sys.argv[2])
    read = json.loads((place / "settings.json").read_text(encoding="utf-8"))
    made, seconds = PEERS[sys.argv[1]](pd.read_csv(place / "train.csv"), read)
    made.to_csv(place / "synthetic.csv", index=False)
    (place / "done.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
