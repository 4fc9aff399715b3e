"""Videos: reading hostile files safely, and choosing the frames to judge."""
