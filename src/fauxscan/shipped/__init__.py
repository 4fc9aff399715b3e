"""The model sets that come with the package, one folder each, and those that other packages add."""
