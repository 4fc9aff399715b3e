"""The process that decodes: hostile bytes in, crops out. It knows no network and no table, and opens no file itself.

Started by `decoders`, with which it shares a socket and a stretch of memory, the tray.
"""

import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from fauxscan.media import videos
from fauxscan.media.faces import Face, FaceFinder
from fauxscan.media.files import Content, identify
from fauxscan.media.images import Image
from fauxscan.media.looking import Sight, look
from fauxscan.records import Kind, MediaError, Status
from fauxscan.scanning.rows import Outcome
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored, views

TRAY = 8 << 20  # bytes
READY = "ready"
Faces = dict[int, tuple[Face, ...]]  # of a file, by frame
Take = Callable[[Scored, Image], None]  # is given each crop with the row it belongs to
Laid = tuple[int, Scored, int]  # number of the job, row, and where on the tray its crop begins


@dataclass(frozen=True)
class Job:
    """A file to look at. `data` is None where it is too large to be sent: then its open file is handed over."""

    size: int
    head: bytes
    data: bytes | None
    faces: Faces | None  # None: they are not known yet


@dataclass
class Seen:
    """What is known of a file when it has been looked at: all of its outcome that needs no score, and its faces."""

    outcome: Outcome
    faces: Faces = field(default_factory=dict)


class Looker:
    """Looks at files one by one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._finder: FaceFinder | None = None

    def look(self, job: Job, handle: BinaryIO, take: Take) -> Seen:
        """Return what was seen of the file, its crops given to `take`. What goes wrong with it is its status."""
        seen = Seen(Outcome())
        try:
            for sight in self._sights(job, Content("", job.size, 0, job.head, handle), seen):
                for image, row in views(sight, self.settings):
                    take(row, image)
        except MediaError as error:
            seen.outcome.status, seen.outcome.detail = error.status, error.detail
            if _out_of_memory(error.__cause__):
                seen.outcome.status, seen.outcome.detail = _too_large()
        except MemoryError:
            seen.outcome.status, seen.outcome.detail = _too_large()
        except ConnectionError:
            raise
        except Exception as error:  # one file's fault is one file's row
            self._finder = None
            crashed = Status.CRASHED, f"{type(error).__module__}.{type(error).__name__}"
            seen.outcome.status, seen.outcome.detail = _too_large() if _out_of_memory(error) else crashed
        return seen

    def _sights(self, job: Job, content: Content, seen: Seen) -> Iterator[Sight]:
        kind, form = identify(content.head)
        seen.outcome.kind, seen.outcome.format = kind, form
        if kind is Kind.VIDEO:
            seen.outcome.duration_s = videos.probe(content.handle, form, self.settings.media).duration_s
        finder = self._face_finder() if self.settings.finds_faces and job.faces is None else None
        for sight in look(content, kind, form, self.settings.media, finder):
            whole = sight if job.faces is None else replace(sight, faces=job.faces.get(sight.frame, ()))
            self._note(whole, seen)
            yield whole

    def _note(self, sight: Sight, seen: Seen) -> None:
        outcome, least = seen.outcome, self.settings.faces.min_size
        outcome.height, outcome.width = sight.image.shape[:2]
        if min(sight.image.shape[:2]) < least:
            raise MediaError(Status.TOO_SMALL, f"{outcome.width}x{outcome.height}; faces.min_size is {least}")
        if self.settings.finds_faces:
            outcome.faces = (outcome.faces or 0) + len(sight.faces)
            seen.faces[sight.frame] = sight.faces

    def _face_finder(self) -> FaceFinder:
        self._finder = self._finder or FaceFinder(self.settings.faces)
        return self._finder


def _out_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem)


def _too_large() -> tuple[Status, str]:
    return Status.TOO_LARGE, "decoding it takes more memory than scan.decoder_bytes allows"


class Tray:
    """Where crops lie on their way to the other process; what is on it is handed over when it is full."""

    def __init__(self, descriptor: int, line: Connection) -> None:
        self._memory = np.frombuffer(mmap.mmap(descriptor, TRAY), np.uint8)
        self._line = line
        self._laid: list[Laid] = []
        self._end = 0

    def lay(self, job: int, row: Scored, image: Image) -> None:
        """Lay down a crop of a job."""
        if self._end + image.size > TRAY:
            self.hand_over()
        self._memory[self._end : self._end + image.size] = image.reshape(-1)
        self._laid.append((job, row, self._end))
        self._end += image.size

    def hand_over(self) -> None:
        """Tell what lies on the tray, and wait until it has been taken: how long that takes is no file's fault."""
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        self._line.send(self._laid)
        self._line.recv()
        self._laid, self._end = [], 0
        signal.setitimer(signal.ITIMER_REAL, left)


def serve(line: Connection, tray: Tray) -> None:
    """Look at the jobs that come in, some at a time, until the other side is gone."""
    settings: Settings = line.recv()
    cv2.setNumThreads(1)
    _limit_memory(settings.scan.decoder_bytes)
    looker = Looker(settings)
    line.send(READY)
    _fall_silent()
    while True:
        jobs: list[Job] = line.recv()
        handles = [BytesIO(job.data) if job.data is not None else os.fdopen(recv_handle(line), "rb") for job in jobs]
        signal.setitimer(signal.ITIMER_REAL, settings.scan.seconds_per_file)  # at its end this process dies of SIGALRM
        seen = [looker.look(job, handles[n], partial(tray.lay, n)) for n, job in enumerate(jobs)]
        tray.hand_over()
        signal.setitimer(signal.ITIMER_REAL, 0)
        line.send(seen)


def _fall_silent() -> None:
    """Let go of the terminal: C libraries tell it about every broken file."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def _limit_memory(most: int) -> None:
    """Let the address space grow by `most` bytes and no further: allocations beyond fail, in this process alone."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[0]) if statm.exists() else 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * mmap.PAGESIZE + most, hard))


def main() -> None:
    """Serve on the socket and the tray whose descriptors are the arguments."""
    line = Connection(int(sys.argv[1]))
    try:
        serve(line, Tray(int(sys.argv[2]), line))
    except (EOFError, ConnectionError):
        return  # the scan has ended, or was killed
