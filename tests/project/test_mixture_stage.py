"""The stage `mixture` under a real DVC: a change of one dataset trains the models that learn from it, and no others."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT
from support.preparing import made_faces, picture, save, shard_files, split_files

from fauxscan.params import Params
from fauxscan.records import Example

pytestmark = pytest.mark.slow  # each run of DVC takes seconds
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TRAINED_ON = {"of_a": {"dataset": "a"}, "of_b": {"datasets": ["b"]}, "of_both": {"datasets": {"a": 2, "b": 1}}}
COPY = "python -c \"import shutil; shutil.copy('{0}', '{1}'); print('ran', '{1}')\""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """A DVC project with the real stage `mixture` on shards of two datasets, and three models, reproduced once.

    What follows on the mixture copies a file instead of training, and depends on the data that dvc.yaml names.
    """
    home = tmp_path_factory.mktemp("project")
    for name, seed in (("a", 0), ("b", 1000)):
        examples = [Example(f"{n}.png", n % 2, f"{name}{n}", "made" if n % 2 else None) for n in range(20)]
        for n in range(20):
            save(home / name / "m" / f"{n}.png", picture(seed + n, 32))
        made_faces(home / name, examples, "whole", settings)
        split_files(home / name, settings)
        shard_files(home / name, home / "shards" / name, settings)
    parameters = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parameters["datasets"] = {name: {**parameters["datasets"]["demo"], "faces": "whole"} for name in ("a", "b")}
    parameters["models"] = {name: {"detector": "meso4", "weights": "scratch", **on} for name, on in TRAINED_ON.items()}
    parameters |= {"combiners": {}, "evaluations": {}, "scores": {}}
    (home / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    stages = {"mixture": real_mixture(), "train": copying("train"), "calibrate": copying("calibrate")}
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), encoding="utf-8")
    dvc(home, "init", "--no-scm", "-q")
    dvc(home, "repro")
    return home


def real_mixture() -> dict[str, Any]:
    stage = json.loads(json.dumps(DVC["mixture"]))
    stage["do"]["cmd"] = stage["do"]["cmd"].replace("stages/", f"{ROOT}/stages/")
    stage["do"]["deps"] = [dep for dep in stage["do"]["deps"] if not dep.startswith(("src/", "stages/"))]
    return stage  # type: ignore[no-any-return]


def copying(name: str) -> dict[str, Any]:
    """A stage with the dependencies on models' data that it has in dvc.yaml."""
    block = DVC[name]["do"]
    data = [dep for dep in block["deps"] if dep.startswith(("mixtures/", "shards", "data/"))]
    assert data == ["mixtures/${key}.json"], "nothing else ties a model to its data"
    out = f"{name}-${{key}}.json"
    deps = [*data, *(["train-${key}.json"] if name == "calibrate" else [])]
    return {"foreach": "${models}", "do": {"cmd": COPY.format(data[0], out), "deps": deps, "outs": [out]}}


def dvc(home: Path, *command: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["dvc", *command], cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def ran(home: Path) -> set[str]:
    """The stages behind the mixtures that a reproduction runs."""
    return {
        line.split()[1].removesuffix(".json") for line in dvc(home, "repro").splitlines() if line.startswith("ran ")
    }


def test_a_changed_dataset_trains_only_the_models_that_learn_from_it(project: Path, settings: Params) -> None:
    assert ran(project) == set()
    shard_files(project / "b", project / "shards" / "b", settings, 5)
    assert ran(project) == {f"{stage}-{model}" for stage in ("train", "calibrate") for model in ("of_b", "of_both")}


def test_a_new_dataset_trains_nothing(project: Path, settings: Params) -> None:
    shard_files(project / "b", project / "shards" / "unrelated", settings)
    assert set(json.loads(dvc(project, "status", "--json"))) == {f"mixture@{model}" for model in TRAINED_ON}
    assert ran(project) == set()


def test_a_models_shares_are_part_of_its_mixture(project: Path) -> None:
    parameters = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    parameters["models"]["of_both"]["datasets"] = {"a": 1, "b": 1}
    (project / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    assert ran(project) == {"train-of_both", "calibrate-of_both"}
