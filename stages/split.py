"""DVC stage split@dataset: assign files to the training, validation and test splits, and audit the result."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.split import assign as preparing


def split(faces: Path, out: Path, report: Path) -> None:
    """Write the split of each file to `out`, and the audit to `report`."""
    settings = params.load()
    preparing.split(faces, out, report, settings.split, settings.seed)


if __name__ == "__main__":
    stage.run(split)
