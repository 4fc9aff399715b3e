"""One file over https, from an address or its mirrors: resumed where it broke off, never spliced, of full length."""

import html
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from fauxscan.preparing import drive
from fauxscan.records import UserError

log = logging.getLogger(__name__)
CHUNK = 1 << 20
TIMEOUT = (15, 60)  # seconds: to connect; between two bytes
TRIES = 6  # in a row without a new byte, before an address is given up
PAUSE = 1.0  # seconds before the second try, doubled for each further one ...
LONGEST_PAUSE = 60.0  # ... up to this, and that is the longest wait which a server may ask for, too
LOG_EVERY = 30.0  # seconds between log lines where there is no terminal
PASSING = (408, 429, 500, 502, 503, 504)  # answers that may be other in a while


class Hopeless(Exception):
    """An address that will not give the file, however often it is asked."""


class Interrupted(Exception):
    """A transfer that broke off, or an answer that may be other in a while."""


@dataclass(frozen=True)
class State:
    """What the bytes in a .part file are: from where, of which version, how many there will be."""

    address: str
    validator: str | None
    total: int | None


def fetch(addresses: Sequence[str], target: Path, size: int | None = None, stop: threading.Event | None = None) -> str:
    """Fill `target` from the first address that gives it, and return that. Raise UserError with what each one said."""
    failures = []
    target.parent.mkdir(parents=True, exist_ok=True)
    for address in addresses:
        try:
            with _session() as session:
                _persist(session, address, target, size, stop or threading.Event())
            log.info("%s: %d bytes from %s", target.name, target.stat().st_size, address)
            return address
        except Hopeless as error:
            log.warning("%s: %s gives nothing: %s", target.name, address, error)
            failures.append(f"\n  {address}: {error}")
    raise UserError(
        f"cannot fetch {target.name}:{''.join(failures)}\nRun again to go on where it broke off, or fetch it by hand"
        " and name the folder that holds it as its `archives` in params.yaml"
    )


def _session() -> requests.Session:
    """Return a session that asks again, with growing pauses, where a server is busy, broken or not to be reached."""
    patience = Retry(
        TRIES, backoff_factor=PAUSE, backoff_max=LONGEST_PAUSE, backoff_jitter=PAUSE / 2,
        status_forcelist=PASSING, retry_after_max=int(LONGEST_PAUSE),
    )  # fmt: skip
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # lengths and ranges count the bytes of the file itself
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=patience))
    return session


def _persist(session: requests.Session, address: str, target: Path, size: int | None, stop: threading.Event) -> None:
    part, furthest, idle = target.with_name(f"{target.name}.part"), 0, 0
    while True:
        try:
            _attempt(session, address, part, size, stop)
            part.replace(target)
            _state_of(part).unlink(missing_ok=True)
            return
        except Interrupted as error:
            have = part.stat().st_size if part.is_file() else 0
            furthest, idle = max(furthest, have), 0 if have > furthest else idle + 1
            if idle >= TRIES:
                raise Hopeless(f"gave up after {TRIES} tries without a new byte: {error}") from error
            log.info("%s: %s; goes on from byte %d", target.name, error, have)
            stop.wait(min(PAUSE * 2**idle, LONGEST_PAUSE))


def _attempt(session: requests.Session, address: str, part: Path, size: int | None, stop: threading.Event) -> None:
    """Fill `part` to its end. Raise Interrupted where the rest may still come, Hopeless where it will not."""
    known = _known(part, address)
    with _opened(session, address, _ask(part, known)) as answer:
        try:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                total: int | None = _total_of_range(answer) or 0  # which no part can be: it is fetched anew
            else:
                total = _receive(answer, State(address, _validator(answer), size), part, known, stop)
        except HTTPError as error:
            raise Interrupted(f"{type(error).__name__}: {error}") from error
    _hold_to_length(part, total, size)


def _opened(session: requests.Session, address: str, headers: dict[str, str]) -> requests.Response:
    """Return the answer to a request which the session has repeated as often as it makes sense. Raise Hopeless."""
    try:
        real = drive.resolve(address, session, TIMEOUT) if drive.is_share(address) else address
        return session.get(real, stream=True, timeout=TIMEOUT, headers=headers)
    except (requests.RequestException, drive.Refused) as error:
        raise Hopeless(str(error)) from error


def _hold_to_length(part: Path, total: int | None, size: int | None) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if total is not None and have != total:
        if have > total:
            _forget(part)
        raise Interrupted(f"{have} bytes came of {total}")
    if size is not None and have != size:
        _forget(part)
        raise Hopeless(f"{have} bytes came, but {size} are published: it is another file")


def _ask(part: Path, known: State | None) -> dict[str, str]:
    """Return the headers for the missing rest, on the condition that the file is the one begun."""
    if known is None or known.validator is None:
        return {}
    return {"Range": f"bytes={part.stat().st_size}-", "If-Range": known.validator}


def _receive(
    answer: requests.Response, found: State, part: Path, known: State | None, stop: threading.Event
) -> int | None:
    """Write the body to `part`, at its end or anew; return the length that the whole file should have."""
    _refuse(answer)
    goes_on = answer.status_code == requests.codes.partial_content
    have = part.stat().st_size if goes_on and part.is_file() else 0
    if goes_on and not (known and _continues(answer, have, known)):
        _forget(part)
        raise Interrupted("the server answered with another range, or the file has changed there")
    total = _total_of_range(answer) if goes_on else _length(answer)
    if found.total is not None and total not in (None, found.total):
        raise Hopeless(f"it has {total} bytes, but {found.total} are published: it is another file")
    if not goes_on:
        part.unlink(missing_ok=True)  # before the note: bytes of another version must never stand beside it
    _state_of(part).write_text(json.dumps(asdict(replace(found, total=total))), encoding="utf-8")
    with part.open("ab") as file:
        for chunk in _shown(_chunks(answer), part.stem, have, total):
            if stop.is_set():
                raise Hopeless("stopped")
            file.write(chunk)
    return total


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Give the body as it comes: what a connection gave before it broke is kept to the last byte."""
    while chunk := answer.raw.read1(CHUNK):
        yield chunk


def _length(answer: requests.Response) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _refuse(answer: requests.Response) -> None:
    if not answer.ok:
        raise Hopeless(f"{answer.status_code} {answer.reason}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Hopeless(f"the server insists on {answer.headers['Content-Encoding']}, so that its lengths mean nothing")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise Hopeless(f"a web page instead of a file: {_quote(answer)}")


def _quote(answer: requests.Response) -> str:
    """Return the first words that a person would read on a page."""
    page = next(answer.iter_content(CHUNK), b"").decode("utf-8", errors="replace")
    bare = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL | re.IGNORECASE)
    return repr(" ".join(html.unescape(bare).split())[:200])


def _continues(answer: requests.Response, have: int, known: State) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    same_place = found is not None and int(found[1]) == have
    same_total = known.total is None or _total_of_range(answer) in (None, known.total)
    return same_place and same_total and _validator(answer) in (None, known.validator)


def _total_of_range(answer: requests.Response) -> int | None:
    found = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _validator(answer: requests.Response) -> str | None:
    """Return what names this version of the file: a strong ETag, else the date (a weak ETag may not be asked for)."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")


def _state_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _known(part: Path, address: str) -> State | None:
    """Return what was noted of the bytes in `part`, if they are from this address."""
    try:
        state = State(**json.loads(_state_of(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return state if state.address == address and part.is_file() else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_of(part).unlink(missing_ok=True)


def _shown(chunks: Iterator[bytes], name: str, have: int, total: int | None) -> Iterator[bytes]:
    """Give the chunks on, with a bar in a terminal and a line now and then elsewhere."""
    said = time.monotonic()
    with tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for chunk in chunks:
            yield chunk
            have += len(chunk)
            bar.update(len(chunk))
            if not sys.stderr.isatty() and time.monotonic() - said > LOG_EVERY:
                said = time.monotonic()
                log.info("%s: %d of %s MB", name, have >> 20, total >> 20 if total else "?")
