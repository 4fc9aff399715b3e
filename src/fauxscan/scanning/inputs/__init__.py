"""The files that a scan reads: folders and object stores, filters, and the selection that a user names."""
