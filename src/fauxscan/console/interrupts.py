"""Ctrl-C: it is answered at once, then the command stops in order."""

import atexit
import os
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

ANSWER = "fauxscan: stopping ..."


class Interrupts:
    """Handles Ctrl-C, from its creation in the main thread on.

    Python runs handlers of signals between its own instructions, and not while C++ code holds the interpreter, as the
    import of TensorFlow does for many seconds. From `answer_apart` on, another process therefore gives the answer: the
    system's own handler wakes it with a byte in a socket. Whoever takes the byte gives the answer, and nobody else.
    """

    def __init__(self) -> None:
        self._wake, self._signalled = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._stop)

    def answer_apart(self) -> None:
        """Let another process answer from now on. Any thread may call this."""
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # it is answered already
            return
        # `head` ends without a byte when this process ends.
        script = f"""[ -z "$(head -c 1 | tr '\\002' x)" ] || printf {shlex.quote(_answer())}"""
        with suppress(OSError):  # a process group of its own: Ctrl-C reaches only the parent
            self._process = subprocess.Popen(
                ["sh", "-c", script], stdin=self._wake.fileno(), stdout=sys.stderr.fileno(), process_group=0
            )
            atexit.register(self._end, self._process)

    def _stop(self, *_: Any) -> None:
        """Stop in order, which takes a few seconds, and ignore further Ctrl-C meanwhile."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._wait(1)
        if self._process and self._process.returncode == 0:  # it has answered; what is in the socket is a second Ctrl-C
            raise KeyboardInterrupt
        if self._claim():
            with suppress(AttributeError, OSError):  # there is no standard error
                os.write(sys.stderr.fileno(), _answer().encode())  # unbuffered: another write may be under way
        else:
            self._wait(10)
        raise KeyboardInterrupt

    def _wait(self, seconds: float) -> None:
        """Wait for the other process, if there is one: it ends with the answer, which comes before all other lines."""
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def _claim(self) -> bool:
        """Return whether the answer is this process's to give: the other one has not begun to."""
        try:
            return bool(self._wake.recv(64, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        signal.set_wakeup_fd(-1)
        self._signalled.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def _answer() -> str:
    """Return the answer, in a terminal on a line of its own, below ^C or a progress bar."""
    return f"\n{ANSWER}\n" if sys.stderr.isatty() else f"{ANSWER}\n"
