"""The faces of a dataset: found, aligned, cropped, and kept as encoded images in a few Parquet files."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import imagehash
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow
from tqdm import tqdm

from fauxscan.media import faces as media_faces
from fauxscan.media import files, images
from fauxscan.media.faces import Face, FaceFinder
from fauxscan.media.looking import Sight, look
from fauxscan.params import FaceParams, MediaParams
from fauxscan.preparing.faces_table import FacesWriter
from fauxscan.records import MADE, Kind, MediaError, Status, UserError, View

log = logging.getLogger(__name__)
Row = dict[str, Any]


def make_faces(index: Path, folder: Path, out: Path, maker: "FaceMaker", threads: int) -> None:
    """Write `faces-*.parquet` (one row a face or whole frame) and `made.parquet` (one row a file, with its status)."""
    examples = pq.read_table(index).to_pylist()
    out.mkdir(parents=True, exist_ok=True)
    made, writer = [], FacesWriter(out)
    with ThreadPoolExecutor(threads) as pool:
        results = _in_order(pool, maker, examples, threads * 4)
        for row, found in tqdm(results, total=len(examples), unit="file", disable=None):
            made.append(row)
            writer.write(found)
    writer.close()
    pq.write_table(pa.Table.from_pylist(made, MADE), out / "made.parquet", compression="zstd")
    counts = Counter(row["status"] for row in made)
    log.info("%s; %d faces and frames", _said(counts), writer.rows)
    if not writer.rows:
        raise UserError(f"no face and no image came out of {folder}: {_said(counts)}")


def _said(counts: Counter[str]) -> str:
    return "files by status: " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))


def _in_order(pool: ThreadPoolExecutor, maker: "FaceMaker", examples: list[Row], ahead: int) -> Iterator[Any]:
    """Give results in the order of the index, with at most `ahead` files in flight."""
    waiting: list[Future[tuple[Row, list[Row]]]] = []
    rest = iter(examples)
    waiting.extend(pool.submit(maker.make, example) for example in islice(rest, ahead))
    while waiting:
        yield waiting.pop(0).result()
        waiting.extend(pool.submit(maker.make, example) for example in islice(rest, 1))


class FaceMaker:
    """Turns one file of the index into its rows. Threads share it; each has its own face detector."""

    def __init__(self, folder: Path, mode: str, media: MediaParams, params: FaceParams) -> None:
        self.folder, self.mode, self.media, self.params = folder, mode, media, params
        self._local = threading.local()

    def make(self, example: Row) -> tuple[Row, list[Row]]:
        """Return the file's row for `made` and its rows for `faces`; a file that fails has a status and no faces."""
        base = {
            name: example[name]
            for name in ("path", "sha256", "label", "generator", "source", "split", "identities", "size")
        }
        made: Row = {**base, "status": Status.OK, "detail": "", "frames": 0, "faces": 0}
        try:
            with files.opened(self.folder / example["path"], self.media) as content:
                rows = self._rows(content, made)
        except MediaError as error:
            return {**made, "status": error.status, "detail": error.detail}, []
        if not rows:
            made.update(status=Status.NO_FACE, detail="no face found")
        return made, rows

    def _rows(self, content: files.Content, made: Row) -> list[Row]:
        kind, form = files.identify(content.head)
        made.update(kind=kind, format=form)
        if kind is Kind.IMAGE:
            made.update(images.traits(content.bytes(), form))
        finder = self._finder() if self.mode != "whole" else None
        rows: list[Row] = []
        for sight in look(content, kind, form, self.media, finder):
            made["height"], made["width"] = sight.image.shape[:2]
            made["frames"] += 1
            made["faces"] += len(sight.faces)
            rows += self._views(content, kind, form, sight)
        return rows

    def _views(self, content: files.Content, kind: Kind, form: str, sight: Sight) -> list[Row]:
        rows = [_face_row(content.sha256, sight, n, face, self.params) for n, face in enumerate(sight.faces)]
        if self.mode in ("whole", "both"):
            rows.append(_whole_row(content, kind, form, sight))
        return rows

    def _finder(self) -> FaceFinder:
        if not hasattr(self._local, "finder"):
            self._local.finder = FaceFinder(self.params)
        return self._local.finder  # type: ignore[no-any-return]


def _face_row(sha256: str, sight: Sight, number: int, face: Face, params: FaceParams) -> Row:
    crop = media_faces.align(sight.image, face.landmarks, params.margin, params.size)
    return {
        **_row(sha256, sight, View.FACE, crop),
        "track": face.track if sight.time_s is not None else number, "face": number,
        "x": face.x, "y": face.y, "w": face.w, "h": face.h,
        "landmarks": face.landmarks.ravel().tolist(), "det_score": face.score,
        "format": "png", "image": images.encode_png(crop),
    }  # fmt: skip


def _whole_row(content: files.Content, kind: Kind, form: str, sight: Sight) -> Row:
    """Return a row with the file's own bytes, which re-encoding would rob of evidence, or a lossless copy."""
    height, width = sight.image.shape[:2]
    row = {**_row(content.sha256, sight, View.WHOLE, sight.image), "track": 0, "face": 0}
    row.update(x=0.0, y=0.0, w=float(width), h=float(height))
    if kind is Kind.IMAGE and images.decodes_alike(content.bytes(), form):
        return {**row, "format": form, "image": content.bytes()}
    return {**row, "format": "png", "image": images.encode_png(sight.image)}


def _row(sha256: str, sight: Sight, view: View, image: images.Image) -> Row:
    phash = str(imagehash.phash(Pillow.fromarray(image)))
    return {"sha256": sha256, "view": view, "frame": sight.frame, "time_s": sight.time_s, "phash": phash}
