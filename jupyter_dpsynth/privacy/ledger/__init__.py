"""The ledger: what every dataset has cost, in one file that all kernels and notebooks of a user share."""

from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

__all__ = ["PrivacyLedger"]
