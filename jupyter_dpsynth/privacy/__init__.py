"""The guarantee: accounting, noise, sampling, releases, the ledger, receipts and their verification."""
