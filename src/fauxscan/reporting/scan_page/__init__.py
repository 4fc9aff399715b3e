"""The page of a scan: one HTML file that needs no network, drawn from an extract that is saved beside it."""
