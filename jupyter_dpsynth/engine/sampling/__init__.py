"""Everything that is made from a learned model. It is free: no private row is read."""
