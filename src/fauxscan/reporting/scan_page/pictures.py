"""Pictures of the files that are shown: read again in a decoder process, and only if the content is still the same."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fauxscan.media.images import codec
from fauxscan.media.images.codec import Image
from fauxscan.records import MediaError, Status, UserError
from fauxscan.reporting.scan_page.contents import Item, Picture
from fauxscan.scanning.decoding import pictures as in_decoder
from fauxscan.scanning.decoding.process import Decoder, DecoderLost
from fauxscan.scanning.engine.reader import Opener
from fauxscan.scanning.rows import Entry, Outcome, Row
from fauxscan.scanning.settings import Settings

SIDE = 288  # pixels of the longer side
QUALITY = 78
MOST_BYTES = 6 << 20  # of all pictures: the page must stay under 15 MB
CHANGED = "the file has changed since it was scanned, so it is not shown"
ENOUGH = "not shown, because the pictures of the page would be too large together"
NOT_SAMPLED = "this frame is not among those that the parameters of today sample"
Place = tuple[str, int]  # content and frame


@dataclass(frozen=True)
class Wanted:
    """The frames of one file that are to be shown."""

    name: bytes
    sha256: str
    frames: frozenset[int]


@dataclass(frozen=True)
class Seen:
    """A picture of a frame: its JPEG, the size of the frame in pixels, and what the file says about itself."""

    jpeg: bytes
    width: int
    height: int
    about: Mapping[str, str]


class Reader:
    """Reads pictures of files under a root, in the given size, with the limits of the settings."""

    def __init__(self, root: Opener, limits: Settings, side: int = SIDE, most_bytes: int = MOST_BYTES) -> None:
        self._root, self._limits, self._side, self._left = root, limits, side, most_bytes
        self._decoder = Decoder(limits, in_decoder.MODULE)
        self._unreachable = ""

    def read(self, wanted: Iterable[Wanted]) -> dict[Place, Seen | str]:
        """Return each frame, or why it is not shown. The first ones count until their bytes are too many together."""
        found: dict[Place, Seen | str] = {}
        try:
            for one in wanted:
                found |= self._read(one)
        finally:
            self._decoder.close()
        return found

    def _read(self, one: Wanted) -> dict[Place, Seen | str]:
        seen: dict[int, Seen] = {}
        fault = self._unreachable or (ENOUGH if self._left <= 0 else self._take(one, seen))
        self._left -= sum(len(found.jpeg) for found in seen.values())
        return {(one.sha256, frame): seen.get(frame, fault) for frame in one.frames}

    def _take(self, one: Wanted, seen: dict[int, Seen]) -> str:
        """Collect the pictures of a file, and return why others of its frames are not shown."""

        def keep(number: int, row: Row, image: Image) -> None:
            if row["frame"] in one.frames:
                seen[row["frame"]] = Seen(encode(image, self._side), row["width"], row["height"], row["about"])

        entry = Entry(one.name.decode("utf-8", "surrogateescape"), None, None, link=self._limits.scan.links != "never")
        try:
            with self._root.open_entry(entry, self._limits.media) as content:
                if content.sha256 != one.sha256:
                    return CHANGED
                (outcome,) = self._decoder.decode([(content, {})], keep)
            return _fault(outcome)
        except MediaError as error:
            return f"the file cannot be read again: {error.detail}"
        except DecoderLost as lost:
            return f"the file cannot be decoded again: {lost.detail}"
        except (OSError, UserError) as error:
            self._unreachable = f"the files cannot be read again: {error}"
            return self._unreachable


def _fault(outcome: Outcome) -> str:
    return NOT_SAMPLED if outcome.status == Status.OK else f"the file cannot be decoded again: {outcome.detail}"


def encode(image: Image, side: int) -> bytes:
    """Return an RGB image, reduced so that its longer side has at most `side` pixels, as JPEG."""
    return codec.encode_jpeg(in_decoder.reduced(image, side), QUALITY)


def wanted(names: Mapping[str, bytes], items: Sequence[Item]) -> list[Wanted]:
    """Return which frames of which files the items show, given a name for each content."""
    frames: dict[str, set[int]] = {}
    for item in items:
        frames.setdefault(item.sha256, set()).update(one.frame for one in item.pictures)
    return [Wanted(names[sha256], sha256, frozenset(of)) for sha256, of in frames.items()]


def with_pictures(item: Item, found: Mapping[Place, Seen | str]) -> Item:
    """Return an item whose pictures have their pixels, or say why not."""
    shown = tuple(_with_pixels(one, found[item.sha256, one.frame]) for one in item.pictures)
    return item.model_copy(update={"pictures": shown})


def _with_pixels(picture: Picture, seen: Seen | str) -> Picture:
    if isinstance(seen, str):
        return picture.model_copy(update={"missing": seen})
    jpeg = base64.b64encode(seen.jpeg).decode("ascii")
    return picture.model_copy(update={"jpeg": jpeg, "width": seen.width, "height": seen.height})
