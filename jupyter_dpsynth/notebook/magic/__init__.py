"""The magics `%dpsynth` and `%%dpsynth`: their grammar, and a module for each group of commands."""
