"""Thresholds for videos, which are fitted on videos."""
