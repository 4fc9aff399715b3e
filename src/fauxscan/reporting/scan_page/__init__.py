"""The page of a scan: an extract of the tables that is saved beside it, and the page that shows the extract alone."""
