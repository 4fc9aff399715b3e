"""Make this folder again from a checkout of revision b7ea7d3: `python tests/golden/b7ea7d3/make.py CHECKOUT`.

Everything is made by that revision's own stages and commands, in a copy of the checkout. Only the pictures and the
parameters are written here.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from skimage import data

HERE = Path(__file__).parent
LABELS = {"camera": "real", "nearest": "nearest_neighbour"}
PER_CLASS = 150
MODELS = {"dct_cnn": 32, "cross_domain": 32, "meso4": 64}  # detector -> input size: small files
# The root is a relative path, as no command would write it: the tests scan a copy of the pictures elsewhere.
SCAN = """
from pathlib import Path
from fauxscan import params
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine import Engine
from fauxscan.scanning.places import LocalFolder
scan.scan(LocalFolder(Path("pictures")), Path("results/{results}"), Engine(settings.read(params.load(), [{models}])))
"""
FIRST_RUN = ("noise-1.png", "noise-2.png", "nearest-1.png", "portrait.jpg", "cut.jpg", "empty.jpg", "notes.txt")


def noise(seed: int, nearest: bool, size: int = 64) -> NDArray[np.uint8]:
    """Return smooth noise (size, size, 3); a fake went through nearest-neighbour up-sampling by four."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 4, size // 4, 3)).astype(np.uint8)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=how), np.uint8)


def encoded(image: NDArray[np.uint8], suffix: str) -> bytes:
    """Return an RGB image as the bytes of a file."""
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_training_pictures(folder: Path) -> None:
    """Write the labelled folders that the models are trained on."""
    for name in LABELS:
        (folder / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            image = noise(number + (PER_CLASS if name == "nearest" else 0), name == "nearest")
            (folder / name / f"{number:03d}.png").write_bytes(encoded(image, ".png"))


def write_scanned_pictures(folder: Path) -> None:
    """Write the folder that is scanned: a dozen small files, some broken, one of them a copy."""
    (folder / "more").mkdir(parents=True)
    portrait = cv2.resize(data.astronaut()[:320, 96:416], (200, 200), interpolation=cv2.INTER_AREA)
    jpeg = encoded(portrait, ".jpg")
    files = {
        "noise-1.png": encoded(noise(9001, False), ".png"),
        "noise-2.png": encoded(noise(9002, False, 96), ".png"),
        "nearest-1.png": encoded(noise(9003, True), ".png"),
        "portrait.jpg": jpeg,
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "empty.jpg": b"",
        "notes.txt": b"not a picture",
        "more/nearest-2.jpg": encoded(noise(9004, True, 80), ".jpg"),
        "more/copy of portrait.jpg": jpeg,
        "more/mirrored.png": encoded(np.ascontiguousarray(portrait[:, ::-1]), ".png"),
        "more/small.png": encoded(noise(9005, False, 16), ".png"),
        "more/black.png": encoded(np.zeros((48, 64, 3), np.uint8), ".png"),
    }
    for number, (name, content) in enumerate(files.items()):
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000 + number))


def parameters(checkout: Path, pictures: Path) -> dict[str, Any]:
    """Return that revision's parameters, with one small dataset and three small models."""
    params: dict[str, Any] = yaml.safe_load((checkout / "params.yaml").read_text(encoding="utf-8"))
    align = {"size": 64, "jpeg_quality": 75}
    own = {"name": "folder", "archives": str(pictures), "options": {"labels": LABELS}, "faces": "whole", "align": align}
    recipe = {"epochs": 8, "batch_size": 8, "learning_rate": 0.003}
    models = {
        name: {"detector": name, "dataset": "own", "weights": "scratch", "options": {"size": size}, "recipe": recipe}
        for name, size in MODELS.items()
    }
    params["scan"] |= {"engine": "tensorflow", "batch_faces": 4, "workers": 2}
    params["split"]["on_shortcut"] = "warn"
    combiners = {"logistic": {"method": "logistic", "members": ["dct_cnn", "meso4"]}}
    evaluations = {"dct_cnn-own": {"kind": "model", "model": "dct_cnn", "dataset": "own"}}
    return params | {
        "datasets": {"own": own}, "models": models, "combiners": combiners, "evaluations": evaluations, "scores": {},
    }  # fmt: skip


def run(project: Path, *command: str) -> str:
    """Return the output of a command of that revision. Raise SystemExit if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def scan(project: Path) -> None:
    """Scan the folder twice with the project's models, files having come in between, and once with the ensemble."""
    whole, aside = project / "pictures", project / "aside"
    shutil.copytree(whole, aside)
    for file in sorted(whole.rglob("*")):
        if file.is_file() and file.name not in FIRST_RUN:
            file.unlink()
    run(project, sys.executable, "-c", SCAN.format(results="models", models=""))
    shutil.rmtree(whole)
    shutil.copytree(aside, whole)
    run(project, sys.executable, "-c", SCAN.format(results="models", models=""))
    run(project, sys.executable, "-c", SCAN.format(results="ensemble", models='Path("ensembles/logistic")'))


def keep(project: Path) -> None:
    """Copy what the tests need to this folder."""
    for name in ("models", "ensembles", "pictures", "results"):
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(project / name, HERE / name, ignore=shutil.ignore_patterns(".lock", ".gitignore"))
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["datasets"]["own"]["archives"] = None  # the folder of this machine that the models were trained on
    (HERE / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    times = {
        str(file.relative_to(project)): file.stat().st_mtime_ns
        for file in (project / "pictures").rglob("*")
        if file.is_file()
    }
    (HERE / "mtimes.json").write_text(json.dumps(times, indent=2) + "\n", encoding="utf-8")


def main(checkout: Path) -> None:
    """Train, scan and keep the outcome."""
    with tempfile.TemporaryDirectory() as home:
        project = Path(home) / "project"
        subprocess.run(["git", "clone", "-q", str(checkout), str(project)], check=True)
        write_training_pictures(Path(home) / "own")
        write_scanned_pictures(project / "pictures")
        text = yaml.safe_dump(parameters(checkout, Path(home) / "own"), sort_keys=False)
        (project / "params.yaml").write_text(text, encoding="utf-8")
        run(project, "dvc", "repro", "combine@logistic", *(f"calibrate@{name}" for name in MODELS))
        scan(project)
        keep(project)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
