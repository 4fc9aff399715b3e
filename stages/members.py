"""DVC stage members@ensemble: list the members of an ensemble with their digests."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import manifest


def members(ensemble: str, models: Path, out: Path) -> None:
    """Write the digests of the ensemble's members in `models` to `out`."""
    manifest.write_manifest(params.load().combiner(ensemble).members, models, out)


if __name__ == "__main__":
    stage.run(members)
