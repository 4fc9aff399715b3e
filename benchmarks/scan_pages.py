"""How fast the page of a scan is written and opens in Chromium, and its size, against the limits of 2 s and 15 MB.

`python benchmarks/scan_pages.py`: makes tables of 1,000, 10,000 and 100,000 files, without the files themselves.
"""

import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import page
import pyarrow as pa
import reading
from playwright.sync_api import Browser, sync_playwright

from fauxscan.params import Params
from fauxscan.reporting.scan_page import make as extracts
from fauxscan.reporting.scan_page import render
from fauxscan.scanning.tables import parquet, schemas

ROUNDS = 5
LIMIT_S, LIMIT_MB = 2.0, 15.0
RUN = "20260101T000000000000Z-000000"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def make(results: Path, files: int) -> None:
    """Write the tables of one run."""
    for schema in (schemas.MEDIA, schemas.RUNS):
        (results / schemas.name_of(schema)).mkdir(parents=True)
    rows = reading.media(np.random.default_rng(1), RUN, range(files), "new")
    parquet.write(rows, results / "media" / f"{RUN}-000000.parquet", results)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = {
        "run_id": RUN,
        "root": reading.ROOT,
        "started_at": now,
        "finished_at": now,
        "models": [],
        "settings": "0" * 16,
        "tool_version": "none",
    }
    parquet.write(pa.Table.from_pylist([row], schemas.RUNS), results / "runs" / f"{RUN}.parquet", results)


def opening_s(browser: Browser, file: Path) -> float:
    """Return the seconds until a page that was just opened shows its list of files."""
    shown = browser.new_page()
    start = time.perf_counter()
    shown.goto(file.as_uri())
    shown.wait_for_selector("[data-table] tbody tr")
    seconds = time.perf_counter() - start
    shown.close()
    return seconds


def measure(browser: Browser, files: int) -> list[object]:
    """Return the line of a number of files."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "page.html"
        make(Path(folder) / "results", files)
        start = time.perf_counter()
        render.write(extracts.find(Path(folder) / "results", "latest", Params()), out)
        written = time.perf_counter() - start
        opened = statistics.median(opening_s(browser, out) for _ in range(ROUNDS))
        size = out.stat().st_size / 1e6
    return [f"{files:,}", f"{written:.2f}", f"{opened:.2f}", f"{opened / LIMIT_S:.2f}", f"{size:.1f}",
            f"{size / LIMIT_MB:.2f}"]  # fmt: skip


def main() -> None:
    """Measure the pages and write the section."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        lines = [measure(browser, files) for files in (1_000, 10_000, 100_000)]
        browser.close()
    head = ["files", "written, s", "opens, s", f"to {LIMIT_S:g} s", "MB", f"to {LIMIT_MB:g} MB"]
    text = f"""A page lists 10,000 files at most. It is open once its list is shown; medians of {ROUNDS} openings in
headless Chromium. The files of these tables do not exist, so the pages have no pictures:
these are limited to 6 MB."""
    page.write("Pages of scans", "python benchmarks/scan_pages.py", f"{text}\n\n{page.table(head, lines)}")


if __name__ == "__main__":
    main()
