"""The figures of a finished run beside those of the papers and write-ups, and what each model costs.

Run where `make repro` was run, with what it printed: `make repro 2>&1 | tee run.log`, then
`python benchmarks/results.py TITLE run.log`. It writes its section of docs/results.md.
"""

import re
import statistics
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import page
import pandas as pd

from fauxscan import detectors, models, params
from fauxscan.params import Params
from fauxscan.preparing import shards
from fauxscan.records import TRAIN

IMAGES, BATCH, ROUNDS = 128, 32, 3
FIGURES = ("even_accuracy", "accuracy", "auc")


def main(title: str, log: Path) -> None:
    """Write the section."""
    settings = params.load()
    body = "\n\n".join([*(quality(name, settings) for name in settings.datasets), costs(settings, log.read_text())])
    page.write(title, f"python benchmarks/results.py {title!r} {log.name}", body, page.RESULTS)


# === What each evaluation found ===


def quality(dataset: str, settings: Params) -> str:
    """Return the table of all that was tested on a dataset."""
    of_dataset = {name: entry for name, entry in settings.evaluations.items() if entry.dataset == dataset}
    head = ["model", "trained on", "accuracy, cut from validation", "accuracy at 0.5", "AUC",
            "by source: accuracy", "by source: AUC", "the papers say"]  # fmt: skip
    rows = [
        [entry.model, trained(entry.kind, entry.model, settings), *found(name), told(entry.model, settings)]
        for name, entry in of_dataset.items()
    ]
    return f"### Tested on {dataset}\n\n{counted(next(iter(of_dataset)))}\n\n{page.table(head, rows)}"


def trained(kind: str, model: str, settings: Params) -> str:
    """Return the dataset that a model, or an ensemble's members, learnt from."""
    return settings.model(model if kind == "model" else settings.combiner(model).members[0]).dataset


def found(evaluation: str) -> list[str]:
    """Return the clean figures of an evaluation, with their intervals: by file, then by source."""
    clean = figures(evaluation)
    by_file = [interval(clean.loc["media"], name) for name in FIGURES]
    return [*by_file, *(interval(clean.loc["source"], name) for name in ("even_accuracy", "auc"))]


def figures(evaluation: str) -> pd.DataFrame:
    """Return the figures over all generators without degradation, by unit."""
    table = pd.read_parquet(Path("evaluations", evaluation, "figures.parquet"))
    return table[(table["degradation"] == "none") & (table["generator"] == "all")].set_index("unit")


def interval(row: pd.Series, name: str) -> str:
    """Return a figure with its interval."""
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"


def counted(evaluation: str) -> str:
    """Return what the test split holds."""
    row = figures(evaluation).loc["media"]
    return (
        f"{row['reals']:.0f} reals and {row['fakes']:.0f} fakes of {row['sources']:.0f} sources;"
        f" who always names the larger class is right in {row['majority']:.3f}."
    )


def told(model: str, settings: Params) -> str:
    """Return what the card of a model's detector expects."""
    return detectors.get(settings.models[model].detector).CARD.expected if model in settings.models else ""


# === What each model costs ===


def costs(settings: Params, log: str) -> str:
    """Return the table of times."""
    head = ["model", "epochs", "training images", "training, minutes", "images a second", "loading, seconds",
            "scoring, ms an image"]  # fmt: skip
    rows = [[name, *training(name, settings, log), *scoring(name)] for name in settings.models]
    return f"""### What they cost

Training is the passes over the training images alone, as the log tells; loading is that of the folder once TensorFlow
is there; scoring is the forward pass in batches of {BATCH} on decoded images (median of {ROUNDS}).

{page.table(head, rows)}"""


def training(name: str, settings: Params, log: str) -> list[object]:
    """Return epochs, images, minutes and speed of the training that the log tells of."""
    told_here = re.search(rf"> python stages/train\.py {name} (.*?)(?=^> python |\Z)", log, re.DOTALL | re.MULTILINE)
    speeds = [float(speed) for speed in re.findall(r"(\d+) images a second", told_here[1] if told_here else "")]
    model = settings.model(name)
    folder = Path("data", model.dataset, "shards")
    view = shards.view_for(detectors.get(model.detector).CARD.looks_at, settings.dataset(model.dataset).faces)
    images, _ = shards.extent(folder, TRAIN, view)
    minutes = sum(images / max(speed, 0.5) for speed in speeds) / 60
    return [len(speeds), images, f"{minutes:.1f}", f"{statistics.median(speeds):.0f}" if speeds else "-"]


def scoring(name: str) -> list[str]:
    """Return the seconds of loading and the milliseconds of scoring an image."""
    began = perf_counter()
    model = models.load(Path("models", name))
    loading = perf_counter() - began
    score, size = model.scorer(BATCH), model.card.input_size
    seen = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    score(seen[:BATCH])
    return [f"{loading:.1f}", f"{statistics.median(seconds(score, seen) for _ in range(ROUNDS)) / IMAGES * 1000:.1f}"]


def seconds(score: models.Scorer, seen: np.ndarray) -> float:
    """Return how long scoring took."""
    began = perf_counter()
    score(seen)
    return perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
