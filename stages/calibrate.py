"""DVC stage calibrate@model: fit temperature and thresholds on the validation splits, and publish the model."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import publishing


def calibrate(trained: Path, mixture: Path, shards: Path, out: Path) -> None:
    """Publish the network in `trained`, calibrated, to `out`."""
    settings = params.load()
    publishing.calibrate(trained, mixture, shards, out, settings.calibrate, settings.media.max_frames)


if __name__ == "__main__":
    stage.run(calibrate)
