"""DVC stage evaluate_model@model: measure a model on the test splits of the datasets that it was trained on."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import evaluation


def evaluate_model(model: Path, mixture: Path, shards: Path, out: Path) -> None:
    """Write figures and scores of the model to `out`, for each dataset in `mixture`."""
    settings = params.load()
    evaluation.evaluate_model(model, mixture, shards, out, settings.evaluate, settings.seed)


if __name__ == "__main__":
    stage.run(evaluate_model)
