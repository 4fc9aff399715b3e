"""DVC stage mixture@model: the datasets that a model learns from, checked for differences and leaks."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.mixture.write import write_mixture


def mixture(model: str, shards: Path, out: Path) -> None:
    """Write the digests and the framing of the model's datasets to `out`."""
    settings = params.load()
    write_mixture(model, settings.model(model), shards, out, settings.split)


if __name__ == "__main__":
    stage.run(mixture)
