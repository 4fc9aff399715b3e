"""An index of table rows by SHA-256, at sixteen bytes a row: a dictionary of strings takes twenty times as much."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DIGITS = 8  # of each hash that are searched; the rest is compared


class HashIndex:
    """An index over a column of hexadecimal hashes, or over some of its rows; nulls are left out."""

    def __init__(self, hashes: pa.ChunkedArray, rows: NDArray[np.intp] | None = None) -> None:
        self._hashes = hashes
        rows = np.arange(len(hashes)) if rows is None else rows
        rows = rows[pc.is_valid(hashes).to_numpy()[rows]]
        leading = _leading(hashes.take(pa.array(rows, pa.int64())))
        order = np.argsort(leading, kind="stable")
        self._leading, self._rows = leading[order], rows[order]

    def rows(self, sha256: str) -> list[int]:
        """Return the numbers of the rows with this hash, in their order."""
        if not len(self._rows):
            return []
        leading = int.from_bytes(sha256[:DIGITS].encode(), "big")
        first, end = np.searchsorted(self._leading, np.array([leading, leading + 1], np.uint64))
        return [row for row in self._rows[first:end].tolist() if self._hashes[row].as_py() == sha256]


def _leading(hashes: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return the first digits of each hash, as the number that their bytes are."""
    cut = pc.utf8_slice_codeunits(hashes, 0, DIGITS).combine_chunks().cast(pa.binary(DIGITS))
    return np.frombuffer(cut.buffers()[1] or b"", ">u8", len(cut), cut.offset * DIGITS).astype(np.uint64)
