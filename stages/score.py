"""DVC stage score@directory: score the media of a dataset with a model, as a scan does."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.scanning import score_folder


def score(folder: Path, model: Path, out: Path) -> None:
    """Write the tables `media` and `scores` of every file under `folder` to `out`."""
    score_folder.score_folder(folder, [model], params.load(), out)


if __name__ == "__main__":
    stage.run(score)
