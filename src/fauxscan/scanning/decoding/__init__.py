"""Decoding in processes of their own, which may crash without ending the scan."""
