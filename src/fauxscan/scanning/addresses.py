"""Addresses of object stores, as s3://bucket/prefix: which kinds are allowed, and what they are made of."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fauxscan.records import UserError

FORM = re.compile(r"[^/]*://")
EXTRAS = "`make setup-extras` installs it"


class Kind(NamedTuple):
    """A kind of store: what reads it, and how a person gives access to it."""

    package: str
    setup: str
    remedy: str = EXTRAS
    pinned: bool = False  # an open object that is replaced cannot be read on
    reserved: str | None = None  # what no name may hold, since the package takes it for something else


AMAZON = "AWS_PROFILE or AWS_ACCESS_KEY_ID, and AWS_ENDPOINT_URL if it is not Amazon's"
AZURE = Kind("adlfs", "AZURE_STORAGE_ACCOUNT_NAME and its credentials", "install adlfs beside fauxscan")
# An allow-list: fsspec also reads local files, web servers, archives and chains of them, which an address that came
# from elsewhere must not reach.
KINDS: Mapping[str, Kind] = {
    "s3": Kind("s3fs", AMAZON, pinned=True, reserved="?versionId="),
    "gs": Kind("gcsfs", "GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default login`"),
    "az": AZURE,
    "abfs": AZURE,
}


@dataclass(frozen=True)
class Address:
    """A place in a store, or an object. A key is no path: `..` and `//` in it mean nothing."""

    scheme: str
    bucket: str
    key: str = ""

    @property
    def kind(self) -> Kind:
        """Return what is known of stores of this kind."""
        return KINDS[self.scheme]

    @property
    def text(self) -> str:
        """Return it as a person writes it."""
        return f"{self.scheme}://{self.path}"

    @property
    def path(self) -> str:
        """Return it as fsspec writes it."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def readable(self) -> bool:
        """Return whether fsspec can ask for it: not for every name that an object may have."""
        return not self.key.endswith("/") and (self.kind.reserved is None or self.kind.reserved not in self.key)

    @property
    def above(self) -> "Address":
        """Return the prefix that an object lies in."""
        return Address(self.scheme, self.bucket, self.key.rpartition("/")[0].rstrip("/"))

    def at(self, name: str) -> "Address":
        """Return what is called so below it."""
        return Address(self.scheme, self.bucket, f"{self.key}/{name}" if self.key else name)


def is_address(text: str) -> bool:
    """Return whether a text is meant as an address and not as a path."""
    return FORM.match(text) is not None


def parse(text: str) -> Address:
    """Return what an address says. Raise UserError for one not allowed, which repeats no credentials."""
    scheme, there, rest = text.partition("://")
    if not there:
        raise UserError(f"{text} is a path and not an address: scan folders and stores apart")
    if scheme not in KINDS:
        allowed = ", ".join(f"{known}://" for known in KINDS)
        raise UserError(f"addresses that begin with {scheme}:// are not read: name a folder, or one of {allowed}")
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise UserError(f"{scheme}://...@ has more than a bucket: leave credentials to {KINDS[scheme].setup}")
    if not bucket:
        raise UserError(f"{text} names no bucket: write {scheme}://BUCKET/PREFIX")
    try:
        return Address(scheme, *(os.fsencode(part).decode("utf-8") for part in (bucket, key.rstrip("/"))))
    except UnicodeDecodeError as error:
        raise UserError(f"{os.fsencode(text)!r} is no address: keys are UTF-8") from error


def spelled(key: str) -> str:
    """Return a key as the file system would spell it, so that tables have the same names in every locale."""
    return os.fsdecode(key.encode("utf-8"))


def key_of(name: str) -> str:
    """Return the key that is spelled so."""
    return os.fsencode(name).decode("utf-8")


def no_address(text: str) -> Path:
    """Return the path of results. Raise UserError for an address: they need a file system's renames."""
    if is_address(text):
        raise UserError(f"{text.partition('://')[0]}:// is for what is scanned: name a local or shared folder here")
    return Path(text)
