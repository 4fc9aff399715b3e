"""Weights from elsewhere: Keras 2 and PyTorch files read as arrays, never as code."""
