"""One `learn` from its entry in the ledger to its receipt, alone or together with other workers."""
