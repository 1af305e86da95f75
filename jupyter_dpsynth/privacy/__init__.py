"""The guarantee: accounting, noise, sampling, private measurements, receipts."""
