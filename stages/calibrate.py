"""DVC stage calibrate@model: fit temperature and cuts on the validation split, and publish the model."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import publishing


def calibrate(trained: Path, shards: Path, out: Path) -> None:
    """Publish the network of `trained`, calibrated, to `out`."""
    publishing.calibrate(trained, shards, out, params.load().calibrate)


if __name__ == "__main__":
    stage.run(calibrate)
