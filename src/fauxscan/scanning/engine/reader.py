"""Reading files: each is opened and hashed once, and decoded from the very bytes that were hashed."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from fauxscan.media.files import Content
from fauxscan.media.images.codec import Image
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status
from fauxscan.scanning.decoding.process import DecoderLost
from fauxscan.scanning.decoding.worker import is_in_memory
from fauxscan.scanning.engine.cancellation import Cancellation
from fauxscan.scanning.engine.decoders import MediaDecoder
from fauxscan.scanning.engine.in_flight import InFlight, Judgement
from fauxscan.scanning.inference.batching import Batchers, PendingLogit
from fauxscan.scanning.rows import Entry, Faces, Outcome, Row
from fauxscan.scanning.settings import Settings

# The most that a decoder gets at once: each message costs as much as decoding a small image.
CHUNK_FILES, CHUNK_BYTES = 8, 4 << 20
Scored = tuple[Row, PendingLogit]  # a row of `scores` and the logit to come


class Opener(Protocol):
    """Where files are opened: a `Root`, or files and bytes that were given one by one."""

    def open_entry(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Yield the content of a file with its hash. Raise MediaError."""


class History(Protocol):
    """What earlier scans recorded: a `Ledger`."""

    def recall(self, sha256: str) -> tuple[Outcome | None, Faces | None]:
        """Return the outcome of a content, or None if it must be judged; then also its faces, if they are known."""


class OnDecoded(Protocol):
    """Receives each file that was decoded with its crops: `Rechecks.add`."""

    def __call__(self, reading: "Reading", crops: Sequence[Image], /) -> None:
        """Take the reading and the crops of its logits, in their order; none unless verdicts are checked."""


class NoHistory:
    """The history of someone who has never scanned."""

    def recall(self, sha256: str) -> tuple[None, None]:
        """Return that nothing is known."""
        return None, None


@dataclass(frozen=True, eq=False)
class Reading:
    """One file on its way through the engine: its outcome so far, and what the rest of the outcome waits for."""

    outcome: Outcome
    content: Content | None = None  # still to be decoded
    file: ExitStack = field(default_factory=ExitStack)  # closes the content
    own_content: str | None = None  # the content that is judged for this file
    duplicate_of: Judgement | None = None  # the judgement of this content for another file
    scored: Sequence[Scored] = ()
    reencoded: Sequence[PendingLogit] = ()  # for each of `scored`, if the verdict was checked

    def failed(self, status: Status, detail: str) -> "Reading":
        """Return the reading of a file that failed."""
        return Reading(self.outcome.failed(status, detail), own_content=self.own_content)


def chunks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the files in order, as many at once as a decoder gets."""
    chunk: list[Entry] = []
    weight = 0
    for entry in entries:
        weight += entry.size or 0
        if chunk and (weight > CHUNK_BYTES or len(chunk) == CHUNK_FILES):
            yield chunk
            chunk, weight = [], entry.size or 0
        chunk.append(entry)
    if chunk:
        yield chunk


class Reader:
    """Reads the files of one request in many threads. A content that is known or being judged is only hashed."""

    def __init__(
        self, settings: Settings, opener: Opener, history: History, in_flight: InFlight, batchers: Batchers,
        cancellation: Cancellation, on_decoded: OnDecoded,
    ) -> None:  # fmt: skip
        self.settings, self.opener, self.history, self.cancellation = settings, opener, history, cancellation
        self._in_flight, self._batchers, self._on_decoded = in_flight, batchers, on_decoded
        self.own_contents: list[str] = []  # the contents that are judged for this request, whatever becomes of it

    def read(self, entries: Sequence[Entry], decoder: MediaDecoder) -> list[Reading]:
        """Return the readings of the files. What goes wrong with a file becomes its status.

        Raise CancelledError if the request is cancelled before they begin, or the decoder is interrupted afterwards.
        """
        self.cancellation.check()
        readings = [self._open(entry) for entry in entries]
        left = [reading for reading in readings if reading.content]
        decoded = iter(self._decode(left, decoder))
        return [next(decoded) if reading.content else reading for reading in readings]

    def _open(self, entry: Entry) -> Reading:
        """Return the reading of a hashed file. It stays open only if it must be decoded from disk."""
        reading = Reading(entry.outcome)
        try:
            if entry.status is not None:
                raise MediaError(entry.status, entry.detail or "")
            content = reading.file.enter_context(self.opener.open_entry(entry, self.settings.media))
            reading = self._identify(content, reading)
            if reading.content is None or is_in_memory(content):
                reading.file.close()
        except MediaError as error:
            return reading.failed(error.status, error.detail)
        return reading

    def _identify(self, content: Content, reading: Reading) -> Reading:
        """Return the reading of a hashed content: known, being judged for another file, or to be decoded."""
        looks = Outcome(content.sha256, content.size, content.mtime_ns, content.etag)
        known, faces = self.history.recall(content.sha256)
        if known is not None:
            return replace(reading, outcome=known.at(looks))
        if judgement := self._in_flight.begin(content.sha256):
            return replace(reading, outcome=looks, duplicate_of=judgement)
        self.own_contents.append(content.sha256)
        return replace(reading, outcome=replace(looks, face_boxes=faces), content=content, own_content=content.sha256)

    def _decode(self, readings: Sequence[Reading], decoder: MediaDecoder) -> list[Reading]:
        """Return the decoded readings. If the decoder is lost, each file is tried again alone."""
        if not readings:
            return []
        try:
            return self._decode_together(readings, decoder)
        except DecoderLost:
            self.cancellation.check()
            return [self._decode_alone(reading, decoder) for reading in readings]

    def _decode_alone(self, reading: Reading, decoder: MediaDecoder) -> Reading:
        try:
            return self._decode_together([reading], decoder)[0]
        except DecoderLost as lost:
            self.cancellation.check()
            return _decoded(reading, Outcome().failed(lost.status, lost.detail), ())

    def _decode_together(self, readings: Sequence[Reading], decoder: MediaDecoder) -> list[Reading]:
        scored: list[list[Scored]] = [[] for _ in readings]
        crops: list[list[Image]] = [[] for _ in readings]

        def on_crop(number: int, row: Row, image: Image) -> None:
            scored[number].append((row, self._batchers.submit(row["model"], image)))
            if self.settings.scan.check_reencoded:
                crops[number].append(image.copy())  # the decoder writes the next crops over it

        files = [(reading.content, reading.outcome.face_boxes) for reading in readings if reading.content]
        outcomes = decoder.decode(files, on_crop)
        decoded = [_decoded(*one) for one in zip(readings, outcomes, scored, strict=True)]
        for one in zip(decoded, crops, strict=True):
            self._on_decoded(*one)
        return decoded


def _decoded(reading: Reading, outcome: Outcome, scored: Sequence[Scored]) -> Reading:
    """Return the reading of a file that was decoded, and close the file."""
    whole = replace(outcome.at(reading.outcome), sha256=reading.outcome.sha256)
    try:
        reading.file.close()
    except MediaError as error:
        return Reading(whole, own_content=reading.own_content).failed(error.status, error.detail)
    return Reading(whole, own_content=reading.own_content, scored=scored if whole.status == Status.OK else ())
