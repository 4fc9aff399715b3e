"""The mixture of datasets that a model learns from: its manifest, and the audit for leaks between datasets."""
