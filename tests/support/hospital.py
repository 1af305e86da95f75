"""A small made hospital: patients, and their visits in order; whoever dies does not come again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jupyter_dpsynth import Children, MetaExtractor

WINDOW = ("2021-01-01", "2023-12-31")
CATEGORIES = {
    "patients": {"sex": ["f", "m"]},
    "visits": {"diagnosis": ["heart", "injury", "lung"], "outcome": ["died", "home"]},
}


def hospital(patients=600, seed=0):
    """Tables 'patients' and 'visits', of which a quarter of the patients have none."""
    random = np.random.default_rng(seed)
    number = np.minimum(random.poisson(random.gamma(1.2, 1.4, patients)), 8)
    keys = random.permutation(patients) + 1000
    persons = pd.DataFrame(
        {
            "patient_id": keys,
            "age": random.integers(18, 90, patients),
            "sex": random.choice(["f", "m"], patients),
        }
    )
    rows = []
    for key, count in zip(keys, number, strict=True):
        day, diagnosis = pd.Timestamp("2021-01-05") + pd.Timedelta(days=int(random.integers(900))), None
        for _ in range(count):
            if diagnosis is None or random.random() > 0.7:
                diagnosis = random.choice(["heart", "injury", "lung"])
            died = diagnosis == "heart" and random.random() < 0.2
            left = day + pd.Timedelta(days=int(random.integers(1, 9)))
            rows.append((key, day, left, diagnosis, "died" if died else "home"))
            day += pd.Timedelta(days=int(random.exponential(60)))
            if died or day > pd.Timestamp("2023-12-31"):
                break
    visits = pd.DataFrame(rows, columns=["patient_id", "admitted", "discharged", "diagnosis", "outcome"])
    shuffled = visits.iloc[random.permutation(len(visits))].reset_index(drop=True)
    return {"patients": persons, "visits": shuffled}


def hospital_meta(tables, most=6, **changes):
    """Its metadata, with everything declared that is public."""
    children = Children("visits", order="admitted", most=most, window=WINDOW, **changes)
    return MetaExtractor.extract(
        tables, children=[children], categories=CATEGORIES, bounds={"patients": {"age": (18, 90)}}
    )


class OwnLots:
    """Draws the lot of every row from the row itself, so that it is the same in both of two tables."""

    def __init__(self, lots):
        self._lots = lots

    def random(self, size):
        assert size == len(self._lots)
        return self._lots

    def bytes(self, count):
        return b"\7" * count
