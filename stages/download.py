"""DVC stage download@dataset: generate, find or download the media of a dataset, and index them."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.download import dataset as preparing


def download(dataset: str, downloads: Path, media: Path, index: Path) -> None:
    """Fill the folder `media` and write `index`; `downloads` keeps archives between runs."""
    settings = params.load()
    preparing.download(settings.dataset(dataset), settings.seed, downloads, media, index)


if __name__ == "__main__":
    stage.run(download)
