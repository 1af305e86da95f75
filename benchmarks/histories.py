"""Persons with histories: a made hospital of which everything is known, learned at the level of persons.

    python -m benchmarks.histories 20000 1 0 1 2

learns 20,000 patients and their visits at epsilon 1 with seeds 0, 1 and 2. It prints distances beside those
of two halves of the real patients, whether visits follow a death, how well 'again within 90 days' is learned
from the synthetic tables, and the time relative to a flat table with as many rows. What was measured is kept
in the results. `--peers sdv-hma=PYTHON` adds another system, without privacy, from that Python's environment.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import history_peers, record
from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.evaluation.histories import compare_histories

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

HALVES = "halves"  # of the real patients, as a system among the results
KEY, MOST, DAYS = "patient_id", 12, 1095
WINDOW = ("2021-01-01", "2023-12-31")
START = pd.Timestamp(WINDOW[0])
WARD_OF = {
    "injury": "surgery",
    "birth": "maternity",
    "heart": "internal",
    "stroke": "neuro",
    "cancer": "onco",
    "lung": "internal",
    "diabetes": "internal",
    "kidney": "internal",
    "mental": "psych",
    "gut": "surgery",
    "eye": "eye",
    "other": "internal",
}
DIAGNOSES, WARDS = np.array(list(WARD_OF)), np.array(list(WARD_OF.values()))
REPEATS = np.array([0.1, 0.15, 0.45, 0.5, 0.65, 0.4, 0.5, 0.7, 0.6, 0.3, 0.2, 0.1])  # the same one again
MEAN_GAPS = np.array([200, 300, 90, 60, 35, 120, 110, 30, 100, 180, 250, 220.0])  # days, after each one
FOLLOWS = {
    (2, 3): 2.2,
    (6, 7): 2.2,
    (6, 2): 2.2,
    (7, 6): 1.6,
    (3, 2): 1.6,
    (4, 5): 1.4,
    (0, 8): 1.2,
    (6, 10): 1.8,
}
CATEGORIES: dict[str, dict[str, list[str]]] = {
    "patients": {
        "sex": ["f", "m"],
        "region": list("ABCDEF"),
        "insurance": ["private", "public", "senior"],
    },
    "visits": {
        "diagnosis": sorted(WARD_OF),
        "ward": sorted({*WARD_OF.values(), "icu"}),
        "emergency": ["no", "yes"],
        "outcome": ["died", "home", "rehab"],
    },
}


def make_hospital(patients: int, seed: int = 1) -> dict[str, pd.DataFrame]:
    """Patients and their visits: diagnoses follow each other, gaps depend on them, death ends a history.

    A hidden frailty drives the number of visits. A fifth to a quarter of the patients have none.
    """
    random = np.random.default_rng(seed)
    age = np.clip(random.gamma(6, 9, patients), 0, 95).astype(int)
    female = random.random(patients) < 0.52
    region = random.choice(list("ABCDEF"), patients, p=[0.3, 0.25, 0.18, 0.12, 0.1, 0.05])
    private = random.random(patients) < np.where(region < "C", 0.25, 0.1)
    insurance = np.where(private, "private", np.where(age > 64, "senior", "public"))
    fertile = female & (age > 17) & (age < 46)
    rate = np.exp(0.15 + 0.016 * age + 0.25 * (female & (age > 18) & (age < 45)))
    number = np.minimum(random.poisson(rate * random.gamma(1.2, 1 / 1.2, patients)), MOST)
    day = (random.beta(1, 1 + 0.25 * number) * 1090).astype(int)
    usual: NDArray[np.float64] = _usual_diagnoses(age, female, fertile)
    effect: NDArray[np.float64] = np.zeros((12, 12))
    for pair, weight in FOLLOWS.items():
        effect[pair] = weight
    parts, alive = [], np.ones(patients, dtype=bool)
    before: NDArray[np.int64] = np.full(patients, -1)
    for position in range(MOST):
        who = np.flatnonzero(alive & (number > position))
        gap = np.full(len(who), -1)
        if position:
            gap = np.ceil(random.exponential(MEAN_GAPS[before[who]] * 3 / np.sqrt(number[who]))).astype(int)
            gap[random.random(len(who)) < 0.06] = 0
            day[who] += gap
            inside = day[who] <= DAYS - 1
            number[who[~inside]] = position
            who, gap = who[inside], gap[inside]
        scores = usual[who] + (effect[before[who]] if position else 0)
        diagnosis = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
        if position:
            diagnosis = np.where(random.random(len(who)) < REPEATS[before[who]], before[who], diagnosis)
        visit = _visit(random, diagnosis, gap, age[who], private[who])
        parts.append(visit.assign(**{KEY: who, "admitted": START + pd.to_timedelta(day[who], unit="D")}))
        before[who] = diagnosis
        alive[who[(visit["outcome"] == "died").to_numpy()]] = False
    visits = pd.concat(parts).sort_values([KEY, "admitted"], kind="stable").reset_index(drop=True)
    first = [KEY, "admitted", "diagnosis", "ward", "emergency", "stay", "outcome"]
    persons = {KEY: np.arange(patients), "age": age, "sex": np.where(female, "f", "m")}
    return {
        "patients": pd.DataFrame({**persons, "region": region, "insurance": insurance}),
        "visits": visits[first],
    }


def _usual_diagnoses(
    age: NDArray[np.int64], female: NDArray[np.bool_], fertile: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores of the diagnoses of each patient, `[n, 12]`."""
    older = age / 30
    columns = [
        1.2 - 0.3 * older,
        np.where(fertile, 2.2, -9),
        -1.5 + 1.1 * older,
        -2.4 + 1.2 * older,
        -1.2 + 0.9 * older,
        0.1 + 0.2 * older,
        -1 + 0.7 * older,
        -2 + 0.7 * older,
        0.6 - 0.3 * older + 0.3 * female,
        0.5 + 0 * older,
        -1.6 + 0.8 * older,
        0.9 + 0 * older,
    ]
    return np.stack(columns, axis=1)


def _visit(
    random: np.random.Generator,
    diagnosis: NDArray[np.int64],
    gap: NDArray[np.int64],
    age: NDArray[np.int64],
    private: NDArray[np.bool_],
) -> pd.DataFrame:
    """The other columns of visits."""

    def happens(score: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - an array
        chances: NDArray[np.bool_] = random.random(len(diagnosis)) < 1 / (1 + np.exp(-score))
        return chances

    soon = (gap >= 0) & (gap < 30)
    emergency = happens(-0.8 + 1.2 * np.isin(diagnosis, [0, 2, 3]) + 1.1 * soon - 0.4 * private)
    long = 0.7 + 0.35 * np.isin(diagnosis, [3, 4, 7, 8]) + 0.008 * age - 0.5 * (diagnosis == 10)
    stay = np.clip(np.round(np.exp(random.normal(long, 0.7))), 0, 90).astype(int)
    ward = np.where(emergency & (random.random(len(diagnosis)) < 0.15), "icu", WARDS[diagnosis])
    died = happens(-7 + 0.045 * age + 1.2 * np.isin(diagnosis, [2, 3, 4]) + 0.8 * (ward == "icu"))
    rehab = random.random(len(diagnosis)) < 0.06 + 0.25 * (diagnosis == 3)
    return pd.DataFrame(
        {
            "diagnosis": DIAGNOSES[diagnosis],
            "ward": ward,
            "emergency": np.where(emergency, "yes", "no"),
            "stay": stay,
            "outcome": np.where(died, "died", np.where(rehab, "rehab", "home")),
        }
    )


def again_soon(tables: dict[str, pd.DataFrame]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What is known at a visit, and whether another one follows within 90 days."""
    visits = tables["visits"].sort_values([KEY, "admitted"], kind="stable").merge(tables["patients"], on=KEY)
    by_person = visits.groupby(KEY)["admitted"]
    following = (by_person.shift(-1) - visits["admitted"]).dt.days
    before = (visits["admitted"] - by_person.shift(1)).dt.days.fillna(-1)
    known = {
        "age": visits["age"] / 100,
        "stay": np.log1p(visits["stay"]),
        "first": before < 0,
        "soon": (before >= 0) & (before < 60),
        "before": np.log1p(before.clip(lower=0)),
        "place": by_person.cumcount() / MOST,
        **{each: visits["diagnosis"] == each for each in WARD_OF},
        "female": visits["sex"] == "f",
        "private": visits["insurance"] == "private",
        "emergency": visits["emergency"] == "yes",
    }
    early = visits["admitted"] < START + pd.Timedelta(days=DAYS - 90)
    kept = (early & (visits["outcome"] != "died")).to_numpy()
    return pd.DataFrame(known).to_numpy(float)[kept], ((following >= 0) & (following <= 90)).to_numpy()[kept]


def use_of(tables: dict[str, pd.DataFrame], others: dict[str, pd.DataFrame]) -> float:
    """Area under the curve on other real persons of 'again within 90 days', learned from these tables."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    model = LogisticRegression(max_iter=500).fit(*again_soon(tables))
    known, again = again_soon(others)
    return float(roc_auc_score(again, model.predict_proba(known)[:, 1]))


def after_death(tables: dict[str, pd.DataFrame]) -> float:
    """Share of deaths after which another visit comes."""
    visits = tables["visits"].sort_values([KEY, "admitted"], kind="stable")
    died = visits["outcome"] == "died"
    return float(visits[KEY].duplicated(keep="last")[died].mean())


def learn(tables: dict[str, pd.DataFrame], epsilon: float) -> HighDimSynthesizer:
    """Learn the hospital; its categories and bounds are public."""
    meta = MetaExtractor.extract(
        tables,
        children=[Children("visits", order="admitted", most=MOST, window=WINDOW)],
        categories=CATEGORIES,
        bounds={"patients": {"age": (0, 95)}, "visits": {"stay": (0, 90)}},
    )
    settings: dict[str, Any] = (
        {"epsilon": epsilon} if np.isfinite(epsilon) else {"differential_privacy": False}
    )
    synthesizer = HighDimSynthesizer(meta, HighDimConfig(privacy_unit=KEY, **settings))
    return synthesizer.learn(tables, lambda _: None, infinite_total=True)


def learn_flat(tables: dict[str, pd.DataFrame], epsilon: float) -> float:
    """CPU seconds in which one joined table with as many rows is learned, a person counting for its rows."""
    joined = tables["visits"].merge(tables["patients"], on=KEY)
    settings = HighDimConfig(epsilon=epsilon, privacy_unit=KEY, max_rows_per_unit=MOST)
    began = time.process_time()
    HighDimSynthesizer(MetaExtractor.extract(joined), settings).learn(
        joined, lambda _: None, infinite_total=True
    )
    return time.process_time() - began


def main(options: argparse.Namespace) -> None:
    """Print and keep the figures of every seed, and of every peer."""
    tables, others = make_hospital(options.patients), make_hospital(options.patients, 77)
    print(f"{len(tables['visits']):,} visits; AUC learned from the real ones: {use_of(tables, others):.3f}")
    columns: list[pd.Series] = []
    learned: float | None = None
    reader: HighDimSynthesizer | None = None

    def judge(name: str, seed: int, made: dict[str, pd.DataFrame], facts: dict[str, Any]) -> None:
        if reader is None:
            raise TypeError
        report = compare_histories(reader, tables, made)
        figures = report.metrics.set_index("metric")
        if not columns:
            columns.append(figures["floor"])
            keep({"system": HALVES, "seed": 0, **figures["floor"].to_dict()})
        columns.append(figures["distance"].rename(f"{name} {seed}"))
        told = {
            "after death": after_death(made),
            "auc": use_of(made, others),
            "integrity": report.integrity["visits"],
            "in order": report.ordered["visits"],
            **facts,
        }
        print(f"{name}, seed {seed}: {told}", flush=True)
        keep({"system": name, "seed": seed, **figures["distance"].to_dict(), **told})

    def keep(row: dict[str, Any]) -> None:
        record.update("histories", [{"patients": options.patients, **row}], ("system", "patients", "seed"))

    for seed in options.seeds:
        began = time.process_time()
        synthesizer = reader = learn(tables, options.epsilon)
        learned = time.process_time() - began
        imposed = list(synthesizer.receipt.imposed)
        facts = {"epsilon": options.epsilon, "seconds": learned, "imposed": imposed}
        judge("jupyter_dpsynth", seed, synthesizer.synthesize(options.patients, seed=seed), facts)
    for name, python in options.peers:
        outcome = history_peers.run(name, python, tables, options.peer_minutes)
        if isinstance(outcome, str):
            print(f"{name}: {outcome}", flush=True)
            limits = history_peers.LIMITS.get(name, "")
            keep({"system": name, "seed": 0, "limits": limits, "why not": outcome})
        else:
            facts = {
                "epsilon": None,
                "seconds": outcome.seconds,
                "version": outcome.version,
                "limits": history_peers.LIMITS[name],
            }
            judge(name, 0, outcome.tables, facts)
    print(pd.concat(columns, axis=1).round(4).to_string())
    if np.isfinite(options.epsilon) and learned is not None and options.time:
        print(f"CPU time over that of the flat table: {learned / learn_flat(tables, options.epsilon):.2f}")


def _peer(text: str) -> tuple[str, str]:
    name, _, python = text.partition("=")
    return name, python or sys.executable


def _options() -> argparse.Namespace:
    line = record.parser(__doc__ or "")
    line.add_argument("patients", type=int)
    line.add_argument("epsilon", type=float)
    line.add_argument("seeds", type=int, nargs="*", default=[0])
    known = ", ".join(history_peers.PEERS)
    line.add_argument("--peers", nargs="*", default=[], type=_peer, metavar="NAME[=PYTHON]", help=known)
    line.add_argument("--peer-minutes", type=float, default=60)
    line.add_argument("--time", action="store_true", help="also learn the flat table, for the ratio of times")
    return line.parse_args()


if __name__ == "__main__":
    main(_options())
