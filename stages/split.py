"""DVC stage split@dataset: train, validation and test by source, audited."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing import splits as preparing


def split(faces: Path, out: Path, report: Path) -> None:
    """Write each file's split to `out` and the audit to `report`."""
    settings = params.load()
    preparing.split(faces, out, report, settings.split, settings.seed)


if __name__ == "__main__":
    stage.run(split)
