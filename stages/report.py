"""DVC stage report: write all evaluations as one table, as figures and as an HTML page."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.reporting import page


def report(evaluations: Path, out: Path) -> None:
    """Write the joined table, the figures and the page to `out`."""
    settings = params.load()
    page.write(evaluations, settings.evaluated, settings.evaluate.confidence, out)


if __name__ == "__main__":
    stage.run(report)
