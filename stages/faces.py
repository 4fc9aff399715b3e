"""DVC stage faces@dataset: sample frames, find, align and crop faces, or take images whole."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing import faces as preparing


def faces(dataset: str, index: Path, media: Path, out: Path) -> None:
    """Write the faces of every file in `index`, and what became of each file, to `out`."""
    settings = params.load()
    entry = settings.dataset(dataset)
    maker = preparing.FaceMaker(media, entry.faces, settings.media, settings.faces, entry.align)
    preparing.make_faces(index, media, out, maker, settings.scan.worker_count)


if __name__ == "__main__":
    stage.run(faces)
