"""Hostile and odd images: the pixels that other programs see, a status for everything else, and never much memory."""

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from support import hostile, hostile_bombs
from support.hostile import CORPORA, content, encoded, smooth, stills
from support.scanning import stub_engine

from fauxscan.media import files
from fauxscan.media.decode import decode_media
from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Image, Still
from fauxscan.params import Params
from fauxscan.records import Kind, MediaError, Status
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry, Outcome

CAP = 100_000_000
STILLS = stills()
SIXTEEN = np.repeat(smooth()[..., :1], 3, axis=2)
TURNS = {
    1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: np.rot90(np.fliplr(x)),
    6: lambda x: np.rot90(x, 3), 7: lambda x: np.rot90(np.fliplr(x), 3), 8: np.rot90,
}  # fmt: skip
CARRIERS = {"JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "AVIF": {}, "HEIF": {}}


def decoded(data: bytes, cap: int = CAP) -> Image:
    """The pixels of an image whose kind is told by its bytes."""
    kind, form = files.identify(data[:64])
    assert kind is Kind.IMAGE
    return codec.decode(data, form, cap)


def refusal(data: bytes, settings: Params) -> Status:
    with pytest.raises(MediaError) as caught:
        kind, form = files.identify(data[:64])
        list(decode_media(content(data), kind, form, settings.media, None))
    assert caught.value.detail and " at 0x" not in caught.value.detail  # or two runs would differ
    return caught.value.status


def judged(folder: Path, home: Path) -> dict[str, Outcome]:
    """What a scan with stand-ins for models says of each file."""
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    entries = [Entry(name, None, None) for name in names]
    with stub_engine(home, only="wholes") as engine:
        return dict(zip(names, engine.judge(LocalFolder(folder), entries), strict=True))


# === The pixels of every format ===


@pytest.mark.parametrize("name", STILLS)
def test_every_format_gives_its_first_picture_in_sensible_colours(name: str) -> None:
    assert files.identify(STILLS[name][:64]) == (Kind.IMAGE, name.split(maxsplit=1)[0])
    expected = SIXTEEN if name == "png 16" else smooth()
    turned = name in ("jpeg", "png", "webp", "tiff", "avif", "heic")  # written with orientation 6
    expected = np.rot90(expected, 3) if turned else expected
    loses = {"jpeg", "palette", "gif", "avif", "heic", "pages", "cmyk"} & set(name.split()) or name.startswith("webp")
    found = decoded(STILLS[name])
    assert found.shape == expected.shape
    worst = np.abs(found.astype(int) - expected).mean()
    assert worst == 0 or (loses and worst < 12), worst  # another picture, or swapped colours, are 25 away and more


@pytest.mark.parametrize("form", CARRIERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_the_pixels_of_every_format_that_carries_it(form: str, orientation: int) -> None:
    straight = decoded(encoded(smooth(), form, **CARRIERS[form]))
    turned = decoded(encoded(smooth(), form, exif=hostile.orientation(orientation), **CARRIERS[form]))
    np.testing.assert_array_equal(turned, TURNS[orientation](straight))


def test_the_same_pixels_have_the_same_score_however_turned_and_in_whatever_lossless_format(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    image = smooth(96, 128)
    for form, options in {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.items():
        for orientation, turn in TURNS.items():
            back = {6: TURNS[8], 8: TURNS[6]}.get(orientation, turn)
            data = encoded(np.ascontiguousarray(back(image)), form, exif=hostile.orientation(orientation), **options)
            (folder / f"{orientation}.{form}").write_bytes(data)
    (folder / "plain.bmp").write_bytes(encoded(image, "BMP"))
    (folder / "big.tiff").write_bytes(encoded(image, "TIFF", big_tiff=True, compression="tiff_lzw"))
    found = judged(folder, tmp_path / "models")
    scores = [outcome.p_fake for outcome in found.values()]
    assert len(scores) == 26 and None not in scores
    assert max(scores) - min(scores) <= 1e-6  # type: ignore[operator,type-var]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_left_out_and_no_ground_is_made_up(form: str) -> None:
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    for alpha in (0, 1, 128, 255):
        data = encoded(np.dstack([smooth(), np.full((48, 64), alpha, np.uint8)]), form, **options)
        np.testing.assert_array_equal(decoded(data), smooth())
        assert not Still(data, form.lower()).decodes_alike()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(form: str) -> None:
    grey = smooth()[..., 0].astype(np.uint16) * 256 + 77
    np.testing.assert_array_equal(decoded(encoded(grey, form)), SIXTEEN)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_are_converted_as_pillow_does(mode: str) -> None:
    picture = Pillow.fromarray(smooth()).convert(mode)
    data = encoded(picture, "TIFF")
    np.testing.assert_array_equal(decoded(data), np.asarray(picture.convert("RGB")))
    if mode == "CMYK":
        with Pillow.open(io.BytesIO(encoded(picture, "JPEG"))) as theirs:
            expected = np.asarray(theirs.convert("RGB")).astype(int)
        assert np.abs(decoded(encoded(picture, "JPEG")) - expected).max() <= 1


def test_numbers_without_a_white_are_refused(settings: Params) -> None:
    for samples in (np.float32, np.int32):
        assert refusal(encoded(smooth()[..., 0].astype(samples), "TIFF"), settings) is Status.UNSUPPORTED


def test_the_preview_of_a_raw_photograph_is_not_taken_for_it(settings: Params) -> None:
    assert refusal(encoded(smooth(), "TIFF", tiffinfo={254: 1}), settings) is Status.UNSUPPORTED


def test_an_animation_is_its_first_picture_for_tensorflow_too() -> None:
    more = hostile.two_pages()
    for data in (encoded(smooth(), "PNG", **more), encoded(smooth(), "PNG", default_image=True, **more)):
        np.testing.assert_array_equal(decoded(data), smooth())
        assert Still(data, "png").decodes_alike()
        np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(data)), smooth())


def test_a_video_behind_a_photograph_is_not_looked_at(settings: Params) -> None:
    moving = encoded(smooth(), "JPEG") + hostile.clip("libx264", "mp4") + b"\xff\xda"  # as phones make them
    assert decoded(moving).shape == (48, 64, 3)


def test_without_its_library_heic_is_unsupported_and_the_remedy_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(MediaError, match=r"pip install .fauxscan\[heic\]") as caught:
        decoded(STILLS["heic"])
    assert caught.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize(
    ("main", "others", "form"),
    [(b"mif1", b"heic", "heic"), (b"mif1", b"avif", "avif"), (b"msf1", b"hevc", "heic"), (b"avis", b"msf1", "avif")],
)
def test_brands_tell_how_a_still_is_coded(main: bytes, others: bytes, form: str) -> None:
    head = (20).to_bytes(4, "big") + b"ftyp" + main + bytes(4) + others
    assert files.identify(head + b"free" * 11) == (Kind.IMAGE, form)


# === Files that are cut, that lie, that swell ===


@pytest.mark.parametrize("name", [name for name in STILLS if not {"mpo", "pages"} & set(name.split())])
def test_a_picture_that_is_cut_is_never_taken_for_a_whole_one(name: str, settings: Params) -> None:
    data = STILLS[name]
    first = len(STILLS["gif"]) if name == "gif animated" else len(data)  # only the first picture is looked at
    for percent in range(1, 100):
        cut = data[: (first - 2) * percent // 100]
        expected = {Status.TRUNCATED, Status.CORRUPT} | ({Status.UNSUPPORTED} if len(cut) < 16 else set())
        assert refusal(cut, settings) in expected, percent


LIES = {
    "html": b"<html><script>alert(1)</script>", "elf": b"\x7fELF" + bytes(60), "pdf": b"%PDF-1.7\n%\xe2\xe3\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n", "zip": b"PK\3\4" + bytes(60),
    "psd": b"8BPS" + bytes(60),
    "xml": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", "ppm": b"P6 8 8 255 ",
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://example.com'\n", "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
}  # fmt: skip


def test_names_lie_and_bytes_decide(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    truths = {form: STILLS[form] for form in ("png", "gif", "bmp", "tiff", "webp", "avif", "heic")}
    for name, data in {**LIES, **truths, "mov": hostile.clip("libx264", "mp4")}.items():
        (folder / f"{name}.jpg").write_bytes(data)
    for name, outcome in judged(folder, tmp_path / "models").items():
        form = name.removesuffix(".jpg")
        expected = (None, Status.UNSUPPORTED) if form in LIES else (form, Status.OK)
        assert (outcome.format, outcome.status) == expected, name


def test_tiny_long_and_black_images_have_a_status_and_no_made_up_score(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sizes = {"dot": (1, 1), "line": (1, 10_000), "column": (10_000, 1), "black": (64, 64), "strip": (32, 10_000)}
    for name, (height, width) in sizes.items():
        (folder / name).write_bytes(encoded(np.zeros((height, width, 3), np.uint8), "PNG"))
    found = judged(folder, tmp_path / "models")
    small = {name for name, outcome in found.items() if outcome.status == Status.TOO_SMALL}
    assert small == {"dot", "line", "column"}
    for name, outcome in found.items():
        assert (outcome.p_fake is None) == (name in small)
        assert outcome.p_fake is None or 0 <= outcome.p_fake <= 1


BOMBS = hostile_bombs.bombs()


def in_a_process(script: str, *arguments: str) -> dict[str, object]:
    """What a script of the tests prints as its last line."""
    command = [sys.executable, "-m", f"support.{script}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_bombs_are_refused_before_they_swell(tmp_path: Path) -> None:
    for name, (data, _) in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    found = in_a_process("hostile_bombs", str(tmp_path))
    assert found["statuses"] == {name: status for name, (_, status) in sorted(BOMBS.items())}
    assert found["grown_mib"] < 100  # type: ignore[operator] # one of them is 60000x60000: 10 GB


def test_of_a_million_frames_the_first_is_looked_at(settings: Params) -> None:
    one = encoded(np.zeros((8, 8, 3), np.uint8), "GIF")
    start = len(one) - 1 - one[::-1].index(b",") - 0
    many = one[:-1] + one[start:-1] * 1_000_000 + b";"
    assert decoded(many).shape == (8, 8, 3)


def test_an_image_of_more_bytes_than_any_pixels_need_is_not_read(settings: Params) -> None:
    small = settings.media.model_copy(update={"max_pixels": 48 * 64})
    padded = STILLS["jpeg"] + bytes(8 * 48 * 64)
    assert decoded(padded, small.max_pixels).shape == (64, 48, 3)
    assert refusal(padded, settings.model_copy(update={"media": small})) is Status.TOO_LARGE


# === Corpora ===


@pytest.fixture(scope="module")
def corpora(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, object]]]:
    """What a scan in a process of its own says of the corpora."""
    home = tmp_path_factory.mktemp("corpora")
    found = {}
    for name in CORPORA:
        for path, data in hostile.corpus(real_data, name):
            (home / name / path).parent.mkdir(parents=True, exist_ok=True)
            (home / name / path).write_bytes(data)
        found[name] = in_a_process("hostile_corpora", str(home / name), str(home / "models"))
    yield found


def test_every_file_of_the_fuzzers_seeds_has_a_status(corpora: dict[str, dict[str, object]]) -> None:
    found = corpora["seed-corpora-part.zip"]
    counts = Counter(found["statuses"].values())  # type: ignore[attr-defined]
    assert counts == SEEDS and sum(counts.values()) == 526
    assert found["grown_mib"] < 800 and found["seconds"] < 200  # type: ignore[operator]


def test_valid_files_of_pngsuite_are_decoded_and_the_others_refused(corpora: dict[str, dict[str, object]]) -> None:
    statuses: dict[str, str] = corpora["pngsuite.zip"]["statuses"]  # type: ignore[assignment]
    suite = {name: status for name, status in statuses.items() if name.endswith(".png")}
    refused = {name for name, status in suite.items() if status not in ("ok", "too_small")}
    assert len(suite) == 176 and len(refused) == 14
    assert all(Path(name).name.startswith("x") for name in refused)
    assert {suite[name] for name in refused} <= {"corrupt", "truncated", "unsupported"}


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")  # by the peer
def test_pngsuite_has_tensorflows_and_pillows_pixels(real_data: Path) -> None:
    alike = 0
    for name, data in hostile.corpus(real_data, "pngsuite.zip"):
        if not name.endswith(".png") or Path(name).name.startswith("x"):
            continue
        found, still = decoded(data), Still(data, "png")
        with Pillow.open(io.BytesIO(data)) as theirs:
            if not theirs.mode.startswith("I"):
                assert np.abs(found.astype(int) - np.asarray(theirs.convert("RGB"))).max() == 0, name
        if still.decodes_alike():
            alike += 1
            np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(data)), found, name)
    assert alike == 40


SEEDS = {"truncated": 179, "corrupt": 151, "unsupported": 103, "ok": 50, "too_small": 28, "too_large": 15}
