"""The Parquet tables of a results folder: schemas, commits, queries and evaluations."""
