"""DVC stage train@model: fit one detector on its dataset's shards."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.training import fit


def train(model: str, index: Path, shards: Path, weights: Path, kept: Path, out: Path, plots: Path) -> None:
    """Write the trained network and its card to `out`, its curves to `plots`; `kept` is for going on after a kill."""
    fit.train(model, params.load(), index, shards, weights, kept, out, plots).finish()


if __name__ == "__main__":
    stage.run(train)
