"""The results folder: a new or empty one, or one in which a scan has begun tables, but none that holds other files."""

from pathlib import Path

from fauxscan.records import ResultsError
from fauxscan.scanning.tables.schemas import ALL, MEDIA, RUNS, name_of

STAGING = "staging"  # the folder of staged batches
WRITTEN = frozenset({*map(name_of, ALL), STAGING})  # the folders that a scan makes
IGNORED = frozenset({"lost+found"})  # which every new disk has


def check(results: Path) -> None:
    """Raise ResultsError if the folder holds files, but no tables. Hidden files do not count."""
    if not results.is_dir() or has_tables(results):
        return
    if first := min((path.name for path in results.iterdir() if _is_foreign(path)), default=None):
        raise ResultsError(
            f"{results} is not a results folder: it has no tables, but other files, such as {first!r}. Name a new or "
            "empty folder with --results, or one that `fauxscan scan` has written to"
        )


def has_tables(results: Path) -> bool:
    """Return whether the folder has tables, empty ones included."""
    return all((results / name_of(schema)).is_dir() for schema in (RUNS, MEDIA))


def _is_foreign(path: Path) -> bool:
    """Return whether neither the system made the file or folder, nor a scan that was killed before it had tables."""
    if path.name.startswith(".") or path.name in IGNORED:
        return False
    return path.name not in WRITTEN or not path.is_dir() or any(path.iterdir())
