"""Write the cards into docs/detectors.md: `python docs/detectors.py`. With --check, only say if they are current."""

from pathlib import Path

import writing

from fauxscan import detectors
from fauxscan.records import Archive, DetectorCard

FILE = Path(__file__).parent / "detectors.md"
HEAD = "| detector | looks at | input | trains | paper | expected |\n|---|---|---|---|---|---|"


def row(card: DetectorCard) -> str:
    """Return one card's row."""
    cells = (f"`{card.name}`", f"{card.looks_at}", f"{card.input_size} px", f"{card.parameters:,}", card.paper)
    return f"| {' | '.join(cells)} | {card.expected} |"


def recipe(card: DetectorCard) -> str:
    """Return what of a card's recipe differs from the plainest one, and the weights that fit, as a list's item."""
    told = card.recipe.model_dump(mode="json", exclude_defaults=True)
    words = [f"{name.replace('_', ' ')} {_said(value)}" for name, value in told.items()]
    words += [f"ImageNet weights {_weights(card.weights)}, {card.weights_licence}"] if card.weights else []
    return f"- `{card.name}`: {'; '.join(words)}"


def _weights(archive: Archive) -> str:
    """Return which file it is, where from, and by what it is known."""
    sums = {"SHA-256": archive.sha256, "MD5": archive.md5}
    (known_by,) = (f"{kind} {value}" for kind, value in sums.items() if value)
    place = f"in the Python package {archive.package}" if archive.package else f"<{archive.address}>"
    return f"`{archive.name}` {place}, {known_by}"


def _said(value: object) -> str:
    """Return a value as it stands in YAML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_said(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_said(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def cards() -> str:
    """Return the table of all cards, and what their recipes say."""
    found = [detectors.get(name).CARD for name in detectors.names()]
    said = "What each recipe says, beyond Adam at 1e-3, cross-entropy and 10 epochs in batches of 32:"
    return "\n".join([HEAD, *map(row, found), "", said, "", *map(recipe, found)])


def main() -> None:
    """Write, or check."""
    writing.keep(FILE, writing.between(FILE.read_text(encoding="utf-8"), "cards", cards()))


if __name__ == "__main__":
    main()
