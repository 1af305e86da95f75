"""One run, from its entry in the ledger to its receipt, alone or with other workers."""
