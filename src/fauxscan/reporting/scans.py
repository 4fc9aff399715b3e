"""Results of scans for people: tables for a terminal, JSON, and CSV that is safe to open in a spreadsheet."""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table
from rich.text import Text

from fauxscan.reporting import fitting, wrapping
from fauxscan.scanning.rows import OUTCOME, Outcome, Row, name_columns

if TYPE_CHECKING:  # `fauxscan latest` need not wait for decoders to load
    from fauxscan.scanning.dry_run import Forecast
    from fauxscan.scanning.scan import Summary
    from fauxscan.scanning.settings import Settings

OUTCOME_COLUMNS = ("path", "path_bytes", *OUTCOME)
FILE_COLUMNS = ("path", "verdict", "p_fake", "status", "detail")
MODEL_COLUMNS = (
    "model", "digest", "root", "files", "measured on", "AUC", "accuracy", "false alarms", "detected", "revision",
    "published",
)  # fmt: skip
SHORT_DIGITS = 8  # of a digest or commit in a table
MAX_LINES = 10_000  # of a table: nobody reads more, and column widths depend on all lines
PIPE_WIDTH = 10_000  # columns: output to a pipe has one line per file, unwrapped
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet runs a cell that begins so (OWASP)


def summary(console: Console, finished: "Summary", results: Path, settings: "Settings") -> None:
    """Print what changed in a scan, and how many files have each verdict and status after it."""
    changes = ", ".join(f"{count} {change}" for change, count in sorted(finished.changes.items())) or "nothing new"
    _print_line(console, f"{finished.root}: {changes}, {finished.unchanged} unchanged")
    _print_counts(console, "verdict", finished.verdicts)
    _print_counts(console, "status", {status: count for status, count in finished.statuses.items() if count})
    if warning := uncertain_warning(settings):
        _print_line(console, warning)
    _print_line(console, f"Run {finished.run_id}. Show all files: fauxscan latest --results {results}")


def uncertain_warning(settings: "Settings") -> str | None:
    """Return a warning if a model of the scan gives no verdicts, so that files it judges are `uncertain`, else None."""
    from fauxscan.judging import ensemble  # which the commands that read tables need not wait for

    demo = [card.name for card in settings.cards if card.trained_on.proof_of_machinery]
    if demo:
        return f"Every verdict is `uncertain`, because these models were trained on the demo only: {', '.join(demo)}."
    if reasons := ensemble.withheld(settings.cards, settings.ensemble):
        return f"Files that these models judge are `uncertain`: {'; '.join(reasons.values())}."
    return None


def print_forecast(console: Console, forecast: "Forecast") -> None:
    """Print what a scan would do, and about how long it would take."""
    reasons = {
        "new": forecast.new,
        "changed": forecast.changed,
        "with the same size and another time, so touched or changed": forecast.touched,
        "judged with other settings": forecast.other_settings,
        "to retry after a failure": forecast.tried_again,
    }
    total = sum(reasons.values())
    lines = [f"{forecast.root}: {forecast.unchanged} unchanged, {total} to look at, {forecast.gone} removed"]
    lines += [f"  {count} {reason}" for reason, count in reasons.items() if count]
    if forecast.moved:
        lines += [f"  {forecast.moved} of the new files match removed files by size and time"]
    cost = f"at most {forecast.files_to_read} files to read, {decimal(forecast.bytes_to_read)}; {_duration(forecast)}"
    lines += [cost if forecast.files_to_read else "nothing to read"]
    for line in (*lines, "No file was opened and nothing was written."):
        _print_line(console, line)


def _duration(forecast: "Forecast") -> str:
    if forecast.rate is None or forecast.seconds is None:
        return "duration unknown, because no finished run in these results has judged a file"
    note = "" if forecast.rate.same_settings else ", with other settings"
    rate = f"{forecast.rate.files_per_second:.3g} files per second, as in run {forecast.rate.run_id}{note}"
    return f"about {timedelta(seconds=math.ceil(forecast.seconds))} (h:mm:ss) at {rate}"


def outcomes(console: Console, files: Sequence[Path], results: Sequence[Outcome]) -> None:
    """Print the result of each file."""
    pairs = zip(files, results, strict=True)
    rows = [{name: getattr(outcome, name, str(file)) for name in FILE_COLUMNS} for file, outcome in pairs]
    print_table(console, rows, FILE_COLUMNS)


def outcome_rows(files: Sequence[Path], results: Sequence[Outcome]) -> list[Row]:
    """Return the result of each file, with the columns of the table `media` that need no run."""
    pairs = zip(files, results, strict=True)
    return [{**name_columns(os.fsencode(file)), **outcome.columns} for file, outcome in pairs]


def print_table(
    console: Console, rows: Iterable[Row], columns: Sequence[str], first: Sequence[str] = (), empty: str = ""
) -> bool:
    """Print the first MAX_LINES rows as a table; return whether there are more.

    In a terminal the table fits its width, the columns in `first` are the last to be left out, and `empty` is printed
    if there are no rows. Elsewhere no cell is shortened or wrapped.
    """
    rest = iter(rows)
    lines = [{name: cell(row[name]) for name in columns} for row in islice(rest, MAX_LINES)]
    if console.is_terminal and empty and not lines:
        console.print(Text(visible(empty), overflow="fold"))
    elif console.is_terminal:
        _print_fitted(console, fitting.fit(columns, lines, console.width, first))
    else:
        console.width = PIPE_WIDTH
        table = Table(*columns, box=None)
        for line in lines:
            table.add_row(*(Text(line[name], overflow="fold") for name in columns))
        console.print(table)
    return next(rest, None) is not None


def _print_fitted(console: Console, fitted: fitting.Fitted) -> None:
    """Print a table that fits a terminal, what its rows share, and which columns are left out."""
    for name, text in fitted.shared.items():
        console.print(Text(wrapping.wrap(name, f"{name}: {text}", console.width), overflow="fold"))
    headings = [Column(name, width=width, overflow="fold") for name, width in fitted.widths.items()]
    table = Table(*headings, box=SIMPLE_HEAD, padding=(0, fitting.GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for line in fitted.lines:
        cells = (wrapping.wrap(name, line[name], width) for name, width in fitted.widths.items())
        table.add_row(*(Text(text, overflow="fold") for text in cells))
    console.print(table)
    for number, note in enumerate(fitted.notes, 1):
        console.print(Text(f"[{number}] {note}", overflow="fold"))
    if fitted.left_out:
        console.print(Text(f"Columns left out: {', '.join(fitted.left_out)}"))


def model_line(row: Row) -> Row:
    """Return the table line of a model, with MODEL_COLUMNS: its published figures with intervals, if there are any."""
    line = {**row, "digest": row["model_digest"][:SHORT_DIGITS], "measured on": row["dataset"]}
    if row["run_id"] is None:
        return dict.fromkeys(MODEL_COLUMNS) | line | {"measured on": "none published"}
    figures = {"AUC": _with_interval(row, "auc"), "accuracy": _with_interval(row, "accuracy")}
    figures |= {"false alarms": row["false_positive_rate"], "detected": row["true_positive_rate"]}
    commit, dash, mark = (row["revision"] or "").partition("-")
    published = f"{row['published_at']:%Y-%m-%d}"
    return line | figures | {"revision": f"{commit[:SHORT_DIGITS]}{dash}{mark}", "published": published}


def _with_interval(row: Row, name: str) -> str:
    """Return a figure with its confidence interval, as far as they are known."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if row[name] is None else f"{row[name]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def _print_line(console: Console, line: str) -> None:
    console.print(Text(visible(line)), soft_wrap=True)


def _print_counts(console: Console, heading: str, counts: Mapping[str, int]) -> None:
    table = Table(heading, "files", box=None)
    for name, count in counts.items():
        table.add_row(name, str(count))
    console.print(table)


def cell(value: Any) -> str:
    """Return the text of a table cell."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))


def visible(text: str) -> str:
    """Return the text with control characters escaped, so that names cannot move a terminal's cursor or set colours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def csv_lines(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    """Yield a header and the rows as CSV, with bytes in hexadecimal and formulas disarmed by a leading apostrophe."""
    writer = csv.writer(_Echo(), lineterminator="\n")
    yield writer.writerow(columns)  # the line, as returned by `_Echo.write`
    for row in rows:
        yield writer.writerow([_csv_cell(row[column]) for column in columns])


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the rows as one JSON array, one line for each, with bytes in hexadecimal and times in ISO 8601."""
    begin = "[\n"
    for line in json_objects(rows):
        yield begin + line.removesuffix("\n")
        begin = ",\n"
    yield "[]\n" if begin == "[\n" else "\n]\n"


def json_objects(rows: Iterable[Row]) -> Iterator[str]:
    """Yield each row as a JSON object on a line of its own (JSON Lines), with values as in `json_lines`."""
    for row in rows:
        yield json.dumps(row, default=_plain) + "\n"


class _Echo:
    """A file whose `write` returns the text instead of storing it."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bytes | datetime):
        return _plain(value)
    if isinstance(value, list):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _plain(value: bytes | datetime) -> str:
    return value.hex() if isinstance(value, bytes) else value.isoformat()
