"""The faces of a dataset: found, aligned, cropped, and kept as encoded images in a few Parquet files."""

import importlib.metadata
import logging
import pickle
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import imagehash
import pyarrow.parquet as pq
from PIL import Image as Pillow
from tqdm import tqdm

from fauxscan.media import faces as media_faces
from fauxscan.media import files, images, uniform
from fauxscan.media.faces import Face, FaceFinder
from fauxscan.media.looking import Sight, look
from fauxscan.params import AlignParams, FaceParams, MediaParams
from fauxscan.preparing.faces_table import Chunk, ChunkWriter, chunks, damage, face_files, read_made
from fauxscan.records import MediaError, Status, UserError, View

log = logging.getLogger(__name__)
MAKING = 2  # raise it when the same file and parameters would give other rows: what was made before is made again
DECODERS = ("av", "opencv-python-headless", "pillow", "imagehash")  # another version may give other pixels
COPIED = ("path", "sha256", "label", "generator", "source", "split", "identities", "size")
SPOOL = 8 << 20  # bytes of one file's rows that wait in memory; the rest waits on disk
Row = dict[str, Any]


def make_faces(index: Path, folder: Path, out: Path, maker: "FaceMaker", threads: int) -> None:
    """Write `faces-*.parquet` (one row a face or whole frame) and `made-*.parquet` (one row a file, with its status).

    Chunks that an earlier run finished, of the same files in the same way, are kept. Raise UserError if nothing came
    out of any file.
    """
    planned = chunks(pq.read_table(index), maker.essence())
    out.mkdir(parents=True, exist_ok=True)
    todo = _left_to_make(out, planned)
    with ThreadPoolExecutor(threads) as pool, _one_thread_each():
        examples = (example for chunk in todo for example in chunk.examples.to_pylist())
        results = _reported(_in_order(pool, maker, examples, threads * 2), sum(len(chunk.examples) for chunk in todo))
        for chunk in todo:
            _make(out, chunk, results)
    counts = Counter(read_made(out, ["status"])["status"].to_pylist())
    rows = sum(pq.read_metadata(file).num_rows for file in face_files(out))
    log.info("%s; %d faces and frames", _said(counts), rows)
    if not rows:
        raise UserError(f"no face and no image came out of {folder}: {_said(counts)}")


def _left_to_make(out: Path, planned: list[Chunk]) -> list[Chunk]:
    """Return the chunks that are not there, sound; delete what belongs to none."""
    named = {name for chunk in planned for name in chunk.names}
    for stray in (file for file in out.iterdir() if file.name not in named and file.is_file()):
        log.info("%s belongs to no chunk: deleted", stray)
        stray.unlink()
    wrong = {chunk.number: damage(out, chunk) for chunk in planned}
    for chunk in planned:
        if any((out / name).exists() for name in chunk.names):
            found = wrong[chunk.number]
            log.info("%s: %s", out / chunk.names[0], f"made again: {found}" if found else "kept")
    return [chunk for chunk in planned if wrong[chunk.number]]


def _make(out: Path, chunk: Chunk, results: Iterator[tuple[Row, "Rows"]]) -> None:
    with ChunkWriter(out, chunk) as writer:
        for made, rows in islice(results, len(chunk.examples)):
            with rows:
                writer.write(made, rows.read())
        writer.finish()


def _said(counts: Counter[str]) -> str:
    return "files by status: " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own: the files are worked on side by side already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _in_order(pool: ThreadPoolExecutor, maker: "FaceMaker", examples: Iterable[Row], ahead: int) -> Iterator[Any]:
    """Give results in the order of the index, with at most `ahead` files in flight."""
    waiting: list[Future[tuple[Row, Rows]]] = []
    rest = iter(examples)
    waiting.extend(pool.submit(maker.make, example) for example in islice(rest, ahead))
    while waiting:
        yield waiting.pop(0).result()
        waiting.extend(pool.submit(maker.make, example) for example in islice(rest, 1))


def _reported(results: Iterator[Any], total: int) -> Iterator[Any]:
    """Give the results, told of by a bar in a terminal and by a line every tenth part elsewhere."""
    frames = 0
    with tqdm(total=total, unit="file", disable=None) as bar:
        for done, (made, rows) in enumerate(results, 1):
            frames += made["frames"]
            bar.set_postfix_str(f"{frames / max(bar.format_dict['elapsed'], 1e-9):.1f} frame/s", refresh=False)
            bar.update()
            if bar.disable and (done * 10 // total > (done - 1) * 10 // total):
                log.info("%d of %d files, %d frames", done, total, frames)
            yield made, rows


class Rows:
    """The rows of one file on their way to the table; many of them wait on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
        self.count = 0

    def add(self, row: Row) -> None:
        """Add a row."""
        pickle.dump(row, self._file, pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def read(self) -> Iterator[Row]:
        """Give the rows as they were added."""
        self._file.seek(0)
        for _ in range(self.count):
            yield pickle.load(self._file)

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class FaceMaker:
    """Turns one file of the index into its rows. Threads share it; each has its own face detector."""

    def __init__(
        self,
        folder: Path,
        mode: str,
        media: MediaParams,
        params: FaceParams,
        align: AlignParams | None = None,
        images_kept: bool = True,  # an audit needs their hashes alone
    ) -> None:
        self.folder, self.mode, self.media, self.params = folder, mode, media, params
        self.align, self.images_kept = align, images_kept
        self._local = threading.local()

    def essence(self) -> Row:
        """Return all that decides what rows a file gives."""
        versions = {name: importlib.metadata.version(name) for name in DECODERS}
        params = {"media": self.media.model_dump(mode="json"), "faces": self.params.model_dump(mode="json")}
        align = self.align.model_dump(mode="json") if self.align else None
        kept = {"align": align, "images_kept": self.images_kept}
        return {"making": MAKING, "mode": self.mode, "versions": versions, **kept, **params}

    def make(self, example: Row) -> tuple[Row, Rows]:
        """Return the file's row for `made` and its rows for `faces`; a file that fails has a status and no faces."""
        made: Row = {name: example[name] for name in COPIED}
        made.update(status=Status.OK, detail="", frames=0, faces=0)
        rows = Rows()
        try:
            self._fill(rows, made)
        except Exception as error:  # one file's fault is one file's row
            return {**made, "frames": 0, "faces": 0, **_failed(example["path"], error)}, Rows()
        if not rows.count:
            made.update(status=Status.NO_FACE, detail="no face found")
        return made, rows

    def _fill(self, rows: Rows, made: Row) -> None:
        with files.opened(self.folder / made["path"], self.media) as content:
            if content.sha256 != made["sha256"]:
                raise MediaError(Status.CHANGED_DURING_READ, "not the file that was indexed")
            kind, form = files.identify(content.head)
            made.update(kind=kind, format=form)
            for sight in look(content, kind, form, self.media, self._finder()):
                self._note(made, sight)
                for row in self._views(content.sha256, sight):
                    rows.add(row)
                    if self.align:
                        made.update(_traits(row["image"]))

    def _note(self, made: Row, sight: Sight) -> None:
        made["height"], made["width"] = sight.image.shape[:2]
        made["frames"] += 1
        made["faces"] += len(sight.faces)
        if sight.still:
            made.update(sight.still.traits())

    def _views(self, sha256: str, sight: Sight) -> Iterator[Row]:
        for number, face in enumerate(sight.faces):
            yield self._aligned(_face_row(sha256, sight, number, face, self.params))
        if self.mode in ("whole", "both"):
            yield self._aligned(_whole_row(sha256, sight))

    def _aligned(self, row: Row) -> Row:
        """Return the row with its image as the detectors shall be given it."""
        pixels = row.pop("pixels")
        if not self.images_kept:
            return {**row, "image": b""}
        if self.align:
            return {**row, "format": "jpeg", "image": uniform.encoded(pixels, self.align, row["view"])}
        return {**row, "image": row["image"] or images.encode_png(pixels)}

    def _finder(self) -> FaceFinder | None:
        if self.mode == "whole":
            return None
        if not hasattr(self._local, "finder"):
            self._local.finder = FaceFinder(self.params)
        return self._local.finder  # type: ignore[no-any-return]


def _failed(path: str, error: Exception) -> Row:
    """Return status and detail of a file that failed; a UserError is no file's fault and goes on."""
    if isinstance(error, UserError):
        raise error
    if isinstance(error, MediaError):
        return {"status": error.status, "detail": error.detail}
    log.warning("crashed on %r", path, exc_info=error)
    return {"status": Status.CRASHED, "detail": type(error).__name__}


def _traits(data: bytes) -> Row:
    """Return what an aligned image tells besides its pixels: the file that it came from is hidden behind it."""
    still = images.Still(data, "jpeg")
    return {"format": "jpeg", "width": still.width, "height": still.height, "size": len(data), **still.traits()}


def _face_row(sha256: str, sight: Sight, number: int, face: Face, params: FaceParams) -> Row:
    crop = media_faces.align(sight.image, face.landmarks, params.margin, params.size)
    return {
        **_row(sha256, sight, View.FACE, crop),
        "track": face.track if sight.time_s is not None else number, "face": number,
        "x": face.x, "y": face.y, "w": face.w, "h": face.h,
        "landmarks": face.landmarks.ravel().tolist(), "det_score": face.score,
        "format": "png", "image": None, "pixels": crop,
    }  # fmt: skip


def _whole_row(sha256: str, sight: Sight) -> Row:
    """Return a row with the file's own bytes, which re-encoding would rob of evidence, unless they decode otherwise."""
    height, width = sight.image.shape[:2]
    row = {**_row(sha256, sight, View.WHOLE, sight.image), "track": 0, "face": 0}
    row.update(x=0.0, y=0.0, w=float(width), h=float(height), pixels=sight.image)
    if sight.still and sight.still.decodes_alike():
        return {**row, "format": sight.still.form, "image": sight.still.data}
    return {**row, "format": "png", "image": None}


def _row(sha256: str, sight: Sight, view: View, image: images.Image) -> Row:
    phash = str(imagehash.phash(Pillow.fromarray(image)))
    return {"sha256": sha256, "view": view, "frame": sight.frame, "time_s": sight.time_s, "phash": phash}
