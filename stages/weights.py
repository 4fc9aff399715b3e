"""DVC stage weights@detector: find or fetch the published weights that models begin from."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.preparing import published


def weights(name: str, fetched: Path, out: Path) -> None:
    """Put the published weights into `out`; `fetched` keeps them between runs."""
    published.provide(name, params.load().published_weights(name), fetched, out)


if __name__ == "__main__":
    stage.run(weights)
