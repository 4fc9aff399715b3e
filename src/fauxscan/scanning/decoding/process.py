"""The parent's side of decoding: a child process that may crash, hang or run out of memory and is then replaced."""

import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import BinaryIO, cast

import numpy as np

from fauxscan.media.files import Content
from fauxscan.records import Status, UserError
from fauxscan.scanning.decoding.views import OnCrop
from fauxscan.scanning.decoding.worker import BUFFER_BYTES, READY, FileToDecode, is_in_memory
from fauxscan.scanning.rows import Outcome
from fauxscan.scanning.settings import Settings

MODULE = "fauxscan.scanning.decoding.worker"


class DecoderLost(Exception):
    """The decoder process was lost while it worked on files: it crashed or took too long."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Decoder:
    """A child process that decodes, started at the first request and again after it was lost. Not thread-safe."""

    def __init__(self, settings: Settings, module: str = MODULE) -> None:
        self._settings, self._module = settings, module
        self._child: _Child | None = None

    def decode(self, files: Sequence[FileToDecode], on_crop: OnCrop) -> list[Outcome]:
        """Return what decoding shows of each file, after passing its crops to `on_crop`. Raise DecoderLost."""
        self._child = child = self._child or _Child(self._settings, self._module)
        try:
            return child.decode(files, on_crop)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Kill the child process, so that `decode` raises DecoderLost in the thread that waits for it."""
        if child := self._child:
            child.kill()

    def close(self) -> None:
        """End the child process."""
        if self._child:
            self._child.stop()
        self._child = None


class _Child:
    def __init__(self, settings: Settings, module: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs, _shared_memory() as shared:
            self._buffer = np.frombuffer(mmap.mmap(shared.fileno(), BUFFER_BYTES), np.uint8)
            self._process = _start(module, theirs.fileno(), shared.fileno())
        self._connection = Connection(ours.detach())
        self.stop = weakref.finalize(self, _stop, self._process, self._connection)  # at the latest when we end
        self._connection.send(settings)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Raise UserError if the process does not even start: no file is to blame for that."""
        try:
            if self._connection.recv() == READY:
                return
        except (EOFError, ConnectionError):
            pass
        self.stop()
        memory = "if memory is short, raise scan.decoder_bytes or the limit of `ulimit -v`"
        raise UserError(f"decoders do not start, see above: try `fauxscan doctor`; {memory}")

    def decode(self, files: Sequence[FileToDecode], on_crop: OnCrop) -> list[Outcome]:
        try:
            self._send(files)
            while True:
                message = self._connection.recv()
                if message and isinstance(message[0], Outcome):
                    return list(message)
                for number, row, start, shape in message:
                    on_crop(number, row, self._buffer[start : start + math.prod(shape)].reshape(shape))
                self._connection.send(None)
        except (EOFError, ConnectionError) as error:
            raise self._lost() from error

    def kill(self) -> None:
        self._process.kill()

    def _send(self, files: Sequence[FileToDecode]) -> None:
        """Send what lies in memory as it is, and everything else as an open file."""
        self._connection.send([(_sendable(content), faces) for content, faces in files])
        for content, _ in files:
            if not is_in_memory(content):
                send_handle(self._connection, content.handle.fileno(), self._process.pid)

    def _lost(self) -> DecoderLost:
        code = self._process.wait()
        if code == -signal.SIGALRM:
            return DecoderLost(Status.TIMEOUT, "decoding took longer than scan.seconds_per_file")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return DecoderLost(Status.CRASHED, f"the decoder {how}, twice")


def _sendable(content: Content) -> Content:
    return content if is_in_memory(content) else replace(content, handle=cast(BinaryIO, None))


def _start(module: str, *descriptors: int) -> "subprocess.Popen[bytes]":
    # -P: modules are not imported from the current folder. A process group of its own: Ctrl-C reaches only the parent.
    command = [sys.executable, "-P", "-c", f"from {module} import main; main()", *map(str, descriptors)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors, process_group=0)


def _stop(process: "subprocess.Popen[bytes]", connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


def _shared_memory() -> BinaryIO:
    """Return memory with a descriptor and no name, so that nothing is left behind if we are killed."""
    file = os.fdopen(os.memfd_create("crops"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()  # noqa: SIM115
    os.ftruncate(file.fileno(), BUFFER_BYTES)
    return file
