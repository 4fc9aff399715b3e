"""DVC stage combine@ensemble: fit an ensemble on the validation logits of its members."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.judging import combining


def combine(ensemble: str, models: Path, members: Path, out: Path) -> None:
    """Write the ensemble of members in `models`, which the manifest `members` lists, to `out`."""
    settings = params.load()
    combiner, frames = settings.combiner(ensemble), settings.media.max_frames
    combining.combine(ensemble, combiner, models, members, out, settings.calibrate, settings.seed, frames)


if __name__ == "__main__":
    stage.run(combine)
