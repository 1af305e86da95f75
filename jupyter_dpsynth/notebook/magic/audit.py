"""An audit in a cell: one display that follows it and ends as its outcome."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import DPSynthError, NotLearnedError
from jupyter_dpsynth.startup import import_trainer

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.audit import TrainingAudit
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["show_audit"]

REDRAW_SECONDS = 1.0
HINT = "Interrupt the kernel (■) to end it with what has been found."


def show_audit(name: str, synthesizer: HighDimSynthesizer, seconds: float, *, live: bool) -> None:
    """Run an audit and show it; an interrupt ends it with what has been found.

    Args:
        name: The user's name of the synthesizer.
        synthesizer: What is audited.
        seconds: About how long.
        live: Whether a display can be changed once it is shown.
    """
    from IPython.display import publish_display_data

    display_id, shown_at, found = f"dpsynth-{uuid.uuid4().hex}", -REDRAW_SECONDS, None

    def show(text: str, markup: str | None = None, *, update: bool = True) -> None:
        data = {"text/plain": text} if markup is None else {"text/plain": text, "text/html": markup}
        publish_display_data(data, transient={"display_id": display_id}, update=update)

    def follow(audit: TrainingAudit) -> None:
        nonlocal shown_at, found
        found = audit
        if live and time.monotonic() - shown_at >= REDRAW_SECONDS:
            shown_at = time.monotonic()
            show(
                f"● Auditing {name}: {audit.runs} simulated trainings, "
                f"{audit.seconds:.0f} of {seconds:g} s, epsilon >= {audit.bound:.3f} proved, "
                f"{audit.claim:.3f} claimed for the steps. {HINT}"
            )

    show(f"● Auditing {name}: starting TensorFlow and simulating a table. {HINT}", update=False)
    try:
        import_trainer()
        found = synthesizer.audit(seconds, follow)
    except DPSynthError:
        show(f"✗ {name} was not audited.")
        raise
    except KeyboardInterrupt:
        if found is None:
            raise NotLearnedError("interrupted before the first simulated training ended.") from None
    show(found.to_text(), found.to_html(), update=live)
