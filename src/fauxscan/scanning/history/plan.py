"""The plan of a scan: the files under the root, compared with the ledger."""

import os
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import InputError, Status
from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.inputs.filters import parent_folders
from fauxscan.scanning.inputs.roots import Listing
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.tables import parquet

EMPTIED = "the folder is empty but held files before: they are kept until the next scan, in case a disk is not mounted"
NOT_THERE = "it was named to be scanned and is not there"  # a value in tables: readers and earlier results have it


def make(listing: Listing, ledger: Ledger, media: pa.Table) -> tuple[list[Entry], int]:
    """Return the new and changed files, and the number of unchanged ones. From then on the ledger knows which are gone.

    Raise InputError if there is nothing to scan.
    """
    todo, unchanged = _compare(listing, ledger)
    if listing.missing:
        todo += [
            entry
            for entry in _missing_entries(listing.missing, _seen_names(media, ledger.root))
            if not ledger.is_unchanged(entry)
        ]
    emptied = _emptied(listing.empty, ledger) if listing.empty else set()
    todo += [Entry(folder, None, None, Status.UNREADABLE, EMPTIED) for folder in sorted(emptied)]
    ledger.keep(lambda key: not listing.covers(key) or not emptied.isdisjoint(parent_folders(os.fsdecode(key))))
    return todo, unchanged


def _emptied(empty: Iterable[str], ledger: Ledger) -> set[str]:
    """Return the folders that contain nothing now and held files when the last scan saw them.

    An empty folder is more often a share that is not mounted than files removed. If the last scan already found it
    empty, the files are gone.
    """
    held = {folder for key in ledger.unseen() for folder in parent_folders(os.fsdecode(key))}
    return {folder for folder in empty if folder in held and ledger.detail(os.fsencode(folder)) != EMPTIED}


def _compare(listing: Listing, ledger: Ledger) -> tuple[list[Entry], int]:
    """Return the files of the listing that are new or changed, and the number of the others."""
    todo, unchanged = [], 0
    try:
        for entry in listing:
            if ledger.is_unchanged(entry):
                unchanged += 1
            else:
                todo.append(entry)
    except OSError as error:
        raise InputError(f"{ledger.root} cannot be listed: {error.strerror}") from error
    if not todo and not unchanged:
        # An empty folder is more often a share that is not mounted than a million files removed.
        left_out = ", or all are left out by scan.include, scan.exclude and scan.hidden" if listing.filters else ""
        raise InputError(f"no files under {ledger.root}{left_out}: name another folder, or see whether it is mounted")
    return todo, unchanged


def _missing_entries(missing: Iterable[str], known: Collection[str]) -> Iterator[Entry]:
    """Yield entries for missing names that no scan has seen; the others are gone and get a row that says so."""
    return (Entry(name, None, None, Status.UNREADABLE, NOT_THERE) for name in missing if name not in known)


def _seen_names(media: pa.Table, root: str) -> set[str]:
    """Return the files that any scan has seen under a root, and their parent folders."""
    seen = pc.not_equal(pc.fill_null(media["detail"], ""), NOT_THERE)
    rows = media.filter(pc.and_(pc.equal(media["root"], root), seen))
    files = {os.fsdecode(key) for key in parquet.keys(rows)}
    return files.union(*map(parent_folders, files))
