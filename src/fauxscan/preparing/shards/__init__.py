"""TFRecord shards of a dataset: their order, writing and reading them."""
