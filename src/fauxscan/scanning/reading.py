"""Files on their way to the models: opened and hashed once, looked at by a decoder from those very bytes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import BinaryIO, NamedTuple, Protocol

from fauxscan.media.files import Content
from fauxscan.media.images import Image
from fauxscan.records import MediaError, Status
from fauxscan.scanning.claims import Claim, Claims
from fauxscan.scanning.decoders import Lost, Take
from fauxscan.scanning.decoding import Faces, Job, Seen
from fauxscan.scanning.places import Place
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored

FILES_AT_ONCE, BYTES_AT_ONCE = 8, 4 << 20  # that a decoder is given: to speak to it costs as much as a small image
Lay = Callable[[Scored, Image], None]  # is given each crop with its row


class Memory(Protocol):
    """What earlier scans know."""

    def outcome(self, sha256: str) -> Outcome | None:
        """Return the outcome of a content; None where it must be judged."""

    def faces(self, sha256: str) -> Faces | None:
        """Return the faces of a content; None where they must be found."""


class Eyes(Protocol):
    """What looks at files: a `Decoder`."""

    def look(self, jobs: Sequence[tuple[Job, BinaryIO]], take: Take) -> list[Seen]:
        """Return what was seen of each job, its crops given to `take`. Raise Lost."""


@dataclass(eq=False)
class Draft:
    """What is known of one file so far."""

    entry: Entry
    outcome: Outcome
    rows: list[Scored] = field(default_factory=list)
    faces: Faces | None = None  # None: not looked for
    judged: bool = False  # its content was judged before
    claim: Claim | None = None  # its content is judged by this file ...
    twin: Claim | None = None  # ... or by another one
    held: ExitStack = field(default_factory=ExitStack)  # the open file

    def fail(self, status: Status, detail: str) -> None:
        """Give the file the status it failed with: what was scored is no score, what changed while read has no hash."""
        sha256 = None if status is Status.CHANGED_DURING_READ else self.outcome.sha256
        self.outcome = replace(self.outcome, sha256=sha256, status=status, detail=detail, p_fake=None, verdict=None)
        self.rows, self.faces, self.judged, self.twin = [], None, False, None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Make what goes wrong with the file its status."""
        try:
            yield
        except MediaError as error:
            self.fail(error.status, error.detail)


class Asked(NamedTuple):
    """A file that a decoder is to look at."""

    draft: Draft
    job: Job
    handle: BinaryIO


def chunks(entries: Sequence[Entry]) -> Iterator[list[Draft]]:
    """Give drafts of the files, in order, as many at once as a decoder is given."""
    chunk: list[Draft] = []
    weight = 0
    for entry in entries:
        weight += entry.size or 0
        if chunk and (weight > BYTES_AT_ONCE or len(chunk) == FILES_AT_ONCE):
            yield chunk
            chunk, weight = [], entry.size or 0
        chunk.append(Draft(entry, entry.outcome))
    if chunk:
        yield chunk


class Reader:
    """Reads the files of one batch, from many threads; content that is known, or is being judged, is only hashed."""

    def __init__(self, settings: Settings, root: Place, memory: Memory, claims: Claims) -> None:
        self.settings, self.root, self.memory, self.claims = settings, root, memory, claims

    def read(self, drafts: Sequence[Draft], eyes: Eyes, lay: Lay) -> None:
        """Fill in the drafts, the crops given to `lay`. What goes wrong with a file ends up in its draft."""
        asked = []
        for draft in drafts:
            with draft.failing():
                asked += self._opened(draft)
        for one, seen in zip(asked, _looked(asked, eyes, lay), strict=True):
            with one.draft.failing(), one.draft.held:
                self._note(one.draft, seen)

    def _opened(self, draft: Draft) -> list[Asked]:
        """Return the file if it must be looked at. One that lies in memory is closed again, and any is if known."""
        if draft.entry.status is not None:
            raise MediaError(draft.entry.status, draft.entry.detail or "")
        content = draft.held.enter_context(self.root.opened(draft.entry, self.settings.media))
        in_memory = isinstance(content.handle, BytesIO)
        if self._is_known(content, draft) or in_memory:
            draft.held.close()
        if draft.judged or draft.twin:
            return []
        data = content.bytes() if in_memory else None
        job = Job(content.size, content.head, data, self.memory.faces(content.sha256))
        return [Asked(draft, job, content.handle)]

    def _is_known(self, content: Content, draft: Draft) -> bool:
        """Note what was read; return whether another file of this content was judged, or is being judged."""
        draft.outcome = Outcome(content.sha256, content.size, content.mtime_ns, content.etag)
        judged = self.memory.outcome(content.sha256)
        if judged is not None:
            draft.outcome, draft.judged = judged.at(draft.outcome), True
            return True
        claim, mine = self.claims.claim(content.sha256)
        draft.claim, draft.twin = (claim, None) if mine else (None, claim)
        return not mine

    def _note(self, draft: Draft, seen: Seen) -> None:
        sha256, draft.outcome = draft.outcome.sha256, seen.outcome.at(draft.outcome)
        draft.outcome.sha256 = sha256
        if draft.outcome.status != Status.OK:
            draft.rows = []
        elif self.settings.finds_faces:
            draft.faces = seen.faces


def _looked(asked: Sequence[Asked], eyes: Eyes, lay: Lay) -> list[Seen]:
    """Return what was seen of the files. Where a decoder is lost, each is tried again alone."""
    if not asked:
        return []
    try:
        return _look(asked, eyes, lay)
    except Lost:
        return [_alone(one, eyes, lay) for one in asked]


def _alone(one: Asked, eyes: Eyes, lay: Lay) -> Seen:
    try:
        return _look([one], eyes, lay)[0]
    except Lost as lost:
        return Seen(Outcome(status=lost.status, detail=lost.detail))


def _look(asked: Sequence[Asked], eyes: Eyes, lay: Lay) -> list[Seen]:
    def take(number: int, row: Scored, image: Image) -> None:
        lay(row, image)
        asked[number].draft.rows.append(row)

    for one in asked:
        one.draft.rows = []
    return eyes.look([(one.job, one.handle) for one in asked], take)
