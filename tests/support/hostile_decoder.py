"""A decoder that misbehaves as its files ask: it crashes, hangs, exits at random, or takes all memory."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fauxscan.scanning.decoding import worker

ONCE = Path(os.environ.get("HOSTILE_ONCE", os.devnull))
BEGUN = Path(os.environ.get("HOSTILE_BEGUN", os.devnull))  # a byte for each time that a file that lasts is begun


def look(content: Any, *rest: Any) -> Iterator[Any]:
    """Decode a file, after doing what its last four bytes ask for."""
    order = content.bytes()[-4:]
    if order == b"SEGV" or (order == b"ONCE" and not ONCE.exists()):
        ONCE.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if order in (b"HANG", b"SLOW"):
        with BEGUN.open("ab") as begun:
            begun.write(b".")
    if order == b"HANG":
        while True:
            pass
    if order == b"MANY":
        np.ones(1 << 36, np.uint8)
    if order == b"RAND" and random.SystemRandom().random() < 0.1:  # forked decoders would share the state of `random`
        os._exit(1)
    if order == b"SLOW":
        time.sleep(0.5)
    if order == b"ZERO":
        1 / 0  # noqa: B018
    yield from really(content, *rest)


def main() -> None:
    """Run the real decoder's loop."""
    worker.main()


really = worker.decode_media
worker.decode_media = look
