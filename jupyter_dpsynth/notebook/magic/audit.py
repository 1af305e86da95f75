"""`audit`: one display that follows an attack on simulated trainings and finally shows the result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.training.loading import import_trainer
from jupyter_dpsynth.errors import DPSynthError, NotLearnedError
from jupyter_dpsynth.notebook.magic.namespace import read_value
from jupyter_dpsynth.notebook.magic.synthesis import current_synthesizer
from jupyter_dpsynth.notebook.output import Slot, mime_bundle, publish

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.privacy.audit import TrainingAudit
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["audit"]

REDRAW_SECONDS = 1.0
LEAST_SECONDS = 1.0  # for the attack, if starting TensorFlow has taken all of the time
HINT = "Interrupt the kernel (■) to end the audit and keep what it has found."


def audit(session: Session, parsed: ParsedLine) -> None:
    """Attack simulated trainings and show what the attack proves."""
    name, synthesizer = current_synthesizer(session, parsed)
    seconds = parsed.options.get("seconds")
    value = 60 if seconds is None else read_value(seconds, session.namespace, "--seconds")
    _show_audit(name, synthesizer, value, live=session.front_end() != "terminal")


def _show_audit(name: str, synthesizer: HighDimSynthesizer, seconds: float, *, live: bool) -> None:
    """Run an audit and show it; an interrupt ends it and keeps what it has found.

    Args:
        name: The user's name of the synthesizer.
        synthesizer: What is audited.
        seconds: About how long.
        live: Whether a display can be changed once it is shown.
    """
    slot, shown_at, found, began = Slot(), -REDRAW_SECONDS, None, time.monotonic()

    def follow(audit: TrainingAudit) -> None:
        nonlocal shown_at, found
        found = audit
        if live and time.monotonic() - shown_at >= REDRAW_SECONDS:
            shown_at = time.monotonic()
            slot.show(
                mime_bundle(
                    f"● Auditing {name}: {audit.runs} simulated trainings of {audit.steps} steps, "
                    f"{time.monotonic() - began:.0f} of {seconds:g} s, epsilon >= {audit.bound:.3f} proved, "
                    f"{audit.claim:.3f} claimed for the steps. {audit.useful_words} {HINT}"
                )
            )

    slot.show(mime_bundle(f"● Auditing {name}: starting TensorFlow and simulating a table. {HINT}"))
    try:
        import_trainer()
        found = synthesizer.audit(_left(seconds, began), follow)
    except DPSynthError:
        slot.show(mime_bundle(f"✗ {name} was not audited."))
        raise
    except KeyboardInterrupt:
        if found is None:
            raise NotLearnedError("interrupted before the first simulated training had ended.") from None
    (slot.show if live else publish)(mime_bundle(found.to_text(), found.to_html()))


def _left(seconds: float, began: float) -> float:
    """What is left of the time; what is no time stays, to be refused."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return seconds
    return max(seconds - (time.monotonic() - began), LEAST_SECONDS)
