"""DVC stage score@directory: whole image directories to Parquet, through the code that scans use."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.scanning import directory


def score(folder: Path, model: Path, out: Path) -> None:
    """Write the tables `media` and `scores` of every file under `folder` to `out`."""
    directory.score_folder(folder, [model], params.load(), out)


if __name__ == "__main__":
    stage.run(score)
