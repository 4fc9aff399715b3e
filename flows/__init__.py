"""Prefect flows: when scans and refreshes run, with retries, limits and schedules."""
