"""From logits to verdicts: scoring, calibration, ensembles, metrics and evaluation."""
