"""What every dataset has cost: a book of all runs, in one file that all kernels and notebooks share."""

from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

__all__ = ["PrivacyLedger"]
