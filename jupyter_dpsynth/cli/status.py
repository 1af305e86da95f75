"""Exit statuses of `jupyter dpsynth`."""

__all__ = ["FAILED", "INTERRUPTED", "USAGE"]

FAILED, USAGE = 1, 2
INTERRUPTED = 130  # what shells report of a program that Ctrl-C ended
