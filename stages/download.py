"""DVC stage download@dataset: make, find or fetch a dataset's media, and index them."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing import download as preparing


def download(dataset: str, fetched: Path, media: Path, index: Path) -> None:
    """Fill `media` and write `index`; `fetched` keeps archives between runs."""
    settings = params.load()
    preparing.download(settings.dataset(dataset), settings.seed, fetched, media, index)


if __name__ == "__main__":
    stage.run(download)
