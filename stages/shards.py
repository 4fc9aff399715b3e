"""DVC stage shards@dataset: write a dataset's examples as TFRecord shards, by split and view."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.shards.manifest import Framing
from fauxscan.preparing.shards.write import write_shards


def shards(dataset: str, index: Path, faces: Path, split: Path, out: Path) -> None:
    """Write the faces of each split to `out`."""
    settings = params.load()
    framing = Framing.of(settings.dataset(dataset), settings.faces)
    write_shards(index, faces, split, out, framing, settings.shards)


if __name__ == "__main__":
    stage.run(shards)
