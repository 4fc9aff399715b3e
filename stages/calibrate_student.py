"""DVC stage calibrate_student@student: fit temperature and thresholds on the validation splits, and publish it."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import publishing


def calibrate_student(trained: Path, mixture: Path, shards: Path, out: Path) -> None:
    """Publish the network in `trained`, calibrated, to `out`."""
    settings = params.load()
    publishing.calibrate(trained, mixture, shards, out, settings.calibrate, settings.media.max_frames)


if __name__ == "__main__":
    stage.run(calibrate_student)
