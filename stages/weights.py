"""DVC stage weights@detector: find or download the published weights that training starts from."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing.download import weights as published


def weights(name: str, downloads: Path, out: Path) -> None:
    """Copy the published weights into `out`; `downloads` keeps them between runs."""
    published.provide(name, params.load().published_weights(name), downloads, out)


if __name__ == "__main__":
    stage.run(weights)
