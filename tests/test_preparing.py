"""Splits that must not leak, audits that must catch, faces that must be counted."""

import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow
from preparing_fixtures import made_faces, picture, save

from fauxscan import datasets
from fauxscan.params import DatasetParams, Params
from fauxscan.preparing import download, shards, splits
from fauxscan.preparing import index as indexing
from fauxscan.records import FAKE, REAL, Example, UserError, View

RNG = np.random.default_rng(2)


# === Index ===


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


# === Faces and shards ===


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


def test_no_face_at_all_is_an_error_that_counts(tmp_path: Path, settings: Params) -> None:
    for name in ("a", "b"):
        save(tmp_path / "m" / f"{name}.jpg", picture(len(name), 128), quality=90 if name == "a" else 80)
    examples = [Example("a.jpg", REAL, "a"), Example("b.jpg", FAKE, "b")]
    with pytest.raises(UserError, match=r"no face and no image came out of.*no_face"):
        made_faces(tmp_path, examples, "detect", settings)


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
