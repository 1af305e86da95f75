"""The state of a training at one moment, in words and numbers, ready to be shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import compact, duration, epsilon_text, reserved_words
from jupyter_dpsynth.engine.model.losses import lost_headline

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

__all__ = ["Moment", "moment_of"]

MAX_POINTS = 200  # of the loss curve: more than the eye can tell apart
LEAST_POINTS = 5
INTERRUPT_HINT = "Interrupt the kernel (■) to stop early and keep the model. It costs the same."
BUTTON_HINT = "Press the button to stop early and keep the model. It costs the same."
SIGNS = {"finished": "✓", "budget": "✓", "lost": "⚠", "stopped": "■", "failed": "✗"}


@dataclass(frozen=True)
class Moment:
    """One moment of a training.

    Attributes:
        state: 'starting', 'measuring', 'calibrating', 'training', 'stopping', or one of the ends
            'finished', 'budget', 'lost' (finished, but columns came out empty), 'stopped', 'failed'.
        headline: The state in words.
        step: Completed steps.
        total: Planned steps, 0 before they are known.
        epsilon: What is reserved, and counts however it ends; at the end what the synthesizer says. None
            in tests.
        target: The budget; infinite without differential privacy.
        delta: Delta of both, None before it is known.
        rows: Expected number of row visits.
        seconds: Elapsed time.
        remaining: Estimated seconds to the planned end, or None.
        curve: `(step, loss, loss noise)`, at most `MAX_POINTS` of them.
        hint: What one can do now.
        ledger: What the data has cost so far, for its owner; empty before it is known.
        losses: What is left of each column; empty before there is a model.
    """

    state: str
    headline: str
    step: int
    total: int
    epsilon: float | None
    target: float
    delta: float | None
    rows: int
    seconds: float
    remaining: float | None
    curve: tuple[tuple[int, float, float], ...]
    hint: str
    ledger: str = ""
    losses: tuple[ColumnLoss, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the training has ended."""
        return self.state in SIGNS

    @property
    def sign(self) -> str:
        """A sign for the state, so that colour is not the only cue."""
        return SIGNS.get(self.state, "●")

    @property
    def private(self) -> bool:
        """Whether there is a guarantee at all."""
        return self.epsilon is not None and math.isfinite(self.target)

    @property
    def epsilon_words(self) -> str:
        """Epsilon against the budget, in words."""
        if self.epsilon is None:
            return "TEST ONLY: noise from a fixed seed, no privacy guarantee"
        if math.isinf(self.target):
            return "NO privacy guarantee: differential_privacy is False, epsilon is infinite"
        return reserved_words(self.epsilon, self.target)

    @property
    def privacy_words(self) -> str:
        """Epsilon and delta, in words."""
        delta = f", delta = {self.delta:.2g}" if self.private and self.delta is not None else ""
        return f"{self.epsilon_words}{delta}"

    @property
    def step_words(self) -> str:
        """Steps and expected rows, in words."""
        if not self.total:
            return "steps: not planned yet"
        rows = f", {compact(self.rows)} rows used (expected)" if self.rows else ""
        return f"step {self.step} of {self.total}{rows}"

    @property
    def time_words(self) -> str:
        """Elapsed and remaining time, in words."""
        if self.ended:
            return f"took {duration(self.seconds)}"
        left = "" if self.remaining is None else f", about {duration(self.remaining)} left"
        return f"{duration(self.seconds)} elapsed{left}"

    @property
    def loss_words(self) -> str:
        """The last loss, in words."""
        if not self.curve:
            return "loss: none yet"
        _, loss, noise = self.curve[-1]
        return f"loss {loss:.3g} ± {noise:.1g} (lower is better)"

    @property
    def loss_is_hidden(self) -> bool:
        """Whether the noise in the shown loss is larger than what it changes by."""
        later = self.curve[len(self.curve) // 2 :]
        if len(later) < LEAST_POINTS:
            return False
        change = abs(self.curve[len(self.curve) // 10][1] - later[-1][1])
        return sorted(noise for _, _, noise in later)[len(later) // 2] > change

    def line(self) -> str:
        """Everything in one line of text."""
        parts = [f"{self.sign} {self.headline}"]
        if self.ended:
            return " · ".join([*parts, self.privacy_words, self.time_words])
        if self.total:
            parts += [f"step {self.step}/{self.total}", self.epsilon_words]
        parts.append(self.time_words)
        if self.curve:
            parts.append(self.loss_words)
        return " · ".join(parts)


def _thinned(curve: list[tuple[int, float, float]]) -> tuple[tuple[int, float, float], ...]:
    count = len(curve)
    if count <= MAX_POINTS:
        return tuple(curve[:count])
    stride = math.ceil(count / MAX_POINTS)
    kept = curve[:count:stride]
    return tuple(kept if (count - 1) % stride == 0 else [*kept, curve[count - 1]])


def _spent(run: TrainingRun) -> tuple[float | None, float | None]:
    """Epsilon and delta as the synthesizer states them; zero if nothing was spent."""
    from jupyter_dpsynth.errors import NotLearnedError

    try:
        return run.synthesizer.epsilon, run.synthesizer.delta
    except NotLearnedError:
        return 0.0, None


def _end(run: TrainingRun, epsilon: float | None) -> tuple[str, str]:
    """State and headline of a run that is over."""
    report = run.latest
    step, total = (0, 0) if report is None else (report.step, report.total_steps)
    if run.learned:
        reason = getattr(run.synthesizer.stop_reason, "value", "finished")
        if reason == "stopped":
            spent = "no guarantee" if epsilon is None else f"epsilon = {epsilon_text(epsilon)}"
            return "stopped", f"Stopped by you at step {step} of {total}, {spent}: the model is kept"
        if reason == "worker lost":
            return "stopped", f"Stopped at step {step} of {total}: another worker was lost, the model is kept"
        lost = lost_headline(run.synthesizer.losses)
        if reason == "budget":
            words = f"Stopped at step {step} of {total}: the budget is used up"
            return ("lost", f"{words}, and {lost}") if lost else ("budget", words)
        return ("lost", f"Finished, but {lost}") if lost else ("finished", "Finished")
    if run.stop_requested and (run.error is None or type(run.error).__name__ == "NotLearnedError"):
        return "stopped", "Stopped by you before there was a model"
    return "failed", "Failed"


def moment_of(run: TrainingRun, hint: str = INTERRUPT_HINT) -> Moment:
    """The run as it is now."""
    report, running = run.latest, run.running
    config = run.synthesizer.config
    target = config.epsilon if config.differential_privacy else math.inf
    step = total = rows = 0
    epsilon: float | None = 0.0 if config.differential_privacy else math.inf
    delta = None
    state, headline = "starting", "Starting"
    if report is not None:
        state, headline = report.phase, report.message[:1].upper() + report.message[1:]
        step, total, rows = report.step, report.total_steps, report.rows
        epsilon, delta = report.reserved, report.delta
    if not running:
        epsilon, delta = _spent(run)
        state, headline = _end(run, epsilon)
        hint = ""
    elif state == "finished":  # the model is built, the worker is about to end
        state = "training"
    elif run.stop_requested:
        state, headline = "stopping", "Stopping: finishing the current step"
        hint = "Interrupt again to return without waiting."
    return Moment(
        state=state,
        headline=headline,
        step=step,
        total=total,
        epsilon=epsilon,
        target=target,
        delta=delta,
        rows=rows,
        seconds=run.seconds,
        remaining=None if state == "stopping" else run.remaining(),
        curve=_thinned(run.curve),
        hint=hint,
        ledger="" if report is None else report.ledger,
        losses=run.synthesizer.losses if run.learned and not running else (),
    )
