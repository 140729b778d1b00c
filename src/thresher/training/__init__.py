"""The step, the loop, the checkpoint."""
