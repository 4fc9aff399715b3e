"""DVC stage evaluate_model@model: measure a model on the test splits of the datasets that it was trained on."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import evaluation


def evaluate_model(name: str, model: Path, mixture: Path, shards: Path, out: Path) -> None:
    """Write figures and scores of the model to `out`, for each dataset in `mixture`; none if it declares so."""
    settings = params.load()
    if settings.model(name).evaluate:
        evaluation.evaluate_model(model, mixture, shards, out, settings.evaluate, settings.seed)
    else:
        evaluation.leave_out(name, out)


if __name__ == "__main__":
    stage.run(evaluate_model)
