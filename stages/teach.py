"""DVC stage teach@student: the scores of a teacher for the images that a student learns from."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.teaching import teach as teaching


def teach(student: str, shards: Path, teacher: Path, work: Path, mixture: Path, out: Path) -> None:
    """Write the digests of the student's datasets to `mixture`, and p_fake of its teacher to `out`."""
    teaching.teach(student, params.load(), shards, teacher, work, mixture, out)


if __name__ == "__main__":
    stage.run(teach)
