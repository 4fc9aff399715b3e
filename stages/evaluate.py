"""DVC stage evaluate@evaluation: measure an ensemble, or a model on a dataset that it was not trained on."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import evaluation


def evaluate(name: str, dataset: str, model: Path, shards: Path, out: Path) -> None:
    """Write figures and scores of the model or ensemble at `model` to `out`."""
    settings = params.load()
    faces = settings.dataset(dataset).faces
    evaluation.evaluate(name, dataset, model, shards, faces, out, settings.evaluate, settings.seed)


if __name__ == "__main__":
    stage.run(evaluate)
