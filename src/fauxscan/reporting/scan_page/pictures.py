"""Pictures of the files that are shown: read again in a decoder process, and only if the content is still the same."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from fauxscan.media.images.codec import Image
from fauxscan.params import Params
from fauxscan.records import MediaError, Status, UserError
from fauxscan.scanning import settings
from fauxscan.scanning.decoding import pictures as in_decoder
from fauxscan.scanning.decoding.process import Decoder, DecoderLost
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.inputs.roots import Root
from fauxscan.scanning.rows import Entry, Row, key_of

SIDE = 320  # pixels of the longer side
QUALITY = 80
CHANGED = "Not shown: the file has changed since it was scanned."
NOT_SAMPLED = "Not shown: the parameters in use now do not sample this frame."
Picture = dict[str, object]  # `jpeg` in base64 with the full size in pixels as `width` and `height`, or `missing`


def read(root: str, rows: Sequence[Row], frames: Sequence[int], params: Params) -> list[Picture]:
    """Return one picture for each file, of the frame with its number, or why there is none."""
    try:
        where = roots.root_at(root)
    except UserError as error:  # such as a store whose package is not installed
        return [{"missing": f"Not shown: {error}."} for _ in rows]
    decoder = Decoder(settings.without_models(params), in_decoder.MODULE)
    try:
        return [_read(where, row, frame, params, decoder) for row, frame in zip(rows, frames, strict=True)]
    finally:
        decoder.close()


def _read(root: Root, row: Row, frame: int, params: Params, decoder: Decoder) -> Picture:
    found: list[Picture] = []

    def keep(_: int, seen: Row, image: Image) -> None:
        if seen["frame"] == frame:
            found.append({"jpeg": encode(image), "width": seen["width"], "height": seen["height"]})

    name = key_of(row).decode("utf-8", "surrogateescape")
    entry = Entry(name, None, None, link=params.scan.links != "never")
    try:
        with root.open_entry(entry, params.media) as content:
            if content.sha256 != row["sha256"]:
                return {"missing": CHANGED}
            (outcome,) = decoder.decode([(content, {})], keep)
    except MediaError as error:
        return {"missing": f"Not shown: the file cannot be read again ({error.detail})."}
    except (DecoderLost, OSError, UserError) as error:
        return {"missing": f"Not shown: the file cannot be decoded again ({error})."}
    fault = NOT_SAMPLED if outcome.status == Status.OK else f"Not shown: {outcome.detail}."
    return found[0] if found else {"missing": fault}


def encode(image: Image) -> str:
    """Return an RGB image as JPEG in base64, reduced so that its longer side has at most SIDE pixels."""
    small = np.ascontiguousarray(in_decoder.reduced(image, SIDE)[..., ::-1])
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()).decode()
