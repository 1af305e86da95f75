"""Everything that is made from a learned model. It costs no epsilon, because no private row is read."""
