"""Whether a root may be scanned into a results folder: a scan must not judge its own tables."""

from pathlib import Path

from fauxscan.records import ResultsError
from fauxscan.scanning.inputs.roots import LocalFolder, Root
from fauxscan.scanning.tables import folder


def check(results: Path, root: Root) -> None:
    """Raise UserError if the root does not exist, or its scan may not write to `results`. Nothing is written."""
    root.check()
    if isinstance(root, LocalFolder):
        _check_apart(results.resolve(), root.path)
    folder.check(results)


def _check_apart(results: Path, root: Path) -> None:
    """Raise ResultsError if the scan would judge its own tables. A results folder below the root is skipped."""
    if root == results:
        remedy = f"name another folder with --results, for example {results / 'results'}, which the scan skips"
        raise ResultsError(f"{results} is the folder to scan, or the common folder of the files to scan: {remedy}")
    if results in root.parents and root.relative_to(results).parts[0] in folder.WRITTEN:
        raise ResultsError(f"{root} holds the tables of {results}: name a folder of images and videos to scan")
