"""Extract the faces and frames of one media file: decoded, found, aligned, cropped and encoded."""

import importlib.metadata
import logging
import pickle
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagehash
from PIL import Image as Pillow

from fauxscan.media import files
from fauxscan.media.decode import FrameFaces, decode_media
from fauxscan.media.faces import align
from fauxscan.media.faces.finder import Face, FaceFinder
from fauxscan.media.images import codec, pixels, reencode
from fauxscan.params import FaceParams, MediaParams, RandomReencodeParams, ReencodeParams, Reencoding
from fauxscan.records import MediaError, Status, UserError, View

log = logging.getLogger(__name__)
REVISION = 3  # raise it when the same file and parameters give other rows, so that all faces are extracted again
DECODERS = ("av", "opencv-python-headless", "pillow", "imagehash")  # another version may give other pixels
COPIED = ("path", "sha256", "label", "generator", "source", "split", "identities", "size")  # columns of the index
SPOOL = 8 << 20  # bytes of one file's rows that are kept in memory; the rest is kept on disk
Row = dict[str, Any]


class FileRows:
    """The rows of one file, kept partly on disk until they are written to a table. Iterate once over them."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
        self.count = 0

    def add(self, row: Row) -> None:
        """Add a row."""
        pickle.dump(row, self._file, pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in the order in which they were added."""
        self._file.seek(0)
        for _ in range(self.count):
            yield pickle.load(self._file)

    def __enter__(self) -> "FileRows":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the rows."""
        self._file.close()


class FaceExtractor:
    """Extracts the rows of one file of the index. Threads share it; each has its own face detector."""

    def __init__(
        self,
        folder: Path,
        mode: str,
        media: MediaParams,
        params: FaceParams,
        reencode: Reencoding = None,
        seed: int = 0,  # of what is drawn when images are re-encoded at random
        keep_images: bool = True,  # False: an audit needs only their hashes
    ) -> None:
        """Extract faces, whole frames or both from files below `folder` (`mode`: see params.DatasetFaces)."""
        self.folder, self.mode, self.media, self.params = folder, mode, media, params
        self.reencode, self.seed, self.keep_images = reencode, seed, keep_images
        self._local = threading.local()

    def settings(self) -> Row:
        """Return everything that decides which rows a file gives.

        Chunks are identified by a digest of it, so a renamed key would extract all datasets again: the keys keep their
        first names.
        """
        return {
            "making": REVISION,
            "mode": self.mode,
            "versions": {name: importlib.metadata.version(name) for name in DECODERS},
            "align": self._reencoding(),
            "images_kept": self.keep_images,
            "media": self.media.model_dump(mode="json"),
            "faces": self.params.model_dump(mode="json"),
        }

    def _reencoding(self) -> Row | None:
        if self.reencode is None:
            return None
        drawn_by = {"seed": self.seed} if isinstance(self.reencode, RandomReencodeParams) else {}
        return {**self.reencode.model_dump(mode="json"), **drawn_by}

    def extract(self, example: Row) -> tuple[Row, FileRows]:
        """Return the outcome of a file of the index, and its rows; a file that fails has a status and no rows."""
        outcome: Row = {name: example[name] for name in COPIED}
        outcome.update(status=Status.OK, detail="", frames=0, faces=0)
        rows = FileRows()
        try:
            self._fill(rows, outcome)
        except Exception as error:  # the failure of one file concerns only its own row
            rows.close()
            return {**outcome, "frames": 0, "faces": 0, **_failure(example["path"], error)}, FileRows()
        if not rows.count:
            outcome.update(status=Status.NO_FACE, detail="no face found")
        return outcome, rows

    def _fill(self, rows: FileRows, outcome: Row) -> None:
        """Add the file's rows to `rows`, and its properties to `outcome`. Raise MediaError if it cannot be decoded."""
        with files.open_file(self.folder / outcome["path"], self.media) as content:
            if content.sha256 != outcome["sha256"]:
                raise MediaError(Status.CHANGED_DURING_READ, "not the file that was indexed")
            kind, form = files.identify(content.head)
            outcome.update(kind=kind, format=form)
            for frame in decode_media(content, kind, form, self.media, self._finder()):
                _count_frame(outcome, frame)
                for row in self._rows_of(content.sha256, frame):
                    rows.add(row)
                    if self.reencode:
                        outcome.update(_properties(row["image"]))

    def _rows_of(self, sha256: str, frame: FrameFaces) -> Iterator[Row]:
        if self.mode in ("auto", "auto_or_centre") and frame.is_crop(self.params.margin):
            yield self._with_image(_whole_row(sha256, frame)) | {"view": View.FACE}
            return
        for number, face in enumerate(frame.faces):
            yield self._with_image(_face_row(sha256, frame, number, face, self.params))
        if self.mode in ("whole", "both"):
            yield self._with_image(_whole_row(sha256, frame))
        if self.mode == "auto_or_centre" and frame.still and not frame.faces:
            yield self._with_image(_centre_row(sha256, frame, self.params.size))

    def _with_image(self, row: Row) -> Row:
        """Return the row with its pixels encoded as the detectors will see them."""
        image = row.pop("pixels")
        if not self.keep_images:
            return {**row, "image": b""}
        if self.reencode:
            return {**row, "format": "jpeg", "image": self._reencoded(image, self.reencode, row)}
        return {**row, "image": row["image"] or codec.encode_png(image)}

    def _reencoded(self, image: codec.Image, how: ReencodeParams | RandomReencodeParams, row: Row) -> bytes:
        if isinstance(how, RandomReencodeParams):
            return reencode.encode_jpeg_at_random(image, how, row["view"], row["sha256"], self.seed)
        return reencode.encode_jpeg(image, how, row["view"])

    def _finder(self) -> FaceFinder | None:
        if self.mode == "whole":
            return None
        if not hasattr(self._local, "finder"):
            self._local.finder = FaceFinder(self.params)
        return self._local.finder  # type: ignore[no-any-return]


def _failure(path: str, error: Exception) -> Row:
    """Return status and detail of a file that failed. Raise a UserError again, since it is not the file's fault."""
    if isinstance(error, UserError):
        raise error
    if isinstance(error, MediaError):
        return {"status": error.status, "detail": error.detail}
    log.warning("Crashed on %r", path, exc_info=error)
    return {"status": Status.CRASHED, "detail": type(error).__name__}


def _count_frame(outcome: Row, frame: FrameFaces) -> None:
    outcome["height"], outcome["width"] = frame.image.shape[:2]
    outcome["frames"] += 1
    outcome["faces"] += len(frame.faces)
    if frame.still:
        outcome.update(frame.still.traits(), detail="; ".join(frame.still.defects))


def _properties(data: bytes) -> Row:
    """Return the file properties of a re-encoded image, which replace those of the original file."""
    still = codec.Still(data, "jpeg")
    return {"format": "jpeg", "width": still.width, "height": still.height, "size": len(data), **still.traits()}


def _face_row(sha256: str, frame: FrameFaces, number: int, face: Face, params: FaceParams) -> Row:
    crop = align.align_face(frame.image, face.landmarks, params.margin, params.size)
    return {
        **_row(sha256, frame, View.FACE, crop),
        "track": face.track if frame.time_s is not None else number, "face": number,
        "x": face.x, "y": face.y, "w": face.w, "h": face.h,
        "landmarks": face.landmarks.ravel().tolist(), "det_score": face.score,
        "format": "png", "image": None, "pixels": crop,
    }  # fmt: skip


def _centre_row(sha256: str, frame: FrameFaces, size: int) -> Row:
    """Return the row of the square in the middle of an image, in the size of a face crop."""
    height, width = frame.image.shape[:2]
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 2
    square = pixels.resize(frame.image[y : y + side, x : x + side], size)
    row = {**_row(sha256, frame, View.FACE, square), "track": 0, "face": 0, "format": "png", "image": None}
    return {**row, "x": float(x), "y": float(y), "w": float(side), "h": float(side), "pixels": square}


def _whole_row(sha256: str, frame: FrameFaces) -> Row:
    """Return the row of a whole frame, with the original bytes if they decode to its pixels.

    Encoding it again would destroy evidence.
    """
    height, width = frame.image.shape[:2]
    row = {**_row(sha256, frame, View.WHOLE, frame.image), "track": 0, "face": 0}
    row.update(x=0.0, y=0.0, w=float(width), h=float(height), pixels=frame.image)
    if frame.still and frame.still.decodes_alike():
        return {**row, "format": frame.still.form, "image": frame.still.data}
    return {**row, "format": "png", "image": None}


def _row(sha256: str, frame: FrameFaces, view: View, image: codec.Image) -> Row:
    phash = str(imagehash.phash(Pillow.fromarray(image)))
    return {"sha256": sha256, "view": view, "frame": frame.frame, "time_s": frame.time_s, "phash": phash}
