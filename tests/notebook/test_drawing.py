"""What a moment of a training says and how it is drawn."""

from __future__ import annotations

import dataclasses
import math
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.notebook.show.drawing import curve_png, curve_svg, live_html, loss_range, static_html
from jupyter_dpsynth.notebook.show.following import follow, follow_in_background
from jupyter_dpsynth.notebook.show.moment import MAX_POINTS, Moment, moment_of
from jupyter_dpsynth.notebook.show.progress import TrainingProgress
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.reports import StepReport, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator


def moment(
    headline: str = "Training", epsilon: float | None = 0.5, target: float = 1.0, points: int = 50
) -> Moment:
    curve = tuple((step, 20 + 5 / step, 0.1) for step in range(1, points + 1))
    numbers = 50, 500, epsilon, target, 1e-6, 9000, 3.0, 9.0
    return Moment(
        "training", headline, *numbers, curve, "a hint", f"This data ({headline!r}) has cost nothing"
    )


@given(st.floats(min_value=1e-6, max_value=100))
def test_the_epsilon_that_is_shown_is_never_below_the_true_one(epsilon: float) -> None:
    shown = float(epsilon_text(epsilon))
    assert epsilon <= shown * (1 + 1e-12)
    assert math.isclose(shown, epsilon, rel_tol=1.01e-3)


def test_a_column_name_with_markup_is_shown_as_text() -> None:
    nasty = "Measuring column '<img src=x onerror=alert(1)>'"
    for drawn in (live_html(moment(nasty)), static_html(moment(nasty), (nasty,))):
        assert "This data (" in drawn
        assert "<img" not in drawn
        assert "&lt;img" in drawn


def test_the_chart_is_an_image_with_a_title_and_the_saved_summary_has_none() -> None:
    svg = curve_svg(moment().curve, 500)
    assert re.match(r'<svg role="img" aria-label="[^"]+" [^>]+><title>Private loss by step: ', svg)
    assert "<svg" in live_html(moment())
    assert "<svg" not in static_html(moment())


def test_the_live_display_keeps_its_height_when_the_curve_appears() -> None:
    def heights(one: Moment) -> list[str]:
        return re.findall(r"(?:min-)?height:\d+px|aspect-ratio:[\d/]+", live_html(one))

    assert heights(moment(points=0)) == heights(moment(points=300))


def test_bars_tell_their_value_to_those_who_cannot_see_them() -> None:
    drawn = live_html(moment(epsilon=0.25))
    assert 'role="progressbar" aria-label="privacy"' in drawn
    assert 'aria-valuenow="25"' in drawn
    assert 'aria-valuetext="epsilon = 0.25 of 1 reserved, delta = 1e-06"' in drawn


@pytest.mark.parametrize(
    ("epsilon", "target", "words"), [(math.inf, math.inf, "NO"), (None, 1.0, "TEST ONLY")]
)
def test_a_run_without_a_guarantee_has_no_privacy_bar(
    epsilon: float | None, target: float, words: str
) -> None:
    drawn = live_html(moment(epsilon=epsilon, target=target))
    assert words in drawn
    assert 'aria-label="privacy"' not in drawn


def test_the_picture_is_a_png_and_there_is_none_without_a_curve() -> None:
    assert (curve_png(moment()) or b"").startswith(b"\x89PNG")
    assert curve_png(moment(points=0)) is None


class Waiting:
    """Stands for a synthesizer whose current step takes until it is released."""

    def __init__(self) -> None:
        self.config, self.state = HighDimConfig(), "new"
        self.epsilon, self.delta = 1.0, 1e-6
        self.losses = ()
        self.released = threading.Event()

    def learn(self, df: object, callback: object, stop: threading.Event, **_: object) -> None:
        for step in range(1, 1001):
            callback(StepReport("training", "training", step, 1000, 0.5, 1.0, loss=1.0, loss_noise=0.1))
        stop.wait(30)
        self.released.wait(30)


def test_a_long_curve_is_thinned_and_keeps_its_last_point() -> None:
    synthesizer = Waiting()
    synthesizer.released.set()
    run = TrainingRun(synthesizer, object(), "s")
    run.stop()
    run._source = None
    run.curve.extend((step, 1.0, 0.1) for step in range(1, 1001))
    shown = moment_of(run).curve
    assert len(shown) <= MAX_POINTS + 1
    assert shown[-1][0] == 1000


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_training_that_ended_early_is_not_called_finished(reason: StopReason) -> None:
    synthesizer = Waiting()
    synthesizer.released.set()
    synthesizer.stop_reason = reason
    run = TrainingRun(synthesizer, object(), "s")
    run._source = None
    run._work()
    run.stop()
    synthesizer.state = "learned"
    shown = moment_of(run)
    assert (shown.headline == "Finished") == (reason is StopReason.FINISHED)
    assert ("another worker was lost" in shown.headline) == (reason is StopReason.WORKER_LOST)


def test_a_stop_that_comes_before_the_training_is_an_error_like_every_other() -> None:
    run = TrainingRun(Waiting(), object(), "s")
    run.stop()
    run.start()
    assert run.wait(10)
    assert str(run.error).startswith("stopped before there was a model")
    assert "epsilon = 0" in str(run.error)


def test_a_training_goes_on_where_its_display_fails_and_its_end_is_told() -> None:
    run = TrainingRun(Waiting(), object(), "s")
    progress = TrainingProgress(run, "text")

    def fail() -> None:
        raise RuntimeError("a display that fails")

    progress.update = fail  # type: ignore[method-assign]
    running: list[bool] = []
    thread = follow_in_background(run, progress, lambda: running.append(run.running))
    thread.join(1)
    assert running == []  # a panel would offer to train again
    run.stop()
    run.synthesizer.released.set()
    thread.join(30)
    assert running == [False]


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the shell started this process with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_the_first_interrupt_asks_for_the_end_and_a_second_one_leaves() -> None:
    synthesizer = Waiting()
    run = TrainingRun(synthesizer, object(), "s")
    progress = TrainingProgress(run, "terminal")
    asked: list[bool] = []

    def interrupt_twice() -> None:
        while not run.curve:  # the training is under way
            time.sleep(0.05)
        asked.append(run.stop_requested)
        signal.raise_signal(signal.SIGINT)
        # a second signal before Python has acted on the first would be one with it
        while not run.stop_requested and run.running:
            time.sleep(0.05)
        asked.append(run.stop_requested)
        signal.raise_signal(signal.SIGINT)

    user = threading.Thread(target=interrupt_twice, daemon=True)
    user.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            follow(run, progress)
        assert asked == [False, True]
        assert run.running
        assert moment_of(run).headline.startswith("Stopping")
    finally:
        synthesizer.released.set()
        user.join(10)
    assert run.wait(10)


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.floats(0, 100)).map(lambda pair: (0, *pair)),
        min_size=2,
        max_size=200,
    )
)
def test_the_whole_curve_is_within_the_axis(curve):
    low, high = loss_range(curve)
    assert all(low < loss < high for _, loss, _ in curve)


def test_a_curve_that_noise_hides_is_not_left_to_be_read():
    assert not moment().loss_is_hidden
    flat = tuple((step, 30.0 + step % 3, 10.0) for step in range(50))
    assert dataclasses.replace(moment(), curve=flat).loss_is_hidden
