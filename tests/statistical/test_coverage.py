"""Intervals hold the truth about as often as they say; intervals of synthetic rows taken for real do not."""

from collections import defaultdict

import numpy as np
import pytest

from benchmarks import populations
from benchmarks.coverage import Setting, run
from benchmarks.populations import population

RUNS = 20


@pytest.mark.tensorflow
@pytest.mark.long
def test_intervals_of_all_kinds_hold_the_truth_and_naive_ones_do_not(monkeypatch):
    monkeypatch.setattr(populations, "GENERATED", 200_000)
    setting, held = Setting(population("generator", None), 5000, 1.0), defaultdict(list)
    for number in range(RUNS):
        for kind, way, hit, _ in run(setting, number):
            held[way].append(hit)
            held[way, kind].append(hit)
    assert len(held["ours"]) == RUNS * 12
    assert np.mean(held["ours"]) > 0.88
    assert np.mean(held["real"]) > 0.88
    assert np.mean(held["naive"]) < 0.8  # the test could tell
    kinds = ("two-way share", "OLS slope", "logit slope")
    for kind in kinds:
        assert np.mean(held["ours", kind]) > 0.8
    ours, naive = (np.mean([np.mean(held[way, kind]) for kind in kinds]) for way in ("ours", "naive"))
    assert naive < ours - 0.05
