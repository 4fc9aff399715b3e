"""Small files of every format, and corpora of hostile files, for the tests of decoding and the fuzzer."""

import io
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media.files import Content

Pixels = NDArray[np.uint8]
CORPORA = ("pngsuite.zip", "seed-corpora-part.zip")
CLIPS = [
    ("libx264", "mp4"), ("libx264", "mov"), ("libx264", "matroska"), ("mpeg4", "avi"), ("libvpx-vp9", "webm"),
    ("libvpx", "webm"), ("libx265", "mp4"), ("libsvtav1", "mp4"), ("mpeg2video", "matroska"), ("mjpeg", "avi"),
    ("ffv1", "matroska"), ("prores_ks", "mov"),
]  # fmt: skip


def smooth(height: int = 48, width: int = 64) -> Pixels:
    """Return smooth RGB noise, which every format reproduces closely."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


def encoded(image: Any, form: str, **options: Any) -> bytes:
    """Return an image (pixels or a Pillow image) encoded by Pillow."""
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    out = io.BytesIO()
    picture = image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)
    picture.save(out, form, **options)
    return out.getvalue()


def orientation(value: int) -> bytes:
    """Return EXIF data with an orientation tag."""
    tags = Pillow.Exif()
    tags[0x0112] = value
    return tags.tobytes()


def two_pages() -> dict[str, Any]:
    """Return the options with which Pillow writes a second page."""
    return {"save_all": True, "append_images": [Pillow.fromarray(255 - smooth())]}


def stills() -> dict[str, bytes]:
    """Return a small file of every format and coding that is decoded, named by its format."""
    image = smooth()
    picture = Pillow.fromarray(image)
    exif = orientation(6)
    return {
        "jpeg": encoded(image, "JPEG", exif=exif), "jpeg progressive": encoded(image, "JPEG", progressive=True),
        "jpeg cmyk": encoded(picture.convert("CMYK"), "JPEG"), "jpeg mpo": encoded(image, "MPO", **two_pages()),
        "png": encoded(image, "PNG", exif=exif), "png palette": encoded(picture.quantize(16), "PNG", transparency=0),
        "png 16": encoded(image[..., 0].astype(np.uint16) * 257, "PNG"),
        "png animated": encoded(image, "PNG", **two_pages()),
        "png alpha": encoded(np.dstack([image, image[..., 0]]), "PNG"),
        "webp": encoded(image, "WEBP", exif=exif), "webp lossless": encoded(image, "WEBP", lossless=True),
        "webp animated": encoded(image, "WEBP", **two_pages()), "gif": encoded(image, "GIF"),
        "gif animated": encoded(image, "GIF", **two_pages()), "bmp": encoded(image, "BMP"),
        "bmp palette": encoded(picture.quantize(16), "BMP"), "tiff": encoded(image, "TIFF", exif=exif),
        **{f"tiff {way}": encoded(image, "TIFF", compression=way) for way in
           ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")},
        "tiff pages": encoded(image, "TIFF", **two_pages()), "tiff cmyk": encoded(picture.convert("CMYK"), "TIFF"),
        "tiff big": encoded(image, "TIFF", big_tiff=True),
        "avif": encoded(image, "AVIF", exif=exif), "avif animated": encoded(image, "AVIF", **two_pages()),
        "heic": encoded(image, "HEIF", quality=50, exif=exif), "heic pages": encoded(image, "HEIF", **two_pages()),
    }  # fmt: skip


def clip(codec: str, form: str, count: int = 6) -> bytes:
    """Return a tiny video of a panning camera."""
    ground, out = smooth(48, 64 + 2 * count), io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(ground[:, 2 * number :][:, :64]), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def corpus(data: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in one of `CORPORA`."""
    with zipfile.ZipFile(data / "hostile" / name) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, archive.read(member)


def content(data: bytes) -> Content:
    """Return bytes as the content of an opened and hashed file."""
    return Content("0" * 64, len(data), 0, data[:64], io.BytesIO(data))
