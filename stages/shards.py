"""DVC stage shards@dataset: TFRecord shards, a series a split and view."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing import sharding


def shards(faces: Path, split: Path, out: Path) -> None:
    """Write the faces of each split to `out`."""
    sharding.write_shards(faces, split, out, params.load().shards)


if __name__ == "__main__":
    stage.run(shards)
