"""Decoders: child processes that may crash, hang or run out of memory, and are then started anew."""

import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import BinaryIO

import numpy as np

from fauxscan.media.images import Image
from fauxscan.records import Status, UserError
from fauxscan.scanning.decoding import READY, TRAY, Job, Seen
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.views import Scored

MODULE = "fauxscan.scanning.decoding"
Take = Callable[[int, Scored, Image], None]  # is given each crop, with the number of its job and its row


class Lost(Exception):
    """A decoder was lost over its jobs: it crashed, or took too long."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Decoder:
    """A child process, started when it is first asked and again after it was lost. One thread at a time may ask."""

    def __init__(self, settings: Settings, module: str = MODULE) -> None:
        self._settings, self._module = settings, module
        self._child: _Child | None = None

    def look(self, jobs: Sequence[tuple[Job, BinaryIO]], take: Take) -> list[Seen]:
        """Return what was seen of each job, its crops given to `take`. Raise Lost."""
        self._child = child = self._child or _Child(self._settings, self._module)
        try:
            return child.look(jobs, take)
        except BaseException:
            self._child = None
            child.stop()
            raise


class _Child:
    def __init__(self, settings: Settings, module: str) -> None:
        ours, theirs = socket.socketpair()
        self._sizes = [card.input_size for card in settings.cards]
        with theirs, _shared_memory() as tray:
            self._tray = np.frombuffer(mmap.mmap(tray.fileno(), TRAY), np.uint8)
            self._process = _started(module, theirs.fileno(), tray.fileno())
        self._line = Connection(ours.detach())
        self.stop = weakref.finalize(self, _stop, self._process, self._line)  # at the latest when we end
        self._line.send(settings)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Raise UserError if the process does not even begin: that is no file's fault."""
        try:
            if self._line.recv() == READY:
                return
        except (EOFError, ConnectionError):
            pass
        self.stop()
        raise UserError("decoders do not start, see above: try `fauxscan doctor`, or raise scan.decoder_bytes")

    def look(self, jobs: Sequence[tuple[Job, BinaryIO]], take: Take) -> list[Seen]:
        try:
            self._send(jobs)
            while True:
                message = self._line.recv()
                if message and isinstance(message[0], Seen):
                    return list(message)
                for number, row, start in message:
                    take(number, row, self._image(start, self._sizes[row.model]))
                self._line.send(None)
        except (EOFError, ConnectionError) as error:
            raise self._lost() from error

    def _send(self, jobs: Sequence[tuple[Job, BinaryIO]]) -> None:
        self._line.send([job for job, _ in jobs])
        for job, handle in jobs:
            if job.data is None:
                send_handle(self._line, handle.fileno(), self._process.pid)

    def _image(self, start: int, size: int) -> Image:
        return self._tray[start : start + size * size * 3].reshape(size, size, 3)

    def _lost(self) -> Lost:
        code = self._process.wait()
        if code == -signal.SIGALRM:
            return Lost(Status.TIMEOUT, "decoding took longer than scan.seconds_per_file")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return Lost(Status.CRASHED, f"the decoder {how}, twice")


def _started(module: str, *descriptors: int) -> "subprocess.Popen[bytes]":
    # -P: the folder that we were started in is no place to import from. A group of its own: Ctrl-C is for us alone.
    command = [sys.executable, "-P", "-c", f"from {module} import main; main()", *map(str, descriptors)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors, process_group=0)


def _stop(process: "subprocess.Popen[bytes]", line: Connection) -> None:
    line.close()
    process.kill()
    process.wait()


def _shared_memory() -> BinaryIO:
    """Return memory that has a descriptor and no name, so that nothing of it is left if we are killed."""
    file = os.fdopen(os.memfd_create("tray"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()  # noqa: SIM115
    os.ftruncate(file.fileno(), TRAY)
    return file
