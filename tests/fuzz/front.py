"""Fuzzes the decoder front as scans use it: bytes -> kind -> header -> pixels or frames, nothing but MediaError.

`python tests/fuzz/front.py images|videos FOLDER [options of libFuzzer]`; FOLDER keeps seeds and what reached new code.
`make fuzz` runs both.
"""

import os
import struct
import sys
import zlib
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["fauxscan", "PIL", "pi_heif"]):
    import pi_heif  # noqa: F401
    from PIL import Image as Pillow
    from support import hostile as files

    from fauxscan.media.decode import decode_media
    from fauxscan.media.files import identify
    from fauxscan.media.videos import reader
    from fauxscan.params import MediaParams
    from fauxscan.records import Kind, MediaError

    Pillow.init()  # which imports the plugins

CAPS = MediaParams(
    max_pixels=1_000_000, max_bytes=1_000_000, max_seconds=5, sampling="per_second", frames_per_second=4, max_frames=4
)
PNG = b"\x89PNG\r\n\x1a\n"


def front(kind: Kind, data: bytes) -> None:
    """Take bytes as the scan takes a file's; raise on what must not be."""
    try:
        _looked_at(kind, data)
    except MediaError as error:
        assert " at 0x" not in error.detail  # or the table would differ from run to run


def _looked_at(kind: Kind, data: bytes) -> None:
    found, form = identify(data[:64])
    if found is not kind:
        return
    content = files.content(data)
    if kind is Kind.VIDEO:
        reader.probe_video(content.handle, form, CAPS)
    for sight in decode_media(content, found, form, CAPS, None):
        height, width, channels = sight.image.shape
        assert channels == 3 and 0 < height * width <= CAPS.max_pixels and sight.image.dtype == "uint8"
        if sight.still:
            sight.still.traits(), sight.still.decodes_alike()


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """Return what libFuzzer makes of the bytes; every other PNG has checksums that hold, or none would pass."""
    changed = atheris.Mutate(data, most)
    return _checked(changed)[:most] if seed % 2 and changed.startswith(PNG) else bytes(changed)


def _checked(data: bytes) -> bytes:
    out, at = PNG, len(PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        out += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out


def seed(kind: Kind, folder: Path) -> None:
    """Write the files to begin with: our own of every format, and the corpora where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind is Kind.VIDEO:
        seeds = [files.clip(codec, form) for codec, form in files.CLIPS]
    else:
        seeds = list(files.stills().values())
        if named := os.environ.get("FAUXSCAN_TEST_DATA"):
            found = (data for name in files.CORPORA for _, data in files.corpus(Path(named), name))
            seeds += [data for data in found if len(data) < 20_000]
    for number, data in enumerate(seeds):
        (folder / f"seed-{number:04d}").write_bytes(data)


def main() -> None:
    """Fuzz one front until libFuzzer's options say stop."""
    kind = {"images": Kind.IMAGE, "videos": Kind.VIDEO}[sys.argv[1]]
    seed(kind, Path(sys.argv[2]))
    options = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=40000", "-close_fd_mask=2"]
    argv = [sys.argv[0], sys.argv[2], *options, *sys.argv[3:]]
    atheris.Setup(argv, lambda data: front(kind, data), custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
