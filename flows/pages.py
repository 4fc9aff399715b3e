"""What is kept of a scan in Prefect: its summary as Markdown, and the most suspicious files as a table.

Prefect's pages read descriptions and the cells of tables as Markdown too. A name that a file came with is always put in
a code span there: else it could show an image from elsewhere, or a link.
"""

import hashlib
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fauxscan.records import Status
from fauxscan.scanning import printing
from fauxscan.scanning.printing import visible
from fauxscan.scanning.rows import Row, key_of
from fauxscan.scanning.scan import Summary
from fauxscan.scanning.settings import Settings

VARIABLE = "FAUXSCAN_LINKS"  # FOLDER=ADDRESS: what is below the folder here is served below the address
REPORT = Path("reports", "report.html")  # of a project, as dvc.yaml has it
JUDGES = ("model", "digest", "files", "measured on", "AUC", "accuracy", "false alarms", "found")
NAME = 40  # characters of a folder's name in a key


def summary(ended: Summary, settings: Settings, models: Sequence[Row], results: Path) -> str:
    """Return the summary of a scan as Markdown; `models` are the rows of `queries.Tables.models`."""
    changes = {"unchanged, so skipped": ended.unchanged, **ended.changes}
    parts = [
        f"# {code(ended.root)}",
        _counts("verdict", ended.verdicts),
        _counts("status", {status: count for status, count in ended.statuses.items() if count}),
        _counts("in this run", changes),
        "## Who judged, and how good they are",
        printing.of_the_demo(settings) or "",
        _table(JUDGES, (printing.model(row) for row in models if row["root"] == ended.root)),
        "## Read on",
        *_places(settings, results),
        _commands(ended, results),
        f"Run {code(ended.run_id)}",
    ]
    return "\n\n".join(part for part in parts if part)


def suspicious(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Return the lines of a table of files; what matters stands first: a long path moves the rest out of sight."""
    return [
        {
            "p_fake": f"{row['p_fake']:.4f}",
            "verdict": row["verdict"],
            "kind": row["kind"],
            "faces": _plain(row["faces"]),
            "pixels": f"{row['width']} × {row['height']}",
            "path": code(os.fsdecode(key_of(row))),
            "detail": row["detail"] or "",
        }
        for row in rows
    ]


def code(text: str) -> str:
    """Return a text as Markdown shows it letter by letter, whatever is in it."""
    shown = visible(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown or shown != shown.strip() else f"{fence}{shown}{fence}"


def key(root: str, results: Path) -> str:
    """Return what the artifacts of a folder's scans are kept under: small letters, digits and dashes.

    The name is for people; the digits tell folders of one name apart, and what is scanned into two results.
    """
    last = unicodedata.normalize("NFKD", root.rstrip("/").rpartition("/")[2].lower()).encode("ascii", "ignore").decode()
    name = re.sub("[^a-z0-9]+", "-", last)[:NAME].strip("-")
    digest = hashlib.sha256(os.fsencode(f"{root}\0{results}")).hexdigest()[:6]
    return "-".join(part for part in ("scan", name, digest) if part)


def _places(settings: Settings, results: Path) -> list[str]:
    """Return where the tables are, and the report on the models where their project has one."""
    above = chain.from_iterable(folder.resolve().parents for folder in settings.folders)
    reports = dict.fromkeys(project / REPORT for project in above if (project / REPORT).is_file())
    return [f"- the tables: {link(results)}", *(f"- how good the models are: {link(report)}" for report in reports)]


def link(path: Path) -> str:
    """Return a path, as a link where it is served: no browser follows a link from a server to a file."""
    folder, _, address = os.environ.get(VARIABLE, "").partition("=")
    if not address or not path.is_relative_to(folder):
        return code(str(path))
    return f"[{code(str(path))}]({address.rstrip('/')}/{quote(os.fsencode(path.relative_to(folder)))})"


def _commands(ended: Summary, results: Path) -> str:
    """Return what to type to read the tables."""
    commands = ["top", "latest"]
    if ended.unjudged:
        commonest = max((status for status in ended.statuses if status != Status.OK), key=ended.statuses.__getitem__)
        commands.append(f"latest --status {commonest}")
    at = shlex.quote(str(results))
    lines = [f"fauxscan {command} --results {at}" for command in (*commands, "models", "history PATH")]
    return "\n".join(["```sh", *map(visible, lines), "```"])


def _counts(title: str, counts: Mapping[str, int]) -> str:
    return "\n".join([f"| {title} | files |", "| :-- | --: |", *(f"| {name} | {n:,} |" for name, n in counts.items())])


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [[printing.cell(row[name]).replace("|", "\\|") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns), ["--"] * len(columns), *lines])


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
