"""Calibrations of finished models, on labelled files of the user's or on stored logits."""
