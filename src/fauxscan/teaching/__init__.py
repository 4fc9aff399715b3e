"""Teaching: the scores that a model or an ensemble gives to the images that a student learns from."""
