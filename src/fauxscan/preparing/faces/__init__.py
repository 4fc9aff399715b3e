"""The stage `faces`: extract faces and frames from media files into Parquet files."""
