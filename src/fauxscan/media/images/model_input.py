"""The pixels that a model is given, in NumPy for scanning and measuring and in TensorFlow for training.

Both functions return equal pixels within rounding, which a test proves on real files.
"""

from typing import TYPE_CHECKING, Any

from fauxscan.media.images import pixels, reencode
from fauxscan.media.images.codec import Image
from fauxscan.params import ReencodeParams
from fauxscan.records import View

if TYPE_CHECKING:
    Tensor = Any


def model_input(image: Image, size: int, reencoding: ReencodeParams | None = None, view: View = View.FACE) -> Image:
    """Return uint8 RGB (size, size, 3) of a face crop or a whole image, uint8 RGB (height, width, 3).

    The image is first re-encoded as the model's training data was, for which the view matters. Images in shards were
    re-encoded when they were written, so leave `reencoding` out for them.
    """
    return pixels.resize(reencode.reencode_image(image, reencoding, view), size)


def model_input_tensor(data: "Tensor", size: int) -> "Tensor":
    """Return uint8 RGB (size, size, 3) of the bytes of a face crop or whole image in a shard, as `model_input` does."""
    return pixels.resize_tensor(pixels.decode_tensor(data), size)
