"""The artifacts of a scan in Prefect: its summary as Markdown, and a table of the most suspicious files.

Prefect's pages also render descriptions and table cells as Markdown. A file name from a scan is always put in a code
span there: otherwise it could display an image from elsewhere, or a link.
"""

import hashlib
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fauxscan.records import Status
from fauxscan.reporting import scans
from fauxscan.reporting.scans import visible
from fauxscan.scanning.rows import HARMLESS, Row, key_of
from fauxscan.scanning.scan import Summary
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import evaluations

VARIABLE = "FAUXSCAN_LINKS"  # FOLDER=URL: files below the folder are served below the URL
REPORT = Path("reports", "report.html")  # of a project, as in dvc.yaml
MODEL_COLUMNS = ("model", "digest", "files", "measured on", "AUC", "accuracy", "false alarms", "detected")
NAME_LENGTH = 40  # characters of a folder's name in a key


def summary_page(
    ended: Summary, settings: Settings, models: Sequence[Row], results: Path, page: Path | None = None
) -> str:
    """Return the summary of a scan as Markdown; `models` are its rows from `queries.Tables.models`."""
    changes = {"unchanged, so skipped": ended.unchanged, **ended.changes}
    parts = [
        f"# {code_span(short(ended.root))}",
        f"Folder: {code_span(ended.root)}",
        _count_table("verdict", ended.verdicts),
        _count_table("status", {status: count for status, count in ended.statuses.items() if count}),
        _count_table("in this run", changes),
        "## Models and their measured accuracy",
        scans.uncertain_warning(settings) or "",
        _table(MODEL_COLUMNS, map(scans.model_line, models)),
        unpublished_warning(models, settings, results) or "",
        "## Results and commands",
        *_result_links(settings, results, page),
        _commands(ended, results),
        f"Run {code_span(ended.run_id)}",
    ]
    return "\n\n".join(part for part in parts if part)


def unpublished_warning(models: Iterable[Row], settings: Settings, results: Path) -> str | None:
    """Return a warning that names the models without a published evaluation, and what to do, or None.

    `models` are the rows of one root from `queries.Tables.models`.
    """
    names = [row["model"] for row in models if row["run_id"] is None]
    if not names:
        return None
    project = next(iter(evaluations.projects(settings.folders)), "PROJECT")
    command = f"fauxscan publish --project {shlex.quote(str(project))} --results {shlex.quote(str(results))}"
    return (
        f"No evaluation is published for: {', '.join(map(code_span, names))}. If their project has not evaluated them, "
        f"run `make repro` there. Then run {code_span(command)}. The flow `refresh` does both for the scans in its "
        "parameters."
    )


def short(root: str) -> str:
    """Return the last two names of a path or address."""
    path = root.partition("://")[2] or root
    return "/".join(path.rstrip("/").split("/")[-2:]) or root


def suspicious_files(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Return the lines of a table of files. The score comes first: a long path moves later columns out of sight."""
    return [
        {
            "p_fake": f"{row['p_fake']:.4f}",
            "verdict": row["verdict"],
            "kind": row["kind"],
            "faces": _text(row["faces"]),
            "pixels": f"{row['width']} × {row['height']}",
            "path": code_span(os.fsdecode(key_of(row))),
            "detail": row["detail"] or "",
        }
        for row in rows
    ]


def code_span(text: str) -> str:
    """Return a Markdown code span that shows a text character by character, whatever it contains."""
    shown = visible(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown or shown != shown.strip() else f"{fence}{shown}{fence}"


def artifact_key(root: str, results: Path) -> str:
    """Return the key of the artifacts of a folder's scans: lower-case letters, digits and dashes.

    The name is for people; the digits distinguish folders with the same name, and scans of one folder into different
    results.
    """
    last = unicodedata.normalize("NFKD", root.rstrip("/").rpartition("/")[2].lower()).encode("ascii", "ignore").decode()
    name = re.sub("[^a-z0-9]+", "-", last)[:NAME_LENGTH].strip("-")
    digest = hashlib.sha256(os.fsencode(f"{root}\0{results}")).hexdigest()[:6]
    return "-".join(part for part in ("scan", name, digest) if part)


def path_link(path: Path) -> str:
    """Return a path, as a link if a web server serves it: no browser follows a link from a server to a local file."""
    folder, _, address = os.environ.get(VARIABLE, "").partition("=")
    if not address or not path.is_relative_to(folder):
        return code_span(str(path))
    return f"[{code_span(str(path))}]({address.rstrip('/')}/{quote(os.fsencode(path.relative_to(folder)))})"


def _result_links(settings: Settings, results: Path, page: Path | None) -> list[str]:
    """Return links to the page of the scan, the tables, and the report on the models if their project has one."""
    projects = evaluations.projects(settings.folders)
    reports = [project / REPORT for project in projects if (project / REPORT).is_file()]
    pages = [f"- page of this scan: {path_link(page)}"] if page else []
    return [
        *pages,
        f"- tables: {path_link(results)}",
        *(f"- report on the models: {path_link(report)}" for report in reports),
    ]


def _commands(ended: Summary, results: Path) -> str:
    """Return the commands that read the tables, as a block of code."""
    commands = ["top", "latest"]
    if ended.unjudged:
        counts = {status: count for status, count in ended.statuses.items() if count and status != Status.OK}
        commonest = max(counts, key=lambda status: (status not in HARMLESS, counts[status]))
        commands.append(f"latest --status {commonest}")
    folder = shlex.quote(str(results))
    lines = [f"fauxscan {command} --results {folder}" for command in (*commands, "models", "history PATH")]
    return "\n".join(["```sh", *map(visible, lines), "```"])


def _count_table(title: str, counts: Mapping[str, int]) -> str:
    return "\n".join([f"| {title} | files |", "| :-- | --: |", *(f"| {name} | {n:,} |" for name, n in counts.items())])


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [[scans.cell(row[name]).replace("|", "\\|") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns), ["--"] * len(columns), *lines])


def _text(value: Any) -> str:
    return "" if value is None else str(value)
