"""DVC stage ship@set: write a model set, which fauxscan can ship, from a finished model or ensemble."""

from pathlib import Path

from fauxscan import params, stage
from fauxscan.shipping import ship as shipping


def ship(name: str, model: Path, shards: Path, evaluations: Path, out: Path) -> None:
    """Write the set of the model or ensemble at `model`, with its figures from `evaluations`, to `out`."""
    shipping.ship(name, model, shipping.Made(shards, evaluations), params.load(), out)


if __name__ == "__main__":
    stage.run(ship)
