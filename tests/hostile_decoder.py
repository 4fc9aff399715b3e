"""A decoder that does what its files say: crash, hang, vanish now and then, take all memory."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fauxscan.scanning import decoding

ONCE = Path(os.environ.get("HOSTILE_ONCE", os.devnull))


def look(content: Any, *rest: Any) -> Iterator[Any]:
    """Look at a file, unless its last bytes are an order."""
    order = content.bytes()[-4:]
    if order == b"SEGV" or (order == b"ONCE" and not ONCE.exists()):
        ONCE.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == b"HANG":
        while True:
            pass
    if order == b"MANY":
        np.ones(1 << 36, np.uint8)
    if order == b"RAND" and random.random() < 0.1:
        os._exit(1)
    if order == b"SLOW":
        time.sleep(0.5)
    if order == b"ZERO":
        1 / 0  # noqa: B018
    yield from really(content, *rest)


def main() -> None:
    """Serve as the real one does."""
    decoding.main()


really = decoding.look
decoding.look = look
