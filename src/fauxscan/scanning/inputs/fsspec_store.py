"""Listing and reading of object stores with fsspec; errors of the stores' libraries become errors of fauxscan."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from fauxscan.media import files
from fauxscan.media.files import Content
from fauxscan.params import MediaParams
from fauxscan.records import InputError, MediaError, MissingExtraError, Status, UserError
from fauxscan.scanning.inputs.addresses import Address
from fauxscan.scanning.rows import Looks

Info = dict[str, Any]  # the metadata of an object, as fsspec returns it
ETAGS = ("ETag", "md5Hash", "etag")  # the names of an etag; the second, Google's, depends on the content alone
TIMES = ("LastModified", "last_modified", "mtime")
NOT_FOUND = "it does not exist"
# Class names of the errors that libraries raise when a store does not respond: these have no base class in common.
CONNECTION_ERRORS = {
    "ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError", "ServiceRequestError",
    "NoCredentialsError",
}  # fmt: skip


def looks_of(info: Info) -> Looks:
    """Return the size and the etag of an object, or its time of modification if it has no etag."""
    etag = next((str(info[name]).strip('"') for name in ETAGS if info.get(name)), None)
    times = (info[name] for name in TIMES if isinstance(info.get(name), datetime))
    modified = next((int(time.timestamp() * 1e6) * 1000 for time in times), None)
    return Looks(int(info["size"]), None if etag else modified, etag)


def list_objects(address: Address) -> list[Info]:
    """Return all objects whose keys begin with the address and a /. Raise InputError if they cannot be listed."""
    with _listing_errors(address):
        listed = _file_system(address).find(address.path, detail=True)
    return [info for name, info in listed.items() if name.startswith(f"{address.path}/")]


def find_object(address: Address) -> Info | None:
    """Return the metadata of an object, or None if it does not exist. Raise PermissionError or UserError."""
    with _listing_errors(address, PermissionError):
        try:
            info: Info = _file_system(address).info(address.path)
        except FileNotFoundError:
            return None
    return info if _is_object(info, address) else None


def is_object(address: Address) -> bool:
    """Return whether an object has this address. Raise InputError if the store does not allow the request."""
    try:
        return find_object(address) is not None
    except PermissionError as error:
        raise InputError(f"{address.text}: permission denied; see {address.kind.setup}") from error


@contextmanager
def open_object(address: Address, media: MediaParams) -> Iterator[Content]:
    """Yield the content of an object with its hash.

    Raise MediaError if the object cannot be read, is too large, or changes while it is read. Raise ConnectionError if
    the store does not respond at all.
    """
    with _reading_errors(address):
        remote = _file_system(address).open(address.path, "rb", cache_type="none")
    with remote:
        before, size = looks_of(remote.details), int(remote.details["size"])
        if not _is_object(remote.details, address):
            raise MediaError(Status.UNREADABLE, NOT_FOUND)
        if size > media.max_bytes:
            raise MediaError(Status.TOO_LARGE, files.size_detail(size, media))
        with files.buffered(_ObjectStream(remote, address), size) as handle:
            if not address.kind.pinned:
                _check_unchanged(address, before)
            yield files.hash_content(handle, size, before.mtime_ns, before.etag)


class _ObjectStream:
    """The bytes of an open object, read in order; read errors become MediaError."""

    def __init__(self, remote: Any, address: Address) -> None:
        self._remote, self._address = remote, address

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raise MediaError."""
        try:
            with _reading_errors(self._address):
                data: bytes = self._remote.read(size)
        except MediaError:
            _check_unchanged(self._address, looks_of(self._remote.details))  # a replaced object cannot be read on
            raise
        return data


def _check_unchanged(address: Address, before: Looks) -> None:
    """Raise MediaError if an object was replaced since it was opened."""
    with _reading_errors(address):
        now = _file_system(address).info(address.path)
    if looks_of(now) != before:
        raise MediaError(Status.CHANGED_DURING_READ, "it was replaced while it was read")


def _is_object(info: Info, address: Address) -> bool:
    """Return whether the metadata is that of an object with exactly this key: libraries interpret parts of some."""
    return bool(info["type"] == "file" and info["name"] == address.path)


def _file_system(address: Address) -> Any:
    """Return fsspec's file system for a store. fsspec keeps one per process, with its credentials.

    Raise MissingExtraError.
    """
    try:
        import_module(address.kind.package)
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"{address.scheme}:// needs {address.kind.package}: {address.kind.remedy}") from error
    return fsspec.filesystem(address.scheme, use_listings_cache=False)


@contextmanager
def _listing_errors(address: Address, *passed: type[Exception]) -> Iterator[None]:
    """Turn every error of a listing into a UserError, except those in `passed`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (UserError, *passed)):
            raise
        raise InputError(f"{address.text} cannot be listed: {_reason(error)}; see {address.kind.setup}") from error


@contextmanager
def _reading_errors(address: Address) -> Iterator[None]:
    """Turn every error of reading an object into a MediaError. The library's text may contain a secret: omit it."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if _is_connection_error(error):
            _check_responds(address)
        raise MediaError(Status.UNREADABLE, _reason(error)) from error


def _check_responds(address: Address) -> None:
    """Raise ConnectionError if the store does not respond to a request for the bucket."""
    try:
        _file_system(address).info(address.bucket)
    except Exception as error:
        if _is_connection_error(error):
            bucket = Address(address.scheme, address.bucket).text
            raise ConnectionError(f"{bucket} does not respond: {_reason(error)}; see {address.kind.setup}") from error


def _is_connection_error(error: Exception) -> bool:
    return not CONNECTION_ERRORS.isdisjoint(base.__name__ for base in type(error).__mro__)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return NOT_FOUND
    if isinstance(error, PermissionError):
        return "permission denied"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
