"""Small made households: their members, and the visits of each member."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jupyter_dpsynth import Children, MetaExtractor

KEY, MEMBER = "household", "member"
WINDOW = ("2022-01-01", "2023-12-31")
CATEGORIES = {
    "households": {"region": ["A", "B", "C"]},
    "members": {"sick": ["no", "yes"]},
    "visits": {"kind": ["acute", "check", "chronic"]},
}


def households(count=600, seed=0):
    """Tables 'households', 'members' and 'visits'; members are numbered within their household."""
    random = np.random.default_rng(seed)
    region = random.choice(list("ABC"), count, p=[0.5, 0.3, 0.2])
    size = np.clip(1 + random.poisson(np.where(region == "A", 0.6, 2.0)), 1, 4)
    keys = np.arange(count) + 500
    members = pd.DataFrame({KEY: np.repeat(keys, size)})
    members[MEMBER] = np.concatenate([np.arange(each) for each in size]) + 1
    members["age"] = np.where(
        members[MEMBER] <= 2, random.integers(20, 90, len(members)), random.integers(0, 20, len(members))
    )
    old = members["age"] > 60
    members["sick"] = np.where(random.random(len(members)) < np.where(old, 0.7, 0.1), "yes", "no")
    number = random.poisson(np.where(members["sick"] == "yes", 2.0, 0.4)).clip(0, 3)
    visits = members.loc[np.repeat(members.index, number), [KEY, MEMBER]].reset_index(drop=True)
    chronic = members["sick"].to_numpy()[np.repeat(members.index, number)] == "yes"
    visits["when"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(
        random.integers(0, 730, len(visits)), unit="D"
    )
    usual = np.where(chronic, "chronic", "acute")
    visits["kind"] = np.where(random.random(len(visits)) < 0.85, usual, "check")
    return {
        "households": pd.DataFrame({KEY: keys, "region": region}),
        "members": members.sample(frac=1, random_state=seed).reset_index(drop=True),
        "visits": visits.sample(frac=1, random_state=seed).reset_index(drop=True),
    }


def households_meta(tables, **declared):
    """Their metadata, three levels."""
    children = [
        Children("members", order="-age", most=4),
        Children("visits", order="when", most=3, window=WINDOW, of=("members", MEMBER)),
    ]
    return MetaExtractor.extract(tables, children=children, categories=CATEGORIES, **declared)
