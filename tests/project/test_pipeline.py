"""The real pipeline, in a real clone: it runs, does nothing twice, and redoes only what an edit touches."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dvc.repo import Repo
from support import ROOT

from fauxscan import params
from fauxscan.commands import presets
from fauxscan.scanning import settings
from fauxscan.scanning.tables import evaluations, parquet, schemas

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def repro(folder: Path, *arguments: str) -> str:
    done = run(folder, "dvc", "repro", *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def changed(folder: Path) -> set[str]:
    return set(json.loads(run(folder, "dvc", "status", "--json").stdout))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the working tree with two models, one epoch each and few resamples, already reproduced.

    `make repro` of the committed parameters takes longer, and CI runs it too.
    """
    folder = tmp_path_factory.mktemp("clone") / "fauxscan"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    known = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*known, "commit", "-qm", "as it is"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    del params["models"]["mesoinception4"]
    params["combiners"]["logistic"]["members"].remove("mesoinception4")
    params["evaluate"]["bootstrap"] = 100
    for model in params["models"].values():
        model["recipe"] = {"epochs": 1, "augmentation": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    repro(folder)
    return folder


def test_every_output_exists_and_is_well_formed(clone: Path) -> None:
    done = run(clone, sys.executable, ".ci/check_outputs.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_measured_is_published_under_the_digests_that_scans_tell(clone: Path, tmp_path: Path) -> None:
    commit = run(clone, "git", "rev-parse", "HEAD").stdout.strip()
    assert evaluations.publish(clone, tmp_path, evaluations.revision(clone)) > 0
    rows = parquet.read(tmp_path, schemas.EVALUATIONS).to_pylist()
    judges = settings.read(params.load(clone / "params.yaml"), [clone / "ensembles" / "logistic"]).models
    measured = {(row["model"], row["model_digest"], row["revision"], row["dataset"]) for row in rows}
    assert measured == {(one["name"], one["model_digest"], f"{commit}-dirty", "demo") for one in judges}


def test_demo_models_say_what_they_are(clone: Path) -> None:
    for card in clone.glob("models/*/card.json"):
        assert json.loads(card.read_text())["trained_on"]["proof_of_machinery"] is True
    judged = pd.read_parquet(clone / "scores" / "demo" / "media.parquet")
    assert set(judged["verdict"].dropna()) == {"uncertain"}


def test_a_second_run_does_nothing(clone: Path) -> None:
    start = time.monotonic()
    assert "Data and pipelines are up to date" in repro(clone)
    assert time.monotonic() - start < 60
    assert changed(clone) == set()


def test_editing_one_detector_retrains_only_that_one(clone: Path) -> None:
    file = clone / "src" / "fauxscan" / "detectors" / "meso4.py"
    before = file.read_text(encoding="utf-8")
    file.write_text(before + "# a note\n", encoding="utf-8")
    try:
        stages = changed(clone)
    finally:
        file.write_text(before, encoding="utf-8")
    assert {name for name in stages if not name.startswith("weights@")} == {"train@meso4"}


DETECTOR = """
import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard("mine", "none", 32, View.WHOLE, 0, Recipe(epochs=1), "nothing")


def build(size: int = CARD.input_size) -> keras.Model:
    image = keras.Input((size, size, 3), name="image")
    return keras.Model(image, logit_head(layers.Flatten()(layers.Rescaling(1 / 255)(image))), name=CARD.name)
"""


def test_a_detector_in_two_steps_has_a_row_in_the_table_and_the_report(clone: Path) -> None:
    detector, file = clone / "src" / "fauxscan" / "detectors" / "mine.py", clone / "params.yaml"
    before, lock = file.read_text(encoding="utf-8"), (clone / "dvc.lock").read_bytes()
    detector.write_text(DETECTOR, encoding="utf-8")
    params = yaml.safe_load(before)
    params["models"]["mine"] = {"detector": "mine", "dataset": "demo", "weights": "scratch"}
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        ran = re.findall(r"^Running stage '(.*)':", repro(clone), re.MULTILINE)
        shown = run(clone, "fauxscan", "results").stdout
        page = (clone / "reports" / "report.html").read_text(encoding="utf-8")
    finally:
        detector.unlink()
        file.write_text(before, encoding="utf-8")
        (clone / "dvc.lock").write_bytes(lock)
        repro(clone)
    of_mine = {f"{stage}@mine" for stage in ("mixture", "train", "calibrate", "evaluate_model")}
    assert set(ran) - {"weights@scratch"} == of_mine | {"members@logistic", "report"}
    assert "mine" in shown and "mine-demo" in page


def test_changing_one_models_recipe_touches_only_that_model(clone: Path) -> None:
    file = clone / "params.yaml"
    before = file.read_text(encoding="utf-8")
    params = yaml.safe_load(before)
    params["models"]["dct_cnn"]["recipe"]["epochs"] = 2
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        assert changed(clone) == {"mixture@dct_cnn", "train@dct_cnn", "evaluate_model@dct_cnn", "report"}
    finally:
        file.write_text(before, encoding="utf-8")


def test_published_weights_touch_only_the_model_that_begins_from_them(clone: Path) -> None:
    file = clone / "params.yaml"
    before = file.read_text(encoding="utf-8")
    params = yaml.safe_load(before)
    params["weights"]["meso4"] = {"archives": None}
    params["models"]["meso4"]["weights"] = "meso4"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        assert changed(clone) == {"weights@meso4", "mixture@meso4", "train@meso4", "evaluate_model@meso4", "report"}
    finally:
        file.write_text(before, encoding="utf-8")


def test_the_same_inputs_give_the_same_bytes(clone: Path) -> None:
    stages = ("faces@demo", "split@demo", "report", "score@demo")
    before = {stage: outs(clone, stage) for stage in stages}
    repro(clone, "--single-item", "--force", *stages)
    assert {stage: outs(clone, stage) for stage in stages} == before


def outs(clone: Path, stage: str) -> list[str]:
    lock = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))
    return [out["md5"] for out in lock["stages"][stage]["outs"]]


def test_a_stage_that_fails_says_why_and_leaves_the_rest(clone: Path) -> None:
    done = run(clone, sys.executable, "stages/mixture.py", "meso5", "shards", "m.json")
    assert done.returncode != 0 and "unknown model 'meso5'" in done.stderr
    index, split = "data/demo/index.parquet", "data/demo/split.parquet"
    done = run(clone, sys.executable, "stages/shards.py", "demo", index, "nowhere", split, "out")
    assert done.returncode != 0 and "run the stage `faces` first" in done.stderr
    assert changed(clone) == set()


@pytest.mark.parametrize("preset", sorted(file.stem for file in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_is_a_pipeline_that_dvc_reads(clone: Path, preset: str) -> None:
    before = (clone / "params.yaml").read_text(encoding="utf-8")
    folder = [f"datasets.own.archives={clone}"] if preset == "folder" else []
    presets.apply(preset, clone / "presets", clone / "params.yaml", folder)
    chosen = params.load(clone / "params.yaml")
    try:
        stages = {stage.name for stage in Repo(str(clone)).index.stages}
    finally:
        (clone / "params.yaml").write_text(before, encoding="utf-8")
    expected = {f"train@{model}" for model in chosen.models} | {f"weights@{name}" for name in chosen.weights}
    expected |= {f"evaluate_model@{model}" for model in chosen.models}
    expected |= {f"evaluate@{name}" for name in chosen.evaluations}
    assert expected <= stages
