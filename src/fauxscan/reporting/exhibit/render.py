"""Render the page of an exhibit from its extract alone."""

from pathlib import Path

from fauxscan import disk
from fauxscan.reporting.exhibit.contents import Exhibit
from fauxscan.reporting.pages import shell
from fauxscan.reporting.scan_page import contents
from fauxscan.reporting.scan_page.render import series, thresholds, timeline
from fauxscan.reporting.scans import visible

TEMPLATE = "exhibit/page.html"


def write(exhibit: Exhibit, page: Path) -> None:
    """Write a page, and its extract beside it, each whole or not at all."""
    contents.save(exhibit, contents.beside(page))
    disk.write_text(page, html(exhibit))


def html(exhibit: Exhibit) -> str:
    """Return the page of an exhibit."""
    item = exhibit.item
    return shell.render(
        TEMPLATE,
        f"Exhibit {visible(Path(exhibit.path).name)}",
        [
            ("File", visible(exhibit.path)),
            ("Judged", shell.when(exhibit.made_at)),
            ("Program", f"fauxscan {exhibit.made_by}, settings {exhibit.settings_digest}"),
        ],
        exhibit=exhibit,
        timeline=timeline(item, thresholds(exhibit.models)) if item and item.tracks else [],
        legend=[one.name for one in series(item)] if item and item.tracks else [],
    )
