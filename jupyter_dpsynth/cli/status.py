"""Exit statuses of `jupyter dpsynth`, and its words for what messages call by its name in a notebook."""

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "in_terminal"]

FAILED, USAGE = 1, 2
INTERRUPTED = 130  # what shells report of a program that Ctrl-C ended


def in_terminal(words: str) -> str:
    """A message as it helps in a terminal.

    >>> in_terminal("Raise the cap: %dpsynth ledger --cap VALUE.")
    'Raise the cap: jupyter dpsynth ledger --cap VALUE.'
    """
    return words.replace("%dpsynth ledger", "jupyter dpsynth ledger")
