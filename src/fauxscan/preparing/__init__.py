"""Preparing data for training: download, faces, split and shards, one folder for each stage of the pipeline."""
