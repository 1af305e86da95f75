"""Several tables of the same persons: how they are learned, together and in order, and made anew."""
