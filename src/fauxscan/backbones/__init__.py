"""Frozen networks whose features heads judge by, each once on a machine, however many heads use it."""
