"""The figures of a finished run compared with those of the papers and write-ups, and the cost of each model.

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
from fauxscan.preparing.mixture.read import open_mixture
from fauxscan.records import TRAIN

IMAGES, BATCH, ROUNDS = 128, 32, 3
FIGURES = ("even_accuracy", "accuracy", "auc")


def main(title: str, log: Path) -> None:
    """Write the section."""
    settings = params.load()
    body = "\n\n".join([*(quality(name, settings) for name in settings.datasets), costs(settings, log.read_text())])
    page.write(title, f"python benchmarks/results.py {title!r} {log.name}", body, page.RESULTS)


# === Quality ===


def quality(dataset: str, settings: Params) -> str:
    """Return the table of all models tested on a dataset."""
    table = pd.read_parquet(Path("reports", "evaluation.parquet"))
    overall = (table["degradation"] == "none") & (table["generator"] == "all") & (table["dataset"] == dataset)
    by_model = dict(list(table[overall].set_index("unit").groupby("model", sort=False)))
    head = ["model", "trained on", "accuracy at the validation threshold", "accuracy at 0.5", "AUC",
            "by source: accuracy", "by source: AUC", "according to the paper"]  # fmt: skip
    rows = [
        [model, str(clean.loc["media", "trained_on"]).replace("+", " + "), *found(clean), told(model, settings)]
        for model, clean in by_model.items()
    ]
    return f"### Tested on {dataset}\n\n{counted(next(iter(by_model.values())))}\n\n{page.table(head, rows)}"


def found(clean: pd.DataFrame) -> list[str]:
    """Return the figures of a model, by unit, with their intervals: by file, then by source."""
    by_file = [interval(clean.loc["media"], name) for name in FIGURES]
    return [*by_file, *(interval(clean.loc["source"], name) for name in ("even_accuracy", "auc"))]


def interval(row: pd.Series, name: str) -> str:
    """Return a figure with its interval."""
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"


def counted(clean: pd.DataFrame) -> str:
    """Return a sentence on the contents of the test split."""
    row = clean.loc["media"]
    return (
        f"{row['reals']:.0f} reals and {row['fakes']:.0f} fakes from {row['sources']:.0f} sources."
        f" Always predicting the majority class gives accuracy {row['majority']:.3f}."
    )


def told(model: str, settings: Params) -> str:
    """Return the figures that the card of a model's detector expects."""
    return detectors.get(settings.models[model].detector).CARD.expected if model in settings.models else ""


# === Cost ===


def costs(settings: Params, log: str) -> str:
    """Return the table of times."""
    head = ["model", "epochs", "training images", "training, minutes", "images per second", "loading, seconds",
            "scoring, ms per image"]  # fmt: skip
    rows = [[name, *training(name, settings, log), *scoring(name)] for name in settings.models]
    return f"""### Cost

Training is the time of the passes over the training images, without validation, as the log reports it. Loading is the
time to load the model's folder once TensorFlow is loaded. Scoring is the forward pass in batches of {BATCH} on decoded
images (median of {ROUNDS}).

{page.table(head, rows)}"""


def training(name: str, settings: Params, log: str) -> list[object]:
    """Return the epochs, images, minutes and speed of a training according to the log."""
    told_here = re.search(
        rf"> sh stages/python stages/train\.py {name} (.*?)(?=^> sh |\Z)", log, re.DOTALL | re.MULTILINE
    )
    speeds = [float(speed) for speed in re.findall(r"(\d+) images a second", told_here[1] if told_here else "")]
    model = settings.model(name)
    mixture = open_mixture(Path("mixtures", f"{name}.json"), Path("shards"))
    view = mixture.view_for(detectors.get(model.detector).CARD.looks_at)
    images = sum(shards.size(TRAIN, view)[0] for shards in mixture.shards.values())
    minutes = sum(images / max(speed, 0.5) for speed in speeds) / 60
    return [len(speeds), images, f"{minutes:.1f}", f"{statistics.median(speeds):.0f}" if speeds else "-"]


def scoring(name: str) -> list[str]:
    """Return the seconds for loading and the milliseconds for scoring one image."""
    began = perf_counter()
    model = models.load(Path("models", name))
    loading = perf_counter() - began
    score, size = model.scorer(BATCH), model.card.input_size
    seen = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    score(seen[:BATCH])
    return [f"{loading:.1f}", f"{statistics.median(seconds(score, seen) for _ in range(ROUNDS)) / IMAGES * 1000:.1f}"]


def seconds(score: models.Scorer, seen: np.ndarray) -> float:
    """Return the seconds that scoring took."""
    began = perf_counter()
    score(seen)
    return perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
