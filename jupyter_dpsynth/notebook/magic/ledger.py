"""`%dpsynth ledger`: what every dataset has cost, caps, links and export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.grammar import split_line
from jupyter_dpsynth.notebook.magic.namespace import expand, read_value
from jupyter_dpsynth.notebook.output import mime_bundle, publish, say
from jupyter_dpsynth.notebook.show.ledger import ledger_html
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.summary import cap_words

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session

__all__ = ["ledger"]


def ledger(session: Session, parsed: ParsedLine) -> None:
    """Show the ledger, or change a cap, link two datasets, or write it to a file."""
    namespace, options = session.namespace, parsed.options
    actions = [name for name in ("cap", "link", "export") if name in options]
    if len(actions) > 1:
        raise ConfigError(f"--{actions[0]} and --{actions[1]} are both given: give one at a time.")
    if "dataset" in options and "cap" not in options:
        raise ConfigError("--dataset needs --cap: it says whose cap is set.")
    book = PrivacyLedger()
    if "cap" in options:
        say(_set_cap(book, options, namespace))
    elif "link" in options:
        first, second = (expand(name, namespace, "--link") for name in split_line(options["link"]))
        book.link(first, second)
        say(f"{first!r} and {second!r} count as one dataset from now on.")
    elif "export" in options:
        path = expand(options["export"], namespace, "--export")
        book.export(path)
        say(
            f"The ledger was saved in {path}. It shows which dataset was learned when: it is for the owner "
            "only."
        )
        return
    summary = book.summary()
    publish(mime_bundle(summary.to_text(), ledger_html(summary)))


def _set_cap(book: PrivacyLedger, options: dict[str, str], namespace: dict[str, Any]) -> str:
    cap = read_value(options["cap"], namespace, "--cap")
    name = options.get("dataset")
    name = None if name is None else expand(name, namespace, "--dataset")
    book.set_cap(cap, name)
    return cap_words(cap, name)
