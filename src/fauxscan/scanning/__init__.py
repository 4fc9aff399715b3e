"""Scan folders and buckets: plan what is new, judge it in batches, and record the results in tables."""
