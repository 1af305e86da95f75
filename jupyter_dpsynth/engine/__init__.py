"""The method: measuring, planning, training, the model, and synthetic rows from it."""
