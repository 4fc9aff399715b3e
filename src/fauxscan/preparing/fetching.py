"""Archives: found in a local folder or an installed package, or fetched from where they are published."""

import importlib.metadata
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from fauxscan.preparing import pins, transfer
from fauxscan.records import Archive, UserError

HEARKEN = 0.5  # seconds
AT_ONCE = 4  # archives fetched at a time
HTTPS = "https://"
Found = tuple[Archive, Path, str]  # an archive, its file, and where that is from


@dataclass(frozen=True)
class Source:
    """Where the archives of a dataset or a detector lie, and what to tell a person who lacks them."""

    of: str
    place: str | None  # a local folder or an https address that holds them; None: where they are published
    instructions: str
    layout: tuple[str, ...] = ()  # what a local folder may hold in their stead


def local(source: Source) -> Path | None:
    """Return the local folder that is the place, if it is one. Raise UserError if it is not there."""
    if not source.place or source.place.startswith(HTTPS):
        return None
    if "://" in source.place:
        raise UserError(f"archives of {source.of} are at {source.place}: name a local folder or an https address")
    folder = Path(source.place).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}. {source.instructions}")
    return folder


def gather(listed: Sequence[Archive], source: Source, fetched: Path) -> list[Found]:
    """Return each archive with its file; several are fetched at once, into `fetched`. Raise UserError."""
    folder = local(source)
    if folder:
        return [(archive, file := _in_folder(archive, folder, source), str(file)) for archive in listed]
    _refuse_what_needs_a_hand(listed, source, fetched)
    stop, problems = threading.Event(), []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            waiting = [pool.submit(_fetched, archive, source, fetched, stop) for archive in listed]
            while wait(waiting, timeout=HEARKEN).not_done:
                pass  # a Ctrl-C that came just before a wait without end would not be heard
            problems = [str(error) for job in waiting if (error := job.exception())]
            if not problems:
                return [job.result() for job in waiting]
        except BaseException:  # a person's Ctrl-C must not wait for what may take hours
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    raise UserError("\n".join(problems))


def _in_folder(archive: Archive, folder: Path, source: Source) -> Path:
    for name in (archive.name, *archive.aliases):
        if (folder / name).is_file():
            return folder / name
    unpacked = f", nor its unpacked folders ({', '.join(source.layout)})" if source.layout else ""
    raise UserError(f"{archive.name} is not in {folder}{unpacked}. {source.instructions}")


def _addresses(archive: Archive, source: Source) -> list[str]:
    if source.place:
        return [f"{source.place.rstrip('/')}/{name}" for name in (archive.name, *archive.aliases)]
    return [address for address in (archive.address, *archive.mirrors) if address]


def _refuse_what_needs_a_hand(listed: Iterable[Archive], source: Source, fetched: Path) -> None:
    """Raise UserError for archives that are neither here nor to be had without a person."""
    missing = [a.name for a in listed if not (a.package or _addresses(a, source) or (fetched / a.name).is_file())]
    if missing:
        raise UserError(f"{', '.join(missing)} of {source.of} must be fetched by hand. {source.instructions}")


def _fetched(archive: Archive, source: Source, fetched: Path, stop: threading.Event) -> Found:
    """Return an archive with its file, fetched now or by an earlier run, or installed."""
    target = fetched / archive.name
    if archive.package and not source.place:
        return archive, _in_package(archive, archive.package), archive.package
    if target.is_file():
        earlier = pins.read(fetched).get(archive.name)
        return archive, target, earlier.source if earlier else "an earlier run"
    return archive, target, transfer.fetch(_addresses(archive, source), target, archive.bytes, stop)


def _in_package(archive: Archive, package: str) -> Path:
    """Return an archive's file in an installed package, none of whose code runs. Raise UserError if it is not there."""
    try:
        listed = importlib.metadata.files(package.partition("==")[0]) or []
    except importlib.metadata.PackageNotFoundError:
        listed = []
    for entry in listed:
        file = Path(str(entry.locate()))
        if entry.name == archive.name and file.is_file():
            return file
    raise UserError(f"{archive.name} is in the Python package {package}, which is not installed: run `make setup`")
