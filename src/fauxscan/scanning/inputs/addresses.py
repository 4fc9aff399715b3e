"""Addresses of objects, such as s3://bucket/prefix: which stores are allowed, and the parts of an address."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fauxscan.records import InputError

SCHEME = re.compile(r"[^/]*://")


class StoreKind(NamedTuple):
    """A kind of object store: the package that reads it, and how to give access to it."""

    package: str
    setup: str  # the settings that give access, as an error message names them
    remedy: str  # what installs the package
    pinned: bool = False  # an open object that is replaced cannot be read any further
    reserved: str | None = None  # text that no readable key may contain, because the package interprets it


AMAZON = "AWS_PROFILE or AWS_ACCESS_KEY_ID, and AWS_ENDPOINT_URL for a store that is not Amazon's"
GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default login`"
AZURE = StoreKind("adlfs", "AZURE_STORAGE_ACCOUNT_NAME and its credentials", "install adlfs beside fauxscan")
# An allow-list: fsspec also reads local files, web servers, archives and chains of them, which an address from an
# untrusted source must not reach.
KINDS: Mapping[str, StoreKind] = {
    "s3": StoreKind("s3fs", AMAZON, 'pip install "fauxscan[s3]"', pinned=True, reserved="?versionId="),
    "gs": StoreKind("gcsfs", GOOGLE, 'pip install "fauxscan[gs]"'),
    "az": AZURE,
    "abfs": AZURE,
}

WEB = ("http", "https", "ftp")
DOWNLOAD = "download the files first, then name them or their folder"


@dataclass(frozen=True)
class Address:
    """A bucket, or a prefix or an object in one. A key is not a path: `..` and `//` in it have no meaning."""

    scheme: str
    bucket: str
    key: str = ""

    @property
    def kind(self) -> StoreKind:
        """Return the kind of store."""
        return KINDS[self.scheme]

    @property
    def text(self) -> str:
        """Return the address as a user writes it."""
        return f"{self.scheme}://{self.path}"

    @property
    def path(self) -> str:
        """Return the address as fsspec writes it: the bucket and the key."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def is_readable(self) -> bool:
        """Return whether fsspec can request this key; it cannot request every key that an object may have."""
        return not self.key.endswith("/") and (self.kind.reserved is None or self.kind.reserved not in self.key)

    @property
    def parent(self) -> "Address":
        """Return the prefix that contains an object."""
        return Address(self.scheme, self.bucket, self.key.rpartition("/")[0].rstrip("/"))

    def child(self, key: str) -> "Address":
        """Return the address of a key relative to this one."""
        return Address(self.scheme, self.bucket, f"{self.key}/{key}" if self.key else key)


def is_address(text: str) -> bool:
    """Return whether a text is an address rather than a path."""
    return SCHEME.match(text) is not None


def parse_address(text: str) -> Address:
    """Return the address in a text. Raise InputError if it is not allowed; the message never contains credentials."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise InputError(f"{text} is a path, not an address: scan folders and object stores separately")
    if scheme not in KINDS:
        allowed = ", ".join(f"{known}://" for known in KINDS)
        remedy = f"name a folder, or one of {allowed}"
        raise InputError(
            f"addresses that begin with {scheme}:// are not supported: {DOWNLOAD if scheme in WEB else remedy}"
        )
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise InputError(f"{scheme}://...@ contains more than a bucket: pass credentials in {KINDS[scheme].setup}")
    if not bucket:
        raise InputError(f"{text} does not name a bucket: write {scheme}://BUCKET/PREFIX")
    try:
        return Address(scheme, *(os.fsencode(part).decode("utf-8") for part in (bucket, key.rstrip("/"))))
    except UnicodeDecodeError as error:
        raise InputError(f"{os.fsencode(text)!r} is not a valid address: keys are UTF-8") from error


def path_of_key(key: str) -> str:
    """Return a key as the file system would spell it, so that tables contain the same names in every locale."""
    return os.fsdecode(key.encode("utf-8"))


def key_of_path(path: str) -> str:
    """Return the key that `path_of_key` spells as this path."""
    return os.fsencode(path).decode("utf-8")


def local_file(text: str) -> Path:
    """Return the path of a file. Raise InputError for an address."""
    if is_address(text):
        raise InputError(f"{text} is an address, and only files of this machine are checked: download it first")
    return Path(text)


def local_path(text: str) -> Path:
    """Return the path of a results folder. Raise InputError for an address: results need a file system's renames."""
    if is_address(text):
        raise InputError(f"{text.partition('://')[0]}:// is only for what is scanned: name a local or shared folder")
    return Path(text)
