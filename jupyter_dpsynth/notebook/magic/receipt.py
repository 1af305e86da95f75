"""`epsilon` and `receipt`: what a synthesizer has spent, in a sentence and in detail."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.namespace import expand
from jupyter_dpsynth.notebook.magic.synthesis import current_synthesizer
from jupyter_dpsynth.notebook.output import mime_bundle, publish, say

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["epsilon", "receipt"]


def epsilon_sentence(name: str, synthesizer: HighDimSynthesizer) -> str:
    """What epsilon was spent, in words for the owner of the data."""
    epsilon = synthesizer.epsilon
    if epsilon is None:
        return f"{name}: TEST ONLY. The noise came from a fixed seed; there is no privacy guarantee."
    if math.isinf(epsilon):
        return (
            f"{name}: epsilon is infinite. Training ran with differential_privacy = False; there is NO "
            "privacy guarantee."
        )
    factor = math.exp(min(epsilon, 700.0))
    unit = synthesizer.config.privacy_unit
    protected = "any one row of the table" if unit is None else f"all rows of any one value of {unit!r}"
    return (
        f"{name}: epsilon = {epsilon_text(epsilon)}, delta = {synthesizer.delta:.2g}.\n"
        f"Adding or removing {protected} changes the probability of everything\n"
        f"that was released by at most a factor of exp(epsilon) = {factor:.3g}, apart from delta."
    )


def epsilon(session: Session, parsed: ParsedLine) -> None:
    """Show what epsilon was spent and what it means."""
    say(epsilon_sentence(*current_synthesizer(session, parsed)))


def receipt(session: Session, parsed: ParsedLine) -> None:
    """Show what epsilon was spent on; or make the record for a registry."""
    options = parsed.options
    for name, needed in (("to", "registry"), ("overwrite", "to")):
        if name in options and needed not in options:
            raise ConfigError(f"--{name} needs --{needed}: %dpsynth receipt --registry --to record.yaml.")
    _, synthesizer = current_synthesizer(session, parsed)
    spent = synthesizer.receipt
    if "registry" not in options:
        publish(mime_bundle(spent.to_text(), spent.to_html()))
        return
    from jupyter_dpsynth.privacy.registry import deployment_record

    record = deployment_record(spent)
    if "to" not in options:
        publish(mime_bundle(record.to_markdown(), record.to_html()))
        return
    path = expand(options["to"], session.namespace, "--to")
    record.save(path, overwrite="overwrite" in options)
    say(f"The record is in {path}. {record.left}")
