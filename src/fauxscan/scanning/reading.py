"""One file on its way to the models: opened and hashed once, decoded from those very bytes, cut into views."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from fauxscan.media import videos
from fauxscan.media.faces import FaceFinder
from fauxscan.media.files import Content, identify, opened
from fauxscan.media.images import Image
from fauxscan.media.looking import Sight, look
from fauxscan.records import Kind, MediaError, Status, UserError
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored, views

log = logging.getLogger(__name__)
Known = Callable[[str], Outcome | None]


@dataclass
class Draft:
    """What is known of one file so far."""

    entry: Entry
    outcome: Outcome
    rows: list[Scored] = field(default_factory=list)
    judged: bool = False  # its content was judged before
    twin: bool = False  # another file of the batch has the same content and is judged in its place

    def fail(self, status: Status, detail: str) -> None:
        """Give the file the status it failed with: what was scored is no score, what changed while read has no hash."""
        sha256 = None if status is Status.CHANGED_DURING_READ else self.outcome.sha256
        self.outcome = replace(self.outcome, sha256=sha256, status=status, detail=detail, p_fake=None, verdict=None)
        self.rows, self.judged, self.twin = [], False, False


class Reader:
    """Reads the files of one batch, from many threads; content that is known, or occurs twice, is decoded once."""

    def __init__(self, settings: Settings, root: Path, known: Known) -> None:
        self.settings, self.root, self.known = settings, root, known
        self._finders: SimpleQueue[FaceFinder] = SimpleQueue()
        self._claimed: set[str] = set()
        self._lock = Lock()

    def begin(self, entry: Entry) -> Draft:
        """Return the draft of a file of which nothing is known yet."""
        return Draft(entry, Outcome(size=entry.size, mtime_ns=entry.mtime_ns))

    def views(self, draft: Draft) -> Iterator[tuple[Image, Scored]]:
        """Give what the models are to see of the file. What goes wrong with the file ends up in its draft."""
        try:
            yield from self._views(draft)
        except MediaError as error:
            draft.fail(error.status, error.detail)
        except UserError:
            raise
        except Exception as error:  # one file's fault is one file's row
            log.warning("crashed on %r", draft.entry.path, exc_info=True)
            draft.fail(Status.CRASHED, type(error).__name__)

    def _views(self, draft: Draft) -> Iterator[tuple[Image, Scored]]:
        if draft.entry.status is not None:
            raise MediaError(draft.entry.status, draft.entry.detail or "")
        with opened(self.root / draft.entry.path, self.settings.media) as content:
            if self._is_new(content, draft):
                for sight in self._look(content, draft.outcome):
                    yield from views(sight, self.settings)

    def _is_new(self, content: Content, draft: Draft) -> bool:
        """Note what was read; return whether this content is still to be judged, by this file."""
        draft.outcome = Outcome(content.sha256, content.size, content.mtime_ns)
        judged = self.known(content.sha256)
        if judged is not None:
            draft.outcome, draft.judged = judged.at(draft.outcome), True
            return False
        with self._lock:
            draft.twin = content.sha256 in self._claimed
            self._claimed.add(content.sha256)
        return not draft.twin

    def _look(self, content: Content, outcome: Outcome) -> Iterator[Sight]:
        kind, form = identify(content.head)
        outcome.kind, outcome.format = kind, form
        if kind is Kind.VIDEO:
            outcome.duration_s = videos.probe(content.handle, form, self.settings.media).duration_s
        with self._finder() as finder:
            for sight in look(content, kind, form, self.settings.media, finder):
                self._measure(sight, outcome)
                yield sight

    def _measure(self, sight: Sight, outcome: Outcome) -> None:
        outcome.height, outcome.width = sight.image.shape[:2]
        least = self.settings.faces.min_size
        if min(sight.image.shape[:2]) < least:
            raise MediaError(Status.TOO_SMALL, f"{outcome.width}x{outcome.height}; faces.min_size is {least}")
        if self.settings.finds_faces:
            outcome.faces = (outcome.faces or 0) + len(sight.faces)

    @contextmanager
    def _finder(self) -> Iterator[FaceFinder | None]:
        """Lend a face finder to one file; one that met an error is not used again."""
        if not self.settings.finds_faces:
            yield None
            return
        try:
            finder = self._finders.get_nowait()
        except Empty:
            finder = FaceFinder(self.settings.faces)
        yield finder
        self._finders.put(finder)
