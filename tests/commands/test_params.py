"""Parameters: unknown keys are refused, presets are whole, a bad setting changes nothing."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support import ROOT

from fauxscan import params
from fauxscan.commands import presets
from fauxscan.params import references
from fauxscan.records import UserError

COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")


def write(folder: Path, text: str, name: str = "params.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def folder_of(preset: str) -> list[str]:
    """Return the setting that a preset requires: one is of the user's own folder."""
    return [f"datasets.own.archives={ROOT}"] if preset == "folder" else []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("seed: 7", "seed: 7\nsede: 8", "sede"),
        ("margin: 0.3", "margin: 0.3\n  padding: 4", "faces.padding"),
        ("margin: 0.3", "margin: wide", "faces.margin"),
        ("recipe: {epochs: 3,", "recipe: {epoch: 3,", "epoch"),
        ("name: demo", "nam: demo", "datasets.demo.nam"),
        ("reencode: null", "align: {size: 224, jpeg_quality: 75}", "datasets.demo.align is now called reencode"),
        ("weights: scratch", "weights: xception", "use scratch, or meso4 for the weights of the detector"),
        ("weights: scratch", "weights: meso4", r"models\.meso4: unknown weights 'meso4'.*`weights` has: scratch"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in COMMITTED
    with pytest.raises(UserError, match=named):
        params.validate(write(tmp_path, COMMITTED.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("named", "shares"),
    [
        ("dataset: demo", {"demo": 1.0}),
        ("datasets: [demo]", {"demo": 1.0}),
        ("datasets: [demo, another]", {"another": 1.0, "demo": 1.0}),
        ("datasets: {demo: 2, another: 0.5}", {"another": 0.5, "demo": 2.0}),
    ],
)
def test_a_model_names_one_dataset_or_several_with_shares(tmp_path: Path, named: str, shares: dict[str, float]) -> None:
    declared = COMMITTED.replace("datasets:\n", "datasets:\n  another: {name: demo}\n", 1)
    loaded = params.load(write(tmp_path, declared.replace("    dataset: demo", f"    {named}", 1)))
    assert loaded.model("meso4").shares == shares
    assert list(loaded.model("meso4").shares) == sorted(shares)
    assert params.changed(loaded, "media", {"max_frames": 3}).model("meso4").shares == shares


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("dataset: demo\n    datasets: [demo]", "either `dataset` .* or `datasets`"),
        ("options: {}", "either `dataset` .* or `datasets`"),
        ("datasets: []", "empty: name at least one"),
        ("datasets: {}", "empty: name at least one"),
        ("datasets: [demo, demo]", "names one twice: demo, demo"),
        ("datasets: {demo: 0}", "greater than 0"),
        (
            "datasets: [demo, dmeo]",
            r"models\.meso4: unknown dataset 'dmeo': did you mean 'demo'\?.*`datasets` has: demo",
        ),
        ("dataset: elsewhere", r"models\.meso4: unknown dataset 'elsewhere'\. The section `datasets` has: demo"),
    ],
)
def test_datasets_of_a_model_that_cannot_be_meant_are_refused(tmp_path: Path, named: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        params.validate(write(tmp_path, COMMITTED.replace("    dataset: demo", f"    {named}", 1)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{size: 224, jpeg_quality: 75}", params.ReencodeParams(size=224, jpeg_quality=75)),
        ("{size: [192, 256], jpeg_quality: 75}", params.RandomReencodeParams(size=(192, 256), jpeg_quality=(75, 75))),
    ],
)
def test_a_range_re_encodes_at_random(tmp_path: Path, written: str, meant: params.Reencoding) -> None:
    loaded = params.validate(write(tmp_path, COMMITTED.replace("reencode: null", f"reencode: {written}")))
    assert loaded.dataset("demo").reencode == meant
    assert params.Params.model_validate(loaded.model_dump(mode="json")) == loaded


def test_a_missing_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parameters at"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        params.load(write(tmp_path, "seed: ["))


def test_an_unknown_entry_names_those_that_exist(settings: params.Params) -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'faces'.*demo"):
        settings.dataset("faces")
    with pytest.raises(UserError, match=r"unknown model 'meso5'.*dct_cnn, meso4"):
        settings.model("meso5")


def test_as_committed_nothing_is_downloaded(settings: params.Params) -> None:
    assert {dataset.name for dataset in settings.datasets.values()} == {"demo"}


@pytest.mark.parametrize("file", [ROOT / "params.yaml", *(ROOT / "presets").glob("*.yaml")], ids=lambda file: file.stem)
def test_what_the_pipelines_templates_ask_for_is_written_out(file: Path) -> None:
    """`${item.weights}` in dvc.yaml knows no default, and entries that a preset does not name stay those of another."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(presets.ENTRIES) <= set(content)
    for model in content["models"].values():
        assert model["weights"] in content["weights"]
    for dataset in content["datasets"].values():
        assert {"name", "faces", "reencode"} <= set(dataset)


@pytest.mark.parametrize("preset", sorted(file.stem for file in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_gives_valid_parameters(tmp_path: Path, preset: str) -> None:
    target = write(tmp_path, COMMITTED)
    presets.apply(preset, ROOT / "presets", target, folder_of(preset))
    loaded = params.load(target)
    assert loaded.models
    assert all(set(model.shares) <= set(loaded.datasets) for model in loaded.models.values())
    assert "# All numbers are in this file" in target.read_text(encoding="utf-8")


def test_nothing_is_left_of_the_preset_before(tmp_path: Path) -> None:
    names = sorted(file.stem for file in (ROOT / "presets").glob("*.yaml"))
    target = write(tmp_path, COMMITTED)
    presets.apply(names[-1], ROOT / "presets", target, folder_of(names[-1]))
    for before, name in pairwise([names[-1], *names]):
        clean = write(tmp_path, COMMITTED, "clean.yaml")
        presets.apply(name, ROOT / "presets", clean, folder_of(name))
        presets.apply(name, ROOT / "presets", target, folder_of(name))
        assert params.load(target) == params.load(clean), f"{before}, then {name}"


def test_a_preset_takes_published_weights(tmp_path: Path) -> None:
    target = write(tmp_path, COMMITTED)
    model = "models.meso4={detector: resnet50, dataset: deepfake_database, weights: resnet50}"
    with pytest.raises(UserError, match=r"`weights` has: scratch"):
        presets.apply("deepfake_database", ROOT / "presets", target, [model])
    presets.apply("deepfake_database", ROOT / "presets", target, ["weights.resnet50={archives: null}", model])
    assert params.load(target).published_weights("resnet50").archives is None


def test_a_preset_takes_settings_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    target = write(tmp_path, COMMITTED)
    setting = "datasets.deepfake_database.archives=/some/folder"
    presets.apply("deepfake_database", ROOT / "presets", target, [setting, "models.meso4.recipe={epochs: 2}"])
    loaded = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert loaded["datasets"]["deepfake_database"]["archives"] == "/some/folder"
    meso4 = {"detector": "meso4", "dataset": "deepfake_database", "weights": "scratch", "recipe": {"epochs": 2}}
    assert loaded["models"]["meso4"] == meso4
    assert loaded["split"]["on_shortcut"] == "warn" and loaded["split"]["near_duplicate_bits"] == 4

    before = target.read_text(encoding="utf-8")
    for wrong in ("seed", "seed.at.all=1", "nowhere.at.all=1", "split.train=[0.5"):
        with pytest.raises(UserError, match="cannot set"):
            presets.apply("deepfake_database", ROOT / "presets", target, [wrong])
    with pytest.raises(UserError, match=r"unknown key 'meso5': did you mean 'meso4'\? Known: meso4, mesoinception4"):
        presets.apply("deepfake_database", ROOT / "presets", target, ["models.meso5.recipe={epochs: 2}"])
    for wrong, named in (
        ("split.train=2", r"split\.train"),
        ("split.trian=0.5", r"split\.trian: unknown key 'trian': did you mean 'train'"),
    ):
        with pytest.raises(UserError, match=named):
            presets.apply("deepfake_database", ROOT / "presets", target, [wrong])
    with pytest.raises(UserError, match="unknown preset 'mesonet': did you mean 'mesonet_package'"):
        presets.apply("mesonet", ROOT / "presets", target, [])
    assert target.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], r"folder is imported from a local folder, and none is named\. In params.yaml, set `archives`"),
        (["datasets.own.archives=nowhere"], r"there is no folder nowhere.* --set datasets\.own\.archives=FOLDER$"),
    ],
)
def test_the_preset_of_an_own_folder_is_refused_without_one(tmp_path: Path, settings: list[str], said: str) -> None:
    target = write(tmp_path, COMMITTED)
    with pytest.raises(UserError, match=said):
        presets.apply("folder", ROOT / "presets", target, settings)
    assert target.read_text(encoding="utf-8") == COMMITTED


def test_a_setting_with_a_renamed_key_is_refused_with_the_new_name(tmp_path: Path) -> None:
    target = write(tmp_path, COMMITTED)
    with pytest.raises(UserError, match=r"datasets\.own\.align is now called reencode"):
        presets.apply("folder", ROOT / "presets", target, ["datasets.own.align=null"])
    assert target.read_text(encoding="utf-8") == COMMITTED


@pytest.mark.parametrize(
    "broken", [b"models: [a, {", b"- a list", b"", b"models:\n\tmeso4: 1", b"a: \xff\xfe", b"a: 1\na: 2"]
)
def test_broken_yaml_is_reported_with_its_file(tmp_path: Path, broken: bytes) -> None:
    target = write(tmp_path, COMMITTED)
    (tmp_path / "mine.yaml").write_bytes(broken)
    with pytest.raises(UserError, match=r"mine\.yaml (is not valid YAML|has no sections)"):
        presets.apply("mine", tmp_path, target, [])
    assert target.read_bytes() == COMMITTED.encode()
    target.write_bytes(broken)
    with pytest.raises(UserError, match=rf"{target.name} (is not valid YAML|has no sections)"):
        presets.apply("folder", ROOT / "presets", target, [])
    assert target.read_bytes() == broken


@pytest.mark.parametrize("wrong", ["train: 3", "trian: {precision: float32}", "models: [meso4]"])
def test_a_preset_with_wrong_sections_changes_nothing(tmp_path: Path, wrong: str) -> None:
    target = write(tmp_path, COMMITTED)
    (tmp_path / "mine.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(UserError, match=wrong.partition(":")[0]):
        presets.apply("mine", tmp_path, target, [])
    assert target.read_text(encoding="utf-8") == COMMITTED


def test_sections_and_keys_that_are_left_out_have_the_built_in_values(tmp_path: Path) -> None:
    whole = params.load(write(tmp_path, COMMITTED))
    assert params.load(write(tmp_path, "faces: {margin: 0.5}")).faces == whole.faces.model_copy(update={"margin": 0.5})
    assert params.load(write(tmp_path, "")) == params.Params()
    named = ("seed", "media", "faces", "split", "shards", "train", "calibrate", "evaluate", "scan")
    assert {name: getattr(whole, name) for name in named} == {name: getattr(params.Params(), name) for name in named}


def test_what_dvc_tracks_must_be_written_out_for_the_pipeline() -> None:
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    blocks = [stage.get("do", stage) for stage in dvc["stages"].values()]
    named = {param for block in blocks for param in block["params"] if "$" not in param}
    assert named - set(references.SECTIONS) <= set(references.TRACKED)
    for path in ("seed", "faces", "split.by"):
        content = yaml.safe_load(COMMITTED)
        *above, key = path.split(".")
        del (content[above[0]] if above else content)[key]
        assert next(references.missing_for_the_pipeline(content)).startswith(f"{path}: is missing")
    assert list(references.missing_for_the_pipeline(yaml.safe_load(COMMITTED))) == []
