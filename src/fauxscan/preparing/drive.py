"""Google Drive: from the address under which a file is shared to the one that hands it out, past its questions."""

from urllib.parse import urlencode

import requests
from gdown.download import get_url_from_gdrive_confirmation
from gdown.exceptions import FileURLRetrievalError
from gdown.parse_url import is_google_drive_url, parse_url

DOOR = "https://drive.google.com/uc"
HOPS = 3  # a file too large to be looked through for viruses is behind one question


class Refused(Exception):
    """Drive's reason for not handing out a file, and what one can do."""


def is_share(address: str) -> bool:
    """Return whether an address is one of Google Drive's."""
    return bool(is_google_drive_url(address))


def resolve(address: str, session: requests.Session, timeout: tuple[float, float]) -> str:
    """Return the address that hands out a shared file; `session` keeps the cookies it needs. Raise Refused."""
    identity, _ = parse_url(address)
    if identity is None:
        raise Refused("it names no single file on Google Drive (a folder's files have an address each)")
    asked = f"{DOOR}?{urlencode({'id': identity, 'export': 'download'})}"
    for _ in range(HOPS):
        with session.get(asked, stream=True, timeout=timeout) as answer:
            if "Content-Disposition" in answer.headers:
                return asked
            if not answer.ok:
                raise Refused(f"Google Drive answers {answer.status_code} {answer.reason}: {_remedy(identity)}")
            asked = _behind(answer.text, identity)
    raise Refused(f"Google Drive asks the same question again and again: {_remedy(identity)}")


def _behind(page: str, identity: str) -> str:
    try:
        return str(get_url_from_gdrive_confirmation(page))
    except FileURLRetrievalError as error:
        raise Refused(f"Google Drive says: {' '.join(str(error).split())} {_remedy(identity)}") from error


def _remedy(identity: str) -> str:
    return (
        "Its owner may have withdrawn it, or too many have fetched it today: try again tomorrow, or fetch"
        f" https://drive.google.com/file/d/{identity}/view with a browser and name the folder as `archives`"
    )
