"""DVC stage train_student@student: train one detector on labels that its teacher has softened."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.training import fit


def train_student(
    student: str, mixture: Path, targets: Path, shards: Path, weights: Path, checkpoint: Path, out: Path, plots: Path
) -> None:
    """Write the trained network and its card to `out` and its curves to `plots`; resume from `checkpoint` if killed."""
    fit.train(student, params.load(), mixture, shards, weights, checkpoint, out, plots, targets=targets).finish()


if __name__ == "__main__":
    stage.run(train_student)
