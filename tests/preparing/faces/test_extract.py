"""The faces stage: every file counted, nothing crashes it, and when it is killed it resumes to the same bytes."""

import hashlib
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow
from skimage.data import astronaut
from support import ROOT
from support.hostile import encoded, smooth
from support.preparing import made_faces, picture, save
from support.profiles import DISPLAY_P3, rgb_profile
from support.videos import clip, moving
from support.waiting import wait_until

from fauxscan.media.images import codec, pixels, reencode
from fauxscan.media.images.jpeg import NO_END
from fauxscan.params import DatasetParams, Params, RandomReencodeParams, ReencodeParams
from fauxscan.preparing.faces import extract
from fauxscan.preparing.faces import extractor as extracting
from fauxscan.preparing.faces import table as faces_table
from fauxscan.preparing.faces.extractor import FaceExtractor
from fauxscan.preparing.shards.manifest import Framing
from fauxscan.records import FACES, FAKE, INDEX, REAL, Example, UserError, View


def run(folder: Path, mode: str, settings: Params, out: str = "faces") -> tuple[pd.DataFrame, pd.DataFrame]:
    extractor = FaceExtractor(folder / "m", mode, settings.media, settings.faces)
    extract.extract_faces(folder / "i.parquet", folder / "m", folder / out, extractor, 2)
    return faces_table.read_outcomes(folder / out).to_pandas(), faces_table.read_faces(
        folder / out, FACES.names
    ).to_pandas()


def listed(folder: Path, names: list[str]) -> None:
    """Write an index of files as they are named, whether they can be read or not."""
    rows = [
        {"path": name, "sha256": digest(folder / "m" / name), "size": 1, "label": n % 2} for n, name in enumerate(names)
    ]
    rows = [{**row, "source": str(n), "identities": []} for n, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(rows, INDEX), folder / "i.parquet")


def digest(file: Path) -> str:
    try:
        regular = file.is_file()
    except OSError:
        regular = False
    return hashlib.sha256(file.read_bytes() if regular and os.access(file, os.R_OK) else b"").hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


# === Every file is counted ===


def test_every_file_is_counted_and_original_bytes_are_kept(
    tmp_path: Path, settings: Params, photograph: np.ndarray
) -> None:
    media = tmp_path / "m"
    save(media / "face.jpg", photograph)
    save(media / "none.jpg", picture(4, 128))
    (media / "torn.jpg").write_bytes((media / "face.jpg").read_bytes()[:9000])
    (media / "text.jpg").write_text("no image")
    Pillow.fromarray(picture(9, 128)).save(media / "grey.bmp")
    names = ["face.jpg", "none.jpg", "torn.jpg", "text.jpg", "grey.bmp"]
    examples = [Example(name, n % 2, name) for n, name in enumerate(names)]
    made, seen = made_faces(tmp_path, examples, "both", settings)
    status = made.set_index("path")["status"].to_dict()
    assert status == {
        "face.jpg": "ok", "none.jpg": "ok", "torn.jpg": "truncated", "text.jpg": "unsupported", "grey.bmp": "ok",
    }  # fmt: skip
    of = made.set_index("path")["sha256"]
    whole = seen[seen["view"] == "whole"].set_index("sha256")["image"]
    assert whole[of["face.jpg"]] == (media / "face.jpg").read_bytes()
    assert whole[of["grey.bmp"]].startswith(b"\x89PNG")
    assert seen["view"].value_counts().to_dict() == {"whole": 3, "face": 1}


def test_what_training_sees_of_odd_files_is_what_scans_see(tmp_path: Path, settings: Params) -> None:
    media = tmp_path / "m"
    media.mkdir()
    jpeg = encoded(smooth(64, 64), "JPEG")
    wide = encoded(smooth(64, 64), "JPEG", icc_profile=rgb_profile(DISPLAY_P3))
    for name, data in {"p3.jpg": wide, "no-end.jpg": jpeg[:-2], "plain.jpg": jpeg}.items():
        (media / name).write_bytes(data)
    made, seen = made_faces(tmp_path, [Example(name, REAL, name) for name in os.listdir(media)], "whole", settings)
    details, names = made.set_index("path")["detail"].to_dict(), made.set_index("sha256")["path"]
    assert details == {"p3.jpg": "", "no-end.jpg": NO_END, "plain.jpg": ""}
    for row in seen.to_dict("records"):
        data = (media / names[row["sha256"]]).read_bytes()
        np.testing.assert_array_equal(
            np.asarray(pixels.decode_tensor(row["image"])), codec.decode(data, "jpeg", 1 << 20)
        )
        assert (row["image"] == data) == (names[row["sha256"]] == "plain.jpg")


def test_auto_takes_what_a_scan_takes(tmp_path: Path, settings: Params) -> None:
    """A picture that is itself a face crop is a face as it is; the face of a larger picture is cut out."""
    crop = astronaut()[70:190, 165:275]
    for name, image in {"photo.png": astronaut(), "crop.png": crop}.items():
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_bytes(encoded(image, "PNG"))
    examples = [Example(name, REAL, name) for name in ("photo.png", "crop.png")]
    made, seen = made_faces(tmp_path, examples, "auto", settings)
    of = made.set_index("path")["sha256"].to_dict()
    images = {row["sha256"]: codec.decode(row["image"], "png", 1 << 20) for row in seen.to_dict("records")}
    assert set(seen["view"]) == {View.FACE} and len(seen) == 2
    np.testing.assert_array_equal(images[of["crop.png"]], crop)
    assert images[of["photo.png"]].shape == (settings.faces.size, settings.faces.size, 3)


def test_the_centre_stands_for_the_face_where_a_picture_has_none(tmp_path: Path, settings: Params) -> None:
    wide = smooth(120, 200)
    for name, image in {"photo.png": astronaut(), "wide.png": wide}.items():
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_bytes(encoded(image, "PNG"))
    examples = [Example(name, REAL, name) for name in ("photo.png", "wide.png")]
    made, seen = made_faces(tmp_path, examples, "auto_or_centre", settings)
    found = seen.set_index("sha256").loc[made.set_index("path")["sha256"]["wide.png"]]
    assert (found["view"], found["x"], found["y"], found["w"], found["h"]) == (View.FACE, 40, 0, 120, 120)
    expected = pixels.resize(wide[:, 40:160], settings.faces.size)
    np.testing.assert_array_equal(codec.decode(found["image"], "png", 1 << 20), expected)
    assert made.set_index("path")["faces"].to_dict() == {"photo.png": 1, "wide.png": 0}
    assert Framing.of(DatasetParams(name="demo", faces="auto_or_centre"), settings.faces).faces == "auto"


def test_no_face_at_all_is_an_error_that_counts(tmp_path: Path, settings: Params) -> None:
    for name in ("a", "b"):
        save(tmp_path / "m" / f"{name}.jpg", picture(len(name), 128), quality=90 if name == "a" else 80)
    examples = [Example("a.jpg", REAL, "a"), Example("b.jpg", FAKE, "b")]
    with pytest.raises(UserError, match=r"no face and no image could be extracted from.*no_face"):
        made_faces(tmp_path, examples, "detect", settings)


def test_pngsuite_goes_through_with_exact_counts(real_data: Path, tmp_path: Path, settings: Params) -> None:
    with zipfile.ZipFile(real_data / "hostile" / "pngsuite.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".png"):
                (tmp_path / "m").mkdir(exist_ok=True)
                (tmp_path / "m" / Path(name).name).write_bytes(archive.read(name))
    names = sorted(file.name for file in (tmp_path / "m").iterdir())
    listed(tmp_path, names)
    for mode in ("whole", "both"):
        made, seen = run(tmp_path, mode, settings, mode)
        status = made.set_index("path")["status"]
        refused = {name for name in names if name.startswith("x")}
        assert len(names) == 176 and len(refused) == 14
        assert set(status.index[status != "ok"]) == refused
        assert set(status[list(refused)]) <= {"corrupt", "truncated", "unsupported"}
        assert len(seen[seen["view"] == "whole"]) == 162


def test_a_truncated_jpeg_is_never_taken_for_a_whole_one(
    tmp_path: Path, settings: Params, photograph: np.ndarray
) -> None:
    save(tmp_path / "m" / "whole.jpg", photograph, 85)
    data = (tmp_path / "m" / "whole.jpg").read_bytes()
    names = [f"{percent:02d}.jpg" for percent in range(1, 100)]
    for percent, name in enumerate(names, 1):
        (tmp_path / "m" / name).write_bytes(data[: len(data) * percent // 100])
    listed(tmp_path, ["whole.jpg", *names])
    made, seen = run(tmp_path, "both", settings)
    assert set(made["status"][1:]) <= {"truncated", "corrupt"}
    assert made["status"][0] == "ok" and set(seen["sha256"]) == {made["sha256"][0]}


def test_what_is_no_file_has_a_status_and_odd_names_come_back(
    tmp_path: Path, settings: Params, photograph: np.ndarray
) -> None:
    media = tmp_path / "m"
    save(media / "good.jpg", photograph)
    good = (media / "good.jpg").read_bytes()
    odd = ["new\nline.jpg", "smile \U0001f600.jpg", "n" * 251 + ".jpg", "e\u0301.jpg", "\u00e9.jpg", "-x;$(id).jpg"]
    for name in odd:
        (media / name).write_bytes(good)
    (media / "empty.jpg").write_bytes(b"")
    (media / "folder.jpg").mkdir()
    os.mkfifo(media / "fifo.jpg")
    (media / "device.jpg").symlink_to("/dev/zero")
    (media / "loop.jpg").symlink_to("loop.jpg")
    unreadable = ["folder.jpg", "fifo.jpg", "device.jpg", "loop.jpg", "gone.jpg", "socket.jpg"]
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(media)  # a socket's address is short
        listener.bind("socket.jpg")
        os.chdir(here)
        if os.geteuid():
            save(media / "secret.jpg", picture(3))
            (media / "secret.jpg").chmod(0)
            unreadable.append("secret.jpg")
        listed(tmp_path, ["good.jpg", *odd, "empty.jpg", *unreadable])
        made, _ = run(tmp_path, "both", settings)
    status = made.set_index("path")["status"]
    assert {status[name] for name in ["good.jpg", *odd]} == {"ok"}
    assert status["empty.jpg"] == "corrupt"
    assert {status[name] for name in unreadable} == {"unreadable"}


def test_a_name_that_is_no_utf8_has_a_status(tmp_path: Path, settings: Params, photograph: np.ndarray) -> None:
    save(tmp_path / "m" / "good.jpg", photograph)
    (tmp_path / "m" / "bad\udcff.jpg").write_bytes((tmp_path / "m" / "good.jpg").read_bytes())
    extractor = FaceExtractor(tmp_path / "m", "both", settings.media, settings.faces)
    example = dict.fromkeys(extracting.COPIED) | {
        "path": "bad\udcff.jpg",
        "sha256": digest(tmp_path / "m" / "good.jpg"),
    }
    made, rows = extractor.extract(example)
    with rows:
        assert made["status"] == "ok" and rows.count == 2


def test_extensions_that_lie_are_seen_through(tmp_path: Path, settings: Params, photograph: np.ndarray) -> None:
    media = tmp_path / "m"
    media.mkdir()
    Pillow.fromarray(photograph).save(media / "png.jpg", "PNG")
    shutil.move(clip(media / "c.mp4", moving(30)), media / "video.jpg")
    (media / "page.jpg").write_bytes(b"<html>" * 30)
    (media / "program.jpg").write_bytes(b"\x7fELF" + bytes(200))
    save(media / "picture.jpg", photograph)
    (media / "picture.jpg").rename(media / "picture.mp4")
    listed(tmp_path, ["png.jpg", "video.jpg", "page.jpg", "program.jpg", "picture.mp4"])
    made, _ = run(tmp_path, "both", settings)
    assert made["format"].fillna("").tolist() == ["png", "mov", "", "", "jpeg"]
    assert made["kind"].fillna("").tolist() == ["image", "video", "", "", "image"]
    assert made["status"].tolist() == ["ok", "ok", "unsupported", "unsupported", "ok"]


def test_odd_videos_are_counted(tmp_path: Path, settings: Params) -> None:
    media = tmp_path / "m"
    media.mkdir()
    clip(media / "whole.mp4", moving(60))
    clip(media / "one.mp4", moving(1))
    data = (media / "whole.mp4").read_bytes()
    (media / "torn.mp4").write_bytes(data[: len(data) // 2])
    with av.open(str(media / "sound.mp4"), "w") as out:
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        stream = out.add_stream("aac", rate=8000)
        out.mux([*stream.encode(sound), *stream.encode(None)])
    listed(tmp_path, ["whole.mp4", "one.mp4", "torn.mp4", "sound.mp4"])
    made, seen = run(tmp_path, "both", settings)
    assert made["status"].tolist()[:2] == ["ok", "ok"]
    assert made["status"][2] in ("truncated", "corrupt") and made["status"][3] == "unsupported"
    assert made["frames"].tolist() == [3, 1, 0, 0] and len(seen) == 4
    with pytest.raises(UserError, match=r"no face and no image could be extracted.*no_face 2"):
        run(tmp_path, "detect", settings)


def test_a_file_that_is_not_the_one_indexed_says_so(tmp_path: Path, settings: Params) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        save(tmp_path / "m" / f"{name}.jpg", picture(seed))
    listed(tmp_path, ["a.jpg", "b.jpg"])
    save(tmp_path / "m" / "b.jpg", picture(3))
    made, seen = run(tmp_path, "whole", settings)
    assert made["status"].tolist() == ["ok", "changed_during_read"] and len(seen) == 1


def test_a_crash_in_one_file_is_that_files_row(
    tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        save(tmp_path / "m" / f"{name}.jpg", picture(seed))
    listed(tmp_path, ["a.jpg", "b.jpg"])
    original = extracting._whole_row

    def fragile(sha256: str, sight: Any) -> Any:
        if sha256 == digest(tmp_path / "m" / "b.jpg"):
            raise ZeroDivisionError
        return original(sha256, sight)

    monkeypatch.setattr(extracting, "_whole_row", fragile)
    made, seen = run(tmp_path, "whole", settings)
    assert made["status"].tolist() == ["ok", "crashed"] and len(seen) == 1
    assert made["detail"][1] == "ZeroDivisionError" and made["frames"][1] == 0


# === Chunks ===


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_table, "CHUNK_FILES", 4)


def many(folder: Path, count: int) -> list[str]:
    names = [f"{n:03d}.jpg" for n in range(count)]
    for n, name in enumerate(names):
        save(folder / "m" / name, picture(n, 48))
    listed(folder, names)
    return names


def test_chunks_are_bounded_by_files_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_table, "CHUNK_FILES", 3)
    monkeypatch.setattr(faces_table, "CHUNK_BYTES", 100)
    sizes = [10, 10, 10, 10, 95, 50, 50, 1, 300, 1]
    table = pa.Table.from_pylist([{"size": size, "sha256": str(n)} for n, size in enumerate(sizes)], INDEX)
    found = faces_table.plan_chunks(table, {})
    assert [chunk.examples["size"].to_pylist() for chunk in found] == [
        [10, 10, 10],
        [10],
        [95],
        [50, 50],
        [1],
        [300],
        [1],
    ]
    assert len({chunk.key for chunk in found}) == len(found)
    assert [c.key for c in faces_table.plan_chunks(table, {})] == [c.key for c in found]
    assert not {c.key for c in faces_table.plan_chunks(table, {"other": 1})} & {c.key for c in found}
    assert faces_table.plan_chunks(table.slice(0, 0), {}) == []


def test_chunks_that_earlier_releases_wrote_stay_valid(tmp_path: Path, settings: Params) -> None:
    """Another key, or another name in it, would extract the faces of all datasets again."""
    names = FaceExtractor(tmp_path, "both", settings.media, settings.faces).settings().keys()
    assert names == {"making", "mode", "versions", "align", "images_kept", "media", "faces"}
    fixed = FaceExtractor(
        tmp_path, "both", settings.media, settings.faces, ReencodeParams(size=224, jpeg_quality=75), seed=3
    )
    assert fixed.settings()["align"] == {"size": 224, "jpeg_quality": 75}
    table = pa.Table.from_pylist([{"size": 1, "sha256": "0"}], INDEX)
    [chunk] = faces_table.plan_chunks(table, {"making": 2})
    assert chunk.key == "bf562383ef131d41a1eddebe5943298b163a3be18cc1e0881e7f9a370bc89544"


def test_a_sound_chunk_is_kept_and_strays_go(
    tmp_path: Path, settings: Params, small_chunks: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = many(tmp_path, 10)
    run(tmp_path, "whole", settings)
    first, times = contents(tmp_path / "faces"), {f.name: f.stat().st_mtime_ns for f in (tmp_path / "faces").iterdir()}
    assert sorted(first) == [f"{kind}-{n:05d}.parquet" for kind in ("faces", "made") for n in range(3)]
    for stray in ("faces-00003.parquet", "made.parquet", "faces-00001.parquet.part"):
        (tmp_path / "faces" / stray).write_bytes(b"left over")
    run(tmp_path, "whole", settings)
    assert contents(tmp_path / "faces") == first
    assert {f.name: f.stat().st_mtime_ns for f in (tmp_path / "faces").iterdir()} == times
    assert caplog.text.count("which belongs to no chunk") == 3
    listed(tmp_path, [*names[:9], names[0]])  # the last chunk has other rows now
    run(tmp_path, "whole", settings)
    changed = {name for name, data in contents(tmp_path / "faces").items() if data != first[name]}
    assert changed == {"faces-00002.parquet", "made-00002.parquet"}
    other = settings.model_copy(update={"media": settings.media.model_copy(update={"max_frames": 3})})
    run(tmp_path, "whole", other)
    assert all(data != first[name] for name, data in contents(tmp_path / "faces").items() if name.startswith("made"))


@pytest.mark.parametrize("kind", ["faces", "made"])
def test_a_damaged_chunk_is_detected_named_and_made_again(
    tmp_path: Path, settings: Params, small_chunks: None, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO)
    many(tmp_path, 10)
    run(tmp_path, "whole", settings)
    sound = contents(tmp_path / "faces")
    file = tmp_path / "faces" / f"{kind}-00001.parquet"
    whole = sound[file.name]
    foreign = pa.BufferOutputStream()
    pq.write_table(pa.table({"else": [1]}), foreign)
    rng = random.Random(5)
    damages = [
        b"",
        whole[:7],
        whole[: len(whole) // 2],
        whole[:-9],
        whole[:-1],
        whole + b"x",
        foreign.getvalue().to_pybytes(),
    ]
    damages += [sound[f"{kind}-00000.parquet"]]  # another chunk's
    for place in [0, 4, len(whole) - 1, len(whole) - 20, *(rng.randrange(len(whole)) for _ in range(20))]:
        damages.append(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
    for data in damages:
        caplog.clear()
        file.write_bytes(data)
        run(tmp_path, "whole", settings)
        assert "faces-00001.parquet: extracting again, since" in caplog.text and caplog.text.count("kept") == 2
        assert contents(tmp_path / "faces") == sound


CHILD = """
import sys
from pathlib import Path
from fauxscan import params
from fauxscan.preparing.faces import extract, table
from fauxscan.preparing.faces.extractor import FaceExtractor
table.CHUNK_FILES = 3
home = Path(sys.argv[1])
settings = params.load(Path(sys.argv[2]))
extractor = FaceExtractor(home / "m", "both", settings.media, settings.faces)
extract.extract_faces(home / "i.parquet", home / "m", home / sys.argv[3], extractor, 2)
"""


def child(home: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(home), str(ROOT / "params.yaml"), out]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_killed_stage_resumes_to_the_same_bytes(tmp_path: Path, photograph: np.ndarray) -> None:
    (tmp_path / "m").mkdir()
    for n in range(12):
        save(tmp_path / "m" / f"{n}.png", np.roll(photograph, n * 5, axis=1))
        clip(tmp_path / "m" / f"{n}.mp4", moving(40 + n))
    listed(tmp_path, sorted(file.name for file in (tmp_path / "m").iterdir()))
    assert child(tmp_path, "calm").wait() == 0
    expected = contents(tmp_path / "calm")
    assert len(expected) == 16
    kept: set[tuple[str, int]] = set()
    out = tmp_path / "killed"
    for kill in range(4):
        killed = child(tmp_path, "killed")
        wait_until(lambda n=kill: len(list(out.glob("made-*.parquet"))) > n, "one more chunk is written", every_s=0.002)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        finished = {(f.name, f.stat().st_mtime_ns) for f in out.glob("made-*.parquet")}
        assert kept <= finished and len(finished) < 8  # what was whole was not made again
        kept = finished
    last = child(tmp_path, "killed")
    assert last.wait() == 0
    assert contents(tmp_path / "killed") == expected
    assert kept <= {(f.name, f.stat().st_mtime_ns) for f in (tmp_path / "killed").iterdir()}


def test_the_number_of_threads_changes_no_byte(tmp_path: Path, settings: Params, photograph: np.ndarray) -> None:
    (tmp_path / "m").mkdir()
    for n in range(6):
        save(tmp_path / "m" / f"{n}.jpg", np.roll(photograph, n * 9, axis=1))
        clip(tmp_path / "m" / f"{n}.mp4", moving(30 + n))
    listed(tmp_path, sorted(file.name for file in (tmp_path / "m").iterdir()))
    extractor = FaceExtractor(tmp_path / "m", "both", settings.media, settings.faces)
    for threads in (1, 5):
        extract.extract_faces(tmp_path / "i.parquet", tmp_path / "m", tmp_path / str(threads), extractor, threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "5")


PEAK = """
import resource, sys
from pathlib import Path
from fauxscan import params
from fauxscan.preparing.faces import extract
from fauxscan.preparing.faces.extractor import FaceExtractor
home = Path(sys.argv[1])
settings = params.load(Path(sys.argv[2]))
media = settings.media.model_copy(update={"sampling": "in_all", "max_frames": 5000})
extractor = FaceExtractor(home / "m", "whole", media, settings.faces)
extract.extract_faces(home / "i.parquet", home / "m", home / "faces", extractor, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_is_bounded_in_number_and_length_of_videos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (360, 640, 3)).astype(np.uint8) for _ in range(5)]
    peaks = []
    for count, length in ((2, 10), (2, 400), (40, 10)):
        home = tmp_path / f"{count}-{length}"
        (home / "m").mkdir(parents=True)
        first = clip(home / "m" / "0.mp4", (noise[n % 5] for n in range(length)), options={"preset": "ultrafast"})
        names = ["0.mp4", *(f"{n}.mp4" for n in range(1, count))]
        for name in names[1:]:
            shutil.copy(first, home / "m" / name)
        listed(home, names)
        command = [sys.executable, "-c", PEAK, str(home), str(ROOT / "params.yaml")]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, check=True
        )
        peaks.append(int(done.stdout) // 1024)
    assert max(peaks) - peaks[0] < 150, peaks  # MB; the rows of the long videos alone are over 500


# === One format, size and quality ===


def test_re_encoded_images_reveal_nothing_and_scans_see_the_same_pixels(
    tmp_path: Path, settings: Params, photograph: np.ndarray
) -> None:
    save(tmp_path / "m" / "large.jpg", photograph, 95)
    Pillow.fromarray(photograph[:400, :300]).save(tmp_path / "m" / "small.png")
    examples = [Example("large.jpg", REAL, "a"), Example("small.png", FAKE, "b", "g")]
    one_way = ReencodeParams(size=128, jpeg_quality=75)
    made, seen = made_faces(tmp_path, examples, "both", settings, one_way)
    told = made[["format", "width", "height", "jpeg_tables", "exif"]].drop_duplicates()
    assert len(told) == 1 and told.iloc[0][["format", "width", "height"]].tolist() == ["jpeg", 128, 128]
    assert set(seen["format"]) == {"jpeg"} and set(seen["view"]) == {"face", "whole"}
    for row in seen.to_dict("records"):
        still = codec.Still(row["image"], "jpeg")
        assert still.width == (128 if row["view"] == "whole" else settings.faces.size)
    whole = seen[(seen["view"] == "whole") & (seen["sha256"] == made["sha256"][1])]["image"].iloc[0]
    scanned = reencode.reencode_image(photograph[:400, :300], one_way, View.WHOLE)
    np.testing.assert_array_equal(codec.decode(whole, "jpeg", 1 << 20), scanned)
    np.testing.assert_array_equal(reencode.reencode_image(photograph, None, View.WHOLE), photograph)


def test_images_re_encoded_at_random_are_drawn_by_the_seed(tmp_path: Path, settings: Params) -> None:
    examples = [Example(f"{n}.jpg", n % 2, f"s{n}", "g" if n % 2 else None) for n in range(8)]
    for n in range(8):
        save(tmp_path / "m" / f"{n}.jpg", picture(n, 96), 95)
    ranges = RandomReencodeParams(size=(40, 80), jpeg_quality=(60, 95))
    found = {}
    for seed in (1, 2):
        made, seen = made_faces(tmp_path, examples, "whole", settings.model_copy(update={"seed": seed}), ranges)
        assert (made["width"] == made["height"]).all() and made["width"].between(40, 80).all()
        assert made["size"].tolist() == seen["image"].map(len).tolist()
        assert made["width"].nunique() > 3 and made["jpeg_tables"].nunique() > 3
        found[seed] = seen["image"].tolist()
    assert found[1] != found[2], "another seed extracts the faces again"
