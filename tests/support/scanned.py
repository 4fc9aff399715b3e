"""Two scans of a folder with every kind of file, between which something changes."""

from pathlib import Path
from typing import NamedTuple

import cv2
from skimage import data

from fauxscan.reporting.scan_page import cards, make
from fauxscan.reporting.scan_page.contents import Extract
from fauxscan.scanning import scan
from fauxscan.scanning.settings import Settings
from support.scanning import stub_engine, write_folder

HOSTILE = "<img src=x onerror=alert(1)>.png"


class Scanned(NamedTuple):
    """A folder, the results of its scans, and the settings of both."""

    folder: Path
    results: Path
    settings: Settings

    def extract(self, word: str = "latest") -> Extract:
        """Return the extract of a run."""
        return make.make(self.results, word, cards.of_settings(self.settings), self.settings)


def scan_twice(home: Path) -> Scanned:
    """Return a folder that was scanned twice; between the scans a file came, one was replaced and one was removed."""
    folder, engine = write_folder(home / "in"), stub_engine(home / "models")
    cv2.imwrite(str(folder / HOSTILE), data.astronaut()[:300, 100:400, ::-1])
    scan.scan(folder, home / "results", engine)
    cv2.imwrite(str(folder / "later.png"), data.astronaut()[:400, 50:450, ::-1])
    cv2.imwrite(str(folder / "a" / "cat.png"), data.chelsea()[:, ::-1])
    (folder / "cut.jpg").unlink()
    scan.scan(folder, home / "results", engine)
    return Scanned(folder, home / "results", engine.settings)
