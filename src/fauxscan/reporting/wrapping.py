"""How text is wrapped in a column: words stay whole, and one that is wider than the column is broken after / - or _."""

import re
from collections.abc import Iterable

from rich.cells import cell_len

WORD = re.compile(r"\s*\S+\s*")
COUNT = re.compile(r"[^,]+(?:, )?")  # "3 uncertain, ": a count stays with its name
PART = re.compile(r"[^/_-]*[/_-]+|[^/_-]+")  # of a word that is wider than its column
COUNTS = ("verdicts", "statuses")  # the columns of counts


def widest_word(column: str, texts: Iterable[str]) -> int:
    """Return the width of the widest word in a column."""
    return max((cell_len(word.strip()) for text in texts for word in _words(column, text)), default=0)


def wrap(column: str, text: str, width: int) -> str:
    """Return the text of a cell with line breaks. A line is wider than `width` only if it has no place to break."""
    if cell_len(text) <= width:
        return text
    lines = [""]
    for word in _words(column, text):
        for piece in [word] if cell_len(word.strip()) <= width else PART.findall(word):
            if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(lines)


def _words(column: str, text: str) -> list[str]:
    return (COUNT if column in COUNTS else WORD).findall(text)
