"""The mixture of a model: which datasets it names, what does not fit together, and leaks between datasets."""

import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow
from support.preparing import made_faces, mix, picture, save, shard_files, split_files

from fauxscan.params import ModelParams, Params, ReencodeParams
from fauxscan.preparing.mixture.read import open_mixture
from fauxscan.preparing.shards.manifest import Framing, read_manifest
from fauxscan.records import FAKE, REAL, SPLIT, TEST, TRAIN, Example, UserError

FILES = 24
FIRST = {"a": 1000, "b": 2000, "c": 3000}  # seeds of the pictures of a dataset


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of three datasets with nothing in common."""
    home = tmp_path_factory.mktemp("datasets")
    for name in FIRST:
        make_dataset(home, name, settings)
    return home


@pytest.fixture
def home(datasets: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    return shutil.copytree(datasets, tmp_path / "home")


def make_dataset(home: Path, name: str, settings: Params) -> None:
    """Make the shards of a dataset whose pictures are in its folder `m`, and of more if it has none."""
    folder = home / name
    for n in range(FILES):
        save(folder / "m" / f"{n}.png", picture(FIRST[name] + n, 32))
    shard(home, name, settings)


def shard(home: Path, name: str, settings: Params, **splits: str) -> None:
    """Make the shards of the pictures in a dataset's folder; `splits` moves files by their stems, such as x1="test"."""
    folder = home / name
    examples = [
        Example(file.name, FAKE if int(file.stem.lstrip("x")) % 2 else REAL, f"{name}-{file.stem}", None)
        for file in sorted((folder / "m").iterdir())
    ]
    examples = [Example(e.path, e.label, e.source, "made" if e.label else None) for e in examples]
    shutil.rmtree(folder / "faces", ignore_errors=True)
    made_faces(folder, examples, "whole", settings)
    split_files(folder, settings)
    table = pq.read_table(folder / "split.parquet").to_pandas()
    moved = table["path"].map(lambda path: splits.get(path.partition(".")[0]))
    table["split"] = moved.fillna(table["split"])
    pq.write_table(pa.Table.from_pandas(table, SPLIT, preserve_index=False), folder / "split.parquet")
    shard_files(folder, home / "shards" / name, settings)


def of(settings: Params, *names: str, **options: object) -> Params:
    """Parameters with a model that learns from these datasets."""
    demo = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    model = ModelParams(detector="meso4", datasets=names, **options)
    return settings.model_copy(update={"models": {"m": model}, "datasets": dict.fromkeys(names, demo)})


def file_of(home: Path, dataset: str, split: str) -> Path:
    """A picture of a split of a dataset."""
    table = pd.read_parquet(home / dataset / "split.parquet")
    return home / dataset / "m" / str(table.loc[table["split"] == split, "path"].iloc[0])


def test_a_mixture_names_its_own_datasets_with_shares_and_digests(datasets: Path, settings: Params) -> None:
    params = of(settings, "a", "b", "c")
    params.models["m"] = ModelParams(detector="meso4", datasets={"c": 1, "a": 2.5})
    file, shards = mix(datasets, "m", params)
    content = json.loads(file.read_text(encoding="utf-8"))["datasets"]
    assert {name: dataset["share"] for name, dataset in content.items()} == {"a": 2.5, "c": 1}
    for name, dataset in content.items():
        assert dataset["split_digest"] == read_manifest(shards / name).split_digest
        assert dataset["proof_of_machinery"] is True and dataset["licence"]
    mixture = open_mixture(file, shards)
    assert mixture.name == "a+c" and mixture.source_name("a", "s") == "a/s"
    assert len(mixture.split_digest) == 64
    one = open_mixture(*mix(datasets, "m", of(settings, "b")))
    assert (one.name, one.source_name("b", "s")) == ("b", "s")
    assert one.split_digest == read_manifest(shards / "b").split_digest


def test_shards_that_changed_since_and_a_missing_mixture_are_refused(home: Path, settings: Params) -> None:
    file, shards = mix(home, "m", of(settings, "a", "b"))
    shard_files(home / "b", shards / "b", settings, 5)
    with pytest.raises(UserError, match=r"shards/b has changed since .*run the stage `mixture` again"):
        open_mixture(file, shards)
    with pytest.raises(UserError, match="run the stage `mixture` first"):
        open_mixture(home / "none.json", shards)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"faces": "detect"}, "faces is whole in a and detect in b"),
        ({"reencode": ReencodeParams(size=64, jpeg_quality=80)}, r"reencode is None in a and \{'size': 64.* in b"),
        ({"crops": {"margin": 0.7}}, r"crops is .*'margin': 0\.3.* in a and .*'margin': 0\.7.* in b"),
    ],
)
def test_datasets_that_were_framed_differently_are_refused(
    home: Path, settings: Params, change: dict[str, object], named: str
) -> None:
    manifest = read_manifest(home / "shards" / "b")
    crops = settings.faces.model_copy(update=change.pop("crops", {}))
    framing = Framing(faces="whole", crops=crops, reencode=None).model_copy(update=change)
    text = manifest.model_copy(update={"framing": framing}).model_dump_json()
    (home / "shards" / "b" / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"models\.m mixes .*{named}.*the same `faces` and `reencode`"):
        mix(home, "m", of(settings, "a", "b"))
    mix(home, "m", of(settings, "b"))


def test_shards_of_older_versions_cannot_be_trained_on(home: Path, settings: Params) -> None:
    manifest = json.loads((home / "shards" / "a" / "manifest.json").read_text(encoding="utf-8"))
    old = {key: manifest[key] for key in ("counts", "split_digest", "shards")}
    (home / "shards" / "a" / "manifest.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(UserError, match="older version: run the stage `shards` again"):
        mix(home, "m", of(settings, "a"))


# === Leaks ===


def test_a_copied_file_in_another_split_is_a_leak(home: Path, settings: Params) -> None:
    trained_on = file_of(home, "a", TRAIN)
    number = int(trained_on.stem)
    shutil.copyfile(trained_on, home / "b" / "m" / f"x{number}.png")
    shard(home, "b", settings, **{f"x{number}": TEST})
    name = rf"a:{trained_on.name} \(train\) and b:x{number}\.png \(test\) have the same content"
    with pytest.raises(UserError, match=rf"models\.m: 1 conflicts .*{name}.*one dataset.*out of models\.m\.datasets"):
        mix(home, "m", of(settings, "a", "b"))
    mix(home, "m", of(settings, "a", "c"))
    shard(home, "b", settings, **{f"x{number}": TRAIN})
    mix(home, "m", of(settings, "a", "b"))


def test_a_reencoded_file_in_another_split_is_a_leak(
    home: Path, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    trained_on = file_of(home, "a", TRAIN)
    number = int(trained_on.stem)
    Pillow.open(trained_on).save(home / "b" / "m" / f"x{number}.jpg", quality=60)
    shard(home, "b", settings, **{f"x{number}": TEST})
    params = of(settings, "a", "b")
    with pytest.raises(UserError, match=rf"a:{trained_on.name} \(train\) and b:x{number}\.jpg \(test\) look the same"):
        mix(home, "m", params)
    random = params.split.model_copy(update={"by": "random_frames"})
    with caplog.at_level(logging.WARNING):
        mix(home, "m", params.model_copy(update={"split": random}))
    assert "do not trust the figures" in caplog.text


def test_a_file_that_is_real_here_and_fake_there_is_refused(home: Path, settings: Params) -> None:
    trained_on = file_of(home, "a", TRAIN)
    number = int(trained_on.stem) + 1
    shutil.copyfile(trained_on, home / "b" / "m" / f"x{number}.png")
    shard(home, "b", settings)
    with pytest.raises(
        UserError, match=rf"a:{trained_on.name} .* is .* and b:x{number}\.png .* is .*Correct the label"
    ):
        mix(home, "m", of(settings, "a", "b"))


def test_a_source_name_in_another_split_is_a_leak_unless_it_is_a_coincidence(
    home: Path, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    index = home / "shards" / "b" / "index.parquet"
    table, other = pd.read_parquet(index), pd.read_parquet(home / "shards" / "a" / "index.parquet")
    (source, path) = other.loc[other["split"] == TRAIN, ["source", "path"]].iloc[0]
    row = table.index[table["split"] == TEST][0]
    table.loc[row, "source"] = source
    table.to_parquet(index)
    name = rf"a:{path} \(train\) and b:{table.loc[row, 'path']} \(test\) have a source of the same name"
    with pytest.raises(UserError, match=rf"{name}.*coincidence.*models\.m\.on_shared_source to warn"):
        mix(home, "m", of(settings, "a", "b"))
    with caplog.at_level(logging.WARNING):
        mix(home, "m", of(settings, "a", "b", on_shared_source="warn"))
    assert "have a source of the same name" in caplog.text
