"""Batches of files: judged in this process or in a worker, and passed between them as files."""
