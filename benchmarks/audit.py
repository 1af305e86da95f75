"""What attacks can prove about epsilon, beside what is claimed: longer than the audits of the tests.

    python -m benchmarks.audit
    python -m benchmarks.audit --parts planted step --runs 20
    python -m benchmarks.audit --parts plan --epsilon 1 --seconds 300

Parts: `step`, audits of the real training step; `planted`, the same with known bugs planted in it; `plan`,
what `%dpsynth audit` does, on the census sample; `whole`, many whole learnings of a small table with and
without one row; `onerun`, a single learning with many rows in or out by a coin; `membership`, whether a
synthetic table tells which real rows were learned. Each result is stored at once, and a part that has
been measured with the same settings is not measured again (--again does).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import record
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.privacy.audit import CANARY_ALPHA
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from tests.support.canary_audit import audit_canary, privacy_profile, rate_bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PARTS = ("step", "planted", "plan", "whole", "onerun", "membership")
EPSILONS = np.linspace(0.2, 12, 60)
SMALL_ROWS = 200
SMALL = HighDimConfig(epsilon=8.0, delta=1e-5, steps=15, n_public=True)
LEVELS = ("a", "b", "c", "z")  # 'z' is what only the canary has
KEYS = 100
ATTACKED_ROWS = 4_000
CONFIDENCE = 1 - CANARY_ALPHA

Row = dict[str, Any]


def step(options: Any) -> Iterator[Row]:  # noqa: ANN401 - argparse's namespace
    """The canary audit of the tests, again and again, with new noise each time."""
    from tests.support.planted_bugs import Setting, examine, nothing

    for run in range(options.runs):
        found = examine(f"run {run + 1}", Setting(options.draws), nothing)
        yield {
            "run": run + 1,
            "draws": options.draws,
            "bound": found.audit.bound,
            "claim": found.audit.claim,
            "delta": found.audit.delta,
            "mu_bound": found.least_mu,
            "mu_claim": found.claimed_mu,
            "holds": not found.caught,
        }


def planted(options: Any) -> Iterator[Row]:  # noqa: ANN401, ARG001
    """The loop as it is, and with each planted bug."""
    from tests.support.planted_bugs import findings

    for found in findings():
        print(found.row(), flush=True)
        yield {
            "bug": found.name,
            "caught": found.caught,
            "by": found.audit.statistic,
            "bound": found.audit.bound,
            "claim": found.audit.claim,
            "delta": found.audit.delta,
            "mu_bound": found.least_mu,
            "mu_claim": found.claimed_mu,
        }


def plan(options: Any) -> Iterator[Row]:  # noqa: ANN401
    """The attack of `%dpsynth audit` on simulated trainings under real plans."""
    from jupyter_dpsynth.datasets import load_census_sample

    df = load_census_sample()
    for epsilon in options.epsilon:
        one = learned(df, HighDimConfig(epsilon=epsilon))
        audit = one.audit(options.seconds)
        print(audit.to_text(), flush=True)
        yield {
            "epsilon": epsilon,
            "bound": audit.bound,
            "claim_steps": audit.claim,
            "claim": audit.epsilon,
            "delta": audit.delta,
            "runs": audit.runs,
            "seconds": round(audit.seconds),
            "holds": audit.holds,
        }


def learned(df: pd.DataFrame, config: HighDimConfig, **declared: Any) -> HighDimSynthesizer:  # noqa: ANN401
    """A new synthesizer that has learned a table; the user's ledger hears nothing of it."""
    one = HighDimSynthesizer(MetaExtractor.extract(df, **declared), config)
    with tempfile.TemporaryDirectory() as folder:
        return one.learn(df, callback=lambda _: None, ledger=PrivacyLedger(Path(folder) / "ledger.sqlite3"))


def small_table() -> pd.DataFrame:
    """Three columns of names, in none of which 'z' occurs."""
    random = np.random.default_rng(0)
    return pd.DataFrame({name: random.choice(LEVELS[:3], SMALL_ROWS) for name in ("p", "q", "r")})


def traces(one: HighDimSynthesizer) -> tuple[float, float]:
    """What a learning shows of a row of 'z': noisy shares, and its log-likelihood under the model."""
    places = [column.labels.index("z") if "z" in column.labels else -1 for column in one.codec.columns]
    shares = sum(float(share[at]) for share, at in zip(one.reference.shares, places, strict=True))
    return shares, log_likelihood(one, np.array(places))


def log_likelihood(one: HighDimSynthesizer, codes: NDArray[np.int64]) -> float:
    """Nats of one row of codes under the trained network."""
    layout, total = one.learned.model.layout, 0.0
    logits = one.learned.model.bias.astype(np.float64)
    for place, code in enumerate(codes):
        first, end = layout.offsets[place : place + 2]
        block = logits[first:end] - logits[first:end].max()
        at = int(code) % len(block)
        total += float(block[at] - np.log(np.exp(block).sum()))
        logits = logits + one.learned.model.weights[first + at]
    return total


def whole(options: Any) -> Iterator[Row]:  # noqa: ANN401
    """Whole learnings, discovery and marginals included, with and without one row."""
    table, canary = small_table(), pd.DataFrame({name: ["z"] for name in ("p", "q", "r")})
    tables = table, pd.concat([table, canary], ignore_index=True)
    declared = {"categories": dict.fromkeys(table, LEVELS)}
    draws: tuple[list[tuple[float, float]], ...] = ([], [])
    claim = None
    for run in range(options.repeats):
        for found, df in zip(draws, tables, strict=True):
            one = learned(df, SMALL, **declared)
            found.append(traces(one))
            claim = claim or one.receipt.plan
        if (run + 1) % 25 == 0:
            print(f"whole: {run + 1} of {options.repeats} pairs of learnings", flush=True)
    if claim is None:
        return
    profile = EPSILONS, privacy_profile(claim, EPSILONS)
    audit = audit_canary(np.array(draws[0]), np.array(draws[1]), ["noisy shares", "log-likelihood"], profile)
    yield {
        "repeats": options.repeats,
        "epsilon": SMALL.epsilon,
        "statistic": audit.statistic,
        "bound": audit.bound,
        "claim": audit.claim,
        "delta": audit.delta,
        "holds": audit.holds,
    }


def onerun(options: Any) -> Iterator[Row]:  # noqa: ANN401, ARG001
    """One learning; each of many rows is in it by a coin, and the attacker guesses which were."""
    random = np.random.default_rng()
    keys = [f"k{place:03d}" for place in range(KEYS)]
    member = random.random(KEYS) < 0.5
    df = pd.DataFrame({"key": [k for k, inside in zip(keys, member, strict=True) if inside]})
    df = pd.concat([df, pd.DataFrame({"key": ["filler"] * 400})], ignore_index=True)
    one = learned(df, SMALL, categories={"key": [*keys, "filler"]})
    (column,), (share,) = one.codec.columns, one.reference.shares
    if not isinstance(column, CategoryCodec):
        raise TypeError
    # a key is either a cell with a noisy share, or one of the pool with a noisy weight
    rows = dict(zip(map(str, column.pool), column.pool_weights.tolist(), strict=True))
    rows |= {
        str(name): float(value) * one.reference.rows
        for name, value in zip(column.published, share, strict=False)
    }
    seen = np.array([rows[key] for key in keys])
    seen -= np.median(seen)
    surest = np.argsort(-np.abs(seen))[: KEYS // 2]
    correct = int(((seen > 0) == member)[surest].sum())
    bound = one_run_bound(len(surest), correct, KEYS, one.delta)
    claim = float(one.epsilon or 0.0)
    yield {
        "guesses": len(surest),
        "correct": correct,
        "bound": bound,
        "claim": claim,
        "delta": one.delta,
        "holds": bound <= claim,
    }


def one_run_bound(guesses: int, correct: int, canaries: int, delta: float) -> float:
    """Lower confidence bound on epsilon from right guesses in a single run.

    Source:
        Steinke, Nasr and Jagielski 2023, 'Privacy auditing with one (1) training run', theorem 5.2.
    """
    from scipy.stats import binom

    def chance(epsilon: float) -> float:
        """Of so many right guesses, at most, if epsilon were true."""
        right = 1 / (1 + np.exp(-epsilon))
        below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, right))
        slack = float((below / np.arange(1, correct + 1)).max()) if correct else 0.0
        return float(binom.sf(correct - 1, guesses, right)) + 2 * canaries * delta * slack

    refuted = [epsilon for epsilon in np.arange(0, 20, 0.01) if chance(epsilon) < 1 - CONFIDENCE]
    return float(max(refuted, default=0.0))


def membership(options: Any) -> Iterator[Row]:  # noqa: ANN401
    """Whether a row's distance from the nearest synthetic row tells that it was learned."""
    from jupyter_dpsynth.datasets import load_census_sample

    df = load_census_sample()
    order = np.random.default_rng().permutation(len(df))
    inside, outside = (df.iloc[part].reset_index(drop=True) for part in np.array_split(order, 2))
    for epsilon in options.epsilon:
        one = learned(inside, HighDimConfig(epsilon=epsilon))
        made = one.codec.encode(one.synthesize(len(inside)))
        distances = [
            nearest(one.codec.encode(rows.head(ATTACKED_ROWS // 2)), made) for rows in (outside, inside)
        ]
        cuts = np.arange(1, made.shape[1] + 1)
        caught = [np.searchsorted(np.sort(found), cuts) for found in distances]  # nearer than a cut
        error = (1 - CONFIDENCE) / (2 * len(cuts))
        false_alarm = rate_bounds(caught[0], len(distances[0]), error)[1]
        hit = rate_bounds(caught[1], len(distances[1]), error)[0]
        with np.errstate(divide="ignore"):
            bound = max(0.0, float(np.log(np.maximum(hit - one.delta, 0) / false_alarm).max()))
        advantage = float((distances[1][:, None] < distances[0]).mean())
        advantage += 0.5 * float((distances[1][:, None] == distances[0]).mean())
        claim = float(one.epsilon or 0.0)
        yield {
            "epsilon": epsilon,
            "auc": round(advantage, 4),
            "bound": bound,
            "claim": claim,
            "holds": bound <= claim,
        }


def nearest(rows: NDArray[np.integer[Any]], made: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """In how many columns each row differs from the synthetic row that is nearest to it."""
    made = np.ascontiguousarray(made)
    return np.array([int((made != row).sum(axis=1).min()) for row in rows])


def main() -> None:
    """Measure what is not there yet, and print."""
    line = record.parser(__doc__)
    line.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    line.add_argument("--epsilon", nargs="*", type=float, default=[1.0, 4.0])
    line.add_argument("--runs", type=int, default=20, help="audits of a step")
    line.add_argument(
        "--draws", type=int, default=20_000, help="in each of them, with and without the canary"
    )
    line.add_argument("--repeats", type=int, default=300, help="pairs of whole learnings")
    line.add_argument("--seconds", type=float, default=120, help="of one audit of a plan")
    line.add_argument("--again", action="store_true", help="measure even what has been measured")
    options = line.parse_args()
    _, rows = record.read("audit")
    for part in options.parts:
        settings = {
            name: getattr(options, name)
            for name in ("epsilon", "runs", "draws", "repeats", "seconds")
            if name in USES[part]
        }
        done = [row for row in rows if row["part"] == part]
        if done and done[-1].get("complete") == settings and not options.again:
            print(f"{part}: measured before, see the results")
            continue
        rows = [row for row in rows if row["part"] != part]
        began = time.perf_counter()
        for found in getattr(sys.modules[__name__], part)(options):
            rows.append({"part": part, **found})
            print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
            record.write("audit", rows)
        took = round(time.perf_counter() - began)
        rows.append({"part": part, "complete": settings, "took": took})
        record.write("audit", rows)
    refuted = [row for row in rows if row.get("holds") is False]
    missed = [row for row in rows if "bug" in row and row["caught"] == row["bug"].startswith("no bug")]
    print(f"{len(refuted)} claims refuted, {len(missed)} planted bugs missed or false alarms")


USES = {
    "step": ("runs", "draws"),
    "planted": (),
    "plan": ("epsilon", "seconds"),
    "whole": ("repeats",),
    "onerun": (),
    "membership": ("epsilon",),
}

if __name__ == "__main__":
    main()
