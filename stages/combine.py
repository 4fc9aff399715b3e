"""DVC stage combine@ensemble: join models by their validation logits."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import publishing


def combine(ensemble: str, models: Path, out: Path) -> None:
    """Publish the ensemble with its members from `models` to `out`."""
    settings = params.load()
    publishing.combine(ensemble, settings.combiner(ensemble), models, out, settings.calibrate, settings.seed)


if __name__ == "__main__":
    stage.run(combine)
