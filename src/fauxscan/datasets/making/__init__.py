"""Generators of the demo dataset: a simulated camera, generative up-sampling, and media files of equal size."""
