"""What this installation lacks, said at the entries to the library."""
