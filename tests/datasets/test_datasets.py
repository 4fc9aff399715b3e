"""Each dataset on tiny files in its published layout, the real archives that are at hand, and imports from trees."""

import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support import ROOT

from fauxscan import datasets
from fauxscan.params import DatasetParams
from fauxscan.preparing.download import dataset
from fauxscan.records import FAKE, REAL, Example, UserError


def grow(root: Path, names: Iterable[str]) -> Path:
    """Put tiny files into a tree, no two alike."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def of(name: str, root: Path, **options: Any) -> dict[str, Example]:
    return {example.path: example for example in datasets.get(name).examples(root, **options)}


def index_of(folder: Path, name: str, archives: Path | str | None = None, **options: Any) -> pd.DataFrame:
    """Run the stage `download`, and return the index."""
    place = None if archives is None else str(archives)
    entry = DatasetParams(name=name, archives=place, options=options)
    dataset.download(entry, 1, folder / "fetched", folder / "media", folder / "index.parquet")
    return pq.read_table(folder / "index.parquet").to_pandas()


# === Cards ===


@pytest.mark.parametrize("name", datasets.names())
def test_every_dataset_has_a_card(name: str) -> None:
    module = datasets.get(name)
    card = module.CARD
    assert card.name == name and card.title and card.licence and card.instructions
    assert card.citation or name == "folder"
    assert callable(module.examples)
    for archive in (*card.archives, *(module.archives() if hasattr(module, "archives") else ())):
        assert all(address.startswith("https://") for address in (archive.address, *archive.mirrors) if address)
        assert card.access == "manual" or archive.address, archive.name


def test_the_table_of_datasets_is_current() -> None:
    command = [sys.executable, ROOT / "docs" / "datasets.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


# === Layouts ===


def test_deepfake_database(tmp_path: Path) -> None:
    grow(tmp_path, ("train:test/real/real00000.jpg", "train:test/df/df00012.jpg", "validation/df/114_132.jpg"))
    found = of("deepfake_database", tmp_path)
    assert found["train:test/real/real00000.jpg"].label == REAL
    assert found["train:test/real/real00000.jpg"].generator is None
    assert found["train:test/df/df00012.jpg"].label == FAKE
    assert found["train:test/df/df00012.jpg"].generator == "deepfake"
    held = found["validation/df/114_132.jpg"]
    assert (held.split, held.source) == ("test", "validation-df-114")


@pytest.mark.parametrize(("folder", "psi"), [("stylegan", 5), ("stylegan_05psi", 5), ("10psi", 10)])
def test_stylegan_ffhq(tmp_path: Path, folder: str, psi: int) -> None:
    found = of("stylegan_ffhq", grow(tmp_path, ("real/00002.jpg", f"{folder}/00C64W8TYZ.jpg")), psi=psi)
    assert (found["real/00002.jpg"].label, found["real/00002.jpg"].generator) == (REAL, None)
    assert found[f"{folder}/00C64W8TYZ.jpg"] == Example(
        f"{folder}/00C64W8TYZ.jpg", FAKE, f"{folder}/00C64W8TYZ", "stylegan"
    )


def test_stylegan_ffhq_under_another_name(tmp_path: Path) -> None:
    grow(tmp_path, ("real/1.jpg", "generated/2.jpg"))
    with pytest.raises(UserError, match=r"no folder stylegan or .*; it has: generated, real\..*options\.fakes"):
        of("stylegan_ffhq", tmp_path)
    assert of("stylegan_ffhq", tmp_path, fakes="generated")["generated/2.jpg"].label == FAKE


def test_stylegan_ffhq_chooses_its_archives_by_truncation() -> None:
    archives = datasets.get("stylegan_ffhq").archives
    assert [a.name for a in archives(psi=5)] == ["real.zip", "stylegan_05psi.zip"]
    assert str(archives(psi=10)[1].address).endswith("1aJvpWIQ6G8fHwRCWRgrtKaKUQ8zaRLsK")


SYNTHS = (
    "train/progan_train/cat/0_real/1.png", "train/progan_train/cat/1_fake/1.png",
    "train/progan_train/train/1_fake/1.png",
    "val/car/0_real/1.png", "val/car/1_fake/2.png",
    "test/progan/cat/0_real/1.png", "test/progan/cat/1_fake/1.png", "test/CNN_synth_testset/crn/1_fake/7.png",
)  # fmt: skip


def test_forensynths(tmp_path: Path) -> None:
    found = of("forensynths", grow(tmp_path, SYNTHS), parts=("train", "validation", "test"))
    assert set(found) == set(SYNTHS)
    real, fake = found[SYNTHS[0]], found[SYNTHS[1]]
    assert (real.label, real.generator, real.split) == (REAL, None, "train")
    assert (fake.label, fake.generator, fake.source) == (FAKE, "progan", "train/progan/cat/1")
    assert fake.source == real.source != found[SYNTHS[5]].source
    assert found[SYNTHS[2]].source == "train/progan/train/1"  # the railway kind
    assert (found[SYNTHS[3]].split, found[SYNTHS[5]].split) == ("validation", "test")
    assert (found[SYNTHS[7]].generator, found[SYNTHS[7]].source) == ("crn", "test/crn/7")


def test_forensynths_by_parts_categories_and_generators(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grow(tmp_path, SYNTHS)
    assert set(of("forensynths", tmp_path)) == set(SYNTHS[5:])
    assert set(of("forensynths", tmp_path, parts=("train",), categories=("cat", "dog"))) == set(SYNTHS[:2])
    assert set(of("forensynths", tmp_path, generators=("crn", "imle"))) == {SYNTHS[7]}
    assert not of("forensynths", tmp_path / "test", parts=("train",)) and "no images of the part train" in caplog.text
    archives = datasets.get("forensynths").archives
    assert [a.name for a in archives()] == ["CNN_synth_testset.zip"]
    names = [a.name for a in archives(parts=("train", "validation"))]
    assert names == [*(f"progan_train.7z.00{n}" for n in range(1, 8)), "progan_val.zip"]


def test_of_forensynths_only_what_is_asked_for_is_unpacked(tmp_path: Path) -> None:
    names = ("cat/0_real/1.png", "cat/1_fake/1.png", "dog/0_real/1.png", "README")
    (tmp_path / "z").mkdir()
    with zipfile.ZipFile(tmp_path / "z" / "progan_val.zip", "w") as archive:
        for name in names:
            archive.writestr(name, name)
    index = index_of(tmp_path, "forensynths", tmp_path / "z", parts=["validation"], categories=["cat"])
    assert sorted(index["path"]) == ["val/cat/0_real/1.png", "val/cat/1_fake/1.png"]
    there = sorted(f.relative_to(tmp_path / "media").as_posix() for f in (tmp_path / "media").rglob("*") if f.is_file())
    assert there == ["val/README", "val/cat/0_real/1.png", "val/cat/1_fake/1.png"]


def test_real_fake_140k(tmp_path: Path) -> None:
    base = "real_vs_fake/real-vs-fake"
    grow(tmp_path, (f"{base}/train/real/1.jpg", f"{base}/valid/fake/2.jpg", f"{base}/test/fake/3.jpg", "train.csv"))
    found = of("real_fake_140k", tmp_path)
    assert [(e.label, e.generator, e.split) for e in found.values()] == [
        (FAKE, "stylegan", "test"), (REAL, None, "train"), (FAKE, "stylegan", "validation"),
    ]  # fmt: skip
    assert set(of("real_fake_140k", tmp_path / "real_vs_fake")) == {p.removeprefix("real_vs_fake/") for p in found}


FORENSICS = (
    "original_sequences/youtube/c23/videos/004.mp4", "original_sequences/youtube/c40/videos/004.mp4",
    "original_sequences/actors/c23/videos/01__exit_phone_room.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/004_982.mp4", "manipulated_sequences/FaceSwap/raw/videos/982_004.mp4",
    "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
    "manipulated_sequences/Deepfakes/c23/masks/004_982.mp4",
)  # fmt: skip


@pytest.fixture
def forensics(tmp_path: Path) -> Path:
    grow(tmp_path, FORENSICS)
    for name, pairs in {"train": [["071", "054"]], "val": [["004", "982"]], "test": [["953", "974"]]}.items():
        (tmp_path / "splits").mkdir(exist_ok=True)
        (tmp_path / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    return tmp_path


def test_faceforensics(forensics: Path) -> None:
    every = ("Deepfakes", "FaceSwap", "DeepFakeDetection")
    found = of("faceforensics", forensics, compression=("raw", "c23", "c40"), manipulations=every)
    assert set(found) == set(FORENSICS[:-1])
    real, fake, back = found[FORENSICS[0]], found[FORENSICS[3]], found[FORENSICS[4]]
    assert real == Example(FORENSICS[0], REAL, "youtube-004", None, "validation", ("youtube-004",))
    assert fake == Example(FORENSICS[3], FAKE, "youtube-004", "deepfakes", "validation", ("youtube-004", "youtube-982"))
    assert (back.source, back.generator, back.split) == ("youtube-982", "faceswap", "validation")
    actor, swapped = found[FORENSICS[2]], found[FORENSICS[5]]
    assert actor.source == swapped.source == "actor-01__exit_phone_room"
    assert (actor.identities, swapped.identities) == (("actor-01",), ("actor-01", "actor-02"))
    assert (swapped.generator, swapped.split) == ("deepfakedetection", None)


def test_faceforensics_by_compression_and_manipulation(forensics: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert set(of("faceforensics", forensics)) == {FORENSICS[0], FORENSICS[3]}
    assert "there is no folder manipulated_sequences/Face2Face/c23/videos" in caplog.text
    only = of("faceforensics", forensics, manipulations=("DeepFakeDetection",))
    assert set(only) == {FORENSICS[2], FORENSICS[5]}
    (forensics / "splits" / "val.json").write_text("{")
    with pytest.raises(UserError, match=r"val\.json is not a list of pairs"):
        of("faceforensics", forensics)
    (forensics / "splits" / "val.json").unlink()
    assert of("faceforensics", forensics)[FORENSICS[0]].split is None
    assert "no official split" in caplog.text


@pytest.mark.parametrize("above", ["", "Celeb-DF-v2/"])
def test_celeb_df(tmp_path: Path, above: str, caplog: pytest.LogCaptureFixture) -> None:
    names = ("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id16_0000.mp4", "YouTube-real/00170.mp4")
    grow(tmp_path, (above + name for name in names))
    assert {e.split for e in of("celeb_df", tmp_path).values()} == {None} and "no official test split" in caplog.text
    (tmp_path / f"{above}List_of_testing_videos.txt").write_text(f"1 {names[2]}\n0 {names[1]}\n")
    real, fake, stranger = of("celeb_df", tmp_path).values()
    real, stranger, fake = sorted((real, fake, stranger), key=lambda e: (e.label, e.path))
    assert real == Example(above + names[0], REAL, "id0_0000", None, None, ("id0",))
    assert fake == Example(above + names[1], FAKE, "id0_0000", "celeb_df", "test", ("id0",))
    assert stranger == Example(above + names[2], REAL, "youtube-00170", None, "test", ())


def test_dfdc(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grow(tmp_path, ("dfdc_train_part_0/a.mp4", "dfdc_train_part_0/b.mp4", "x/dfdc_train_part_1/c.mp4", "outside.mp4"))
    listed = {
        "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        "b.mp4": {"label": "REAL", "split": "train", "original": None},
        "gone.mp4": {"label": "REAL", "split": "train"},
        "../outside.mp4": {"label": "REAL"},
    }
    (tmp_path / "dfdc_train_part_0" / "metadata.json").write_text(json.dumps(listed))
    (tmp_path / "x" / "dfdc_train_part_1" / "metadata.json").write_text("[1]")
    found = of("dfdc", tmp_path)
    assert found == {
        "dfdc_train_part_0/a.mp4": Example("dfdc_train_part_0/a.mp4", FAKE, "b", "dfdc"),
        "dfdc_train_part_0/b.mp4": Example("dfdc_train_part_0/b.mp4", REAL, "b"),
    }
    assert "lists gone.mp4, which" in caplog.text and "its list cannot be read" in caplog.text
    assert not of("dfdc", tmp_path, parts=(1,))
    assert [a.name for a in datasets.get("dfdc").archives(parts=(0, 49))][1] == "dfdc_train_part_49.zip"
    with pytest.raises(UserError, match=r"parts 0 to 49, not \[-1, 50\]"):
        datasets.get("dfdc").archives(parts=(50, 7, -1))


def test_portraits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("dfdc_faces/real/a.jpg", "dfdc_faces/fake/b.jpg", "sd21/fake/c.jpg", "ml72/fake/gan_1.jpg")
    grow(tmp_path, names)
    with pytest.raises(UserError, match=r"pairs\.csv does not say which real .*leave dfdc_faces out of options\.sets"):
        of("portraits", tmp_path)
    (tmp_path / "dfdc_faces" / "pairs.csv").write_text("real,fake\na,b\n")
    found = of("portraits", tmp_path)
    assert list(found.values()) == [
        Example(names[0], REAL, "a"),
        Example(names[1], FAKE, "a", "dfdc"),
        Example(names[2], FAKE, "sd21/c", "stable_diffusion_2_1"),
    ]
    assert "there is no folder sd3 in" in caplog.text and "ml72" not in caplog.text
    assert of("portraits", tmp_path, sets=("ml72",))[names[3]].generator == "ml72_gan"
    archives = datasets.get("portraits").archives
    assert len(archives()) == 7 and [a.name for a in archives(sets=("ml72", "sd3"))] == ["sd3.zip", "ml72.zip"]


def test_portraits_that_are_damaged_are_refused(tmp_path: Path) -> None:
    grow(tmp_path / "z", ("sd3.zip",))
    with pytest.raises(UserError, match=r"sd3\.zip"):
        index_of(tmp_path, "portraits", tmp_path / "z", sets=["sd3"])
    grow(tmp_path / "tree", ("dfdc_faces/fake/b.jpg", "dfdc_faces/pairs.csv"))
    (tmp_path / "tree" / "dfdc_faces" / "pairs.csv").write_text("real,fake\na,other\n")
    with pytest.raises(UserError, match=r"pairs\.csv does not say which real"):
        index_of(tmp_path, "portraits", tmp_path / "tree", sets=["dfdc_faces"])


# === Your own folders ===


def test_a_whole_tree_may_have_one_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grow(tmp_path, ("anna/1.jpg", "anna/2.jpg", "x.jpg", ".DS_Store"))
    found = of("folder", tmp_path, labels={".": "real"})
    assert {path: example.label for path, example in found.items()} == dict.fromkeys(
        ("anna/1.jpg", "anna/2.jpg", "x.jpg"), REAL
    )
    assert found["anna/1.jpg"].source == found["anna/2.jpg"].source != found["x.jpg"].source
    assert not caplog.text, "x.jpg is not skipped"
    with pytest.raises(UserError, match=r"labels name both '\.' and 'anna' inside it"):
        of("folder", tmp_path, labels={".": "real", "anna": "stylegan"})


def test_own_folders_need_a_declared_label(tmp_path: Path) -> None:
    grow(tmp_path, ("camera/anna/1.jpg", "camera/anna/2.jpg", "gan/x.jpg", "README", ".git/config", "gan/.DS_Store"))
    found = of("folder", tmp_path, labels={"camera": "real", "gan": "stylegan"})
    assert set(found) == {"camera/anna/1.jpg", "camera/anna/2.jpg", "gan/x.jpg"}
    assert found["camera/anna/1.jpg"].source == found["camera/anna/2.jpg"].source
    assert (found["gan/x.jpg"].label, found["gan/x.jpg"].generator) == (FAKE, "stylegan")
    with pytest.raises(UserError, match="folders without a label: gan"):
        of("folder", tmp_path, labels={"camera": "real"})
    with pytest.raises(UserError, match="the subfolders have no labels"):
        of("folder", tmp_path)


@pytest.mark.parametrize("name", ["real_backup", "surreal", "Real", "real/deeper"])
def test_no_label_is_guessed_from_a_name(tmp_path: Path, name: str) -> None:
    grow(tmp_path, (f"{name}/1.jpg", "fake/2.jpg"))
    with pytest.raises(UserError, match=f"folders without a label: {name}"):
        of("folder", tmp_path, labels={"fake": "stylegan"})
    if "/" not in name:
        with pytest.raises(UserError, match="'real', which is not a subfolder"):
            of("folder", tmp_path, labels={"real": "real", "fake": "stylegan"})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": "Real"}, "labels say 'Real' for 'a': write real"),
        ({"a": " "}, "write real, or the name"),
        ({"a": "1"}, "labels say '1' for 'a'"),
        ({"a": "real", "a/b": "gan"}, "both 'a' and 'a/b' inside it"),
        ({"../a": "real"}, "'../a', which is not a subfolder"),
        ({"/tmp": "real"}, "'/tmp', which is not a subfolder"),
    ],
)
def test_ambiguous_labels_are_refused(tmp_path: Path, labels: dict[str, str], message: str) -> None:
    grow(tmp_path / "t", ("a/1.jpg", "a/b/2.jpg"))
    grow(tmp_path, ("a/3.jpg",))
    with pytest.raises(UserError, match=message):
        of("folder", tmp_path / "t", labels=labels)


def test_folders_within_folders_may_be_declared(tmp_path: Path) -> None:
    grow(tmp_path, ("set/real/1.jpg", "set/gan/2.jpg"))
    found = of("folder", tmp_path, labels={"set/real": "real", "set/gan": "biggan"})
    assert [(e.label, e.source) for e in found.values()] == [(FAKE, "set/gan/2"), (REAL, "set/real/1")]


def test_an_expression_names_the_source(tmp_path: Path) -> None:
    grow(tmp_path, ("real/ffpp_c23_original_519.mp4", "fake/ffpp_c23_Deepfakes_519_515.mp4", "fake/other.mp4"))
    labels = {"real": "real", "fake": "mixed"}
    found = of("folder", tmp_path, labels=labels, source=r"ffpp_c23_[A-Za-z]+_(\d{3})")
    assert [e.source for e in found.values()] == ["519", "fake/other", "519"]
    for wrong in ("(", "no group", "(two)(groups)"):
        with pytest.raises(UserError, match=r"options\.source"):
            of("folder", tmp_path, labels=labels, source=wrong)


# === Options ===


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("forensynths", {"part": ["test"]}, r"part: .*Valid options: parts, categories, generators"),
        ("forensynths", {"parts": ["tests"]}, r"parts\.0: Input should be 'train', 'validation' or 'test'"),
        ("forensynths", {"parts": "test"}, r"parts: Input should be a valid tuple"),
        ("faceforensics", {"compression": ["c99"]}, r"compression\.0: .*'raw', 'c23' or 'c40'"),
        ("folder", {"labels": {"a": True}}, r"labels\.a: Input should be a valid string"),
        ("demo", {"colour": "red"}, "Valid options: none"),
    ],
)
def test_a_wrong_option_lists_the_valid_ones(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    tree = None if name == "demo" else grow(tmp_path / "t", ("test/crn/0_real/1.png", "original_sequences/x", "a/1"))
    with pytest.raises(UserError, match=message):
        index_of(tmp_path, name, tree, **options)


# === Imports ===


def test_archives_for_manual_download_come_with_instructions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train-real\.zip is not in .*README of DariusAf/MesoNet"):
        index_of(tmp_path, "deepfake_database", grow(tmp_path / "t", ("x",)))
    for name in ("deepfake_database", "real_fake_140k", "celeb_df", "dfdc"):
        with pytest.raises(UserError, match=r"by hand\. .*params\.yaml"):
            index_of(tmp_path, name)
    with pytest.raises(UserError, match=r"^dfdc_train_part_00\.zip, .*_49\.zip of dfdc must be downloaded") as error:
        index_of(tmp_path, "dfdc")
    assert str(error.value).count("Kaggle account") == 1
    with pytest.raises(UserError, match=r"imported from a local folder, and none is named\. Fill in the form"):
        index_of(tmp_path, "faceforensics")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere\. Fill in the form"):
        index_of(tmp_path, "celeb_df", tmp_path / "nowhere")
    with pytest.raises(UserError, match="name a local folder or an https address"):
        index_of(tmp_path, "celeb_df", "http://example.org/sets")


def test_a_tree_is_linked_not_copied(forensics: Path, tmp_path: Path) -> None:
    index = index_of(tmp_path / "out", "faceforensics", forensics)
    assert set(index["path"]) == {FORENSICS[0], FORENSICS[3]}
    assert list(index["identities"][0]) and (index["split"] == "validation").all()
    media = tmp_path / "out" / "media"
    assert os.path.samefile(media / FORENSICS[0], forensics / FORENSICS[0])
    assert sorted(f.relative_to(media).as_posix() for f in media.rglob("*.mp4")) == sorted(index["path"])
    again = index_of(tmp_path / "out", "faceforensics", forensics)  # over what is there
    assert again["sha256"].tolist() == index["sha256"].tolist()
    assert (forensics / FORENSICS[0]).read_bytes() == FORENSICS[0].encode()


def test_a_tree_is_copied_where_it_cannot_be_linked(
    forensics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    index_of(tmp_path / "out", "faceforensics", forensics)
    copy = tmp_path / "out" / "media" / FORENSICS[0]
    assert copy.read_bytes() == FORENSICS[0].encode() and not os.path.samefile(copy, forensics / FORENSICS[0])


def test_links_in_a_tree_are_followed_and_missing_files_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grow(tmp_path / "t", ("a/1.jpg", "b/2.jpg"))
    grow(tmp_path, ("elsewhere.jpg",))
    (tmp_path / "t" / "a" / "3.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (tmp_path / "t" / "a" / "4.jpg").symlink_to(tmp_path / "nowhere.jpg")
    index = index_of(tmp_path / "out", "folder", tmp_path / "t", labels={"a": "real", "b": "gan"})
    assert set(index["path"]) == {"a/1.jpg", "a/3.jpg", "b/2.jpg"}
    assert not (tmp_path / "out" / "media" / "a" / "3.jpg").is_symlink()


def test_an_alias_is_found_and_an_unpacked_tree_used(tmp_path: Path) -> None:
    base = "real_vs_fake/real-vs-fake/train"
    tree = grow(tmp_path / "t", (f"{base}/real/1.jpg", f"{base}/fake/2.jpg"))
    (tmp_path / "z").mkdir()
    with zipfile.ZipFile(tmp_path / "z" / "archive.zip", "w") as archive:
        for file in tree.rglob("*.jpg"):
            archive.write(file, file.relative_to(tree))
    unpacked = index_of(tmp_path / "one", "real_fake_140k", tmp_path / "z")
    linked = index_of(tmp_path / "two", "real_fake_140k", tree)
    assert sorted(unpacked["path"]) == sorted(linked["path"]) == [f"{base}/fake/2.jpg", f"{base}/real/1.jpg"]


def test_a_broken_media_file_does_not_stop_the_stage(tmp_path: Path) -> None:
    tree = grow(tmp_path / "t", ("a/not-an-image.jpg", "b/2.jpg"))
    (tree / "a" / "empty.jpg").write_bytes(b"")
    assert len(index_of(tmp_path / "out", "folder", tree, labels={"a": "real", "b": "gan"})) == 3


# === Real archives ===


def test_the_real_stylegan_ffhq(real_data: Path, tmp_path: Path) -> None:
    index = index_of(tmp_path, "stylegan_ffhq", real_data / "stylegan_ffhq")
    assert index.groupby("label").size().to_dict() == {0: 500, 1: 500}
    assert set(index["generator"].dropna()) == {"stylegan"} and index["source"].nunique() == 1000
    recorded = json.loads((tmp_path / "fetched" / "checksums.json").read_text())
    assert recorded["stylegan_05psi.zip"]["sha256"].startswith("6f69dae1") and recorded["real.zip"]["bytes"] == 5899186


def test_the_real_forensynths_in_small(real_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data / "forensynths_mini" / "forensynths_mini.zip") as archive:
        archive.extractall(tmp_path / "tree")
    index = index_of(tmp_path, "forensynths", tmp_path / "tree")
    assert len(index) == 120 and set(index["split"]) == {"test"}
    assert index.groupby("generator").size().to_dict() == dict.fromkeys(
        ("biggan", "crn", "cyclegan", "deepfake", "gaugan", "imle", "san", "seeingdark", "stargan", "stylegan"), 6
    )
    packed = index_of(tmp_path / "packed", "forensynths", real_data / "forensynths_mini")
    assert set(packed["sha256"]) == set(index["sha256"])


def test_the_real_portraits(real_data: Path, tmp_path: Path) -> None:
    sets = ["dfdc_faces", "sd3", "women_photos", "ml72"]
    index = index_of(tmp_path, "portraits", real_data / "portraits", sets=sets)
    assert {path.parent.name for path in (tmp_path / "media").rglob("*.jpg")} == {"real", "fake"}
    assert index.groupby(index["path"].str.partition("/")[0])["path"].count().to_dict() == {
        "dfdc_faces": 1900, "sd3": 200, "women_photos": 399, "ml72": 50,
    }  # fmt: skip
    assert index.groupby("generator").size().to_dict() == {
        "dfdc": 950, "stable_diffusion_3": 200, "ml72_gan": 10, **{f"ml72_diffusion{n}": 10 for n in range(1, 5)},
    }  # fmt: skip
    assert index[index["label"] == REAL]["generator"].isna().all() and index["split"].isna().all()
    pairs = index[index["path"].str.startswith("dfdc_faces/")].groupby("source")["label"]
    assert (pairs.nunique() == 2).all() and len(pairs) == 950


def test_the_real_clips_as_a_folder(real_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
        archive.extractall(tmp_path / "tree")
    source = r"ffpp_c23_[A-Za-z0-9]+_(\d{3})"
    index = index_of(tmp_path, "folder", tmp_path / "tree", labels={"real": "real", "fake": "mixed"}, source=source)
    assert index.groupby("label").size().to_dict() == {0: 6, 1: 4}
    shared = index.groupby("source")["label"].nunique()
    assert set(shared[shared == 2].index) == {"004", "519"}


@pytest.mark.slow
def test_the_real_deepfake_database(real_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        index = index_of(tmp_path, "deepfake_database", real_data / "deepfake_database")
    held = index[index["split"] == "test"]
    assert len(index) > 14_000 and held.groupby("label")["source"].nunique().to_dict() == {0: 17, 1: 15}
