"""Helpers that several test modules share: folders, servers, files to scan."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
