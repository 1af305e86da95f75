"""The model, its private measurements and its private training."""
