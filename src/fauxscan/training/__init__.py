"""Training: the loop, recipes, losses, schedules, checkpoints and curves."""
