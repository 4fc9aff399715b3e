"""Files and bytes that are judged one by one, under no root."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from fauxscan.media import files
from fauxscan.media.files import Content
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status
from fauxscan.scanning.rows import Entry

FOLDER = "a folder, not a file: scan it with `fauxscan scan FOLDER --results RESULTS`"


class GivenFiles:
    """Paths and bytes, opened by their number."""

    def __init__(self, given: Sequence[Path | bytes]) -> None:
        self._given = given

    @property
    def entries(self) -> list[Entry]:
        """Return an entry for each; links are followed, because someone named them."""
        return [_entry(str(number), one) for number, one in enumerate(self._given)]

    @contextmanager
    def open_entry(self, entry: Entry, media: MediaParams) -> Iterator[Content]:
        """Yield the content of a file or of bytes with its hash. Raise MediaError."""
        given = self._given[int(entry.path)]
        if isinstance(given, Path):
            with files.open_file(given, media, entry.link) as content:
                yield content
            return
        if len(given) > media.max_bytes:
            raise MediaError(Status.TOO_LARGE, files.size_detail(len(given), media))
        yield files.hash_content(BytesIO(given), len(given), None)


def _entry(name: str, given: Path | bytes) -> Entry:
    if isinstance(given, bytes):
        return Entry(name, len(given), None)
    if given.is_dir():
        return Entry(name, None, None, Status.UNREADABLE, FOLDER)
    return Entry(name, None, None, link=True)
