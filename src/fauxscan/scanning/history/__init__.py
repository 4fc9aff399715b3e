"""The history of scans: the ledger of files and contents, known faces, the plan, and the changes since the last run."""
