"""The training steps and their audit: they spend epsilon. TensorFlow is imported here and nowhere else."""
