"""How a table fits into a terminal: what rows share is printed once, ids are shortened, and columns left out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from rich.cells import cell_len

from fauxscan.reporting import wrapping

Line = Mapping[str, str]  # the text of a row in each column
GAP = 2  # spaces between columns

# If not all columns fit, those that come first here are kept. Others follow in the order of the table.
IMPORTANCE = (
    "path", "model", "evaluation", "name", "file property", "run_id", "verdict", "after", "p_fake", "AUC", "verdicts",
    "state", "change", "status", "difference", "measured on", "files", "accuracy", "detail", "before", "statuses",
    "started_at", "finished_at", "false alarms", "detected", "AUC interval", "accuracy interval", "digest",
    "published", "root", "revision",
)  # fmt: skip
# The narrowest widths of columns in which a long word may be broken. Others are as wide as their widest word.
NARROWEST = {
    "path": 14, "model": 18, "evaluation": 14, "name": 10, "detail": 18, "root": 16, "AUC": 10, "accuracy": 10,
    "revision": 10, "examples": 12, "what to do": 12, "status": 11,
}  # fmt: skip
SHARED = ("root", "path", "detail")  # printed once if all rows have the same
SHARED_BY_ONE = ("detail",)  # also printed apart from a single row, because it is a sentence
# What is shown in an empty cell if its own column is left out.
STAND_INS = {"verdict": ("status", "change"), "after": ("difference",)}
IDS, TIMES = ("run_id",), ("started_at", "finished_at")
SHORTEST_ID = len("20261128T14")  # of a run: its date and hour
TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d(\.\d+)?\+00:00")


@dataclass(frozen=True)
class Fitted:
    """A table that fits: the width of each column, the rows, what all rows share, and which columns are left out.

    `notes` are the details that several rows share; a cell with "[1]" stands for the first.
    """

    widths: Mapping[str, int]
    lines: Sequence[Line]
    shared: Mapping[str, str]
    left_out: Sequence[str]
    notes: Sequence[str] = ()


def fit(columns: Sequence[str], lines: Sequence[Line], width: int, first: Sequence[str] = ()) -> Fitted:
    """Return the table as it fits into `width` columns of a terminal.

    If not all columns fit, those in `first` are kept first, then others by IMPORTANCE.
    """
    shared = {name: lines[0][name] for name in columns if _is_shared(name, lines)}
    rest = [name for name in columns if name not in shared]
    natural = _natural(rest, lines)
    if _total(natural) <= width:
        return Fitted(natural, lines, shared, ())
    rest = [name for name in rest if any(line[name] for line in lines)]  # others show nothing
    notes = _notes(rest, lines)
    lines = _with_marks(_shortened(rest, lines), notes)
    natural = _natural(rest, lines)
    narrowest = {name: min(natural[name], _narrowest(name, lines, width)) for name in rest}
    kept = _most_important(narrowest, width, first)
    widths = _widened({name: narrowest[name] for name in kept}, natural, width)
    left_out = [name for name in rest if name not in kept]
    lines = [_with_stand_ins(line, left_out) for line in lines]
    return Fitted(widths, lines, shared, left_out, notes if "detail" in kept else ())


def _is_shared(name: str, lines: Sequence[Line]) -> bool:
    """Return whether all rows have the same text in a column, which is then printed once."""
    enough = len(lines) >= (1 if name in SHARED_BY_ONE else 2)
    return name in SHARED and enough and lines[0][name] != "" and len({line[name] for line in lines}) == 1


def _natural(columns: Sequence[str], lines: Sequence[Line]) -> dict[str, int]:
    """Return the width of each column without wrapping."""
    return {name: max([cell_len(name), *(cell_len(line[name]) for line in lines)]) for name in columns}


def _notes(columns: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """Return the long details that several rows have, in the order of the rows."""
    counts = Counter(line["detail"] for line in lines) if "detail" in columns else {}
    return [text for text, count in counts.items() if count > 1 and cell_len(text) > NARROWEST["detail"]]


def _with_marks(lines: Sequence[Line], notes: Sequence[str]) -> list[Line]:
    """Return the rows with the number of a note in place of its text."""
    marks = {text: f"[{number}]" for number, text in enumerate(notes, 1)}
    return [{**line, "detail": marks[line["detail"]]} if line.get("detail") in marks else line for line in lines]


def _narrowest(name: str, lines: Sequence[Line], width: int) -> int:
    """Return the narrowest width of a column; paths get a fourth of a wide terminal."""
    if name not in NARROWEST:
        return wrapping.widest_word(name, [name, *(line[name] for line in lines)])
    return max(NARROWEST[name], width // 4 if name == "path" else 0)


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _most_important(narrowest: Mapping[str, int], width: int, first: Sequence[str]) -> list[str]:
    """Return the columns that fit, in the order of the table. The most important one is always among them."""
    kept: list[str] = []
    for name in sorted(narrowest, key=[*first, *IMPORTANCE, *narrowest].index):
        if not kept or _total({each: narrowest[each] for each in (*kept, name)}) <= width:
            kept.append(name)
    return [name for name in narrowest if name in kept]


def _widened(widths: dict[str, int], natural: Mapping[str, int], width: int) -> dict[str, int]:
    """Return the widths after the narrowest columns that need more have got what is left."""
    for _ in range(width - _total(widths)):
        if not (in_need := [name for name in widths if widths[name] < natural[name]]):
            break
        widths[min(in_need, key=widths.__getitem__)] += 1
    return {name: min(each, width) for name, each in widths.items()}


def _with_stand_ins(line: Line, left_out: Sequence[str]) -> Line:
    """Return the row with the text of a column that is left out in an empty cell of another."""
    texts = {
        name: next((line[other] for other in others if other in left_out and line[other]), "")
        for name, others in STAND_INS.items()
        if not line.get(name, "-")
    }
    return {**line, **texts}


def _shortened(columns: Sequence[str], lines: Sequence[Line]) -> list[Line]:
    """Return the rows with ids as short as distinguishes them, and times without seconds."""
    lengths = {name: _distinct_length({line[name] for line in lines}) for name in IDS if name in columns}
    times = [name for name in TIMES if name in columns]
    return [
        {
            **line,
            **{name: line[name][:length] for name, length in lengths.items()},
            **{name: TIME.sub(r"\1Z", line[name]) for name in times},
        }
        for line in lines
    ]


def _distinct_length(ids: set[str]) -> int:
    """Return the length to which ids can be shortened and still differ."""
    alike = (_alike(*pair) for pair in pairwise(sorted(ids)))
    return max(SHORTEST_ID, 1 + max(alike, default=0))


def _alike(one: str, other: str) -> int:
    """Return the number of characters with which both texts begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
