"""The pages that a results folder keeps: one for each scheduled scan, in `reports`, with its extract beside it."""

from pathlib import Path

from fauxscan.reporting.scan_page import contents, make, render
from fauxscan.reporting.scan_page.cards import of_settings
from fauxscan.scanning.settings import Settings

FOLDER = "reports"
MOST = 30  # pages


def write(results: Path, run_id: str, settings: Settings) -> Path:
    """Write the page of a run and its extract into the results, delete all but the last pages, and return its path.

    Raise UserError for damaged tables, and OSError if the folder cannot be written.
    """
    folder = results / FOLDER
    folder.mkdir(exist_ok=True)
    page = folder / f"{run_id}.html"
    render.write(make.make(results, run_id, of_settings(settings), settings), page)
    for old in sorted(folder.glob("*.html"))[:-MOST]:  # run ids sort by time
        old.unlink()
        contents.beside(old).unlink(missing_ok=True)
    return page
