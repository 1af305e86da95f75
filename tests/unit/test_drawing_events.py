"""Where in [0, 1) the cells of events are drawn: evenly, and whatever was drawn before."""

import numpy as np

from jupyter_dpsynth.persons.drawing import even_points

ROWS, CELLS = 6_000, 10


def counts(points, kinds):
    """How many rows of each kind have their point in each tenth."""
    return np.histogram2d(kinds, points, bins=(kinds.max() + 1, CELLS), range=((0, kinds.max() + 1), (0, 1)))[
        0
    ]


def test_cells_come_as_often_as_expected_in_all_rows_and_beside_what_is_known():
    generator = np.random.default_rng(0)
    kinds = generator.integers(20, size=ROWS)
    none = np.zeros(ROWS, np.int64)
    found = counts(even_points((none, none, kinds), generator), kinds)
    expected = np.bincount(kinds)[:, None] / CELLS
    chance = np.sqrt(expected * (1 - 1 / CELLS))
    assert np.abs(found.sum(axis=0) - ROWS / CELLS).max() < 5  # independent points: about 40
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.3 * chance.mean()


def test_the_cells_of_two_columns_do_not_depend_on_each_other():
    generator = np.random.default_rng(1)
    kinds, before = generator.integers(7, size=(2, ROWS))
    first = even_points((kinds, np.zeros(ROWS, np.int64), before), generator)
    codes = (first * CELLS).astype(np.int64)
    second = even_points((kinds, codes, before), generator)
    found = counts(second, codes)
    assert np.abs(found - ROWS / CELLS**2).max() < 5 * np.sqrt(ROWS / CELLS**2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_every_row_has_its_point_anywhere():
    known = (np.zeros(50, np.int64), np.arange(50))
    points = np.array([even_points(known, np.random.default_rng(seed)) for seed in range(400)])
    assert np.abs(points.mean(axis=0) - 0.5).max() < 4 / np.sqrt(12 * 400)
    assert points.min() >= 0
    assert points.max() < 1
