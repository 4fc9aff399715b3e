"""Locate archives: in a local folder, in an installed package, or downloaded from where they are published."""

import importlib.metadata
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from fauxscan.preparing.download import checksums, transfer
from fauxscan.records import Archive, UserError

POLL_S = 0.5  # seconds
PARALLEL_DOWNLOADS = 4
HTTPS = "https://"


@dataclass(frozen=True)
class Source:
    """Where the archives of a dataset or a detector are, and instructions for users who lack them."""

    name: str  # of the dataset or the detector
    place: str | None  # a local folder or an https address that holds the archives; None: where they are published
    instructions: str
    layout: tuple[str, ...] = ()  # unpacked folders that a local folder may hold instead of the archives


@dataclass(frozen=True)
class LocatedArchive:
    """An archive, its local file, and where that file came from: a path, an address or a package."""

    archive: Archive
    file: Path
    origin: str


def local_folder(source: Source) -> Path | None:
    """Return the local folder that `source` names, or None if it names none. Raise UserError if it does not exist."""
    if not source.place or source.place.startswith(HTTPS):
        return None
    if "://" in source.place:
        raise UserError(f"archives of {source.name} are at {source.place}: name a local folder or an https address")
    folder = Path(source.place).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}. {source.instructions}")
    return folder


def locate(archives: Sequence[Archive], source: Source, downloads: Path) -> list[LocatedArchive]:
    """Return each archive with its local file; missing ones are downloaded into `downloads`, several at a time.

    Raise UserError that lists every archive that cannot be found or downloaded, with its reason.
    """
    folder = local_folder(source)
    if folder:
        return [_locate_in_folder(archive, folder, source) for archive in archives]
    _refuse_manual_archives(archives, source, downloads)
    jobs = _download_all(archives, source, downloads)
    failures = [str(error) for job in jobs if (error := job.exception())]
    if failures:
        raise UserError("\n".join(failures))
    return [job.result() for job in jobs]


def _download_all(archives: Sequence[Archive], source: Source, downloads: Path) -> list[Future[LocatedArchive]]:
    """Return the completed downloads of all archives. Ctrl-C stops transfers that may take hours."""
    stop = threading.Event()
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        try:
            jobs = [pool.submit(_download, archive, source, downloads, stop) for archive in archives]
            while wait(jobs, timeout=POLL_S).not_done:
                pass  # without a timeout, a Ctrl-C that came just before the wait would have no effect
            return jobs
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _locate_in_folder(archive: Archive, folder: Path, source: Source) -> LocatedArchive:
    for name in (archive.name, *archive.aliases):
        if (folder / name).is_file():
            return LocatedArchive(archive, folder / name, str(folder / name))
    unpacked = f", nor its unpacked folders ({', '.join(source.layout)})" if source.layout else ""
    raise UserError(f"{archive.name} is not in {folder}{unpacked}. {source.instructions}")


def _addresses(archive: Archive, source: Source) -> list[str]:
    if source.place:
        return [f"{source.place.rstrip('/')}/{name}" for name in (archive.name, *archive.aliases)]
    return [address for address in (archive.address, *archive.mirrors) if address]


def _refuse_manual_archives(archives: Iterable[Archive], source: Source, downloads: Path) -> None:
    """Raise UserError for archives that are not here yet and that only the user can obtain."""
    missing = [a.name for a in archives if not (a.package or _addresses(a, source) or (downloads / a.name).is_file())]
    if missing:
        raise UserError(f"{', '.join(missing)} of {source.name} must be downloaded by hand. {source.instructions}")


def _download(archive: Archive, source: Source, downloads: Path, stop: threading.Event) -> LocatedArchive:
    """Return an archive that is installed as a package, downloaded by an earlier run, or downloaded now."""
    target = downloads / archive.name
    if archive.package and not source.place:
        return LocatedArchive(archive, _file_in_package(archive, archive.package), archive.package)
    if target.is_file():
        earlier = checksums.read_checksums(downloads).get(archive.name)
        return LocatedArchive(archive, target, earlier.source if earlier else "an earlier run")
    return LocatedArchive(archive, target, transfer.fetch(_addresses(archive, source), target, archive.bytes, stop))


def _file_in_package(archive: Archive, package: str) -> Path:
    """Return an archive's file in an installed package, without running its code. Raise UserError if it is missing."""
    try:
        entries = importlib.metadata.files(package.partition("==")[0]) or []
    except importlib.metadata.PackageNotFoundError:
        entries = []
    for entry in entries:
        file = Path(str(entry.locate()))
        if entry.name == archive.name and file.is_file():
            return file
    raise UserError(f"{archive.name} is in the Python package {package}, which is not installed: run `make setup`")
