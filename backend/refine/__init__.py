"""One run: stages, loop, losses, keep masks, checkpoints, health."""
