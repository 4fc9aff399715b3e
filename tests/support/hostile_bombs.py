"""Small images that claim to be huge. Run as a program, decode a folder of them and print the memory used."""

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from fauxscan import params
from fauxscan.media.decode import decode_media
from fauxscan.media.files import identify
from fauxscan.records import MediaError
from support import ROOT
from support.hostile import content, encoded, orientation, smooth
from support.hostile_corpora import peak

TINY = np.zeros((8, 8, 3), np.uint8)
ZEROS = zlib.compress(bytes(200_000_000), 9)  # 200 kB
SIDE = 60_000


def png(width: int, height: int, *extra: bytes) -> bytes:
    """Return a PNG whose header claims this size, with the pixels of 8 rows."""
    rows = zlib.compress(b"".join(b"\0" + bytes(24) for _ in range(8)))
    claims = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + claims + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def exif_behind_pixels() -> bytes:
    """Return a grey PNG that is too large, with all its pixels, and with EXIF behind them."""
    claims = chunk(b"IHDR", struct.pack(">IIBBBBB", 14141, 14141, 8, 0, 0, 0, 0))
    exif = chunk(b"eXIf", orientation(1).removeprefix(b"Exif\0\0"))
    return b"\x89PNG\r\n\x1a\n" + claims + chunk(b"IDAT", ZEROS) + exif + chunk(b"IEND", b"")


def tiff(tags: dict[int, int], body: bytes) -> bytes:
    """Return a grey 16x16 TIFF with additional tags; `body` begins at byte 200."""
    usual = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted({**usual, **tags}.items())]
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries)).ljust(200, b"\0") + body


def webp(side: int) -> bytes:
    """Return an animated WebP with a canvas of this side and one frame of 8x8."""
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    frame = bytes(6) + 2 * (7).to_bytes(3, "little") + bytes(4) + encoded(TINY, "WEBP")[12:]
    body = b"WEBP" + canvas + b"ANIM" + struct.pack("<IIH", 6, 0, 0) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def patched(data: bytes, at: int, claim: bytes) -> bytes:
    """Return the data with the bytes at an offset replaced."""
    return data[:at] + claim + data[at + len(claim) :]


def iso(form: str, side: int, claimed: int) -> bytes:
    """Return a black AVIF or HEIC whose header claims a size that its picture does not have."""
    data = encoded(Pillow.new("RGB", (side, side)), form)
    return patched(data, data.index(b"ispe") + 8, struct.pack(">II", claimed, claimed))


def many_scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated many times."""
    data = encoded(smooth(), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


def bombs() -> dict[str, tuple[bytes, str]]:
    """Return files by name with the status that each must get."""
    gif, bmp = encoded(TINY, "GIF"), encoded(TINY, "BMP")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    return {
        "png": (png(SIDE, SIDE), "too_large"),
        "png-ztxt": (png(8, 8, chunk(b"zTXt", b"a\0\0" + ZEROS)), "ok"),
        "png-itxt": (png(8, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + ZEROS)), "ok"),
        "png-iccp": (png(8, 8, chunk(b"iCCP", b"a\0\0" + ZEROS)), "ok"),
        "png-texts": (png(8, 8, text * 200), "ok"),
        "png-exif": (exif_behind_pixels(), "too_large"),
        "gif-screen": (patched(gif, 6, b"\xff" * 4), "too_large"),
        "bmp": (patched(bmp, 18, struct.pack("<ii", SIDE, SIDE)), "too_large"),
        "bmp-below-the-cap": (patched(bmp, 18, struct.pack("<ii", 9999, 9999)), "truncated"),
        "webp": (webp(16383), "too_large"),
        "tiff": (tiff({256: SIDE, 257: SIDE, 273: 200, 279: 256}, bytes(256)), "too_large"),
        "tiff-tile": (tiff({322: SIDE, 323: SIDE, 324: 200, 325: len(ZEROS)}, ZEROS), "too_large"),
        "avif": (iso("AVIF", 64, SIDE), "corrupt"),  # which its library refuses to open
        "heic": (iso("HEIF", 64, SIDE), "too_large"),
        "heic-below-the-cap": (iso("HEIF", 64, 9000), "corrupt"),
        "heic-that-is-larger-inside": (iso("HEIF", 4096, 64), "corrupt"),
        "jpeg-scans": (many_scans(1000), "too_large"),
    }


def status(data: bytes) -> str:
    """Return the status of a file under the committed caps."""
    media = params.load(ROOT / "params.yaml").media
    try:
        kind, form = identify(data[:64])
        list(decode_media(content(data), kind, form, media, None))
    except MediaError as error:
        return str(error.status)
    return "ok"


def main(folder: Path) -> None:
    """Print the status of each file, and the memory used in all."""
    data = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    for form in ("JPEG", "PNG", "TIFF", "HEIF"):
        status(encoded(smooth(), form))  # what is loaded once does not count
    before = peak()
    statuses = {name: status(found) for name, found in data.items()}
    print(json.dumps({"statuses": statuses, "grown_mib": peak() - before}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
