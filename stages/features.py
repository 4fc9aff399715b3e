"""DVC stage features@protocol: compute the features that all heads of a protocol share."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.protocol import features as computed


def features(protocol: str, mixture: Path, shards: Path, out: Path) -> None:
    """Write the features of the images in `mixture`, to train on and of each tier to test on, to `out`."""
    computed.compute(protocol, params.load(), mixture, shards, out)


if __name__ == "__main__":
    stage.run(features)
