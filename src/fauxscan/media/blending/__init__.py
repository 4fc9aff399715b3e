"""Fakes made from real faces: blended masks, and self-blended images."""
