"""The functions and classes that Python programs use; `import fauxscan` offers them by name."""
