"""The stages `download` and `weights`: fetch, verify and unpack archives, and index a dataset's media files."""
