"""The page of a single exhibit: one file, judged for it, with its digests, the methods, and what they support."""
