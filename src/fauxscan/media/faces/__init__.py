"""Faces in images and videos: finding, aligning, cropping and tracking them."""
