"""DVC stage report: all evaluations in one table, figures and one HTML page."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.reporting import page


def report(evaluations: Path, out: Path) -> None:
    """Write the joined table, the figures and the page to `out`."""
    settings = params.load()
    page.write(evaluations, list(settings.evaluations), settings.evaluate.confidence, out)


if __name__ == "__main__":
    stage.run(report)
