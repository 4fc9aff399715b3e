"""The plan of a scan: what is under the root, compared with what earlier scans know of it."""

import os
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import Status, UserError
from fauxscan.scanning import tables
from fauxscan.scanning.filters import above
from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.places import Listing
from fauxscan.scanning.rows import Entry

NOT_THERE = "it was named to be scanned and is not there"


def make(to: Listing, ledger: Ledger, media: pa.Table) -> tuple[list[Entry], int]:
    """Return the files whose last row in `media` does not say all about them, and how many others there are.

    From then on the ledger knows which are gone. Raise UserError if there is nothing to scan.
    """
    todo, unchanged = _compare(to, ledger)
    if to.missing:
        todo += [entry for entry in _not_there(to.missing, _known(media, ledger.root)) if not ledger.see(entry)]
    ledger.keep(lambda key: not to.covers(key))
    return todo, unchanged


def _compare(to: Listing, ledger: Ledger) -> tuple[list[Entry], int]:
    """Return the files that are there whose last row does not say all about them, and how many others there are."""
    todo, unchanged = [], 0
    try:
        for entry in to:
            if ledger.see(entry):
                unchanged += 1
            else:
                todo.append(entry)
    except OSError as error:
        raise UserError(f"{ledger.root} cannot be listed: {error.strerror}") from error
    if not todo and not unchanged:
        # An empty folder is more often a share that is not mounted than a million files removed.
        left_out = ", or all are left out by scan.include, scan.exclude and scan.hidden" if to.filters else ""
        raise UserError(f"no files under {ledger.root}{left_out}: name another folder, or see whether it is mounted")
    return todo, unchanged


def _not_there(missing: Iterable[str], known: Collection[str]) -> Iterator[Entry]:
    """Give entries for missing names that no scan has seen: what one has seen is gone, and has a row that says so."""
    return (Entry(name, None, None, Status.UNREADABLE, NOT_THERE) for name in missing if name not in known)


def _known(media: pa.Table, root: str) -> set[str]:
    """Return the files that any scan has seen under a root, and the folders that they lie in."""
    seen = pc.not_equal(pc.fill_null(media["detail"], ""), NOT_THERE)
    rows = media.filter(pc.and_(pc.equal(media["root"], root), seen))
    files = {os.fsdecode(key) for key in tables.keys(rows)}
    return files.union(*map(above, files))
