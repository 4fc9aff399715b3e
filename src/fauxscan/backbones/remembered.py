"""Features that have been computed, by the digest of the pixels: the latest in memory, or all of them on disk."""

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fauxscan import disk
from fauxscan.backbones.store import Installed

log = logging.getLogger(__name__)
LATEST = 256  # images whose features are kept in memory: 9 MB of CLIP's
CREATE = "CREATE TABLE IF NOT EXISTS features (pixels BLOB PRIMARY KEY, numbers BLOB) WITHOUT ROWID"
Features = NDArray[np.float32]


class InMemory:
    """The features of the latest images."""

    def __init__(self) -> None:
        self._latest: OrderedDict[bytes, Features] = OrderedDict()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        """Return those that are known."""
        return {key: self._latest[key] for key in keys if key in self._latest}

    def keep(self, computed: dict[bytes, Features]) -> dict[bytes, Features]:
        """Keep these, forget the oldest, and return these."""
        self._latest.update(computed)
        while len(self._latest) > LATEST:
            self._latest.popitem(last=False)
        return computed


class OnDisk:
    """The features of all images, in an SQLite file, which several processes may share and a kill does not damage.

    They are kept as 16-bit floats, which is finer than what differs between processors.
    """

    def __init__(self, file: Path, shape: tuple[int, int]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._shape = shape
        self._database = sqlite3.connect(file, timeout=60, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(CREATE)

    @classmethod
    def of(cls, installed: Installed, precision: str) -> "OnDisk | InMemory":
        """Return the features of a backbone in the user's cache, or in memory if that cannot be written."""
        import platformdirs

        folder = platformdirs.user_cache_path("fauxscan") / "features"
        try:
            return cls(
                folder / f"{installed.digest[:16]}-{precision}.sqlite", (installed.card.blocks, installed.card.width)
            )
        except (OSError, sqlite3.Error) as error:
            log.warning(disk.NO_CACHE, "Features are not kept", folder, error)
            return InMemory()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Features]:
        """Return those that are known."""
        return dict(self._rows(keys))

    def keep(self, computed: dict[bytes, Features]) -> dict[bytes, Features]:
        """Keep these too, and return them as they will be read."""
        rounded = {key: numbers.astype(np.float16) for key, numbers in computed.items()}
        rows = [(key, numbers.tobytes()) for key, numbers in rounded.items()]
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)
        return {key: numbers.astype(np.float32) for key, numbers in rounded.items()}

    def _rows(self, keys: Sequence[bytes]) -> Iterable[tuple[bytes, Features]]:
        for key in dict.fromkeys(keys):
            row = self._database.execute("SELECT numbers FROM features WHERE pixels = ?", (key,)).fetchone()
            if row:
                yield key, np.frombuffer(row[0], np.float16).astype(np.float32).reshape(self._shape)
