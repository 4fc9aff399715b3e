"""Frozen networks whose features heads judge by. Each lies once on a machine, however many heads use it."""
