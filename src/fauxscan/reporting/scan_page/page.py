"""Writing the page of a run: the extract as JSON, and the HTML that is drawn from it alone."""

import json
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fauxscan import disk
from fauxscan.params import Params
from fauxscan.records import UserError
from fauxscan.reporting import scans
from fauxscan.reporting.scan_page import charts, extract, words
from fauxscan.reporting.scan_page.extract import Extract

FOLDER, KEPT = "reports", 30  # in the results folder: the pages of scheduled scans, and how many are kept
TABLE_COLUMNS = ("path", "verdict", "p_fake", "status", "kind", "faces", "detail")


def write(results: Path, out: Path, params: Params, run: str = "latest") -> None:
    """Write the page of a run to `out`, and its extract beside it with the ending .json.

    Raise ResultsError for missing results or an unknown run, and UserError if `out` names no HTML file.
    """
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"{out} does not end in .html: name the page so that a browser opens it, such as page.html")
    shown = json.loads(json.dumps(extract.read(results, params, run), default=_plain))
    out.parent.mkdir(parents=True, exist_ok=True)
    disk.write_text(out.with_suffix(".json"), json.dumps(shown, indent=1) + "\n")
    disk.write_text(out, render(shown))


def write_kept(results: Path, params: Params, run: str) -> Path:
    """Write the page of a run to the results folder, delete all but the last KEPT pages there, and return its path."""
    page = results / FOLDER / f"{run}.html"
    write(results, page, params, run)
    for old in sorted(page.parent.glob("*.html"))[:-KEPT]:  # run ids sort in the order of the runs
        old.with_suffix(".json").unlink(missing_ok=True)
        old.unlink()
    return page


def render(shown: Extract) -> str:
    """Return the page of an extract that was read back from JSON. Every name in it is escaped."""
    folder = resources.files("fauxscan.reporting.scan_page")
    text = {name: (folder / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(score=_score, share=_share, visible=scans.visible)
    rows = [[file[name] for name in TABLE_COLUMNS] for file in shown["files"]]
    return environment.from_string(text["html"]).render(
        page=shown, words=words, charts=charts, columns=TABLE_COLUMNS, rows=rows,
        css=Markup(text["css"]), script=Markup(text["js"]),
    )  # fmt: skip


def _plain(value: Any) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
