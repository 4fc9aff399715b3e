"""How well sources are recovered if they are not named, and how good a split that ignores them makes a model look.

The validation part of deepfake_database is the check: its names carry the video. They are hidden, and each method
of grouping is compared with them. The training part, which has no names, shows the consequences.
"""

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import page
from numpy.typing import NDArray
from sklearn.metrics.cluster import pair_confusion_matrix

from fauxscan.preparing.download import unpack
from fauxscan.preparing.split import folds, recovered_sources

Labels = NDArray[np.int64]
Colours = list[recovered_sources.Histogram]


def main() -> None:
    """Measure and write the section."""
    root = Path(os.environ["FAUXSCAN_TEST_DATA"]) / "deepfake_database"
    with tempfile.TemporaryDirectory() as unpacked:
        folder = Path(unpacked)
        for name in ("validation-part", "train-df"):
            unpack.unpack(root / f"{name}.zip", folder)
        files = {kind: sorted((folder / "validation" / kind).glob("*.jpg")) for kind in ("real", "df")}
        colours = {kind: read(named) for kind, named in files.items()}
        unpack.unpack(root / "train-real.zip", folder)
        training = {kind: read(sorted((folder / "train:test" / kind).glob("*.jpg"))) for kind in files}
    videos = {kind: np.unique([f.name.partition("_")[0] for f in named], return_inverse=True)[1]
              for kind, named in files.items()}  # fmt: skip
    rows = [
        [kind, name, groups(found), *agreement(videos[kind], found), torn(videos[kind], found)]
        for kind in files
        for name, found in ways(colours[kind]).items()
    ]
    page.write("Sources recovered by similarity", "python benchmarks/groups.py",
               body(rows, sweep(colours, videos), videos, training))  # fmt: skip


def read(files: list[Path]) -> Colours:
    """Return the colours of each file."""
    return [
        recovered_sources.histogram(np.asarray(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB), np.uint8)) for file in files
    ]


def pretended(training: dict[str, Colours]) -> list[list[object]]:
    """Return the accuracy of a nearest neighbour by colours where files, or whole sources, are held out."""
    colours = np.stack([colour for found in training.values() for colour in found])
    labels = np.repeat([0, 1], [len(found) for found in training.values()])
    runs = [recovered_sources.runs(found) for found in training.values()]
    source = np.concatenate([runs[0], runs[1] + runs[0].max() + 1])
    ways = {"random_frames": np.arange(len(labels)), "source (recovered)": source}
    return [[name, nearest(colours, labels, groups)] for name, groups in ways.items()]


def nearest(colours: NDArray[np.float32], labels: Labels, groups: Labels) -> str:
    """Return mean and range of the accuracy over five folds of whole groups."""
    reached = []
    for rest, fold in folds.grouped(labels, groups, 5, seed=0):
        found = labels[rest][np.argmax(colours[fold] @ colours[rest].T, axis=1)]
        reached.append(float(np.mean(found == labels[fold])))
    return f"{np.mean(reached):.3f} ({min(reached):.3f} to {max(reached):.3f})"


def groups(found: Labels) -> int:
    """Return the number of groups."""
    return len(np.unique(found))


def sweep(colours: dict[str, Colours], videos: dict[str, Labels]) -> list[list[object]]:
    """Return recall and precision of both parts at other windows and distances."""
    rows: list[list[object]] = []
    for window in (30, 60, 100):
        for distance in (0.2, 0.25, 0.3, 0.35, 0.4):
            found = {kind: recovered_sources.runs(colours[kind], window, distance) for kind in videos}
            figures = [figure for kind in videos for figure in agreement(videos[kind], found[kind])]
            rows.append([window, distance, *figures])
    return rows


def ways(colours: list[recovered_sources.Histogram]) -> dict[str, Labels]:
    """Return the group of each file by each way."""
    place = np.arange(len(colours))
    return {
        "runs of similar images (ours)": recovered_sources.runs(colours),
        "blocks of ten": place // 10,
        "each file alone": place,
    }


def agreement(video: Labels, found: Labels) -> list[str]:
    """Return recall and precision over pairs of files."""
    matrix = pair_confusion_matrix(video, found)
    together, same = matrix[1, 1] + matrix[0, 1], matrix[1, 1] + matrix[1, 0]
    return [f"{matrix[1, 1] / same:.3f}", f"{matrix[1, 1] / together:.3f}" if together else "-"]


def torn(video: Labels, found: Labels, draws: int = 200) -> str:
    """Return how many of the videos stand on both sides of a split by group, one fifth held out, on average."""
    rng = np.random.default_rng(0)
    count = 0.0
    for _ in range(draws):
        held = np.isin(found, rng.permutation(np.unique(found))[: max(1, round(len(np.unique(found)) / 5))])
        count += sum(0 < held[video == v].sum() < (video == v).sum() for v in np.unique(video))
    return f"{count / draws:.1f}"


def body(
    rows: list[list[object]], swept: list[list[object]], videos: dict[str, Labels], training: dict[str, Colours]
) -> str:
    """Return the section's text."""
    fakes = recovered_sources.runs(training["df"])
    together = ["recall of pairs (same video, kept together)", "precision of pairs (kept together, same video)"]
    return f"""
{groups(videos["real"])} real and {groups(videos["df"])} deepfake videos, whose names are hidden while their files
stay in order. `torn` counts the videos that end up on both sides when a fifth of the groups is held out at random
(mean of 200 draws).

{page.table(["part", "method", "groups", *together, "torn"], rows)}

The parameters of the method, a window of {recovered_sources.WINDOW} files and a Hellinger distance of
{recovered_sources.DISTANCE}, were chosen on these same videos. Similar parameters give similar results:

{page.table(["window", "distance", *(f"{kind}: {what}" for kind in videos for what in ("recall", "precision"))], swept)}

On the {len(fakes)} fakes of the training part, whose videos are not named, the method finds {groups(fakes)} groups (the
authors mention 175 forged videos). In the training part, the reals of one person are mixed, so a group
is a person rather than a video, which errs on the safe side.

The accuracy that a split without regard to sources suggests, on the training part. The classifier knows nothing about
forgery: it is a nearest neighbour by colours alone, tested on a fifth of the files (mean and range of five folds).

{page.table(["split by", "accuracy"], pretended(training))}
"""


if __name__ == "__main__":
    main()
