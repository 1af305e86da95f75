"""Exit statuses of `jupyter dpsynth`, and how messages written for notebooks are put in a terminal."""

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "in_terminal"]

FAILED, USAGE = 1, 2
INTERRUPTED = 130  # what shells report of a program that Ctrl-C ended


def in_terminal(words: str) -> str:
    """A message with the terminal's commands in place of the notebook's.

    >>> in_terminal("Raise the cap: %dpsynth ledger --cap VALUE.")
    'Raise the cap: jupyter dpsynth ledger --cap VALUE.'
    """
    return words.replace("%dpsynth ledger", "jupyter dpsynth ledger")
