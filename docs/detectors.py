"""Write the cards into docs/detectors.md: `python docs/detectors.py`. With --check, only check that they are
current."""

from pathlib import Path

import writing

from fauxscan import detectors
from fauxscan.records import Archive, DetectorCard

FILE = Path(__file__).parent / "detectors.md"
HEAD = "| detector | looks at | input | trains | paper | expected |\n|---|---|---|---|---|---|"


def row(card: DetectorCard) -> str:
    """Return a card's row in the table."""
    cells = (f"`{card.name}`", f"{card.looks_at}", f"{card.input_size} px", f"{card.parameters:,}", card.paper)
    return f"| {' | '.join(cells)} | {card.expected} |"


def recipe(card: DetectorCard) -> str:
    """Return a list item with the parts of a card's recipe that differ from the defaults, and the weights that fit."""
    changed = card.recipe.model_dump(mode="json", exclude_defaults=True)
    words = [f"{name.replace('_', ' ')} {_yaml(value)}" for name, value in changed.items()]
    words += [f"ImageNet weights {_weights(card.weights)}, {card.weights_licence}"] if card.weights else []
    return f"- `{card.name}`: {'; '.join(words)}"


def _weights(archive: Archive) -> str:
    """Return the name of a file of weights, its address and its checksum."""
    sums = {"SHA-256": archive.sha256, "MD5": archive.md5}
    (checksum,) = (f"{kind} {value}" for kind, value in sums.items() if value)
    place = f"in the Python package {archive.package}" if archive.package else f"<{archive.address}>"
    return f"`{archive.name}` {place}, {checksum}"


def _yaml(value: object) -> str:
    """Return a value as YAML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def cards() -> str:
    """Return the table of all cards, and the list of their recipes."""
    all_cards = [detectors.get(name).CARD for name in detectors.names()]
    intro = "The recipes, where they differ from Adam at 1e-3, cross-entropy and 10 epochs in batches of 32:"
    return "\n".join([HEAD, *map(row, all_cards), "", intro, "", *map(recipe, all_cards)])


def main() -> None:
    """Write the cards, or check them."""
    writing.keep(FILE, writing.between(FILE.read_text(encoding="utf-8"), "cards", cards()))


if __name__ == "__main__":
    main()
