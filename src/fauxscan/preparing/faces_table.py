"""The faces of a dataset on disk: encoded images in a few Parquet files, written and read here."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.records import FACES, UserError

ROWS_A_FILE = 20_000
ROWS_A_GROUP = 256
Row = dict[str, Any]


class FacesWriter:
    """Writes rows to faces-00000.parquet and on, a new file after so many rows."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, 0
        self._waiting: list[Row] = []
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: list[Row]) -> None:
        """Add rows."""
        self._waiting += rows
        if len(self._waiting) >= ROWS_A_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what waits and close the last file."""
        self._flush()
        if self._writer:
            self._writer.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            name = f"faces-{self.rows // ROWS_A_FILE:05d}.parquet"
            self._writer = pq.ParquetWriter(self.folder / name, FACES, compression="none")  # images do not shrink
        self._writer.write_table(pa.Table.from_pylist(self._waiting, FACES))
        before, self.rows = self.rows, self.rows + len(self._waiting)
        self._waiting = []
        if before // ROWS_A_FILE != self.rows // ROWS_A_FILE:
            self._writer.close()
            self._writer = None


def read_faces(folder: Path, columns: list[str]) -> pa.Table:
    """Return these columns of all faces, in order."""
    return pa.concat_tables(pq.read_table(file, columns=columns) for file in face_files(folder))


def face_files(folder: Path) -> list[Path]:
    """Return the files that hold faces. Raise UserError if there is none."""
    found = sorted(folder.glob("faces-*.parquet"))
    if not found:
        raise UserError(f"no faces-*.parquet in {folder}: run the stage `faces` first")
    return found


def read_made(folder: Path) -> pa.Table:
    """Return the row of every file, in the order of the index."""
    return pq.read_table(folder / "made.parquet")
