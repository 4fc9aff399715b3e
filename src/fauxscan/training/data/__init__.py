"""What training is given: batches from shards, balanced over datasets, augmented or self-blended."""
