"""The function of each command; imported when the first command runs, to keep `%load_ext` quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.notebook.magic import (
    audit,
    comparison,
    help,  # noqa: A004 - named for the sub-command
    inference,
    kept,
    learn,
    ledger,
    planning,
    receipt,
    shield,
    synthesis,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Callable[[Session, ParsedLine], None]] = {
    "learn": learn.learn,
    "status": learn.status,
    "stop": learn.stop,
    "calc": planning.calc,
    "doctor": planning.doctor,
    "panel": planning.panel,
    "shield": shield.shield,
    "synthesize": synthesis.synthesize,
    "save": synthesis.save,
    "load": kept.load,
    "models": kept.models,
    "compare": comparison.compare,
    "report": comparison.report,
    "evaluate": comparison.evaluate,
    "ask": inference.ask,
    "infer": inference.infer,
    "table": inference.table,
    "epsilon": receipt.epsilon,
    "receipt": receipt.receipt,
    "ledger": ledger.ledger,
    "audit": audit.audit,
    "config": help.config,
    "help": help.explain,
}
