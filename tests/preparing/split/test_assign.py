"""Splits that must not leak, audits that must catch, sources that must be recovered."""

import json
import logging
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics.cluster import pair_confusion_matrix
from support.preparing import made_faces, picture, save

from fauxscan import datasets
from fauxscan.params import DatasetParams, Params, RandomReencodeParams, ReencodeParams, SplitParams
from fauxscan.preparing.download import dataset, unpack
from fauxscan.preparing.faces.extract import extract_faces
from fauxscan.preparing.faces.extractor import FaceExtractor
from fauxscan.preparing.split import assign, audit, near_duplicates, recovered_sources
from fauxscan.records import FAKE, REAL, Example, UserError


def table(rng: np.random.Generator, sources: int, each: int = 4) -> pd.DataFrame:
    """Files of many sources, half of each fake, alike in all their properties."""
    rows = [
        {
            "path": f"{s:03d}-{n}.jpg", "sha256": f"{s:03d}{n}", "label": n % 2, "source": f"s{s:03d}",
            "generator": "g" if n % 2 else None, "split": None, "identities": [], "format": "jpeg", "width": 64,
            "height": 64, "size": 1000 + int(rng.integers(200)), "jpeg_tables": "q90", "exif": False,
        }
        for s in range(sources)
        for n in range(each)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def links(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(pairs), columns=["one", "other"], dtype=str)


def by(settings: Params, way: str, **other: object) -> SplitParams:
    return settings.split.model_copy(update={"by": way, **other})


# === Near-duplicates and groups ===


@pytest.mark.parametrize("bits", [0, 1, 4, 8])
def test_all_near_hashes_are_connected_and_no_other(bits: int) -> None:
    rng = np.random.default_rng(bits)
    hashes = rng.integers(0, 2**63, 400, dtype=np.uint64)
    for _ in range(bits + 2):  # twins at growing distances, and exact ones
        flipped = hashes[:300] ^ (np.uint64(1) << rng.integers(0, 64, 300).astype(np.uint64))
        hashes = np.concatenate([hashes, np.where(rng.random(300) < 0.7, flipped, hashes[:300])])
    files = pd.DataFrame({"view": "whole", "phash": [f"{int(h):016x}" for h in hashes]})
    files["sha256"] = files["path"] = files["source"] = [f"{n:05d}" for n in range(len(files))]
    found = near_duplicates.near(files, bits)
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])
    one, other = found["one"].astype(int), found["other"].astype(int)
    assert (distance[one, other] <= bits).all()
    expected = near_duplicates._components(np.argwhere(distance <= bits), len(files))
    groups = near_duplicates.groups(files, found, [])
    assert pair_confusion_matrix(expected, groups)[[0, 1], [1, 0]].sum() == 0


def test_a_held_out_file_is_linked_to_everything_near_it() -> None:
    files = pd.DataFrame(
        {"sha256": list("abcd"), "view": "whole", "phash": ["0" * 16, "0" * 16, "0" * 15 + "1", "f" * 16]}
    )
    found = near_duplicates.near(files, 2, {"b": -2})
    assert {frozenset(pair) for pair in found.to_numpy()} >= {frozenset("ab"), frozenset("bc")}
    assert not (found == "d").any().any()


def test_no_source_stands_on_both_sides(rng: np.random.Generator, settings: Params) -> None:
    files = assign.with_splits(table(rng, 60), links(), settings.split, 3)
    assert (files.groupby("source")["split"].nunique() == 1).all()
    share = files["split"].value_counts(normalize=True)
    assert share["train"] == pytest.approx(0.6, abs=0.07) and share["test"] == pytest.approx(0.2, abs=0.07)
    again = assign.with_splits(table(rng, 60), links(), settings.split, 3)
    assert (again["split"] == files["split"]).all()
    assert not any(audit.leaks(files, links()).values())


def test_near_duplicates_tie_sources_together(rng: np.random.Generator, settings: Params) -> None:
    files = assign.with_splits(table(rng, 60), links(("0000", "0010"), ("0010", "0020")), settings.split, 3)
    assert files.groupby("source")["group"].first().nunique() == 58
    assert files[files["source"].isin(["s000", "s001", "s002"])]["split"].nunique() == 1


def test_identities_tie_sources_together_where_the_split_is_by_identity(
    rng: np.random.Generator, settings: Params
) -> None:
    files = table(rng, 60)
    files["identities"] = [[f"p{int(s[1:]) // 3}", f"q{int(s[1:])}"] for s in files["source"]]
    divided = assign.with_splits(files, links(), by(settings, "identity"), 3)
    assert divided["group"].nunique() == 20
    assert not audit.leaks(divided, links())["identities"]
    divided = assign.with_splits(files, links(), by(settings, "source"), 3)
    assert divided["group"].nunique() == 60
    found = audit.audit(divided, links(), by(settings, "source"))
    assert found["leaking"]["identities"] and not found["leaking"]["sources"]
    audit.enforce(found, by(settings, "source"))
    with pytest.raises(UserError, match="leaks across the split, such as: p"):
        audit.enforce(found, by(settings, "identity"))


def test_random_frames_leak_and_say_so(
    rng: np.random.Generator, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    files = table(rng, 60)
    files.loc[files["source"] < "s010", "split"] = "test"  # a publisher's list, which bloat_data.py ignores
    params = by(settings, "random_frames")
    divided = assign.with_splits(files, links(("0000", "0590")), params, 3)
    assert divided["group"].nunique() == 240 and 30 <= (divided["split"] == "test").sum() <= 66
    found = audit.audit(divided, links(), params)
    assert found["leaking"]["sources"] > 30 and found["by"] == "random_frames"
    audit.enforce(found, params)
    assert "do not trust figures of this split" in caplog.text


def test_a_published_test_split_is_kept_and_what_is_tied_to_it_is_excluded(
    rng: np.random.Generator, settings: Params
) -> None:
    files = table(rng, 60)
    files.loc[files["source"] < "s010", "split"] = "test"
    files.at[0, "identities"] = ["anna", "bob"]
    files.at[files.index[files["sha256"] == "0400"][0], "identities"] = ["bob"]
    files.at[files.index[files["sha256"] == "0093"][0], "split"] = "train"  # its source is in test
    divided = assign.with_splits(files, links(("0000", "0500")), settings.split, 3)
    split = divided.set_index("sha256")["split"]
    assert (split == "test").sum() == 39
    assert {name for name in split.index if split[name] == "excluded"} == {"0500", "0400", "0093"}
    assert set(split) == {"train", "validation", "test", "excluded"}
    assert not any(audit.leaks(divided[divided["split"] != "excluded"], links(("0000", "0500"))).values())


def test_a_published_test_set_needs_no_training_part(rng: np.random.Generator, settings: Params) -> None:
    files = table(rng, 20).assign(split="test")
    divided = assign.with_splits(files, links(), settings.split, 3)
    assert set(divided["split"]) == {"test"}
    audit.enforce(audit.audit(divided, links(), settings.split), settings.split)


def test_too_few_groups_are_an_error_that_says_so(rng: np.random.Generator, settings: Params) -> None:
    with pytest.raises(UserError, match=r"8 usable files in 2 groups are too few.*split\.by"):
        assign.with_splits(table(rng, 2), links(), settings.split, 3)


# === Audits ===


def test_the_audit_catches_a_leak(rng: np.random.Generator, settings: Params) -> None:
    files = table(rng, 40)
    files["group"] = files["source"]
    files["split"] = rng.permutation(np.repeat(["train", "test"], 80))
    found = audit.audit(files, links(), settings.split)
    assert found["leaks"]["sources"]
    with pytest.raises(UserError, match="leaks across the split, such as: s0"):
        audit.enforce(found, settings.split)
    files["split"] = np.where(files["source"] < "s020", "train", "test")
    assert audit.leaks(files, links(("0000", "0390")))["near_duplicates"] == ["000-0.jpg ~ 039-0.jpg"]


@pytest.mark.parametrize("trait", ["format", "jpeg_tables", "dimensions", "bytes", "exif", "name"])
def test_the_audit_catches_a_shortcut(
    rng: np.random.Generator, settings: Params, trait: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = table(rng, 40).assign(split="train")
    files["group"] = files["source"]
    assert max(audit.shortcuts(files).values()) <= settings.split.shortcut_auc
    fake = files["label"] == FAKE
    column = {"dimensions": "width", "bytes": "size", "name": "path"}.get(trait, trait)
    planted = {
        "format": "png", "jpeg_tables": "q75", "width": 70, "size": 5000, "exif": True, "path": "made/fake_1.jpg",
    }  # fmt: skip
    files[column] = files[column].astype(object).where(~fake, planted[column])
    found = audit.audit(files, links(), settings.split)
    assert found["shortcut_auc"][trait] > 0.95
    if trait != "name":  # which no model sees: a warning will do
        assert found["shortcut_auc"]["together"] > 0.95
        with pytest.raises(UserError, match=f"{trait} .*reencode"):
            audit.enforce(found, settings.split)
    audit.enforce(found, by(settings, "official", on_shortcut="warn"))
    assert trait in caplog.text


def test_a_shortcut_in_the_training_part_is_not_hidden_by_a_clean_test_part(
    rng: np.random.Generator, settings: Params
) -> None:
    """As in deepfake_database: half of the reals are of better quality, in training alone."""
    files = table(rng, 100)
    files["split"] = np.where(files["source"] < "s040", "train", "test")
    files["group"] = files["source"]
    better = (files["label"] == REAL) & (files["split"] == "train") & (files.index % 4 == 0)
    files["jpeg_tables"] = files["jpeg_tables"].where(~better, "q95")
    assert audit.audit(files, links(), settings.split)["shortcut_auc"]["jpeg_tables"] > 0.65
    assert audit.shortcuts(files)["jpeg_tables"] < 0.65


def test_perceptual_hashes_find_a_recompressed_copy(tmp_path: Path, settings: Params) -> None:
    for name, seed, quality in (("a", 1, 95), ("b", 1, 40), ("c", 2, 95)):
        save(tmp_path / "m" / f"{name}.jpg", picture(seed), quality)
    examples = [Example(f"{name}.jpg", label, name) for name, label in (("a", REAL), ("b", FAKE), ("c", FAKE))]
    made, seen = made_faces(tmp_path, examples, "whole", settings)
    pairs = near_duplicates.near(seen, settings.split.near_duplicate_bits)
    of = made.set_index("path")["sha256"]
    assert [set(pair) for pair in pairs.to_numpy()] == [{of["a.jpg"], of["b.jpg"]}]


# === Sources recovered ===


def test_runs_join_shots_that_take_turns() -> None:
    shots = [recovered_sources.histogram(picture(seed, 32)) for seed in range(5)]
    order = [0, 0, 1, 0, 1, 2, 2, 3, 4, 3]
    assert recovered_sources.runs(shots[n] for n in order).tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert recovered_sources.runs((shots[n] for n in order), window=1).tolist() == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7]
    assert recovered_sources.runs([]).tolist() == []


def test_unnamed_sources_are_recovered_folder_by_folder(tmp_path: Path, settings: Params) -> None:
    examples = []
    for video in range(30):
        for frame in range(4):
            kind = "fake" if video % 2 else "real"
            moved = np.roll(picture(video, 48), frame * 5, axis=1)  # the same colours, another picture
            save(tmp_path / "m" / kind / f"{video:02d}{frame}.jpg", moved)
            examples.append(Example(f"{kind}/{video:02d}{frame}.jpg", video % 2, None, "g" if video % 2 else None))
    examples.sort(key=lambda example: example.path)
    made_faces(tmp_path, examples, "whole", settings)
    assign.split(tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json", settings.split, 1)
    found = pd.read_parquet(tmp_path / "s.parquet")
    video = found["path"].str[-7:-5]
    assert found.groupby(video)["source"].nunique().eq(1).all() and found["source"].nunique() == 30
    assert found["source"].iloc[-1].startswith("like real/")
    assert json.loads((tmp_path / "a.json").read_text())["sources"] == 30


def test_videos_of_the_real_validation_part_are_recovered(tmp_path: Path, real_data: Path) -> None:
    unpack.unpack(real_data / "deepfake_database" / "validation-part.zip", tmp_path)
    for kind in ("real", "df"):
        files = sorted((tmp_path / "validation" / kind).glob("*.jpg"))
        found = recovered_sources.runs(
            recovered_sources.histogram(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)) for file in files
        )
        matrix = pair_confusion_matrix([int(file.name.partition("_")[0]) for file in files], found)
        assert matrix[1, 1] / matrix[1].sum() > 0.95  # of pairs of one video, kept together
        assert matrix[1, 1] / matrix[:, 1].sum() > 0.8  # of pairs kept together, of one video


# === The traps of the real data ===


@pytest.mark.slow
def test_originals_and_their_manipulations_fall_on_one_side(tmp_path: Path, real_data: Path, settings: Params) -> None:
    with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
        archive.extractall(tmp_path / "m")
    examples = list(datasets.get("folder").examples(tmp_path / "m", labels={"real": "real", "fake": "deepfake"}))
    few = settings.model_copy(update={"media": settings.media.model_copy(update={"max_frames": 8})})
    made, seen = made_faces(tmp_path, examples, "both", few)
    pairs = near_duplicates.near(seen, settings.split.near_duplicate_bits)
    group = pd.Series(near_duplicates.groups(made, pairs, ["source"]), made["path"])
    for number, method in (("519", "Deepfakes_519_515"), ("004", "NeuralTextures_004_982")):
        assert group[f"real/ffpp_c23_original_{number}.mp4"] == group[f"fake/ffpp_c23_{method}.mp4"]
    assert group.nunique() == 8
    torn = made.assign(group=made["path"], split=np.where(made["label"] == FAKE, "train", "test"))
    assert len(audit.leaks(torn, pairs)["near_duplicates"]) == 2


@pytest.mark.slow
def test_the_traps_of_deepfake_database_are_caught(
    tmp_path: Path, real_data: Path, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train-real", "train-df", "validation-part"):
        unpack.unpack(real_data / "deepfake_database" / f"{name}.zip", tmp_path / "m")
    made_faces(tmp_path, list(datasets.get("deepfake_database").examples(tmp_path / "m")), "whole", settings)
    places = (tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json")
    with pytest.raises(UserError, match=r"jpeg_tables.*dimensions.*bytes.*together"):
        assign.split(*places, settings.split, 1)
    warn = by(settings, "official", on_shortcut="warn")
    assign.split(*places, warn, 1)
    found = pd.read_parquet(tmp_path / "s.parquet")
    assert (found["split"] == "test").sum() == 1779
    assert 150 < found[found["path"].str.startswith("train:test/df/")]["source"].nunique() < 200
    assert (found[found["split"] != "excluded"].groupby("source")["split"].nunique() == 1).all()
    with caplog.at_level(logging.WARNING):
        assign.split(*places, warn.model_copy(update={"by": "random_frames"}), 1)
    assert "leaks across the split" in caplog.text
    assert json.loads((tmp_path / "a.json").read_text())["leaking"]["sources"] > 100


@pytest.mark.slow
def test_re_encoding_removes_the_shortcut_of_deepfake_database(
    tmp_path: Path, real_data: Path, settings: Params
) -> None:
    for name in ("train-real", "train-df", "validation-part"):
        unpack.unpack(real_data / "deepfake_database" / f"{name}.zip", tmp_path / "m")
    examples = list(datasets.get("deepfake_database").examples(tmp_path / "m"))[::3]
    made_faces(tmp_path, examples, "whole", settings, ReencodeParams(size=224, jpeg_quality=75))
    places = (tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json")
    assign.split(*places, settings.split, 1)  # which fails where anything that a model sees tells
    reached = json.loads(places[2].read_text())["shortcut_auc"]
    assert max(auc for name, auc in reached.items() if name != "name") <= settings.split.shortcut_auc


@pytest.mark.parametrize("ranges", [None, RandomReencodeParams(size=(192, 256), jpeg_quality=(60, 95))])
def test_the_trap_of_portraits_is_refused_unless_images_are_re_encoded_at_random(
    tmp_path: Path, real_data: Path, settings: Params, ranges: RandomReencodeParams | None
) -> None:
    """The fakes are JPEGs of quality 75, the photographs of quality 90 to 95: a good JPEG would be called real."""
    sets = ["sd21", "openforensics_fakes", "men_photos", "women_photos"]
    entry = DatasetParams(
        name="portraits", archives=str(real_data / "portraits"), options={"sets": sets}, faces="whole", limit=150
    )
    dataset.download(entry, 1, tmp_path / "fetched", tmp_path / "m", tmp_path / "i.parquet")
    extractor = FaceExtractor(tmp_path / "m", entry.faces, settings.media, settings.faces, ranges, settings.seed)
    extract_faces(tmp_path / "i.parquet", tmp_path / "m", tmp_path / "faces", extractor, 2)
    places = (tmp_path / "faces", tmp_path / "s.parquet", tmp_path / "a.json")
    if ranges is None:
        with pytest.raises(UserError, match=r"jpeg_tables \(AUC 1\.00\): set `reencode`.*dimensions.*bytes"):
            assign.split(*places, settings.split, 1)
        assert not places[1].exists()
    else:
        assign.split(*places, settings.split, 1)
        reached = json.loads(places[2].read_text())["shortcut_auc"]
        assert {name for name, auc in reached.items() if auc > settings.split.shortcut_auc} == {"name"}


@pytest.mark.parametrize(("train", "validation"), [(0.6, 0.2), (0.7, 0.15), (0.8, 0.1), (0.3, 0.1), (0.9, 0.05)])
def test_each_split_gets_its_share(rng: np.random.Generator, settings: Params, train: float, validation: float) -> None:
    params = by(settings, "source", train=train, validation=validation)
    share = assign.with_splits(table(rng, 200), links(), params, 3)["split"].value_counts(normalize=True)
    assert share["train"] == pytest.approx(train, abs=0.04)
    assert share["validation"] == pytest.approx(validation, abs=0.03)


def test_shares_that_leave_no_test_split_are_refused(settings: Params) -> None:
    with pytest.raises(ValidationError, match=r"leave at least 0\.01 for the test split"):
        SplitParams.model_validate({**settings.split.model_dump(), "train": 0.8, "validation": 0.2})
