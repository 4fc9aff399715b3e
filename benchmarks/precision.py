"""Images per second of CLIP's image tower in each precision, and the AUC of a head that judges by its features.

    python benchmarks/precision.py [--model FOLDER --files FOLDER] [--rounds N]

`fauxscan models fetch clip` comes first. `--files` names a folder with the labelled images real/ and fake/, which
`--model`, the folder of a head or an ensemble, then judges as a scan does. The precisions take turns.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import page
from numpy.typing import NDArray
from skimage import data
from sklearn.metrics import roc_auc_score

from fauxscan import params
from fauxscan.backbones import remembered, runner, store
from fauxscan.backbones.runner import Runner
from fauxscan.params import Params
from fauxscan.records import Status
from fauxscan.scanning import settings
from fauxscan.scanning.engine.engine import check_files

IMAGES = 3 * runner.BATCH  # in a round
TITLE = "Precisions of CLIP's image tower"
TOWER = """The tower alone: medians of {rounds} rounds of {images} images, in which the precisions take turns. The
cosine is that of the features to those of float32, in the block where it is smallest, over crops of four photographs.
Where the processor does not have a precision, OpenVINO uses float32. This one has: {able}.

{table}"""
JUDGED = """The model `{model}` on {reals} reals and {fakes} fakes, judged as in a scan. `p_fake` moves by at most
the given amount.

{table}"""


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a head or an ensemble")
    parser.add_argument("--files", type=Path, help="folder with the folders real and fake")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if (given.model is None) != (given.files is None):
        parser.error("name both --model and --files, or neither")
    parts, command = [tower(given.rounds)], f"python benchmarks/precision.py --rounds {given.rounds}"
    if given.model:
        parts.append(judged(given.model, given.files))
        command += f" --model {given.model.name} --files {given.files.name}"
    page.write(TITLE, command, "\n\n".join(parts))
    print("\n\n".join(parts))


# === The tower ===


def tower(rounds: int) -> str:
    """Return the table of speeds and cosines."""
    import openvino

    installed = store.find("clip")
    images = crops(installed.card.input_size)
    runners = {name: Runner(installed, name, remembered.InMemory()) for name in runner.PRECISIONS}
    features = {name: one._compute(images) for name, one in runners.items()}  # the first pass is slower
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, one in runners.items():
            start = time.perf_counter()
            one._compute(images)
            seconds[name].append(time.perf_counter() - start)
    speeds = {name: IMAGES / statistics.median(own) for name, own in seconds.items()}
    rows: list[list[object]] = [
        [name, f"{speed:.1f}", f"{speed / speeds['float32']:.2f}", f"{cosine(features[name], features['float32']):.4f}"]
        for name, speed in speeds.items()
    ]
    able = ", ".join(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    table = page.table(["precision", "images a second", "against float32", "smallest cosine"], rows)
    return TOWER.format(rounds=rounds, images=IMAGES, able=able, table=table)


def crops(side: int) -> NDArray[np.uint8]:
    """Return crops of photographs (IMAGES, side, side, 3), all different."""
    rng = np.random.default_rng(0)
    photographs = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return np.stack([_crop(photographs[n % len(photographs)], side, rng) for n in range(IMAGES)])


def _crop(image: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    edge = int(rng.integers(120, min(image.shape[:2])))
    top, left = (int(rng.integers(whole - edge + 1)) for whole in image.shape[:2])
    cut = image[top : top + edge, left : left + edge]
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def cosine(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Return the smallest cosine of an image's features (n, blocks, width) in a block."""
    norms = np.linalg.norm(found, axis=2) * np.linalg.norm(exact, axis=2)
    return float(((found * exact).sum(2) / norms).min())


# === The AUC of a model ===


def judged(model: Path, files: Path) -> str:
    """Return the table of the AUC in each precision."""
    labelled = [(path, label) for label, name in enumerate(("real", "fake")) for path in below(files / name)]
    scores, seconds = {}, {}
    for name in runner.PRECISIONS:
        start = time.perf_counter()
        scores[name] = p_fakes(model, [path for path, _ in labelled], name)
        seconds[name] = time.perf_counter() - start
    known = np.isfinite(list(scores.values())).all(axis=0)
    labels = np.array([label for _, label in labelled])[known]
    rows: list[list[object]] = []
    for name, found in scores.items():
        moved = np.abs(found - scores["float32"])[known].max()
        auc = roc_auc_score(labels, found[known])
        rows.append([name, f"{auc:.4f}", f"{moved:.3f}", f"{len(labelled) / seconds[name]:.1f}"])
    table = page.table(["precision", "AUC", "p_fake moves by", "files a second, with loading"], rows)
    return JUDGED.format(model=model.name, reals=(labels == 0).sum(), fakes=(labels == 1).sum(), table=table)


def below(folder: Path) -> list[Path]:
    """Return the files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def p_fakes(model: Path, files: list[Path], precision: str) -> NDArray[np.float64]:
    """Return p_fake of each file, by the model's card; not a number where it cannot be judged."""
    numbers = params.changed(Params(), "scan", {"engine": "openvino", "precision": precision})
    outcomes = check_files(list(files), settings.read(numbers, [model], cards_alone=True))
    return np.array([one.p_fake if one.status == Status.OK else np.nan for one in outcomes], np.float64)


if __name__ == "__main__":
    main()
