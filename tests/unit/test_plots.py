"""What the pictures of a comparison look like."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jupyter_dpsynth.evaluation.plots import ColumnComparison, column_figure

MOMENTS = tuple(f"2021-{k:02}-01 10:29:00 to 2021-{k:02}-28 05:00:00" for k in range(1, 13))
LABELS = {
    "one": ("0",),
    "two ranges": ("0 to 1023", "1024 to 2047"),
    "a spike and ranges": ("0", "2048 to 7807", "7808 to 32767"),
    "three short names": ("a", "b", "c"),
    "three long names": ("North-East", "South-West", "Elsewhere in the country"),
    "many names": tuple(f"department {k}" for k in range(12)),
    "many moments": MOMENTS,
    "some moments": MOMENTS[:7],
    "many numbers": tuple(f"{k * 10_000} to {k * 10_000 + 9_999}" for k in range(30)),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_no_label_below_a_column_s_picture_overlaps_another_or_leaves_the_picture(labels):
    shares = np.full(len(labels), 1 / len(labels))
    ordered = "to " in labels[-1]
    figure = column_figure(ColumnComparison("column", labels, shares, shares, None, ordered, 0.0, 0.01))
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.axes[0].get_xticklabels() if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    if texts[0].get_rotation() == 0:
        boxes.sort(key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_moments_are_labelled_by_their_days_instead_of_being_cut():
    shares = np.full(len(MOMENTS), 1 / len(MOMENTS))
    figure = column_figure(ColumnComparison("admitted", MOMENTS, shares, shares, None, True, 0.0, 0.01))
    FigureCanvasAgg(figure).draw()
    texts = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert texts[0] == "2021-01-01"
    assert not any("\u2026" in text for text in texts)
