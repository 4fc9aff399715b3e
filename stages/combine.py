"""DVC stage combine@ensemble: fit an ensemble on the validation logits of its members."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import combining


def combine(ensemble: str, models: Path, members: Path, out: Path) -> None:
    """Write the ensemble of members in `models`, which the manifest `members` lists, to `out`."""
    settings = params.load()
    combining.combine(ensemble, settings.combiner(ensemble), models, members, out, settings.calibrate, settings.seed)


if __name__ == "__main__":
    stage.run(combine)
