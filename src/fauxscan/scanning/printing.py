"""What a person reads at the end: tables for a terminal, and CSV that no spreadsheet takes for a formula."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table
from rich.text import Text

from fauxscan.scanning.rows import Outcome, Row

if TYPE_CHECKING:  # `fauxscan latest` is not to wait for decoders
    from fauxscan.scanning.dry_run import Foreseen
    from fauxscan.scanning.scan import Summary
    from fauxscan.scanning.settings import Settings

STATE = ("path", "verdict", "p_fake", "status", "detail")
OF_MODEL, MEASURED = ("model", "digest", "root", "files", "measured on"), ("AUC", "accuracy", "false alarms", "found")
MODEL = (*OF_MODEL, *MEASURED, "revision", "published")
SHORT = 8  # digits of a digest or commit in a table
LINES = 10_000  # of a table: more cannot be read, and its width would be known only when all are there
NO_WRAP = 10_000  # columns: what is piped to a program is one line a file
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a cell that begins so is run by a spreadsheet (OWASP)


def summary(console: Console, ended: "Summary", results: Path, settings: "Settings") -> None:
    """Print what was new and the counts by verdict and by status of all files as they stand."""
    new = ", ".join(f"{count} {change}" for change, count in sorted(ended.changes.items())) or "nothing new"
    console.print(Text(visible(f"{ended.root}: {new}, {ended.unchanged} unchanged")), soft_wrap=True)
    _counts(console, "verdict", ended.verdicts)
    _counts(console, "status", {status: count for status, count in ended.statuses.items() if count})
    if warning := of_the_demo(settings):
        console.print(warning, soft_wrap=True)
    console.print(Text(visible(f"Run {ended.run_id}. All files: fauxscan latest --results {results}")), soft_wrap=True)


def of_the_demo(settings: "Settings") -> str | None:
    """Return what is to be said where models that learned from the demo judge; None where none do."""
    demo = [card.name for card in settings.cards if card.trained_on.proof_of_machinery]
    return (
        f"Every verdict is `uncertain`: {', '.join(demo)} learned from the demo, which proves nothing."
        if demo
        else None
    )


def foreseen(console: Console, told: "Foreseen") -> None:
    """Print what a scan would do, and about how long it would take."""
    reasons = {"new": told.new, "changed": told.changed, "judged under other settings": told.other_settings}
    reasons |= {"failed, to be tried again": told.tried_again}
    lines = [f"{told.root}: {told.unchanged} unchanged, {sum(reasons.values())} to look at, {told.gone} gone"]
    lines += [f"  {count} {reason}" for reason, count in reasons.items() if count]
    lines += [f"  {told.moved} of the new are, by size and time, files that are gone"] if told.moved else []
    cost = f"at most {told.files_to_read} files to read, {decimal(told.bytes_to_read)}; {_duration(told)}"
    lines += [cost if told.files_to_read else "nothing to read"]
    for line in (*lines, "Nothing was opened and nothing was written."):
        console.print(Text(visible(line)), soft_wrap=True)


def _duration(told: "Foreseen") -> str:
    if told.rate is None or told.seconds is None:
        return "how long that takes is unknown: no finished run here has judged any"
    of = "" if told.rate.same_settings else ", with other settings"
    pace = f"{told.rate.files_per_second:.3g} files a second, as in run {told.rate.run_id}{of}"
    return f"about {timedelta(seconds=math.ceil(told.seconds))} (h:mm:ss) at {pace}"


def outcomes(console: Console, files: Sequence[Path], found: Sequence[Outcome]) -> None:
    """Print what was found of single files."""
    pairs = zip(files, found, strict=True)
    states(console, [{name: getattr(outcome, name, str(file)) for name in STATE} for file, outcome in pairs])


def states(console: Console, rows: Iterable[Row]) -> None:
    """Print one line a file."""
    table(console, rows, STATE)


def table(console: Console, rows: Iterable[Row], columns: Sequence[str]) -> bool:
    """Print one line a row, of the first LINES; return whether there are more.

    In a terminal it is a table that fits it, else all of every cell stands in its line.
    """
    if not console.is_terminal:
        console.width = NO_WRAP
    heads = [Column(name, no_wrap=name == "run_id") for name in columns]  # ids are there to be copied
    lines, more = Table(*heads, box=HEAVY_HEAD if console.is_terminal else None), iter(rows)
    for row in islice(more, LINES):
        lines.add_row(*(Text(cell(row[name]), overflow="fold") for name in columns))
    console.print(lines)
    return next(more, None) is not None


def model(row: Row) -> Row:
    """Return the line of a model, with the columns of MODEL: its figures, with intervals, or that none are there."""
    line = {**row, "digest": row["model_digest"][:SHORT], "measured on": row["dataset"]}
    if row["run_id"] is None:
        return dict.fromkeys(MODEL) | line | {"measured on": "none published"}
    figures = {"AUC": _interval(row, "auc"), "accuracy": _interval(row, "accuracy")}
    figures |= {"false alarms": row["false_positive_rate"], "found": row["true_positive_rate"]}
    commit, _, mark = (row["revision"] or "").partition("-")
    told = {"revision": f"{commit[:SHORT]}{mark and '-'}{mark}", "published": f"{row['published_at']:%Y-%m-%d}"}
    return line | figures | told


def _interval(row: Row, name: str) -> str:
    """Return a figure with its interval, as far as they could be told."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if row[name] is None else f"{row[name]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def _counts(console: Console, word: str, counts: Mapping[str, int]) -> None:
    table = Table(word, "files", box=None)
    for name, count in counts.items():
        table.add_row(name, str(count))
    console.print(table)


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))


def visible(text: str) -> str:
    """Return the text with what would move a terminal's cursor, or change its colours, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def csv_lines(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """Give a head and the rows as CSV; bytes as hex, and an apostrophe before what a spreadsheet would run."""
    writer = csv.writer(_Passing(), lineterminator="\n")
    yield writer.writerow(columns)  # what `write` returns
    for row in rows:
        yield writer.writerow([_harmless(row[column]) for column in columns])


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Give the rows as one JSON array, a row a line; bytes as hex, times as ISO 8601."""
    begin = "[\n"
    for row in rows:
        yield begin + json.dumps(row, default=_plain)
        begin = ",\n"
    yield "[]\n" if begin == "[\n" else "\n]\n"


class _Passing:
    """A file that gives back what is written."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def _harmless(value: Any) -> Any:
    if isinstance(value, bytes | datetime):
        return _plain(value)
    if isinstance(value, list):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _plain(value: bytes | datetime) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat()
