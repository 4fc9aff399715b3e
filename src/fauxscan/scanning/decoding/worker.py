"""The child process that decodes: hostile bytes in, crops out. It loads no model and opens no file itself.

`process.py` starts it and shares a socket and a buffer of memory with it.
"""

import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fauxscan.media.decode import FrameFaces, decode_media
from fauxscan.media.faces.finder import FaceFinder
from fauxscan.media.files import Content, identify
from fauxscan.media.images.codec import Image
from fauxscan.media.videos import reader
from fauxscan.records import Kind, MediaError, Status
from fauxscan.scanning.decoding.views import OnCrop, views
from fauxscan.scanning.rows import Faces, Outcome, Row
from fauxscan.scanning.settings import Settings

BUFFER_BYTES = 8 << 20
READY = "ready"
FileToDecode = tuple[Content, Faces | None]  # an open file and its faces, or None if they must be searched for
Known = dict[str, Any]  # the columns of an outcome, as far as they are known
Views = Callable[[FrameFaces, Settings], Iterator[tuple[Row, Image]]]  # what is handed out of each image or frame


class MediaReader:
    """Decodes files one by one, and hands out what models are given of them, or other `handed_out` views."""

    def __init__(self, settings: Settings, handed_out: Views = views) -> None:
        self.settings, self._views = settings, handed_out
        self._finder: FaceFinder | None = None

    def decode(self, number: int, file: FileToDecode, on_crop: OnCrop) -> Outcome:
        """Return what decoding shows of a file, after passing its crops to `on_crop`. A fault becomes its status."""
        known: Known = {"face_boxes": {} if self.settings.finds_faces else None}
        try:
            for frame in self._frames(file, known):
                for row, image in self._views(frame, self.settings):
                    on_crop(number, row, image)
        except ConnectionError:
            raise
        except Exception as error:  # one file's fault is one file's row
            status, detail = self._failure(error)
            return Outcome(**known).failed(status, detail)
        return Outcome(**known)

    def _failure(self, error: Exception) -> tuple[Status, str]:
        """Return the status and detail of a file that could not be decoded."""
        if not isinstance(error, MediaError):
            self._finder = None  # it may be in an undefined state
        if _is_out_of_memory(error.__cause__ if isinstance(error, MediaError) else error):
            return Status.TOO_LARGE, "decoding it takes more memory than scan.decoder_bytes allows"
        if isinstance(error, MediaError):
            return error.status, error.detail
        return Status.CRASHED, f"{type(error).__module__}.{type(error).__name__}"

    def _frames(self, file: FileToDecode, known: Known) -> Iterator[FrameFaces]:
        """Yield the frames of a file with their faces; add what they show to the known columns."""
        content, faces = file
        kind, form = identify(content.head)
        known |= {"kind": kind, "format": form}
        if kind is Kind.VIDEO:
            known["duration_s"] = reader.probe_video(content.handle, form, self.settings.media).duration_s
        finder = self._face_finder() if self.settings.finds_faces and faces is None else None
        for frame in decode_media(content, kind, form, self.settings.media, finder):
            complete = frame if faces is None else replace(frame, faces=faces.get(frame.frame, ()))
            self._add(complete, known)
            yield complete

    def _add(self, frame: FrameFaces, known: Known) -> None:
        height, width = frame.image.shape[:2]
        known |= {"height": height, "width": width}
        if file := frame.still or frame.clip:
            known["detail"] = "; ".join(file.defects) or None
        if min(height, width) < self.settings.faces.min_size:
            raise MediaError(Status.TOO_SMALL, f"{width}x{height}; faces.min_size is {self.settings.faces.min_size}")
        if frame.clip:
            known |= {"duration_s": frame.clip.duration_s, "seconds_seen": frame.clip.seconds_seen}
        if self.settings.finds_faces:
            known["faces"] = known.get("faces", 0) + len(frame.faces)
            known["face_boxes"][frame.frame] = frame.faces

    def _face_finder(self) -> FaceFinder:
        self._finder = self._finder or FaceFinder(self.settings.faces)
        return self._finder


def _is_out_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem)


def is_in_memory(content: Content) -> bool:
    """Return whether all bytes of a content lie in memory, so that they can be sent to another process."""
    return isinstance(content.handle, BytesIO)


Sent = tuple[int, Row, int, tuple[int, ...]]  # number of the file, row, where the crop begins, and its shape


class SharedBuffer:
    """Memory that both processes see. Crops collect in it until it is full or the files are decoded."""

    def __init__(self, descriptor: int, connection: Connection) -> None:
        self._memory = np.frombuffer(mmap.mmap(descriptor, BUFFER_BYTES), np.uint8)
        self._connection = connection
        self._crops: list[Sent] = []
        self._end = 0

    def add(self, number: int, row: Row, image: Image) -> None:
        """Add a crop of file `number`."""
        if self._end + image.size > BUFFER_BYTES:
            self.flush()
        self._memory[self._end : self._end + image.size] = image.reshape(-1)
        self._crops.append((number, row, self._end, image.shape))
        self._end += image.size

    def flush(self) -> None:
        """Announce the crops and wait until the parent has taken them; the time limit of files is paused meanwhile."""
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        self._connection.send(self._crops)
        self._connection.recv()
        self._crops, self._end = [], 0
        signal.setitimer(signal.ITIMER_REAL, left)


def serve(connection: Connection, buffer: SharedBuffer, handed_out: Views = views) -> None:
    """Decode the files that arrive, a few at a time, until the parent is gone."""
    settings: Settings = connection.recv()
    cv2.setNumThreads(1)
    _limit_memory(settings.scan.decoder_bytes)
    media_reader = MediaReader(settings, handed_out)
    connection.send(READY)
    _silence_stderr()
    while True:
        files = _receive(connection)
        signal.setitimer(signal.ITIMER_REAL, settings.scan.seconds_per_file)  # then SIGALRM ends this process
        outcomes = [media_reader.decode(number, file, buffer.add) for number, file in enumerate(files)]
        buffer.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(outcomes)


def _receive(connection: Connection) -> list[FileToDecode]:
    """Return the files to decode; those that were not sent in memory arrive as open files."""
    sent: list[FileToDecode] = connection.recv()
    return [(_with_handle(content, connection), faces) for content, faces in sent]


def _with_handle(content: Content, connection: Connection) -> Content:
    if content.handle is not None:
        return content
    return replace(content, handle=os.fdopen(recv_handle(connection), "rb"))


def _silence_stderr() -> None:
    """Detach from the terminal: C libraries print a line for every broken file."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def _limit_memory(limit: int) -> None:
    """Let the address space grow by `limit` bytes: larger allocations fail, in this process alone.

    A hard limit that is lower, as batch systems set it, stays as it is.
    """
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[0]) if statm.exists() else 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = pages * mmap.PAGESIZE + limit
    resource.setrlimit(resource.RLIMIT_AS, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def main(handed_out: Views = views) -> None:
    """Serve on the socket and the buffer whose descriptors are the arguments."""
    connection = Connection(int(sys.argv[1]))
    try:
        serve(connection, SharedBuffer(int(sys.argv[2]), connection), handed_out)
    except (EOFError, ConnectionError):
        return  # the scan has ended or was killed
