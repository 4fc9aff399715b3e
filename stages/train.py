"""DVC stage train@model: train one detector on the datasets of its mixture."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.training import fit


def train(model: str, mixture: Path, shards: Path, weights: Path, checkpoint: Path, out: Path, plots: Path) -> None:
    """Write the trained network and its card to `out` and its curves to `plots`; resume from `checkpoint` if killed."""
    fit.train(model, params.load(), mixture, shards, weights, checkpoint, out, plots).finish()


if __name__ == "__main__":
    stage.run(train)
