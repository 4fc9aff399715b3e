"""DVC stage protocol@protocol: test heads on generators of fakes that they never saw."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.protocol import run


def protocol(name: str, features: Path, work: Path, out: Path) -> None:
    """Write the table, the scores and the metrics to `out`; continue from the folds in `work` if killed."""
    run.run(name, params.load(), features, work, out)


if __name__ == "__main__":
    stage.run(protocol)
