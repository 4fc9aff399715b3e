"""The index of a dataset, its shards, and the batches that training reads from them."""

import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support import ROOT
from support.preparing import made_faces, picture, save, shard_files, split_files

from fauxscan import datasets, disk, params
from fauxscan.params import Params
from fauxscan.preparing.download import index as indexing
from fauxscan.preparing.faces import table as faces_table
from fauxscan.preparing.shards import layout
from fauxscan.preparing.shards import read as reading
from fauxscan.preparing.shards import write as sharding
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FACES, FAKE, REAL, SPLIT, Example, Recipe, UserError, View
from fauxscan.training.data import augmentation, inputs

MEMORY = 1 << 30
AUGMENTED = Recipe(batch_size=16, augmentation={"flip": {}, "brightness": {"factor": 0.3}})

# === Index ===


def index_of(labels: dict[str, int], folder: Path, limit: int | None = None) -> list[str]:
    examples = [Example(path, label, path) for path, label in labels.items()]
    indexing.write_index(examples, folder, folder / "i.parquet", datasets.get("demo").CARD, limit)
    assert not list(folder.glob("*.part"))
    return pq.read_table(folder / "i.parquet")["path"].to_pylist()  # type: ignore[no-any-return]


def test_an_index_holds_each_content_once_and_no_contradiction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, seed in (("a.jpg", 1), ("copy.jpg", 1), ("b.jpg", 2), ("c.jpg", 3), ("d.jpg", 3)):
        save(tmp_path / name, picture(seed))
    labels = {"a.jpg": REAL, "copy.jpg": REAL, "b.jpg": FAKE, "c.jpg": REAL, "d.jpg": FAKE}
    with caplog.at_level(logging.WARNING):
        assert index_of(labels, tmp_path) == ["a.jpg", "b.jpg"]
    assert "Skipped 3 files: 2 labelled both real and fake, 1 exact copies" in caplog.text
    assert indexing.read_card(tmp_path / "i.parquet").proof_of_machinery
    with pytest.raises(UserError, match="holds no reals, among 1 files"):
        index_of({"b.jpg": FAKE}, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert index_of({"a.jpg": REAL}, tmp_path) == ["a.jpg"] and "holds no fakes" in caplog.text


def test_an_index_is_whole_beyond_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 4)
    for n in range(11):
        (tmp_path / f"{n}.jpg").write_bytes(b"copied" if n in (1, 7) else bytes([n]))
    labels = {f"{n}.jpg": n % 2 for n in range(11)}
    assert index_of(labels, tmp_path) == [f"{n}.jpg" for n in range(11) if n != 7]
    assert index_of(labels, tmp_path, limit=3) == [f"{n}.jpg" for n in (0, 1, 4, 5, 9, 10)]  # spread over each label
    row = pq.read_table(tmp_path / "i.parquet").to_pylist()[1]
    assert (row["size"], row["label"], row["source"], row["generator"]) == (6, FAKE, "1.jpg", None)
    assert row["sha256"] == disk.digest(tmp_path / "1.jpg")


def test_a_name_that_is_not_text_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a.jpg", "b.jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in names:
        (tmp_path / name).write_bytes(os.fsencode(name))
    assert index_of({name: n % 2 for n, name in enumerate(names)}, tmp_path) == names[:2]
    assert "its name is not UTF-8, which a table cannot store. Rename it" in caplog.text


def test_a_row_answers_for_its_copies_and_a_limit_takes_of_each_split_and_generator(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"{n:02d}").write_bytes(b"same" if n in (0, 10) else bytes([n]))
    examples = [
        Example(
            f"{n:02d}", n % 2, f"s{n}", ("a", "b")[n > 5] if n % 2 else None, "test" if n > 7 else "train", (f"p{n}",)
        )
        for n in range(12)
    ]
    copies = indexing.write_index(examples, tmp_path, tmp_path / "i.parquet", datasets.get("demo").CARD, None)
    assert [(copy.path, copy.duplicate_of, copy.conflicting) for copy in copies] == [("10", "00", True)]
    first = pq.read_table(tmp_path / "i.parquet").to_pylist()[0]
    assert (first["path"], first["split"], first["identities"]) == ("00", "test", ["p0", "p10", "s10"])
    indexing.write_index(examples[1:], tmp_path, tmp_path / "i.parquet", datasets.get("demo").CARD, 3)
    taken = pq.read_table(tmp_path / "i.parquet").to_pylist()
    assert {(row["label"], row["split"], row["generator"]) for row in taken} == {
        (0, "train", None), (0, "test", None), (1, "train", "a"), (1, "train", "b"), (1, "test", "b"),
    }  # fmt: skip


# === Shards ===


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of 7 examples of 120 pictures, a third of them fake, of sizes around 32 pixels."""
    folder = tmp_path_factory.mktemp("prepared")
    examples = []
    for n in range(120):
        save(folder / "m" / f"{n}.jpg", picture(n, (24, 32, 48)[n % 5 % 3]))
        examples.append(Example(f"{n}.jpg", int(n % 3 == 0), f"s{n}", None if n % 3 else "made"))
    made_faces(folder, examples, "whole", settings)
    split_files(folder, settings)
    write(folder, "shards", 7)
    return folder


def write(folder: Path, name: str, size: int) -> Path:
    return shard_files(folder, folder / name, params.load(ROOT / "params.yaml"), size)


def test_shards_give_back_what_went_in(prepared: Path) -> None:
    made = faces_table.read_outcomes(prepared / "faces").to_pandas()
    label, path = made.set_index("sha256")["label"].to_dict(), made.set_index("sha256")["path"].to_dict()
    seen: list[str] = []
    for split in ("train", "validation", "test"):
        for example in Shards(prepared / "shards").examples(split, View.WHOLE):
            sha256 = example["sha256"]
            assert example["label"] == label[sha256]
            assert example["generator"] == ("made" if label[sha256] else "")
            assert example["image"] == (prepared / "m" / path[sha256]).read_bytes()
            seen.append(sha256)
    assert sorted(seen) == sorted(label)
    counts = Shards(prepared / "shards").manifest.counts
    assert sum(counts[f"{split}-whole"] for split in ("train", "validation", "test")) == 120
    assert len(list((prepared / "shards").glob("train-whole-*.tfrecord"))) == -(-counts["train-whole"] // 7)
    assert not list((prepared / "shards").glob("*.part"))
    with pytest.raises(UserError, match="no train examples of view face"):
        Shards(prepared / "shards").records("train", View.FACE)


def test_the_index_says_where_each_example_is(prepared: Path) -> None:
    index = pq.read_table(prepared / "shards" / "index.parquet").to_pandas()
    read = [e["sha256"] for e in Shards(prepared / "shards").examples("train", View.WHOLE)]
    rows = index[index["split"] == "train"].sort_values(["shard", "place"])
    assert rows["sha256"].to_list() == read
    sizes = {name: shard.examples for name, shard in Shards(prepared / "shards").manifest.shards.items()}
    assert index["shard"].value_counts().to_dict() == sizes
    for _, rows in index.groupby("shard"):
        assert rows["place"].to_list() == list(range(len(rows)))


def test_the_same_faces_give_the_same_shards_however_little_fits_into_memory(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "SPILL", 5000)
    again = write(prepared, "again", 7)
    assert (again / "manifest.json").read_bytes() == (prepared / "shards" / "manifest.json").read_bytes()
    Shards(again).verify()


def test_excluded_files_are_in_no_shard(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "faces").symlink_to(prepared / "faces")
    (tmp_path / "i.parquet").symlink_to(prepared / "i.parquet")
    split = pq.read_table(prepared / "split.parquet").to_pandas()
    last = pq.read_table(prepared / "faces" / "faces-00000.parquet", columns=["sha256"])["sha256"].to_pylist()[-9:]
    split.loc[split["sha256"].isin(last) | (split["split"] == "test"), "split"] = "excluded"
    pq.write_table(pa.Table.from_pandas(split, SPLIT, preserve_index=False), tmp_path / "split.parquet")
    write(tmp_path, "shards", 7)
    read = [
        e["sha256"]
        for split in ("train", "validation")
        for e in Shards(tmp_path / "shards").examples(split, View.WHOLE)
    ]
    assert sorted(read) == sorted(split["sha256"][split["split"] != "excluded"])


def test_each_stretch_is_balanced_as_the_whole_and_frames_of_a_video_lie_apart(tmp_path: Path) -> None:
    """Two hundred videos of 20 frames, one in five fake, in the order of their making."""
    faces, media = [], []
    for video in range(200):
        sha256 = f"{video:064x}"
        blank = dict.fromkeys(FACES.names)
        faces += [{**blank, "sha256": sha256, "view": "whole", "frame": n, "track": 0, "face": 0} for n in range(20)]
        media.append({"sha256": sha256, "label": int(video >= 160), "source": "s", "generator": None, "split": "train"})
    (tmp_path / "faces").mkdir()
    pq.write_table(pa.Table.from_pylist(faces, FACES), tmp_path / "faces" / "faces-00000.parquet")
    pq.write_table(pa.Table.from_pylist(media, SPLIT), tmp_path / "split.parquet")
    table = layout.place(tmp_path / "faces", tmp_path / "split.parquet", 250).to_pandas()
    assert Counter(table["shard"]) == {f"train-whole-{n:05d}.tfrecord": 250 for n in range(16)}
    for size in (10, 32, 250):
        fakes = np.lib.stride_tricks.sliding_window_view(table["label"].to_numpy(), size).sum(axis=1)
        assert np.abs(fakes - size / 5).max() <= 1
    next_to_itself = (table["sha256"].to_numpy()[1:] == table["sha256"].to_numpy()[:-1]).mean()
    assert next_to_itself < 0.03


@pytest.mark.slow
def test_examples_have_the_same_bytes_in_every_process() -> None:
    row = {"image": b"i", "format": "png", "sha256": "a", "generator": None, "source": "s", "label": 1, "frame": 0}
    code = (
        "import sys; from fauxscan.preparing.shards import write;"
        f"sys.stdout.write(write._serialise({row | {'track': 0, 'face': 0}!r}).hex())"
    )
    made = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(4)}
    assert len(made) == 1 and made != {b""}


@pytest.mark.parametrize("harm", ["flipped", "cut", "shortened by a record", "gone"])
def test_a_damaged_shard_is_named_with_what_to_do(prepared: Path, harm: str) -> None:
    folder = write(prepared, f"harmed-{harm.replace(' ', '-')}", 7)
    Shards(folder).verify()
    file = folder / "train-whole-00003.tfrecord"
    data = bytearray(file.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 4
    record = 12 + int.from_bytes(data[:8], "little") + 4  # TFRecord: length, its checksum, bytes, their checksum
    file.write_bytes({"cut": data[:-100], "shortened by a record": data[record:]}.get(harm, data))
    if harm == "gone":
        file.unlink()
    recipe = Recipe(batch_size=8)
    for use in (
        lambda: Shards(folder).verify(),
        lambda: inputs.training(Shards(folder), View.WHOLE, 32, recipe, 1, MEMORY),
        lambda: next(Shards(folder).examples("train", View.WHOLE)),
    ):
        with pytest.raises(UserError, match=r"train-whole-00003\.tfrecord (has|is).*run the stage `shards` again"):
            use()
    next(Shards(folder).examples("test", View.WHOLE))  # which is whole


def test_one_object_verifies_each_shard_once(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    monkeypatch.setattr(reading, "shard_damage", lambda file, known: verified.append(file.name) or "")
    shards = Shards(prepared / "shards")
    assert not verified
    for _ in range(2):
        for split in ("train", "validation"):
            next(shards.examples(split, View.WHOLE))
    assert sorted(verified) == [*shards.names("train", View.WHOLE), *shards.names("validation", View.WHOLE)]
    shards.verify()
    assert sorted(verified) == sorted(shards.manifest.shards)


def test_shards_of_an_older_version_and_an_empty_split_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no shards in"):
        Shards(tmp_path)
    (tmp_path / "manifest.json").write_text('{"counts": {}, "split_digest": ""}')
    with pytest.raises(UserError, match="older version"):
        Shards(tmp_path)
    split = pq.read_table(prepared / "split.parquet").to_pandas().assign(split="excluded")
    (tmp_path / "faces").symlink_to(prepared / "faces")
    (tmp_path / "i.parquet").symlink_to(prepared / "i.parquet")
    pq.write_table(pa.Table.from_pandas(split, SPLIT, preserve_index=False), tmp_path / "split.parquet")
    with pytest.raises(UserError, match="no example is left"):
        write(tmp_path, "shards", 7)


# === Batches ===


def epochs(folder: Path, recipe: Recipe, memory: int, seed: int = 3, count: int = 2) -> list[NDArray[np.float32]]:
    """The images of some epochs, in order."""
    data = inputs.training(Shards(folder), View.WHOLE, 32, recipe, seed, memory)
    return [np.concatenate([images.numpy() for images, _ in data]) for _ in range(count)]


def test_batches_are_the_same_for_a_seed_whatever_is_kept_in_memory(prepared: Path) -> None:
    folder = prepared / "shards"
    first = epochs(folder, AUGMENTED, MEMORY)
    for memory in (MEMORY, 150_000, 0):  # decoded, encoded, nothing
        for one, other in zip(first, epochs(folder, AUGMENTED, memory), strict=True):
            np.testing.assert_array_equal(one, other)
    assert np.abs(first[0] - epochs(folder, AUGMENTED, MEMORY, seed=4)[0]).max() > 1


def test_each_epoch_has_every_example_in_another_order(prepared: Path) -> None:
    plain = Recipe(batch_size=16)
    one, other = epochs(prepared / "shards", plain, MEMORY)
    assert np.abs(one - other).max() > 1
    key = lambda images: sorted(image.tobytes() for image in images)
    assert key(one) == key(other)
    assert len(one) == Shards(prepared / "shards").manifest.counts["train-whole"]


def test_the_order_of_one_dataset_is_that_of_earlier_versions(prepared: Path) -> None:
    """The labels of two epochs as revision b7ea7d3 gave them, from shards that it can read."""
    tf.random.set_seed(None)  # or a seed that another test set would be part of every shuffle
    data = inputs.training(Shards(prepared / "shards"), View.WHOLE, 32, Recipe(batch_size=16), 3, MEMORY)
    epochs = ["".join(str(int(label)) for _, labels in data for label in labels.numpy()[:, 0]) for _ in range(2)]
    assert epochs == [
        "100011000010110010000110000000001000000100000100001011000111001011011100",
        "011011000010000000000001000111001100101010010000010001111110100010000000",
    ]


def test_augmentation_comes_after_the_cache(prepared: Path) -> None:
    """Were it before, the second epoch would show the images of the first in another order."""
    plain = epochs(prepared / "shards", Recipe(batch_size=16), MEMORY, count=1)[0].mean(axis=(1, 2, 3))
    for memory in (MEMORY, 150_000, 0):
        one, other = (e.mean(axis=(1, 2, 3)) for e in epochs(prepared / "shards", AUGMENTED, memory))
        assert np.abs(np.sort(one) - np.sort(other)).max() > 1
        assert np.abs(np.sort(one) - np.sort(plain)).max() > 1


def test_validation_is_never_augmented(prepared: Path) -> None:
    plain, augmented = (
        inputs.validation(Shards(prepared / "shards"), View.WHOLE, 32, recipe, MEMORY)
        for recipe in (Recipe(batch_size=16), AUGMENTED)
    )
    passes = [np.concatenate([x.numpy() for x, _ in data]) for data in (plain, augmented, augmented)]
    np.testing.assert_array_equal(passes[0], passes[1])
    np.testing.assert_array_equal(passes[1], passes[2])
    labels = np.concatenate([y.numpy() for _, y in plain]).ravel().tolist()
    assert labels == [e["label"] for e in Shards(prepared / "shards").examples("validation", View.WHOLE)]


ALL = {
    "zoom": {"factor": 0.2}, "rotation": {"degrees": 20}, "shift": {"factor": 0.1}, "flip": {},
    "brightness": {"factor": 0.2}, "hue": {"factor": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("names", [*([name] for name in ALL), list(ALL)])
def test_draws_apart_from_changes_make_the_images_that_the_layers_make(prepared: Path, names: list[str]) -> None:
    """The reader draws in order and changes in parallel; the layers called one after another do the same."""
    chosen = {name: ALL[name] for name in names}
    (plain,) = epochs(prepared / "shards", Recipe(batch_size=120), MEMORY, count=1)
    (found,) = epochs(prepared / "shards", Recipe(batch_size=120, augmentation=chosen), MEMORY, count=1)
    for layer in augmentation.pipeline(chosen, seed=3):
        plain = np.asarray(layer(plain, training=True))
    np.testing.assert_allclose(found, np.clip(plain, 0, 255), atol=0.01)
