"""DVC stage faces@dataset: sample frames, then find, align and crop faces, or use whole images."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.faces.extract import extract_faces
from fauxscan.preparing.faces.extractor import FaceExtractor


def faces(dataset: str, index: Path, media: Path, out: Path) -> None:
    """Write the faces of every file in `index`, and the outcome of each file, to `out`."""
    settings = params.load()
    entry = settings.dataset(dataset)
    extractor = FaceExtractor(media, entry.faces, settings.media, settings.faces, entry.reencode, settings.seed)
    extract_faces(index, media, out, extractor, settings.scan.worker_count)


if __name__ == "__main__":
    stage.run(faces)
