"""Archives that attack, splits that must not leak, audits that must catch, faces that must be counted."""

import http.server
import io
import logging
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from fauxscan import datasets
from fauxscan.params import DatasetParams, Params
from fauxscan.preparing import archives, audit, download, duplicates, faces, faces_table, shards, splits
from fauxscan.preparing import index as indexing
from fauxscan.records import FAKE, REAL, Archive, Example, UserError, View

RNG = np.random.default_rng(2)


def picture(seed: int, size: int = 64) -> np.ndarray:
    """Smooth noise, so that perceptual hashes of two seeds are far apart."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(Pillow.fromarray(small).resize((size, size), Pillow.Resampling.BICUBIC))


def save(path: Path, image: np.ndarray, quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(image).save(path, quality=quality)


# === Archives ===


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_odd_names_are_unpacked(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", {"train:test/df/df00000.jpg": b"x", "train:test/real/é ü.jpg": b"y"})
    archives.unpack(file, tmp_path / "out")
    assert (tmp_path / "out" / "train:test" / "df" / "df00000.jpg").read_bytes() == b"x"
    assert (tmp_path / "out" / "train:test" / "real" / "é ü.jpg").read_bytes() == b"y"


@pytest.mark.parametrize("name", ["../escaped", "/tmp/fauxscan-escaped", "a/../../escaped"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="leave its folder"):
        archives.unpack(zipped(tmp_path / "a.zip", {name: b"x"}), tmp_path / "out")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(UserError):
        archives.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "escaped").exists() and not Path("/tmp/fauxscan-escaped").exists()


def test_a_link_out_and_a_bomb_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(UserError, match="leave its folder"):
        archives.unpack(tmp_path / "link.zip", tmp_path / "out")
    with pytest.raises(UserError, match="far more"):
        archives.unpack(zipped(tmp_path / "bomb.zip", {"zeros": bytes(300 << 20)}), tmp_path / "out")
    assert not (tmp_path / "out" / "zeros").exists()


def test_a_torn_archive_and_a_wrong_sum_are_named(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", {"x": os.urandom(9999)})
    with pytest.raises(UserError, match=r"a\.zip is not the published a\.zip: SHA-256"):
        archives.check(file, Archive("a.zip", sha256="0" * 64))
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be unpacked"):
        archives.unpack(file, tmp_path / "out")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A real server on loopback that drops the first connection half-way and then honours ranges."""
    data, asked = bytes(range(256)) * 8000, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range", ""))
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            if self.path != "/data.zip":
                self.send_error(404)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start : len(data) // 2] if len(asked) == 1 else data[start:])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_a_broken_download_resumes(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, asked = server
    with pytest.raises(UserError, match="run again to resume"):
        archives.fetch(Archive("data.zip"), f"{address}/data.zip", tmp_path)
    assert (tmp_path / "data.zip.part").stat().st_size > 0
    file = archives.fetch(Archive("data.zip"), f"{address}/data.zip", tmp_path)
    assert file.read_bytes() == bytes(range(256)) * 8000
    assert asked[0] == "bytes=0-" and asked[1] != "bytes=0-"
    with pytest.raises(UserError, match="cannot fetch gone"):
        archives.fetch(Archive("gone.zip"), f"{address}/gone.zip", tmp_path)


# === Datasets ===


def test_a_missing_archive_is_named_with_what_to_do(tmp_path: Path) -> None:
    entry = DatasetParams(name="deepfake_database", archives=str(tmp_path))
    with pytest.raises(UserError, match=r"train-real\.zip is not in .*README of DariusAf/MesoNet"):
        download.download(entry, 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    with pytest.raises(UserError, match="by hand"):
        download.download(
            DatasetParams(name="deepfake_database"), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet"
        )


def test_deepfake_database_in_its_published_layout(tmp_path: Path) -> None:
    for name in ("train:test/real/real00000.jpg", "train:test/df/df00012.jpg", "validation/df/114_132.jpg"):
        save(tmp_path / name, picture(1))
    found = {e.path: e for e in datasets.get("deepfake_database").examples(tmp_path)}
    assert found["train:test/real/real00000.jpg"].label == REAL
    assert found["train:test/real/real00000.jpg"].generator is None
    assert found["train:test/df/df00012.jpg"].label == FAKE
    assert found["train:test/df/df00012.jpg"].generator == "deepfake"
    held = found["validation/df/114_132.jpg"]
    assert (held.split, held.source) == ("test", "validation-df-114")


def test_own_folders_need_a_declared_label(tmp_path: Path) -> None:
    for name in ("camera/anna/1.jpg", "camera/anna/2.jpg", "gan/x.jpg"):
        save(tmp_path / name, picture(1))
    examples = datasets.get("folder").examples
    found = {e.path: e for e in examples(tmp_path, {"camera": "real", "gan": "stylegan"})}
    assert found["camera/anna/1.jpg"].source == found["camera/anna/2.jpg"].source
    assert (found["gan/x.jpg"].label, found["gan/x.jpg"].generator) == (FAKE, "stylegan")
    with pytest.raises(UserError, match="folders without a label: gan"):
        list(examples(tmp_path, {"camera": "real"}))
    with pytest.raises(UserError, match="'surreal', which is not"):
        list(examples(tmp_path, {"camera": "real", "surreal": "real"}))
    with pytest.raises(UserError, match="no labels"):
        list(examples(tmp_path, {}))


@pytest.mark.parametrize("name", datasets.names())
def test_every_dataset_has_a_card(name: str) -> None:
    module = datasets.get(name)
    assert module.CARD.name == name and module.CARD.title and module.CARD.licence and module.CARD.instructions
    assert callable(module.examples)
    assert all(archive.address is None or archive.address.startswith("https://") for archive in module.CARD.archives)


def test_an_index_holds_each_content_once_and_no_contradiction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, seed in (("a.jpg", 1), ("copy.jpg", 1), ("b.jpg", 2), ("c.jpg", 3), ("d.jpg", 3)):
        save(tmp_path / name, picture(seed))
    labels = {"a.jpg": REAL, "copy.jpg": REAL, "b.jpg": FAKE, "c.jpg": REAL, "d.jpg": FAKE}
    examples = [Example(path, label, path) for path, label in labels.items()]
    card = datasets.get("demo").CARD
    with caplog.at_level(logging.WARNING):
        indexing.write(examples, tmp_path, tmp_path / "i.parquet", card, None)
    assert pq.read_table(tmp_path / "i.parquet")["path"].to_pylist() == ["a.jpg", "b.jpg"]
    assert "3 files left out" in caplog.text
    assert indexing.read_card(tmp_path / "i.parquet").proof_of_machinery
    with pytest.raises(UserError, match="does not hold both reals and fakes"):
        indexing.write(examples[:1], tmp_path, tmp_path / "i.parquet", card, None)


# === Splits and audits ===


def table(sources: int, each: int = 4) -> pd.DataFrame:
    """Files of many sources, half of each fake, alike in all their properties."""
    rows = [
        {
            "path": f"{s:03d}-{n}.jpg", "sha256": f"{s:03d}{n}", "label": n % 2, "source": f"s{s:03d}",
            "generator": "g" if n % 2 else None, "split": None, "format": "jpeg", "width": 64, "height": 64,
            "size": 1000 + int(RNG.integers(200)), "jpeg_tables": "q90", "exif": False,
        }
        for s in range(sources)
        for n in range(each)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def no_pairs() -> pd.DataFrame:
    return pd.DataFrame({"one": [], "other": []}, dtype=str)


def test_no_source_stands_on_both_sides(settings: Params) -> None:
    files = table(60)
    files["group"] = duplicates.groups(files, no_pairs())
    files["split"] = splits.assign(files, settings.split, 3)
    assert (files.groupby("source")["split"].nunique() == 1).all()
    share = files["split"].value_counts(normalize=True)
    assert share["train"] == pytest.approx(0.6, abs=0.07) and share["test"] == pytest.approx(0.2, abs=0.07)
    again = splits.assign(files.assign(split=None), settings.split, 3)
    assert (again == files["split"]).all()
    assert not any(audit.leaks(files, no_pairs()).values())


def test_near_duplicates_tie_sources_together(settings: Params) -> None:
    files = table(60)
    pairs = pd.DataFrame({"one": ["0000", "0010"], "other": ["0010", "0020"]})
    files["group"] = duplicates.groups(files, pairs)
    assert files.groupby("source")["group"].first().nunique() == 58
    files["split"] = splits.assign(files, settings.split, 3)
    tied = files[files["source"].isin(["s000", "s001", "s002"])]
    assert tied["split"].nunique() == 1


def test_a_published_test_split_is_kept_and_its_likenesses_are_excluded(settings: Params) -> None:
    files = table(60)
    files.loc[files["source"] < "s010", "split"] = "test"
    pairs = pd.DataFrame({"one": ["0000"], "other": ["0500"]})
    files["split"] = splits.published(files, pairs)
    files["group"] = duplicates.groups(files, no_pairs())
    files["split"] = splits.assign(files, settings.split, 3)
    assert set(files.loc[files["source"] < "s010", "split"]) == {"test"}
    assert (files["split"] == "test").sum() == 40
    assert files.set_index("sha256")["split"]["0500"] == "excluded"
    assert set(files["split"]) == {"train", "validation", "test", "excluded"}


def test_the_audit_catches_a_leak(settings: Params) -> None:
    files = table(40)
    files["group"] = files["source"]
    files["split"] = RNG.permutation(np.repeat(["train", "test"], 80))
    found = audit.audit(files, pd.DataFrame({"one": [], "other": []}), settings.split)
    assert found["leaks"]["sources"]
    with pytest.raises(UserError, match="leaks across the split, such as: s0"):
        audit.enforce(found, settings.split)
    files["split"] = np.where(files["source"] < "s020", "train", "test")
    crossing = pd.DataFrame({"one": ["0000"], "other": ["0390"]})
    assert audit.leaks(files, crossing)["near_duplicates"] == ["000-0.jpg ~ 039-0.jpg"]


@pytest.mark.parametrize("trait", ["format", "jpeg_tables", "dimensions", "bytes", "exif", "name"])
def test_the_audit_catches_a_shortcut(settings: Params, trait: str, caplog: pytest.LogCaptureFixture) -> None:
    files = table(40).assign(split="train")
    files["group"] = files["source"]
    assert max(audit.shortcuts(files).values()) <= settings.split.shortcut_auc
    fake = files["label"] == FAKE
    column = {"dimensions": "width", "bytes": "size", "name": "path"}.get(trait, trait)
    planted = {
        "format": "png", "jpeg_tables": "q75", "width": 70, "size": 5000, "exif": True, "path": "made/fake_1.jpg",
    }  # fmt: skip
    files[column] = files[column].astype(object).where(~fake, planted[column])
    found = audit.audit(files, no_pairs(), settings.split)
    assert found["shortcut_auc"][trait] > 0.95
    if trait != "name":  # which no model sees: a warning will do
        with pytest.raises(UserError, match=trait):
            audit.enforce(found, settings.split)
    audit.enforce(found, settings.split.model_copy(update={"on_shortcut": "warn"}))
    assert trait in caplog.text


def test_perceptual_hashes_find_a_recompressed_copy(tmp_path: Path, settings: Params) -> None:
    for name, seed, quality in (("a", 1, 95), ("b", 1, 40), ("c", 2, 95)):
        save(tmp_path / "m" / f"{name}.jpg", picture(seed), quality)
    examples = [Example(f"{name}.jpg", label, name) for name, label in (("a", REAL), ("b", FAKE), ("c", FAKE))]
    made, seen = made_faces(tmp_path, examples, "whole", settings)
    pairs = duplicates.near(seen, settings.split.near_duplicate_bits)
    of = made.set_index("path")["sha256"]
    assert [set(pair) for pair in pairs.to_numpy()] == [{of["a.jpg"], of["b.jpg"]}]


# === Faces and shards ===


def made_faces(folder: Path, examples: list[Example], mode: str, settings: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    indexing.write(examples, folder / "m", folder / "i.parquet", datasets.get("demo").CARD, None)
    maker = faces.FaceMaker(folder / "m", mode, settings.media, settings.faces)
    faces.make_faces(folder / "i.parquet", folder / "m", folder / "faces", maker, 2)
    made = faces_table.read_made(folder / "faces").to_pandas()
    return made, pq.read_table(folder / "faces" / "faces-00000.parquet").to_pandas()


def test_shards_give_back_what_went_in(tmp_path: Path, settings: Params) -> None:
    examples = []
    for n in range(60):
        save(tmp_path / "m" / f"{n}.jpg", picture(n, 48))
        examples.append(Example(f"{n}.jpg", n % 2, f"s{n}", "made" if n % 2 else None))
    made, _ = made_faces(tmp_path, examples, "whole", settings)
    small = settings.shards.model_copy(update={"examples_per_shard": 7})
    splits.split(tmp_path / "faces", tmp_path / "split.parquet", tmp_path / "audit.json", settings.split, 1)
    shards.write_shards(tmp_path / "faces", tmp_path / "split.parquet", tmp_path / "shards", small)
    label = made.set_index("sha256")["label"].to_dict()
    path = made.set_index("sha256")["path"].to_dict()
    seen: list[str] = []
    for split in ("train", "validation", "test"):
        for example in shards.read(tmp_path / "shards", split, View.WHOLE):
            sha256 = example["sha256"]
            assert example["label"] == label[sha256]
            assert example["image"] == (tmp_path / "m" / path[sha256]).read_bytes()
            seen.append(sha256)
    assert sorted(seen) == sorted(label)
    counts = shards.manifest(tmp_path / "shards")["counts"]
    assert sum(counts[f"{split}-whole"] for split in ("train", "validation", "test")) == 60
    assert len(list((tmp_path / "shards").glob("train-whole-*.tfrecord"))) == -(-counts["train-whole"] // 7)
    with pytest.raises(UserError, match="no train examples of view face"):
        shards.dataset(tmp_path / "shards", "train", View.FACE)


@pytest.mark.slow
def test_real_archives_prepare(tmp_path: Path, real_data: Path, settings: Params) -> None:
    entry = DatasetParams(
        name="deepfake_database", archives=str(real_data / "deepfake_database"), faces="whole", limit=None
    )
    download.download(entry, 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    index = pq.read_table(tmp_path / "i.parquet").to_pandas()
    held = index[index["split"] == "test"]
    assert len(index) > 14_000 and len(held) == 1779
    assert held.groupby("label")["source"].nunique().to_dict() == {0: 17, 1: 15}
    maker = faces.FaceMaker(tmp_path / "m", "whole", settings.media, settings.faces)
    faces.make_faces(tmp_path / "i.parquet", tmp_path / "m", tmp_path / "faces", maker, 2)
    with pytest.raises(UserError, match="file properties alone tell real from fake"):
        splits.split(tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json", settings.split, 1)
    warn = settings.split.model_copy(update={"on_shortcut": "warn"})
    splits.split(tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json", warn, 1)
    split = pq.read_table(tmp_path / "s.parquet").to_pandas()
    assert (split["split"] == "test").sum() == 1779
    assert (split.groupby("source")["split"].nunique() == 1).mean() > 0.99
