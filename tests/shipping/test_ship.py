"""A model set is made from a finished model or ensemble: small, the same network, and with everything on its card."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT
from support.model_sets import write_ensemble
from support.preparing import made_faces, picture, save, shard_files, split_files

from fauxscan import cli, models, params
from fauxscan.judging import ensemble, evaluation
from fauxscan.params import Params
from fauxscan.records import Example, UserError
from fauxscan.scanning import probing
from fauxscan.shipped import sets
from fauxscan.shipping.ship import Made, ship

pytest_plugins = ["support.scanning_models"]
FILES = {"card.json", "openvino.xml", "openvino.bin"}
PAGES = {"README.md", "LICENSE-DATA.txt", "probe.json"}
NOTES = {"failures": "It misses everything but *noise*.", "not_for": "Any decision about a person."}
SHIPPED = {
    "fast": {"kind": "model", "model": "wholes", "notes": NOTES, "logit_tolerance": 1000.0},
    "exact": {"kind": "model", "model": "wholes", "notes": NOTES, "logit_tolerance": 1e-12},
    "both": {"kind": "ensemble", "model": "joined", "notes": NOTES},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, settings: Params, exported_models: list[Path]) -> Path:
    """Return a project with two models and their ensemble, evaluated on the dataset `a`, and parameters that ship."""
    home = tmp_path_factory.mktemp("shipping")
    examples = [Example(f"{n}.png", n % 2, f"a{n}", "made" if n % 2 else None) for n in range(24)]
    for n in range(24):
        save(home / "a" / "m" / f"{n}.png", picture(n, 32))
    made_faces(home / "a", examples, "whole", settings)
    split_files(home / "a", settings)
    shard_files(home / "a", home / "shards" / "a", settings)
    for folder in exported_models:
        copy = Path(shutil.copytree(folder, home / "models" / folder.name))
        card = models.read_card(copy)
        used = card.trained_on.model_copy(update={"dataset": "a", "faces": "whole"})
        models.write_card(copy, card.model_copy(update={"trained_on": used}))
    write_ensemble(home / "ensembles" / "joined", sorted((home / "models").iterdir()), keras=True)
    small = settings.evaluate.model_copy(update={"bootstrap": 10, "jpeg_qualities": ()})
    for name, folder in (("one", "models/wholes"), ("two", "ensembles/joined")):
        out = home / "evaluations" / name
        evaluation.evaluate(name, "a", home / folder, home / "shards" / "a", "whole", out, small, 1)
    write_params(home)
    return home


def write_params(home: Path) -> None:
    """Write the committed parameters with the entries of the project."""
    numbers = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    detectors = {"faces": "meso4", "wholes": "dct_cnn"}
    numbers["datasets"] = {"a": {**numbers["datasets"]["demo"], "faces": "whole"}}
    numbers["models"] = {
        name: {"detector": detector, "dataset": "a", "weights": "scratch", "evaluate": False}
        for name, detector in detectors.items()
    }
    numbers["combiners"] = {"joined": {"method": "mean", "members": ["faces", "wholes"]}}
    numbers["evaluations"] = {
        "one": {"kind": "model", "model": "wholes", "dataset": "a"},
        "two": {"kind": "ensemble", "model": "joined", "dataset": "a"},
    }
    numbers |= {"scores": {}, "shipped": SHIPPED}
    (home / "params.yaml").write_text(yaml.safe_dump(numbers, sort_keys=False), encoding="utf-8")


def shipped(home: Path, name: str, model: str, out: Path) -> Path:
    """Return the set `name`, made from a folder of the project."""
    numbers = params.load(home / "params.yaml")
    ship(name, home / model, Made(home / "shards", home / "evaluations"), numbers, out / name)
    return out / name


def test_a_model_ships_with_smaller_weights_as_the_same_network(home: Path, tmp_path: Path) -> None:
    made, model = shipped(home, "fast", "models/wholes", tmp_path), home / "models" / "wholes"
    assert {file.name for file in made.iterdir()} == FILES | PAGES
    before, after = models.read_card(model), models.read_card(made)
    assert after.model_copy(update={"openvino": before.openvino}) == before and after.openvino != before.openvino
    sizes = [(folder / "openvino.bin").stat().st_size for folder in (made, model)]
    assert sizes[0] < 0.75 * sizes[1], "nearly half of these bytes are of no matrix, and keep their 32 bits"
    assert probing.probe(made).ok
    again = shipped(home, "fast", "models/wholes", tmp_path / "again")
    assert {file.name: file.read_bytes() for file in made.iterdir()} == {
        file.name: file.read_bytes() for file in again.iterdir()
    }


def test_weights_stay_in_32_bits_where_16_change_a_logit(home: Path, tmp_path: Path) -> None:
    made = shipped(home, "exact", "models/wholes", tmp_path)
    for name in FILES:
        assert (made / name).read_bytes() == (home / "models" / "wholes" / name).read_bytes()


@pytest.mark.slow
def test_dvc_makes_an_ensemble_whose_page_says_what_there_is_to_know(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Path(shutil.copytree(home, tmp_path / "project"))
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["ship"]
    stage["do"]["cmd"] = stage["do"]["cmd"].replace("stages/", f"{ROOT}/stages/")
    stage["do"]["deps"] = [dep for dep in stage["do"]["deps"] if not dep.startswith(("src/", "stages/"))]
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ship": stage}}, sort_keys=False), encoding="utf-8")
    for words in (["init", "--no-scm", "-q"], ["repro", "ship@both"]):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=project, env=os.environ, check=True)
    made = project / "shipped" / "both"
    monkeypatch.setattr(sets, "SHIPPED", project / "shipped")
    found = {file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file()}
    of_members = {f"members/{member}/{name}" for member in ("faces", "wholes") for name in FILES}
    assert found == of_members | PAGES | {"ensemble.json"}
    digests = [ensemble.read_members([folder]).ensemble for folder in (made, home / "ensembles" / "joined")]
    assert digests[0] == digests[1]
    assert cli.run(["models", "show", "both"]) == 0
    page = capsys.readouterr().out
    for text in ("An ensemble, joined by `mean`", "| a | none |", "| a | made |", *NOTES.values(), "LFW for research"):
        assert text in page, text
    assert "Labeled Faces in the Wild" in (made / "LICENSE-DATA.txt").read_text(encoding="utf-8")


def test_a_set_without_figures_or_openvino_files_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no figures of this model: declare an evaluation of it in `evaluations`"):
        shipped(home, "fast", "models/faces", tmp_path)
    old = Path(shutil.copytree(home / "models" / "wholes", tmp_path / "models" / "wholes"))
    models.write_card(old, models.read_card(old).model_copy(update={"openvino": None}))
    with pytest.raises(UserError, match="has no OpenVINO files: `fauxscan calibrate` writes a copy"):
        shipped(home, "fast", str(old), tmp_path)
