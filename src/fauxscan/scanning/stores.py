"""Object stores through fsspec: lists and objects of theirs, and what goes wrong with them in our words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from fauxscan.media import files
from fauxscan.media.files import Content
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status, UserError
from fauxscan.scanning.addresses import Address
from fauxscan.scanning.rows import Looks

Info = dict[str, Any]  # what fsspec tells of an object
ETAGS = ("ETag", "md5Hash", "etag")  # by any of these names; the second, of Google, is of the content alone
TIMES = ("LastModified", "last_modified", "mtime")
GONE = "it is not there"
# What libraries call errors of those whom a store never answered, by their own names: they share no class.
UNANSWERED = {
    "ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError", "ServiceRequestError",
    "NoCredentialsError",
}  # fmt: skip


def looks(info: Info) -> Looks:
    """Return what tells whether an object is the same: its etag, or else the time of its change."""
    etag = next((str(info[name]).strip('"') for name in ETAGS if info.get(name)), None)
    times = (info[name] for name in TIMES if isinstance(info.get(name), datetime))
    changed = next((int(time.timestamp() * 1e6) * 1000 for time in times), None)
    return Looks(int(info["size"]), None if etag else changed, etag)


def below(address: Address) -> list[Info]:
    """Return all objects whose keys begin with the address and a /. Raise UserError if they cannot be listed."""
    with _listing(address):
        found = _connected(address).find(address.path, detail=True)
    return [info for name, info in found.items() if name.startswith(f"{address.path}/")]


def lookup(address: Address) -> Info | None:
    """Return what is told of an object; None where there is none. Raise PermissionError, or UserError."""
    with _listing(address, PermissionError):
        try:
            info: Info = _connected(address).info(address.path)
        except FileNotFoundError:
            return None
    return info if _is_object(info, address) else None


def is_object(address: Address) -> bool:
    """Return whether there is an object of this name. Raise UserError if the store does not tell."""
    try:
        return lookup(address) is not None
    except PermissionError as error:
        raise UserError(f"{address.text}: permission denied; see {address.kind.setup}") from error


@contextmanager
def opened(address: Address, media: MediaParams) -> Iterator[Content]:
    """Give the content of an object, hashed. Raise MediaError if it cannot be read, is too large, or changes.

    Raise ConnectionError if the store does not answer at all, which is no object's fault.
    """
    with _reading(address):
        remote = _connected(address).open(address.path, "rb", cache_type="none")
    with remote:
        before, size = looks(remote.details), int(remote.details["size"])
        if not _is_object(remote.details, address):
            raise MediaError(Status.UNREADABLE, GONE)
        if size > media.max_bytes:
            raise MediaError(Status.TOO_LARGE, files.beyond(size, media))
        with files.kept(_Remote(remote, address), size) as handle:
            if not address.kind.pinned:
                _check_same(address, before)
            yield files.hashed(handle, size, before.mtime_ns, before.etag)


class _Remote:
    """An open object, whose faults are those of a file."""

    def __init__(self, remote: Any, address: Address) -> None:
        self._remote, self._address = remote, address

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raise MediaError."""
        try:
            with _reading(self._address):
                data: bytes = self._remote.read(size)
        except MediaError:
            _check_same(self._address, looks(self._remote.details))  # one that was replaced gives no more bytes
            raise
        return data


def _check_same(address: Address, before: Looks) -> None:
    with _reading(address):
        now = _connected(address).info(address.path)
    if looks(now) != before:
        raise MediaError(Status.CHANGED_DURING_READ, "it was replaced while it was read")


def _is_object(info: Info, address: Address) -> bool:
    """Return whether an object of this very key was found: libraries take parts of some keys for something else."""
    return bool(info["type"] == "file" and info["name"] == address.path)


def _connected(address: Address) -> Any:
    """Return the file system of a store. fsspec keeps one a process, and in it what it knows of access."""
    try:
        import_module(address.kind.package)
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(f"{address.scheme}:// needs {address.kind.package}: {address.kind.remedy}") from error
    return fsspec.filesystem(address.scheme, use_listings_cache=False)


@contextmanager
def _listing(address: Address, *passed: type[Exception]) -> Iterator[None]:
    """Make what goes wrong with a list a UserError, but for what is passed on. Libraries raise errors of their own."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (UserError, *passed)):
            raise
        raise UserError(f"{address.text} cannot be listed: {_reason(error)}; see {address.kind.setup}") from error


@contextmanager
def _reading(address: Address) -> Iterator[None]:
    """Make what goes wrong with an object a MediaError. What libraries say is not told: it may hold a secret."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if _is_unanswered(error):
            _check_answers(address)
        raise MediaError(Status.UNREADABLE, _reason(error)) from error


def _check_answers(address: Address) -> None:
    """Raise ConnectionError if the store does not answer when it is asked for the bucket."""
    try:
        _connected(address).info(address.bucket)
    except Exception as error:
        if _is_unanswered(error):
            where = Address(address.scheme, address.bucket).text
            raise ConnectionError(f"{where} does not answer: {_reason(error)}; see {address.kind.setup}") from error


def _is_unanswered(error: Exception) -> bool:
    return not UNANSWERED.isdisjoint(base.__name__ for base in type(error).__mro__)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return GONE
    if isinstance(error, PermissionError):
        return "permission denied"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
