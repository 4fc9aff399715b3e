"""Google Drive: resolve the link of a shared file to its download address, past the confirmation page."""

from urllib.parse import urlencode

import requests
from gdown.download import get_url_from_gdrive_confirmation
from gdown.exceptions import FileURLRetrievalError
from gdown.parse_url import is_google_drive_url, parse_url

ENDPOINT = "https://drive.google.com/uc"
MAX_PAGES = 3  # large files, which Drive does not scan for viruses, are behind one confirmation page


class DriveError(Exception):
    """Why Google Drive does not provide a file, and what the user can do."""


def is_drive_address(address: str) -> bool:
    """Return whether an address belongs to Google Drive."""
    return bool(is_google_drive_url(address))


def resolve(address: str, session: requests.Session, timeout: tuple[float, float]) -> str:
    """Return the address that serves the content of a shared file; `session` keeps the cookies that it needs.

    `timeout` is in seconds: to connect, and between two bytes. Raise DriveError if Drive does not provide the file.
    """
    file_id, _ = parse_url(address)
    if file_id is None:
        raise DriveError("the address names no single file on Google Drive (each file of a folder has its own address)")
    next_address = f"{ENDPOINT}?{urlencode({'id': file_id, 'export': 'download'})}"
    for _ in range(MAX_PAGES):
        with session.get(next_address, stream=True, timeout=timeout) as response:
            if "Content-Disposition" in response.headers:
                return next_address
            if not response.ok:
                raise DriveError(
                    f"Google Drive answers {response.status_code} {response.reason}. {_instructions(file_id)}"
                )
            next_address = _confirmed_address(response.text, file_id)
    raise DriveError(f"Google Drive keeps asking for confirmation. {_instructions(file_id)}")


def _confirmed_address(page: str, file_id: str) -> str:
    try:
        return str(get_url_from_gdrive_confirmation(page))
    except FileURLRetrievalError as error:
        raise DriveError(f"Google Drive says: {' '.join(str(error).split())} {_instructions(file_id)}") from error


def _instructions(file_id: str) -> str:
    return (
        "The owner may have withdrawn the file, or too many people have downloaded it today: try again tomorrow, or"
        f" download https://drive.google.com/file/d/{file_id}/view in a browser and set `archives` to its folder"
    )
