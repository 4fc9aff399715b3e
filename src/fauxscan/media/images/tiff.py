"""What Pillow leaves to its callers in a TIFF: tiles, previews, and grey levels of more than eight bits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media.images.headers import check_size, decoding_error
from fauxscan.records import MediaError, Status

SUBFILE_TYPE, BITS, PHOTOMETRIC, TILE_WIDTH, TILE_LENGTH = 254, 258, 262, 322, 323  # tags
WHITE_IS_ZERO = 0


def check_first_page(header: Pillow.Image, max_pixels: int) -> None:
    """Check what Pillow leaves to libtiff: tiles larger than the image, raw photographs that begin with a preview."""
    tags = header.tag_v2  # type: ignore[attr-defined]
    try:
        tile, preview = int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_LENGTH, 0)), int(tags.get(SUBFILE_TYPE, 0)) & 1
    except (TypeError, ValueError) as error:
        raise decoding_error("a TIFF tag is damaged", error) from error
    check_size(tile, 1, max_pixels)
    if preview:
        raise MediaError(Status.UNSUPPORTED, "its first image is the preview of another: probably a raw photograph")


def grey_levels(image: Pillow.Image) -> NDArray[np.uint8]:
    """Return the upper eight bits (height, width) of an image of mode I;16, in which white is 255."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(BITS, (16,))[0]
    levels = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    return np.asarray(~levels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else levels, np.uint8)
