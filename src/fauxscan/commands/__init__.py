"""The commands of the terminal: each turns its options into one call of the library."""
