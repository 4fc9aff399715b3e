"""Download one file over https, from an address or its mirrors: resumed after a break, verified in length.

A resumed file never mixes two versions: the server must confirm that its file is unchanged (RFC 9110, If-Range).
"""

import html
import json
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from fauxscan import disk
from fauxscan.preparing.download import google_drive
from fauxscan.progress import Progress
from fauxscan.records import UserError

log = logging.getLogger(__name__)
CHUNK = 1 << 20
TIMEOUT = (15, 60)  # seconds: to connect; between two bytes
MAX_ATTEMPTS = 6  # in a row without a new byte, before an address is given up
PAUSE = 1.0  # seconds before the second attempt, doubled for each further one, up to MAX_PAUSE
MAX_PAUSE = 60.0  # seconds; servers may not ask for longer waits either
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)  # HTTP statuses that may be temporary


class PermanentFailure(Exception):
    """An address does not provide the file, and another attempt would not help."""


class TransferInterrupted(Exception):
    """A transfer broke off, or failed in a way that may be temporary."""


@dataclass(frozen=True)
class PartialFile:
    """The origin of the bytes in a .part file."""

    address: str
    validator: str | None  # ETag or date that identifies the version of the file
    total: int | None  # bytes of the whole file


def fetch(addresses: Sequence[str], target: Path, size: int | None = None, stop: threading.Event | None = None) -> str:
    """Download `target` from the first address that provides it, and return that address.

    `size` is the published length in bytes; setting `stop` ends the transfer. What is downloaded before a failure is
    kept beside `target` and continued by the next call. Raise UserError with the reason of each address.
    """
    failures = []
    target.parent.mkdir(parents=True, exist_ok=True)
    for address in addresses:
        try:
            with _session() as session:
                _download(session, address, target, size, stop or threading.Event())
            log.info("Downloaded %s: %d bytes from %s", target.name, target.stat().st_size, address)
            return address
        except PermanentFailure as error:
            log.warning("Cannot download %s from %s: %s", target.name, address, error)
            failures.append(f"\n  {address}: {error}")
    raise UserError(
        f"cannot download {target.name}:{''.join(failures)}\nRun again to resume, or download it yourself and set"
        " `archives` in params.yaml to its folder"
    )


def _session() -> requests.Session:
    """Return a session that retries, with growing pauses, when a server is busy, broken or unreachable."""
    retry = Retry(
        MAX_ATTEMPTS, backoff_factor=PAUSE, backoff_max=MAX_PAUSE, backoff_jitter=PAUSE / 2,
        status_forcelist=RETRY_STATUSES, retry_after_max=int(MAX_PAUSE),
    )  # fmt: skip
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # lengths and ranges count the bytes of the file itself
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _download(session: requests.Session, address: str, target: Path, size: int | None, stop: threading.Event) -> None:
    """Fill `target`, resuming interrupted transfers while new bytes arrive. Raise PermanentFailure."""
    part, furthest, idle = target.with_name(f"{target.name}.part"), 0, 0
    while True:
        try:
            _attempt(session, address, part, size, stop)
            disk.move_into_place(part, target)
            _note_file(part).unlink(missing_ok=True)
            return
        except TransferInterrupted as error:
            have = part.stat().st_size if part.is_file() else 0
            furthest, idle = max(furthest, have), 0 if have > furthest else idle + 1
            if idle >= MAX_ATTEMPTS:
                raise PermanentFailure(f"gave up after {MAX_ATTEMPTS} attempts without a new byte: {error}") from error
            log.info("%s: %s. Resuming from byte %d", target.name, error, have)
            stop.wait(min(PAUSE * 2**idle, MAX_PAUSE))


def _attempt(session: requests.Session, address: str, part: Path, size: int | None, stop: threading.Event) -> None:
    """Fill `part` to its end. Raise TransferInterrupted if the rest may still come, else PermanentFailure."""
    known = _read_note(part, address)
    with _request(session, address, _range_headers(part, known)) as response:
        try:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                total: int | None = _total_of_range(response) or 0  # which never matches: the download starts again
            else:
                total = _receive(response, PartialFile(address, _validator(response), size), part, known, stop)
        except HTTPError as error:
            raise TransferInterrupted(f"{type(error).__name__}: {error}") from error
    _check_length(part, total, size)


def _request(session: requests.Session, address: str, headers: dict[str, str]) -> requests.Response:
    """Return the response to a request, after the session's retries. Raise PermanentFailure."""
    try:
        if google_drive.is_drive_address(address):
            address = google_drive.resolve(address, session, TIMEOUT)
        return session.get(address, stream=True, timeout=TIMEOUT, headers=headers)
    except (requests.RequestException, google_drive.DriveError) as error:
        raise PermanentFailure(str(error)) from error


def _check_length(part: Path, total: int | None, size: int | None) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if total is not None and have != total:
        if have > total:
            _delete_partial(part)
        raise TransferInterrupted(f"received {have} of {total} bytes")
    if size is not None and have != size:
        _delete_partial(part)
        raise PermanentFailure(f"received {have} bytes, but {size} are published: it is another file")


def _range_headers(part: Path, known: PartialFile | None) -> dict[str, str]:
    """Return headers that ask for the missing rest, provided that the file is still the same version."""
    if known is None or known.validator is None:
        return {}
    return {"Range": f"bytes={part.stat().st_size}-", "If-Range": known.validator}


def _receive(
    response: requests.Response, expected: PartialFile, part: Path, known: PartialFile | None, stop: threading.Event
) -> int | None:
    """Append the body to `part`, or start it again; return the length of the whole file in bytes, None if unknown."""
    _check_response(response)
    resumes = response.status_code == requests.codes.partial_content
    have = part.stat().st_size if resumes and part.is_file() else 0
    if resumes and not (known and _continues(response, have, known)):
        _delete_partial(part)
        raise TransferInterrupted("the server sent another range, or the file has changed there")
    total = _total_of_range(response) if resumes else _content_length(response)
    if expected.total is not None and total not in (None, expected.total):
        raise PermanentFailure(f"it has {total} bytes, but {expected.total} are published: it is another file")
    if not resumes:
        part.unlink(missing_ok=True)  # before the note, which must never describe bytes of another version
    _note_file(part).write_text(json.dumps(asdict(replace(expected, total=total))), encoding="utf-8")
    with part.open("ab") as file:
        for chunk in _with_progress(_chunks(response), part.stem, have, total):
            if stop.is_set():
                raise PermanentFailure("stopped")
            file.write(chunk)
    return total


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives, so that every byte before a broken connection is kept."""
    while chunk := response.raw.read1(CHUNK):
        yield chunk


def _content_length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _check_response(response: requests.Response) -> None:
    """Raise PermanentFailure if the response is an error, encoded, or a web page instead of a file."""
    if not response.ok:
        raise PermanentFailure(f"{response.status_code} {response.reason}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise PermanentFailure(f"the server insists on the encoding {encoding}, so lengths cannot be verified")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise PermanentFailure(f"a web page instead of a file: {_first_words(response)}")


def _first_words(response: requests.Response) -> str:
    """Return the first words of a web page, without markup, for an error message."""
    page = next(response.iter_content(CHUNK), b"").decode("utf-8", errors="replace")
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL | re.IGNORECASE)
    return repr(" ".join(html.unescape(text).split())[:200])


def _continues(response: requests.Response, have: int, known: PartialFile) -> bool:
    """Return whether the response continues after `have` bytes of the same version of the file."""
    content_range = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same_start = content_range is not None and int(content_range[1]) == have
    same_total = known.total is None or _total_of_range(response) in (None, known.total)
    return same_start and same_total and _validator(response) in (None, known.validator)


def _total_of_range(response: requests.Response) -> int | None:
    total = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    return int(total[1]) if total else None


def _validator(response: requests.Response) -> str | None:
    """Return what identifies this version of the file: a strong ETag, else the date.

    A weak ETag is not allowed in If-Range (RFC 9110, 13.1.5).
    """
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _note_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(part: Path, address: str) -> PartialFile | None:
    """Return the note about the bytes in `part`, or None if there is none or they are from another address."""
    try:
        note = PartialFile(**json.loads(_note_file(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return note if note.address == address and part.is_file() else None


def _delete_partial(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _with_progress(chunks: Iterator[bytes], name: str, have: int, total: int | None) -> Iterator[bytes]:
    """Yield the chunks, with a progress bar in a terminal and occasional log lines elsewhere."""

    def line(done: int, total: int | None) -> str:
        return f"{name}: {done >> 20} of {total >> 20 if total else '?'} MB"

    with Progress(name, total, "B", done=have, line=line, ends=False, leave=False) as progress:
        for chunk in chunks:
            yield chunk
            progress.advance(len(chunk))
