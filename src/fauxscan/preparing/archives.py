"""Archives: fetched or found, checked against their sum, unpacked where nothing can escape."""

import hashlib
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from fauxscan.records import Archive, UserError

CHUNK = 1 << 16
SMALL = 1 << 20  # bytes: an archive smaller than this may expand as much as one of this size
MAX_MEMBERS = 2_000_000
MAX_EXPANSION = 200  # unpacked bytes for each packed one; photographs hardly shrink


def fetch(archive: Archive, address: str, folder: Path) -> Path:
    """Return the archive's file in `folder`, fetched from `address` and resumed where an earlier try broke off."""
    target, part = folder / archive.name, folder / f"{archive.name}.part"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    try:
        with _session().get(address, stream=True, timeout=60, headers={"Range": f"bytes={have}-"}) as answer:
            if answer.status_code != requests.codes.requested_range_not_satisfiable:
                answer.raise_for_status()
                _write(answer, part, resume=answer.status_code == requests.codes.partial_content)
    except requests.RequestException as error:
        raise UserError(f"cannot fetch {archive.name} from {address}: {error}; run again to resume") from error
    part.rename(target)
    return target


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=Retry(4, backoff_factor=1, status_forcelist=[500, 502, 503])))
    return session


def _write(answer: requests.Response, part: Path, resume: bool) -> None:
    length = int(answer.headers.get("Content-Length", 0)) or None
    bar = tqdm(total=length, unit="B", unit_scale=True, disable=None)
    with part.open("ab" if resume else "wb") as file, bar:
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def check(file: Path, archive: Archive) -> str:
    """Return the file's SHA-256. Raise UserError if it is not the one expected."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if archive.sha256 and found != archive.sha256:
        raise UserError(
            f"{file} is not the published {archive.name}: SHA-256 {found}, expected {archive.sha256};"
            " delete it and fetch it again"
        )
    return found


def unpack(file: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into `folder`. Raise UserError for a damaged or hostile one."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                _unpack_zip(archive, file, folder)
        else:
            with tarfile.open(file) as tar:
                _refuse_bombs(file, (member.size for member in tar))
                for member in tar:
                    _refuse_escape(file, member.name)
                tar.extractall(folder, filter="data")  # which refuses links out and devices
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise UserError(f"{file} cannot be unpacked: {error}; delete it and fetch it again") from error


def _unpack_zip(archive: zipfile.ZipFile, file: Path, folder: Path) -> None:
    members = archive.infolist()
    _refuse_bombs(file, (member.file_size for member in members))
    for member in members:
        _refuse_escape(file, member.filename, is_link=stat.S_ISLNK(member.external_attr >> 16))
        if not member.is_dir():
            _unpack_member(archive, member, folder / member.filename)


def _refuse_escape(file: Path, name: str, is_link: bool = False) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or is_link:
        raise UserError(f"{file} holds {name!r}, which would leave its folder: it is not to be trusted")


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("wb") as out:
        shutil.copyfileobj(packed, out, CHUNK)


def _refuse_bombs(file: Path, sizes: Iterator[int]) -> None:
    cap, total = max(file.stat().st_size, SMALL) * MAX_EXPANSION, 0
    for count, size in enumerate(sizes, start=1):
        total += size
        if count > MAX_MEMBERS or total > cap:
            raise UserError(f"{file} would unpack to far more than any dataset: it is not to be trusted")
