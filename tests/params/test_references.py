"""What params.yaml names must exist: all faults are listed, each with the nearest name, before any work is done."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT

from fauxscan import cli, datasets, detectors, params, stage
from fauxscan.params import known, references
from fauxscan.records import Recipe, UserError

COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the committed parameters with some texts replaced once, and return the file."""
    text = COMMITTED
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file = folder / "params.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults(file: Path) -> list[str]:
    """Return the faults that are listed for a file of parameters."""
    with pytest.raises(UserError) as raised:
        params.validate(file)
    first, *lines = str(raised.value).splitlines()
    assert first == f"{file} has keys or values that are not valid; correct or remove them:"
    return [line.removeprefix("  ") for line in lines]


def declared(kind: str, model: str, dataset: str, name: str = "more") -> tuple[str, str]:
    """Return the change that declares another evaluation."""
    entry = f"  {name}:\n    kind: {kind}\n    model: {model}\n    dataset: {dataset}\n"
    return "  logistic-demo:\n", f"{entry}  logistic-demo:\n"


MODELS = "The section `models` has: dct_cnn, meso4, mesoinception4"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("detector: meso4", "detector: Meso5", "models.meso4.detector: unknown detector 'Meso5': did you mean 'meso4'"),
        ("detector: meso4", "detector: quux", "models.meso4.detector: unknown detector 'quux'. Known: baseline_cnn, "),
        ("name: demo", "name: dmeo", "datasets.demo.name: unknown dataset 'dmeo': did you mean 'demo'? Known: celeb"),
        (
            "  scratch: {archives: null}", "  scratch: {archives: null}\n  resnet: {archives: null}",
            "weights.resnet: unknown detector 'resnet': did you mean 'resnet50'? Known: ",
        ),
        (
            "options: {size: 256}", "options: {sise: 256}",
            "models.dct_cnn.options: unknown option of dct_cnn 'sise': did you mean 'size'? Known: size",
        ),
        (
            "faces: both", "options: {part: 1}\n    faces: both",
            "datasets.demo.options: unknown option of demo 'part'. Known: none",
        ),
        (
            "members: [meso4, mesoinception4,", "members: [mseo4, mesoinception4,",
            f"combiners.logistic: unknown member 'mseo4': did you mean 'meso4'? {MODELS}",
        ),
        (
            *declared("model", "meso44", "demo"),
            f"evaluations.more: unknown model 'meso44': did you mean 'meso4'? {MODELS}",
        ),
        (
            "model: logistic", "model: logistics",
            "evaluations.logistic-demo: unknown ensemble 'logistics': did you mean 'logistic'?"
            " The section `combiners` has: logistic",
        ),
        (
            *declared("model", "meso4", "demos"),
            "evaluations.more: unknown dataset 'demos': did you mean 'demo'? The section `datasets` has: demo",
        ),
        ("demo\n    model: meso4\n", "dmo\n    model: meso4\n", "scores.demo: unknown dataset 'dmo': did you mean 'd"),
        (
            "false_negative_rate: 0.05", "false_negative_rate: 0.05\n  left_out: [dmo]",
            "calibrate.left_out: unknown dataset 'dmo': did you mean 'demo'? The section `datasets` has: demo",
        ),
        ("  meso4:\n", "  meso4.b:\n", "models.meso4.b: a name has only letters, digits, _ and -"),
        ("sampling:", "smapling:", "media.smapling: unknown key 'smapling': did you mean 'sampling'? Known: frames"),
        ("{epochs: 3,", "{epoch: 3,", "models.meso4.recipe: epoch: unknown key 'epoch': did you mean 'epochs'?"),
        ("combiners:", "combiner:", "combiner: unknown key 'combiner': did you mean 'combiners'? Known: calib"),
        ("    weights: scratch\n", "", "models.meso4.weights: is missing; the pipeline needs it, such as `weights: s"),
        ("    kind: ensemble\n", "", "evaluations.logistic-demo.kind: is missing; the pipeline needs it, such as `ki"),
        (
            "reencode: null", "reencode: {siez: 224, jpeg_quality: 75}",
            "datasets.demo.reencode.siez: unknown key 'siez': did you mean 'size'? Known: jpeg_quality, size",
        ),
        (
            "reencode: null", "reencode: {siez: [192, 256], jpeg_quality: 75}",
            "datasets.demo.reencode.siez: unknown key 'siez': did you mean 'size'? Known: jpeg_quality, size",
        ),
        (
            "reencode: null", "reencode: {size: [256, 192], jpeg_quality: 75}",
            "datasets.demo.reencode.size: the range [256, 192] begins with its larger end: write [192, 256]",
        ),
        (
            "reencode: null", "reencode: {size: [8, 256], jpeg_quality: [60, 101]}",
            "datasets.demo.reencode.jpeg_quality.1: Input should be less than or equal to 100",
        ),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_listed_with_the_nearest(tmp_path: Path, old: str, new: str, fault: str) -> None:
    found = faults(write(tmp_path, (old, new)))
    assert any(line.startswith(fault) for line in found), found


def test_all_faults_are_listed_at_once_whatever_their_kind(tmp_path: Path) -> None:
    changes = [
        ("seed: 7", "seed: seven"), ("name: demo", "name: dmeo"), ("detector: meso4", "detector: meso5"),
        ("    dataset: demo\n    weights", "    datasets: [demo, other]\n    weights"),
        declared("model", "dctcnn", "demo"),
        ("combiners:\n  logistic:\n    method: logistic\n    members: [meso4, mesoinception4, dct_cnn]\n\n", ""),
    ]  # fmt: skip
    places = [line.split(":")[0] for line in faults(write(tmp_path, *changes))]
    assert sorted(places) == [
        "combiners", "datasets.demo.name", "evaluations.logistic-demo", "evaluations.more", "models.meso4",
        "models.meso4.detector", "seed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "",
        "- a",
        "models: [meso4]",
        "models: {meso4: null}",
        "datasets: 7",
        "models: {meso4: {detector: meso4, datasets: 7, options: 3}}",
    ],
)
def test_content_of_another_shape_is_refused_without_a_traceback(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")
    assert faults(tmp_path / "params.yaml")


IMPLIED = "remove it; a model is evaluated on the datasets that it is trained on without it"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (declared("model", "meso4", "demo"), f"evaluations.more: {IMPLIED}"),
        (
            declared("ensemble", "logistic", "demo", "dct_cnn"),
            "evaluations.dct_cnn: choose another name; that of a model",
        ),
    ],
)
def test_an_evaluation_that_a_model_implies_is_not_declared_too(
    tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    (found,) = faults(write(tmp_path, change))
    assert found.startswith(fault)


def test_a_model_may_be_evaluated_on_other_datasets_too(tmp_path: Path) -> None:
    another = ("datasets:\n", "datasets:\n  another: {name: demo, faces: both, reencode: null}\n")
    loaded = params.validate(write(tmp_path, another, declared("model", "meso4", "another")))
    assert loaded.evaluated == ["meso4", "mesoinception4", "dct_cnn", "more", "logistic-demo"]


DECLINES = ("    detector: meso4\n", "    detector: meso4\n    evaluate: false\n")


def test_a_model_may_decline_its_evaluation_or_declare_another_in_its_place(tmp_path: Path) -> None:
    assert params.validate(write(tmp_path, DECLINES)).evaluated == ["mesoinception4", "dct_cnn", "logistic-demo"]
    replaced = params.validate(write(tmp_path, DECLINES, declared("model", "meso4", "demo")))
    assert replaced.evaluated == ["mesoinception4", "dct_cnn", "more", "logistic-demo"]
    (found,) = faults(write(tmp_path, (DECLINES[0], DECLINES[1].replace("false", "maybe"))))
    assert found.startswith("models.meso4.evaluate: ") and "boolean" in found


def test_a_key_that_is_there_twice_is_refused_as_by_dvc(tmp_path: Path) -> None:
    file = write(tmp_path, ("  mesoinception4:\n", "  meso4:\n"))
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML: 'meso4' is there twice\n.*, line 83,"):
        params.load(file)


def test_a_scan_needs_no_key_or_name_that_only_the_pipeline_asks_for(tmp_path: Path) -> None:
    of_another_release = ("detector: meso4", "detector: of_another_release")
    loaded = params.load(write(tmp_path, of_another_release, ("    weights: scratch\n", "")))
    assert loaded.model("meso4").weights == "scratch"


def test_what_the_templates_of_dvc_yaml_ask_for_is_known_to_be_missing() -> None:
    asked: dict[str, set[str]] = {}
    for block in DVC.values():
        if "foreach" in block:
            section = block["foreach"].strip("${}")
            text = yaml.safe_dump(block["do"])
            asked.setdefault(section, set()).update(re.findall(r"\$\{item\.(\w+)", text))
            for entries, key in re.findall(r"(\w+)\.\$\{(?:key|item\.\w+)\}\.(\w+)", text):
                asked.setdefault(entries, set()).add(key)
    assert set(asked) == set(references.SECTIONS)
    for section, asked_keys in asked.items():
        record = params.Params.model_fields[section].annotation.__args__[1]  # type: ignore[union-attr]
        optional = {
            key for key in asked_keys if key in record.model_fields and not record.model_fields[key].is_required()
        }
        assert optional == set(references.WRITTEN_OUT.get(section, {})), section


def test_options_are_those_that_the_function_takes() -> None:
    for name in datasets.names():
        assert known.options("datasets", name, "examples") == list(
            inspect.signature(datasets.get(name).examples).parameters
        )
    for name in detectors.names():
        assert known.options("detectors", name, "build") == list(
            inspect.signature(detectors.get(name).build).parameters
        )


def test_keys_of_records_below_dictionaries_and_tuples() -> None:
    assert known.keys(params.Params, ["datasets", "demo", "reencode"]) == ["size", "jpeg_quality"]
    assert known.keys(Recipe, ["phases", 0])[:2] == ["epochs", "learning_rate"]
    assert known.keys(params.Params, ["models", "meso4", "options", "size"]) == []


def test_the_command_lists_the_faults_and_ends_with_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["validate", "--params", str(ROOT / "params.yaml")]) == 0
    assert capsys.readouterr().out == f"{ROOT / 'params.yaml'} is valid\n"
    wrong = write(tmp_path, ("detector: meso4", "detector: meso5"), ("model: logistic", "model: logistics"))
    assert cli.run(["validate", "--params", str(wrong)]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"fauxscan: {wrong} has") and "'meso5'" in said and "'logistics'" in said


def test_the_command_names_a_dataset_that_lacks_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["validate", "--params", str(write(tmp_path, ("name: demo", "name: folder")))]) == 3
    assert "folder is imported from a local folder, and none is named" in capsys.readouterr().err
    named = write(tmp_path, ("name: demo", "name: folder\n    archives: taken-away-since"))
    assert cli.run(["validate", "--params", str(named)]) == 0


def test_a_stage_checks_all_parameters_before_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[bool] = []

    def train() -> None:
        worked.append(True)

    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.chdir(write(tmp_path, ("dataset: demo", "dataset: demi")).parent)
    with pytest.raises(SystemExit, match=r"^train: params\.yaml has .*\n.*unknown dataset 'demi': did you mean 'demo'"):
        stage.run(train)
    assert not worked


def test_every_stage_and_make_repro_begin_with_the_check(tmp_path: Path) -> None:
    for file in (ROOT / "stages").glob("*.py"):
        (start,) = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
        assert [ast.unparse(line) for line in start.body] == [f"stage.run({file.stem})"]
    recipe = subprocess.run(
        ["make", "-n", "--no-print-directory", "-o", "setup", "repro"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = [line for line in recipe.stdout.splitlines() if not line.startswith("printf")]
    assert commands == ["fauxscan validate", "dvc repro", "fauxscan results"]


# === Protocols ===

HEAD = ("models:\n", "models:\n  head: {detector: clip_vit_b16, dataset: demo, weights: scratch}\n")
TIERS = "tiers: [native, web, hard]"


def protocol(text: str) -> tuple[str, str]:
    """Return the change that declares a protocol."""
    return "protocols: {}", f"protocols:\n  faces: {text}"


def test_a_protocol_needs_no_more_than_a_model_with_a_backbone_and_heads(tmp_path: Path) -> None:
    declared = protocol(f"{{model: head, heads: {{default: {{}}, small: {{options: {{hidden: 64}}}}}}, {TIERS}}}")
    found = params.validate(write(tmp_path, HEAD, declared)).protocol("faces")
    assert found.heads["small"].options == {"hidden": 64} and found.false_positive_rates == (0.01, 0.05)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{model: hed, heads: {default: {}}, T}", "protocols.faces.model: unknown model 'hed': did you mean 'head'?"),
        (
            "{model: meso4, heads: {default: {}}, T}",
            "protocols.faces.model: meso4 has no frozen backbone, whose features a protocol computes once. Choose a"
            " model that has one: head",
        ),
        (
            "{model: head, heads: {small: {options: {hiden: 64}}}, T}",
            "protocols.faces.heads.small.options: unknown option of clip_vit_b16 'hiden': did you mean 'hidden'?",
        ),
        ("{model: head, heads: {a.b: {}}, T}", "protocols.faces.heads.a.b: a name has only letters, digits, _ and -"),
        ("{model: head, heads: {}, T}", "protocols.faces.heads: Dictionary should have at least 1 item"),
        (
            "{model: head, heads: {long: {recipe: {epoch: 9}}}, T}",
            "protocols.faces.heads.long.recipe: epoch: unknown key 'epoch': did you mean 'epochs'?",
        ),
        (
            "{model: head, heads: {a: {recipe: {augmentation: {}}}}, T}",
            "protocols.faces.heads.a.recipe: augmentation: all heads learn from the same features; set it in the model",
        ),
        ("{model: head, heads: {a: {}}}", "protocols.faces.tiers: is missing; the pipeline needs it, such as `tiers"),
        ("{model: head, heads: {a: {}}, tiers: [web]}", "protocols.faces.tiers: add native: epoch and temperature are"),
        ("{model: head, heads: {a: {}}, tiers: [native, native]}", "protocols.faces.tiers: a value is there twice"),
        (
            "{model: head, heads: {a: {}}, T, false_positive_rates: [5]}",
            "protocols.faces.false_positive_rates: a rate is a share of reals: above 0 and below 1",
        ),
    ],
)  # fmt: skip
def test_a_wrong_protocol_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(write(tmp_path, HEAD, protocol(text.replace("T}", f"{TIERS}}}").replace("T,", f"{TIERS},"))))
    assert any(line.startswith(fault) for line in found), found
