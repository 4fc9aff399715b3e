"""Results as files for other programs: CSV, JSON Lines, and JSON-LD for case management tools."""
