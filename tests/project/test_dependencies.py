"""Which stages a change touches, asked of a real `dvc`. Outputs are placeholders; only the stage `members` is run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from support import ROOT

COPIED = ("src", "stages", "dvc.yaml", "params.yaml")
NO_ANALYTICS = {"DVC_NO_ANALYTICS": "1"}
FREE = {"detector": "meso4", "dataset": "demo", "weights": "scratch"}  # a model that no ensemble has as a member


def run(project: Path, *command: str) -> str:
    """Return the output of a command in the project. Fail if it does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **NO_ANALYTICS, "PYTHONPATH": str(project / "src"), "PATH": path}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(project: Path) -> set[str]:
    """Return the stages that are no longer up to date by their own dependencies."""
    return set(json.loads(run(project, "dvc", "status", "--json")))


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which every output is a placeholder that DVC holds for current."""
    project = tmp_path_factory.mktemp("dependencies") / "project"
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, project / name)
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["models"]["free"] = FREE
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run(project, "dvc", "init", "--no-scm", "-q")
    write_placeholders(project)
    for ensemble in params["combiners"]:
        run(project, sys.executable, "stages/members.py", ensemble, "models", f"members/{ensemble}.json")
    run(project, "dvc", "commit", "-q", "-f")
    return project


def write_placeholders(project: Path) -> None:
    """Write a small file, or for a model a folder, in place of every output."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        outs = [Path(out.fs_path) for stage in repo.index.stages for out in stage.outs]
    for out in outs:
        if out.parent.name == "models":
            out.mkdir(parents=True)
            for name in ("card.json", "model.keras", "validation.parquet"):
                (out / name).write_text(f"{out.name} {name}", encoding="utf-8")
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(out.name, encoding="utf-8")


@pytest.fixture
def project(committed: Path) -> Iterator[Path]:
    """Return the project, in which nothing has changed; what a test edits is undone."""
    kept = {file: file.read_bytes() for folder in ("src", "models", "members") for file in files(committed / folder)}
    lock = (committed / "dvc.lock").read_bytes()
    yield committed
    for file, content in kept.items():
        if file.read_bytes() != content:
            file.write_bytes(content)
    (committed / "dvc.lock").write_bytes(lock)


def files(folder: Path) -> list[Path]:
    """Return all files below a folder that are no byte code."""
    return [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]


def edit(file: Path) -> None:
    """Change a file."""
    file.write_bytes(file.read_bytes() + b"\n# edited\n")


def test_nothing_has_changed_at_first(project: Path) -> None:
    assert changed(project) == set()


@pytest.mark.parametrize("detector", ["meso4", "dct_cnn"])
def test_editing_a_detector_retrains_its_models_and_nothing_else(project: Path, detector: str) -> None:
    edit(project / "src" / "fauxscan" / "detectors" / f"{detector}.py")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    trained = {f"train@{name}" for name, model in params["models"].items() if model["detector"] == detector}
    assert changed(project) - {f"weights@{name}" for name in params["weights"]} == trained


def test_a_changed_model_is_evaluated_and_scored_alone(project: Path) -> None:
    edit(project / "models" / "free" / "model.keras")
    assert changed(project) == {"calibrate@free", "evaluate_model@free", "members@logistic"}  # the last lists all
    edit(project / "models" / "meso4" / "model.keras")
    assert changed(project) - {"calibrate@free", "evaluate_model@free", "members@logistic"} == {
        "calibrate@meso4", "evaluate_model@meso4", "score@demo",
    }  # fmt: skip


def test_a_model_that_declines_its_evaluation_is_trained_and_not_measured(project: Path) -> None:
    file, out = project / "params.yaml", project / "evaluations" / "free"
    before = file.read_text(encoding="utf-8")
    changes = yaml.safe_load(before)
    changes["models"]["free"]["evaluate"] = False
    try:
        file.write_text(yaml.safe_dump(changes), encoding="utf-8")
        assert changed(project) == {"mixture@free", "train@free", "evaluate_model@free", "report"}
        assert "evaluate_model@free" in run(project, "dvc", "stage", "list", "--name-only").split()
        run(project, "dvc", "commit", "-q", "-f", "mixture@free", "train@free")
        run(project, "dvc", "repro", "--single-item", "evaluate_model@free")
        assert changed(project) == {"report"}, "and the model was not trained again"
        assert {name.name: len(pd.read_parquet(name)) for name in out.glob("*.parquet")} == {
            "figures.parquet": 0, "scores.parquet": 0,
        }  # fmt: skip
        assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == {}
    finally:
        file.write_text(before, encoding="utf-8")
        for name in ("figures.parquet", "scores.parquet", "metrics.json"):
            (out / name).write_text(name, encoding="utf-8")


@pytest.mark.slow
def test_an_ensemble_is_combined_again_for_a_member_and_for_no_other_model(project: Path) -> None:
    edit(project / "models" / "free" / "card.json")
    run(project, "dvc", "commit", "-q", "-f", "calibrate@free")
    assert changed(project) == {"evaluate_model@free", "members@logistic"}
    run(project, "dvc", "repro", "-q", "--single-item", "members@logistic")
    assert changed(project) == {"evaluate_model@free"}
    edit(project / "models" / "meso4" / "card.json")
    run(project, "dvc", "repro", "-q", "--single-item", "members@logistic")
    assert {"combine@logistic"} == {name for name in changed(project) if name.startswith(("members", "combine"))}
