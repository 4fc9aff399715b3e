"""Which Python runs the stages: that of the activated environment, or else of `.venv`; without either, what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT

SEEN = "import os; print(os.environ['ENVIRONMENT'])"


def environment(folder: Path, name: str, *, has_fauxscan: bool, program: str = "python") -> None:
    """Write a Python that says which it is, with or without fauxscan."""
    interpreter = f'exec "{sys.executable}" "$@"' if has_fauxscan else 'exec "$REAL" -S -I "$@"'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / program).write_text(f"#!/bin/sh\nexport ENVIRONMENT={name}\n{interpreter}\n", encoding="utf-8")
    (folder / program).chmod(0o755)


def run(project: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of the stages in a project, with these folders as the whole PATH."""
    surroundings = {"PATH": os.pathsep.join(map(str, folders)), "REAL": sys.executable, "PYTHONPATH": str(ROOT / "src")}
    command = [str(shutil.which("sh")), str(ROOT / "stages" / "python"), "-c", SEEN]
    return subprocess.run(command, cwd=project, env=surroundings, capture_output=True, text=True, check=False)


def test_the_activated_environment_comes_first(tmp_path: Path) -> None:
    environment(tmp_path / "active", "active", has_fauxscan=True)
    environment(tmp_path / ".venv" / "bin", "venv", has_fauxscan=True)
    assert run(tmp_path, tmp_path / "active").stdout == "active\n"


@pytest.mark.parametrize("program", ["python", "python3"])
def test_otherwise_that_of_the_project_runs_them(tmp_path: Path, program: str) -> None:
    environment(tmp_path / "system", "system", has_fauxscan=False, program=program)
    environment(tmp_path / ".venv" / "bin", "venv", has_fauxscan=True)
    assert run(tmp_path, tmp_path / "system").stdout == "venv\n"


def test_without_either_it_says_what_to_do(tmp_path: Path) -> None:
    environment(tmp_path / "system", "system", has_fauxscan=False)
    done = run(tmp_path, tmp_path / "system")
    assert done.returncode == 3
    assert done.stderr == (
        "No Python here has fauxscan installed: run `make setup`, or activate the environment that has it\n"
    )


@pytest.mark.slow
def test_dvc_runs_a_stage_without_an_activated_environment(tmp_path: Path) -> None:
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["weights"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"weights": stage}}), encoding="utf-8")
    environment(tmp_path / "system", "system", has_fauxscan=False)
    environment(tmp_path / ".venv" / "bin", "venv", has_fauxscan=True)
    path = os.pathsep.join([str(tmp_path / "system"), "/usr/bin", "/bin"])
    surroundings = {**os.environ, "PATH": path, "REAL": sys.executable, "PYTHONPATH": str(tmp_path / "src")}
    for command in (["init", "--no-scm", "-q"], ["repro"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=tmp_path, env=surroundings, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "weights" / "scratch" / "scratch.txt").is_file()
